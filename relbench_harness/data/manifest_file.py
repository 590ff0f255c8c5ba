"""Manifests as they lie on disk, before anyone looks at what they say.

Invariant: whatever keeps a manifest from being read is one sentence that names the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from relbench_harness.errors import InputError


def read_manifest(path: Path, what: str) -> dict[str, Any]:
    """The mapping in the YAML file at `path`.

    Args:
        what: What the file is called in errors.

    Raises:
        InputError: It cannot be read, is no YAML in UTF-8, or holds no mapping.
    """
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{what} {path} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(loaded, dict):
        raise InputError(f"{what} {path} is no mapping of keys to values" + ("; it is empty" if loaded is None else ""))
    return loaded
