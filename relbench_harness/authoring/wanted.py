"""What an import is given beyond its source, and how the manifest records it.

Invariant: an import is a function of its source and its manifest. Each field of `Wanted` that shapes what is written stands in
the manifest's `origin.choices`, unless it has its default, and `--again` reads it from there. A new option is a new field: it
is written, read and merged without further code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from relbench_harness.errors import InputError, nearest

_ONCE = {"once": True}
"""Marks a field that tells how to go about this one import and is not recorded."""


@dataclass(frozen=True)
class Wanted:
    """What the user says beyond the source.

    A recorded field is a text, a flag, a tuple of texts, or a mapping from texts to texts, None or tuples of texts, and its
    default means that nothing was said.

    Attributes:
        take_all: Take proposals that are not sure, too. What is taken stands in the manifest's tables.
        again: Import anew by the manifest that is there.
        tables: Only these tables; all where empty.
        times: Table → its time column, or None for none.
        zone: The time zone of times that carry none; UTC where None.
        exclude: Tables that are left out.
        formats: `table.column` → what its values are as times: epoch_s, epoch_ms, epoch_us, epoch_ns or a pattern of strptime.
        entities: A new table → the columns, as `table.column`, that name its rows.
        keep: Columns, as `table.column`, that are taken though they are named like secrets.
        late: Date columns, as `table.column`, that move to a table of their own → the columns that move with them, None for those
            that are filled only with them. What moved stands in the manifest's `origin.late`.
        none_late: Move no late column that was not named.
    """

    take_all: bool = field(default=False, metadata=_ONCE)
    again: bool = field(default=False, metadata=_ONCE)
    tables: tuple[str, ...] = ()
    times: Mapping[str, str | None] = field(default_factory=dict)
    zone: str | None = None
    exclude: tuple[str, ...] = ()
    formats: Mapping[str, str] = field(default_factory=dict)
    entities: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    late: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict, metadata=_ONCE)
    none_late: bool = field(default=False, metadata=_ONCE)

    @property
    def zone_name(self) -> str:
        return self.zone or "UTC"


def recorded(wanted: Wanted) -> dict[str, Any]:
    """What was said, as `origin.choices` holds it."""
    default = Wanted()
    names = [f.name for f in fields(Wanted) if not f.metadata.get("once")]
    said = {name: getattr(wanted, name) for name in names if getattr(wanted, name) != getattr(default, name)}
    return {name: _plain(value) for name, value in said.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, tuple) else value


def remembered(wanted: Wanted, choices: object) -> Wanted:
    """`wanted`, and what it does not say as the manifest's `choices` record it. Mappings are merged entry by entry.

    Raises:
        InputError: A choice that is not known, or has another form.
    """
    if choices is None:
        return wanted
    default = Wanted()
    known = {f.name: getattr(default, f.name) for f in fields(Wanted) if not f.metadata.get("once")}
    if not isinstance(choices, Mapping):
        raise InputError("the manifest's origin.choices is no mapping of options to values")
    changed: dict[str, Any] = {}
    for name, value in choices.items():
        if name not in known:
            raise InputError(f"the manifest's origin.choices has no option {name!r}; {nearest(str(name), known)}")
        was, now = _read(str(name), known[name], value), getattr(wanted, name)
        if isinstance(was, Mapping):
            changed[name] = {**was, **now}
        elif now == known[name]:
            changed[name] = was
    return replace(wanted, **changed)


def _read(name: str, default: object, value: Any) -> Any:
    """A recorded value in the form that the field's `default` has."""
    if isinstance(default, Mapping) and isinstance(value, Mapping):
        return {str(key): tuple(map(str, v)) if isinstance(v, list) else v for key, v in value.items()}
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(map(str, value))
    if isinstance(default, bool) and isinstance(value, bool):
        return value
    if (default is None or isinstance(default, str)) and isinstance(value, str):
        return value
    raise InputError(f"the manifest's origin.choices.{name} is {value!r}, which has another form than the option")
