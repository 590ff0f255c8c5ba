"""Datasets on the hub: RelBench's own by name with a pinned revision, anybody's by address."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from relbench_harness.errors import InputError

PREFIX = "hub:"


class Hosted(NamedTuple):
    """Where the hub keeps a dataset; a revision of None is the newest there is."""

    address: str
    revision: str | None


@cache
def hosted() -> dict[str, Hosted]:
    """RelBench's hosted datasets by name, from `hosted.yaml` beside this module."""
    found = {}
    for repository in yaml.safe_load((Path(__file__).parent / "hosted.yaml").read_text())["repositories"]:
        for name in repository["datasets"]:
            found[name] = Hosted(f"{repository['address']}/{name}", repository["revision"])
    return found


def fetch(where: Hosted, name: str, hint: str) -> Path:
    """The local folder of a dataset on the hub, downloaded where it was not yet.

    Args:
        name: What the dataset is called in errors.
        hint: What a reader of the error may do instead.
    """
    from relbench import hf

    parts = [part for part in where.address.split("/") if part]
    if len(parts) < 2:
        raise InputError(
            f"{PREFIX}{where.address} is no hub address; one reads {PREFIX}organisation/repository/dataset/task"
        )
    try:
        folder = Path(hf.download_dataset_dir("/".join(parts), revision=where.revision))
    except Exception as error:
        raise InputError(
            f"dataset {name} could not be fetched from the hub address {where.address} "
            f"at revision {where.revision or 'main'} ({' '.join(str(error).split())[:200]}); {hint}"
        ) from None
    if not (folder / "manifest.yaml").is_file():
        raise InputError(f"the hub address {where.address} at revision {where.revision or 'main'} has no manifest.yaml")
    return folder
