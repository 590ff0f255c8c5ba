"""Installed packages that bring datasets, configs and methods: entry points of the group `relbench_harness.plugins`.

A plugin is a package shaped like this repository: folders `datasets/` and `configs/` inside it (or beside it in a checkout), its
methods in modules that its configs name by `_target_`. Nothing of it is imported to find its folders.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal

from relbench_harness.errors import InputError, nearest

GROUP = "relbench_harness.plugins"


@dataclass(frozen=True)
class Plugin:
    """An installed plugin: its entry point's name, its package and the package's folder."""

    name: str
    package: str
    folder: Path

    def brings(self, what: Literal["datasets", "configs"]) -> Path | None:
        """Its folder of datasets or configs, if it has one."""
        for folder in (self.folder / what, self.folder.parent / what):
            if folder.is_dir():
                return folder
        return None


def plugins() -> list[Plugin]:
    """Every installed plugin, by name. Two plugins of one name, or a package that is not there, are errors."""
    found: dict[str, Plugin] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda e: (e.name, e.value)):
        spec = importlib.util.find_spec(entry.module.partition(".")[0])
        if spec is None or not spec.submodule_search_locations:
            raise InputError(
                f"plugin {entry.name!r} names the package {entry.module!r}, which is not installed as a package"
            )
        plugin = Plugin(entry.name, entry.module, Path(next(iter(spec.submodule_search_locations))))
        if entry.name in found and found[entry.name] != plugin:
            raise InputError(f"two plugins are called {entry.name!r}: {found[entry.name].package} and {plugin.package}")
        found[entry.name] = plugin
    return list(found.values())


def plugin(name: str) -> Plugin:
    """The plugin of that name, or of that package."""
    known = plugins()
    for one in known:
        if name in (one.name, one.package):
            return one
    raise InputError(f"no plugin {name!r}; {nearest(name, [one.name for one in known])}")


def plugin_folders(what: Literal["datasets", "configs"]) -> list[Path]:
    """The folders of datasets or configs that plugins bring."""
    return [folder for one in plugins() if (folder := one.brings(what)) is not None]
