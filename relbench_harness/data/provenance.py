"""Where a dataset comes from and under which licence, as its manifest says: the optional keys `source` and `licence`.

Invariant: nothing is opened or fetched but manifests, and a dataset that says neither is a dataset all the same.
"""

from __future__ import annotations

from typing import NamedTuple

from relbench_harness.data.manifest_file import read_manifest
from relbench_harness.data.names import HUB, parse_address, search_path, task_names
from relbench_harness.errors import InputError


class Provenance(NamedTuple):
    """What a manifest says of its dataset; empty where it says nothing.

    Attributes:
        tasks: The names of its tasks.
    """

    description: str = ""
    source: str = ""
    licence: str = ""
    tasks: tuple[str, ...] = ()


def provenance(address: str) -> Provenance:
    """What is known of the dataset at `address`, from the first manifest on the search path that names source or licence.

    A copy of a shipped dataset elsewhere on the search path often lacks these keys.
    """
    name = parse_address(address)[0].removeprefix(HUB).rpartition("/")[2]
    first = Provenance()
    for folder in search_path():
        path = folder / name / "manifest.yaml"
        if not path.is_file():
            continue
        try:
            raw = read_manifest(path, "dataset manifest")
        except InputError:
            continue
        description, source, licence = (_text(raw.get(key)) for key in ("description", "source", "licence"))
        found = Provenance(description, source, licence, tuple(task_names(path.parent)))
        if found.source or found.licence:
            return found
        first = first if first.tasks else found
    return first


def _text(value: object) -> str:
    return " ".join(str(value or "").split())
