"""Datasets on the hub: RelBench's own by name with a pinned revision, anybody's by address."""

from __future__ import annotations

from pathlib import Path

from relbench_harness.data.names import HUB, Hosted
from relbench_harness.data.names import hosted as hosted
from relbench_harness.errors import InputError


def fetch(where: Hosted, name: str, hint: str) -> Path:
    """The local folder of a dataset on the hub, downloaded where it was not yet.

    Args:
        name: What the dataset is called in errors.
        hint: What a reader of the error may do instead.
    """
    from relbench import hf

    parts = [part for part in where.address.split("/") if part]
    if len(parts) < 2:
        raise InputError(f"{HUB}{where.address} is no hub address; one reads {HUB}organisation/repository/dataset/task")
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
