"""What datasets and tasks there are, from names of folders and files alone.

Invariant: nothing here opens a dataset or loads a package for data, so that listing names and refusing a wrong one is quick.
"""

from __future__ import annotations

import ast
import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

from relbench_harness.errors import InputError, nearest
from relbench_harness.home import home
from relbench_harness.plugins import plugin_folders

PATH_VARIABLE = "RELBENCH_HARNESS_DATASETS"
HUB = "hub:"
"""How addresses of datasets on the hub begin."""
Value = bool | int | float | str


class Hosted(NamedTuple):
    """Where the hub keeps a dataset; a revision of None is the newest there is."""

    address: str
    revision: str | None


@cache
def hosted() -> dict[str, Hosted]:
    """RelBench's hosted datasets by name, from `hosted.yaml` beside this module."""
    import yaml

    found = {}
    for repository in yaml.safe_load((Path(__file__).parent / "hosted.yaml").read_text(encoding="utf-8"))["repositories"]:
        for name in repository["datasets"]:
            found[name] = Hosted(f"{repository['address']}/{name}", repository["revision"])
    return found


DATABASES = ("postgresql", "postgres", "mysql", "mariadb", "sqlite", "duckdb")
"""How URIs of databases begin."""
NO_DATASET = "a dataset is named here, not a URI: `relbench-harness dataset new NAME --from URI` imports one"


def search_path() -> list[Path]:
    """Folders that hold datasets, first found wins: `$RELBENCH_HARNESS_DATASETS`, those that ship, those of plugins."""
    return [*_named(), home("datasets"), *plugin_folders("datasets")]


def _named() -> list[Path]:
    """The folders that `$RELBENCH_HARNESS_DATASETS` lists."""
    return [Path(p).expanduser() for p in os.environ.get(PATH_VARIABLE, "").split(os.pathsep) if p]


def dataset_names() -> list[str]:
    """Every dataset on the search path."""
    return sorted({f.parent.name for folder in search_path() if folder.is_dir() for f in folder.glob("*/manifest.yaml")})


def check_no_uri(text: str, wanted: str) -> None:
    """Raises `InputError` where `text` is the URI of a database, or begins like one; it may hold a password, so it is not shown.

    Args:
        wanted: What should stand in its place.
    """
    kind, colon, _ = text.partition(":")
    if "://" in text or (colon and kind.lower().split("+")[0] in DATABASES):
        raise InputError(f"{wanted}; the URI of a database reads postgresql://user@host/database")


def parse_address(address: str) -> tuple[str, dict[str, Value]]:
    """`name` or `name@key=value,key=value` as the name and the parameters of its `build.py`.

    Raises:
        InputError: A URI, or a parameter of another form.
    """
    check_no_uri(address, NO_DATASET)
    name, _, rest = address.partition("@")
    parameters: dict[str, Value] = {}
    for part in filter(None, rest.split(",")):
        import yaml

        key, equals, value = part.partition("=")
        if not equals or not key.isidentifier():
            raise InputError(f"dataset {address!r}: {part!r} is not a parameter of the form key=value")
        try:
            parameters[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise InputError(f"dataset {address!r}: the parameter {key} has value {value!r}, which is no YAML") from None
    return name, parameters


def split_address(address: str) -> tuple[str, str]:
    """The dataset and the task that `dataset/task` names."""
    dataset, _, task = address.rpartition("/")
    if not dataset or not task:
        raise InputError(f"{address!r} is no task address; one reads dataset/task, such as rel-f1/driver-top3")
    return dataset, task


def dataset_folder(name: str) -> Path | None:
    """The folder of the dataset called `name`, or named as a path, where it lies on disk; None for one on the hub.

    Raises:
        InputError: There is none of that name.
    """
    if name.startswith(HUB):
        return None
    check_no_uri(name, NO_DATASET)
    candidates = [Path(name).expanduser()] if os.sep in name or name.startswith(".") else []
    candidates += [] if candidates else [folder / name for folder in search_path()]
    for folder in candidates:
        if (folder / "manifest.yaml").is_file():
            return folder.resolve()
    if candidates and candidates[0].is_dir():
        raise InputError(f"dataset folder {candidates[0]} has no manifest.yaml")
    if name in hosted():
        return None
    lost = "".join(f"; {PATH_VARIABLE} names {folder}, which is no folder" for folder in _named() if not folder.is_dir())
    raise InputError(f"no dataset {name!r}; {nearest(name, [*dataset_names(), *hosted()])}{lost}")


def task_names(folder: Path) -> list[str]:
    """The tasks of the dataset in `folder`."""
    return sorted(path.parent.name for path in folder.glob("tasks/*/manifest.yaml"))


def task_manifest(folder: Path, task: str, dataset: str) -> Path:
    """The manifest of a task of the dataset in `folder`.

    Args:
        dataset: What the dataset is called in errors.
    """
    path = folder / "tasks" / task / "manifest.yaml"
    if not path.is_file():
        raise InputError(f"no task {task!r} in dataset {dataset}; {nearest(task, task_names(folder))}")
    return path


def knows_truth(folder: Path) -> bool:
    """Whether the `build.py` of the dataset in `folder` binds the name `truth`; the script is read, not run."""
    script = folder / "build.py"
    if not script.is_file():
        return False
    found: set[str] = set()
    for node in ast.parse(script.read_bytes()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return "truth" in found


def truth_may_be_known(task: str) -> bool:
    """Whether the dataset of `task` lies on disk and knows the truth; False for a task that cannot be found here."""
    try:
        folder = dataset_folder(parse_address(split_address(task)[0])[0])
        return folder is not None and knows_truth(folder)
    except (InputError, OSError, SyntaxError):
        return False
