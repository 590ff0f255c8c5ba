"""Finds `datasets/` and `configs/`: inside the package in a wheel, beside it in a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def home(what: Literal["datasets", "configs", "baselines"]) -> Path:
    """The folder of the datasets, configs or baselines that ship with the harness."""
    package = Path(__file__).resolve().parent
    for folder in (package / what, package.parent / what):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"this installation of relbench-harness lacks its folder {what!r}")
