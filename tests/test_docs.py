"""The documentation names only what exists: links, files, commands with their options, and figures that code draws.

Commands are parsed, never run: those of the harness by its own parser and configs, those of a benchmark by the options that its
source declares. So a renamed option or hyperparameter fails here before a reader meets it.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import runpy
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from page_marks import between

from relbench_harness import cli
from relbench_harness.backtests.command import divided
from relbench_harness.backtests.plan import plan_of
from relbench_harness.board.store import read_results
from relbench_harness.compose import RunConfig, make_method
from relbench_harness.presets import method_names
from relbench_harness.protocol.budget import Budget

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        ROOT / "results" / "README.md",
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("datasets/*/*.md"),
        *ROOT.glob("results/*/*.md"),
    ]
)
SUFFIXES = ("py", "md", "yaml", "sql", "svg", "png", "toml", "txt", "html")
WRITTEN_BY_READERS = {
    "baselines/habit.py",
    "configs/method/habit.yaml",
    "configs/method/habit_slow.yaml",
    "checks/shop.html",
    "report.html",
    "report.md",
    "check.html",
    "leaderboard.md",
}
"""Files of the tutorials, which their reader makes."""
OTHER_METHODS = {"habit"}
STORED_BY_RUNS = {"backtest.json", "backtest.csv", "backtest.md", "backtest.svg", "runs/", "views/", "truth/"}
"""Folders that lie in the cache."""
HYDRA = {"method", "tracker", "study", "sweep", "-m", "-v", "--dry-run", "--short"}
FIRST_PERSON = re.compile(r"\b(I|[Mm]y|[Mm]ine|[Ww]e|[Oo]urs?|[Mm]e|us)\b")


class Page(NamedTuple):
    """A page without its code blocks, and the lines of those blocks that have no language or `bash`, continued lines joined."""

    prose: str
    code: tuple[str, ...]

    @property
    def commands(self) -> Iterator[tuple[str, bool]]:
        """(command, whether it is complete): the lines of code blocks are, what stands between backticks may be a name alone."""
        yield from ((command, True) for command in self.code)
        yield from ((match[1], False) for match in re.finditer(r"`([^`]+)`", self.prose))


@cache
def page(path: Path) -> Page:
    prose, code, language = [], [""], None
    for line in path.read_text(encoding="utf-8").split("\n"):
        fence = re.match(r"\s*```(\w*)\s*$", line)
        if fence is not None:
            language = fence[1] if language is None else None
        elif language is None:
            prose.append(line)
        elif language in ("", "bash"):
            code[-1] += line.removesuffix("\\").strip() + " "
            if not line.endswith("\\"):
                code.append("")
    return Page("\n".join(prose), tuple(code))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands(program: str) -> list[tuple[str, str, bool]]:
    """(page, command, whether it is complete) of every documented command that starts with `program`."""
    found = [(name_of(path), *command) for path in PAGES for command in page(path).commands]
    return [one for one in found if one[1].startswith(program)]


def words_of(command: str) -> list[str]:
    return [word for word in shlex.split(command, comments=True) if "…" not in word]


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page(path).prose):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), f"{name_of(path)} links to {target}"
        if anchor:
            assert anchor in anchors(found), (
                f"{name_of(path)} links to {target}, whose headings are {sorted(anchors(found))}"
            )


def anchors(path: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page(path).prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def files() -> frozenset[str]:
    """Every file of the code, configs, tests and documentation, by each tail of its path."""
    tops = ("relbench_harness", "baselines", "configs", "datasets", "docs", "tests", "benchmarks", "results", "examples")
    paths = [path.relative_to(ROOT) for top in tops for path in (ROOT / top).rglob("*") if "__pycache__" not in path.parts]
    paths += [path.relative_to(ROOT) for path in ROOT.iterdir()]
    return frozenset(
        "/".join(path.parts[start:]) + ("/" if (ROOT / path).is_dir() else "")
        for path in paths
        for start in range(len(path.parts))
    )


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_named_files_exist(path: Path) -> None:
    pattern = re.compile(rf"`(?:\./)?([\w./-]*\w\.(?:{'|'.join(SUFFIXES)})|[\w.-]+/(?:[\w.-]+/)*)(?::\w+)?`")
    named = set(pattern.findall(page(path).prose)) - WRITTEN_BY_READERS - STORED_BY_RUNS
    assert not named - files(), f"{name_of(path)} names files that do not exist"


BENCHMARKS = commands("python benchmarks/")
HARNESS = commands("relbench-harness ")


def test_commands_are_found() -> None:
    assert len(BENCHMARKS) > 10 and len(HARNESS) > 20


@cache
def options(program: Path) -> frozenset[str]:
    """The options that a program's calls of `add_argument` declare."""
    calls = [node for node in ast.walk(ast.parse(program.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    declared = [node for node in calls if isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument"]
    given = [arg.value for node in declared for arg in node.args if isinstance(arg, ast.Constant)]
    return frozenset(str(value) for value in given if str(value).startswith("--"))


@pytest.mark.parametrize(("where", "command"), [one[:2] for one in [*BENCHMARKS, *commands("python docs/")]])
def test_a_script_knows_the_options_of_its_documented_commands(where: str, command: str) -> None:
    _, script, *rest = words_of(command)
    assert (ROOT / script).is_file(), f"{where}: {command}"
    unknown = {word.partition("=")[0] for word in rest if word.startswith("--")} - options(ROOT / script)
    assert not unknown, f"{where}: {command}"


def test_options_named_alone_belong_to_a_program() -> None:
    """An option between backticks is one of a benchmark or of the harness."""
    known = {option for path in (ROOT / "benchmarks").glob("*.py") for option in options(path)}
    known |= {option for path in (ROOT / "relbench_harness").rglob("*.py") for option in options(path)}
    known |= {"--help", "--from", "--verbose"}
    for path in PAGES:
        named = set(re.findall(r"`(--[a-z][\w-]*)", page(path).prose))
        assert not named - known, name_of(path)


@pytest.mark.parametrize(("where", "command", "complete"), HARNESS)
def test_the_harness_knows_its_documented_commands(where: str, command: str, complete: bool) -> None:
    given = words_of(command)[1:]
    if given[0] in ("run", "audit"):
        check_run(given[1:], f"{where}: {command}")
        return
    if given[0] == "backtest":
        own, rest = divided(given[1:])
        plan_of(**own)
        check_run(rest, f"{where}: {command}")
        return
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            cli._parser().parse_args(given)
    except SystemExit:
        nothing_wrong = not complete and "arguments are required" in said.getvalue()
        assert nothing_wrong, f"{where}: {command}\n{said.getvalue()}"


def check_run(overrides: list[str], what: str) -> None:
    """Every key of a run is one of its schema, every `method.` key a field of the methods named, and a shipped dataset has the task."""
    given = dict(word.partition("=")[::2] for word in overrides)
    for dataset, task in re.findall(r"(rel-[\w-]+)(?:@[^/]*)?/([\w-]+)", given.get("task", "")):
        assert (ROOT / "datasets" / dataset / "tasks" / task).is_dir(), what
    methods = [name for name in given.get("method", "").split(",") if name not in OTHER_METHODS | {""}]
    assert not set(methods) - set(method_names()), what
    for key in given:
        top, _, rest = key.partition(".")
        assert top in HYDRA or top in RunConfig.__dataclass_fields__, f"{what}: {key}"
        if top == "budget" and rest:
            assert rest in Budget.__dataclass_fields__, f"{what}: {key}"
        if top == "method" and rest:
            for name in methods:
                assert rest.partition(".")[0] in fields_of(name), f"{what}: {key}"


@cache
def fields_of(method: str) -> frozenset[str]:
    return frozenset(make_method(method)[1])


def test_hyperparameters_named_in_prose_exist() -> None:
    """`method.KEY=VALUE` between backticks is a field of some method that ships."""
    known = frozenset.union(*(fields_of(name) for name in method_names()))
    for path in PAGES:
        for key in re.findall(r"`method\.(\w+)", page(path).prose):
            assert key in known, f"{name_of(path)}: method.{key}"


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_no_page_speaks_in_the_first_person(path: Path) -> None:
    prose = re.sub(r"`[^`]*`|“[^”]*”|\"[^\"\n]*\"", "", page(path).prose)
    assert not (found := FIRST_PERSON.search(prose)), (
        f"{name_of(path)}: …{prose[max(found.start() - 60, 0) : found.end() + 20]}…"
    )


def test_the_picture_of_the_network_is_what_its_code_draws() -> None:
    drawing = runpy.run_path(str(ROOT / "docs" / "draw_network.py"))
    assert (ROOT / "docs" / "network.svg").read_text(encoding="utf-8") == drawing["picture"]()


def test_the_cost_of_a_new_task_is_what_its_code_counts() -> None:
    """Where this fails: `python docs/task_cost.py results --into docs/results.md`."""
    script = runpy.run_path(str(ROOT / "docs" / "task_cost.py"))
    made = script["pages"](read_results(ROOT / "results"))
    assert between(ROOT / "docs" / "results.md", script["BEGIN"], script["END"]) == made


def test_the_table_of_quality_is_what_the_boards_say() -> None:
    """Where this fails: `python docs/quality.py --into docs/results.md`."""
    script = runpy.run_path(str(ROOT / "docs" / "quality.py"))
    assert between(ROOT / "docs" / "results.md", script["BEGIN"], script["END"]) == script["table"]()


@pytest.mark.parametrize("study", ["faithfulness", "causes"])
def test_what_explanations_are_worth_is_what_the_lines_say(study: str) -> None:
    """Where this fails: `python docs/faithfulness.py docs/explain --into docs/results.md`."""
    script = runpy.run_path(str(ROOT / "docs" / "faithfulness.py"))
    made = script["tables"](ROOT / "docs" / "explain", study)
    assert between(ROOT / "docs" / "results.md", *script["marks"](study)) == made
