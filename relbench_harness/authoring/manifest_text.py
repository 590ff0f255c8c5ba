"""Manifests as a person would write them: keys in order, SQL as a block, comments where a decision is open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from relbench_harness.data.writing import write_whole

__all__ = ["dumped", "scalar", "write_whole"]


class _Dumper(yaml.SafeDumper):
    pass


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    block = "\n" in value and not any(line != line.rstrip() for line in value.split("\n"))
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if block else None)


_Dumper.add_representer(str, _text)


def dumped(content: Mapping[str, Any]) -> str:
    """`content` as YAML, keys in their order, multi-line text as blocks."""
    return yaml.dump(dict(content), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=4096)


def scalar(value: str | None) -> str:
    """One value as it stands after a key or before a colon."""
    return "null" if value is None else yaml.dump(value, Dumper=_Dumper, allow_unicode=True, width=4096).split("\n")[0]
