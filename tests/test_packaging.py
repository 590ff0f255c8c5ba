"""What is installed: everything the repository holds, under one name, with versions that are pinned."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from relbench_harness.data.names import hosted

ROOT = Path(__file__).parent.parent
SHIPPED = ("relbench_harness", "baselines", "configs", "datasets")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def tracked() -> list[str]:
    """Files that git knows, relative to the root."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout, so there is no list of tracked files")
    return [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def test_every_folder_of_code_is_a_declared_package() -> None:
    found = {"relbench_harness.baselines", "relbench_harness.configs", "relbench_harness.datasets"}
    for path in (ROOT / "relbench_harness").rglob("*.py"):
        found.add(".".join(path.parent.relative_to(ROOT).parts))
    for path in (ROOT / "baselines").rglob("*.py"):
        found.add(".".join(["relbench_harness", *path.parent.relative_to(ROOT).parts]))
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == found


# -- dependencies ---------------------------------------------------------------------------------------------------------


def declared() -> list[Requirement]:
    extras = PROJECT["project"]["optional-dependencies"]
    return [Requirement(text) for text in [*PROJECT["project"]["dependencies"], *(t for e in extras.values() for t in e)]]


def needed(requirements: list[Requirement]) -> set[str]:
    """Names of every installed distribution that `requirements` pull in, at whatever depth."""
    found: set[str] = set()
    todo, done = list(requirements), set()
    while todo:
        one = todo.pop()
        key = canonicalize_name(one.name), frozenset(one.extras)
        if key in done:
            continue
        done.add(key)
        try:
            installed = distribution(one.name)
        except PackageNotFoundError:
            continue  # an extra that is not installed here
        found.add(key[0])
        for text in installed.requires or []:
            inner = Requirement(text)
            if inner.marker is None or any(inner.marker.evaluate({"extra": e}) for e in {"", *one.extras}):
                todo.append(inner)
    return found


def pins() -> dict[str, list[Requirement]]:
    found: dict[str, list[Requirement]] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if text := line.partition("#")[0].strip():
            found.setdefault(canonicalize_name(Requirement(text).name), []).append(Requirement(text))
    return found


def test_every_dependency_is_pinned_exactly() -> None:
    for requirements in pins().values():
        for one in requirements:
            assert re.fullmatch(r"==[\w.+!-]+", str(one.specifier)), f"{one} is no exact version"
    missing = needed(declared()) - set(pins()) - {"relbench-harness"}
    assert missing == set(), "append these to constraints.txt"


def test_torch_is_the_processor_build_on_linux() -> None:
    versions = {str(one.marker): str(one.specifier) for one in pins()["torch"]}
    assert versions['sys_platform == "linux"'].endswith("+cpu")
    assert len(versions) == 2 and "+" not in versions['sys_platform != "linux"']


def test_what_the_code_imports_is_declared() -> None:
    names = {canonicalize_name(one.name) for one in declared()}
    providers = packages_distributions()
    undeclared = {
        f"{path.relative_to(ROOT)}: {module}"
        for path, module in imports()
        if module not in sys.stdlib_module_names | {"relbench_harness"}
        and module in providers
        and not {canonicalize_name(d) for d in providers[module]} & names
    }
    assert undeclared == set()


def imports() -> Iterator[tuple[Path, str]]:
    """(file, top-level module) of every absolute import of the code that is shipped."""
    for folder in ("relbench_harness", "baselines"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    yield from ((path, alias.name.partition(".")[0]) for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                    yield path, node.module.partition(".")[0]


# -- the wheel ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked wheel of a clean copy of this tree."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        str(source),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = folder.glob("*.whl")
    with zipfile.ZipFile(made) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


@pytest.mark.slow
def test_nothing_is_left_behind(wheel: Path) -> None:
    expected = set()
    for name in tracked():
        top = name.split("/")[0]
        if top in SHIPPED:
            expected.add(name if top == "relbench_harness" else f"relbench_harness/{name}")
    installed = {p.relative_to(wheel).as_posix() for p in (wheel / "relbench_harness").rglob("*") if p.is_file()}
    assert installed == expected


@pytest.mark.slow
def test_one_name_is_installed(wheel: Path) -> None:
    tops = {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")}
    assert tops == {"relbench_harness"}


@pytest.mark.slow
def test_the_installed_package_works_alone(wheel: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(wheel), "RELBENCH_HARNESS_DATASETS": ""}

    def python(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = python("-c", "import relbench_harness; print(relbench_harness.__file__)")
    assert Path(where.strip()).is_relative_to(wheel)
    methods = python("-m", "relbench_harness.cli", "list", "methods").split()
    assert set(methods) == {path.stem for path in (ROOT / "configs" / "method").glob("*.yaml")} != set()
    datasets = python("-m", "relbench_harness.cli", "list", "datasets").split()
    shipped = {path.parent.name for path in (ROOT / "datasets").glob("*/manifest.yaml")}
    assert set(datasets) == shipped | set(hosted()) and shipped
    python("-c", "from relbench_harness.compose import make_method; make_method('constant')")


@pytest.mark.slow
def test_the_name_of_hugging_faces_package_is_free(wheel: Path, tmp_path: Path) -> None:
    """`datasets/` and `baselines/` here are folders: with the harness installed, those names import nothing of ours."""
    code = "import importlib.util as u; print([(s.origin, list(s.submodule_search_locations or [])) for n in ('datasets', 'baselines', 'configs') if (s := u.find_spec(n))])"
    for path in ("", str(wheel)):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": path},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert str(ROOT) not in done.stdout and str(wheel) not in done.stdout
