"""What `configs/` and installed plugins name: methods, budgets, launchers, trackers, studies. Read from names of files; Hydra is not loaded.

Invariant: a wrong name of a method, a budget, a launcher, a tracker, a study, a dataset or a task is refused here, with the nearest valid one,
before any package for data or learning is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from relbench_harness.data.names import dataset_folder, split_address, task_manifest
from relbench_harness.errors import InputError, nearest
from relbench_harness.home import home
from relbench_harness.plugins import plugin_folders

AROUND = {"guard": "none", "objective": "primary", "answers": "plain"}
"""Groups of configs that put something around a method, the innermost first, each with its choice that puts nothing there. What stands
there has the group's name as its key in the method's stored configuration."""
CHOSEN_BY_HYDRA = ("glob(", "choice(", "range(", "interval(", "shuffle(", "sort(", "extend_list(", "${")
"""How values begin that only Hydra can read."""


def config_folders() -> list[Path]:
    """Folders of configs, the harness's own first."""
    return [home("configs"), *plugin_folders("configs")]


def method_names() -> list[str]:
    """Every method that has a config. A name defined twice is an error, since Hydra would silently take the first."""
    found: dict[str, Path] = {}
    for folder in config_folders():
        for path in sorted(folder.glob("method/*.yaml")):
            if path.stem in found:
                raise InputError(f"method {path.stem!r} is defined twice: {found[path.stem]} and {path}")
            found[path.stem] = path
    return sorted(found)


def names_class(name: str) -> bool:
    """Whether `name` is the path of a class, `package.module.Class`, as a method without a config is called."""
    parts = name.split(".")
    return len(parts) > 1 and all(part.isidentifier() for part in parts)


def check_method(name: str) -> None:
    """Raises `InputError` where no method is called `name`, and `name` is no path of a class."""
    if not names_class(name) and name not in (known := method_names()):
        raise InputError(f"no method {name!r}; {nearest(name, known)}")


OPTIONS = ("-v", "--verbose", "-h", "--help")
"""Options of every command."""
OF_RUN = ("-m", "--multirun", "--dry-run")
OF_AUDIT = ("-m", "--multirun", "--short")


def check_options(given: Sequence[str], command: str = "run", own: Sequence[str] = OF_RUN) -> None:
    """Raises `InputError` for a word that begins as an option and is none of every command's nor of the command's `own`."""
    known = (*own, *OPTIONS)
    for word in given:
        if word.startswith("-") and word not in known:
            raise InputError(f"{command} has no option {word!r}; {nearest(word, known)}")


def check_choices(overrides: Sequence[str]) -> None:
    """Raises `InputError` for the first of `overrides` that names no method, budget, launcher, tracker, study or thing around a method.

    A wrong task is one, too, where it is the only one: in a sweep it costs its own runs alone.
    """
    presets = {
        group: sorted(path.stem for path in home("configs").glob(f"{group}/*.yaml"))
        for group in ("budget", *AROUND, "launcher", "tracker", "study")
    }
    for override in overrides:
        group, _, value = override.partition("=")
        if value.startswith(CHOSEN_BY_HYDRA):
            continue
        if group == "task" and not {"-m", "--multirun"} & set(overrides) and "/" not in value.rpartition(",")[0]:
            _check_task(value.strip("'\""))
        choices = {"method": method_names(), **presets}.get(group)
        if choices is None:
            continue
        for name in value.split(","):
            if name not in choices and not (group == "method" and names_class(name)):
                raise InputError(f"no {group} {name!r}; {nearest(name, choices)}")


def _check_task(address: str) -> None:
    dataset, task = split_address(address)
    name = dataset.partition("@")[0]
    folder = dataset_folder(name)
    if folder is not None:
        task_manifest(folder, task, folder.name if "/" in name else dataset)
