"""Names compared as people read them: `MovieID`, `movie_id` and `movies.id` speak of one thing."""

from __future__ import annotations

import re
from collections.abc import Iterable

KEY_SUFFIXES = ("id", "key", "no", "nr", "nbr", "num", "number", "code", "sk", "uuid", "guid", "ref", "fk", "pk")
_COUNTING = {
    *KEY_SUFFIXES,
    "name",
    "row",
    "rec",
    "record",
    "index",
    "idx",
    "seq",
    "sequence",
    "line",
    "position",
    "uid",
    "oid",
}


def spaced(name: str) -> str:
    """`name` with an underscore between its words."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", name)


def words(name: str) -> str:
    """A name without case, separators and plural: what names are compared by."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return "_".join(_singular(part) for part in re.split(r"[^a-z0-9]+", plain) if part)


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 2 else word


def bases(table: str) -> set[str]:
    """The singulars that a table's name may be the plural of: `movies` of `movie` as well as of `movy`."""
    base = words(table)
    found = {base}
    last = re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", table).lower())[-1]
    if last.endswith("es"):
        stem = base.rpartition("_")[0]
        found |= {f"{stem}_{form}".strip("_") for form in (last[:-1], last[:-2])}
    if last in _IRREGULAR:
        found.add(f"{base.rpartition('_')[0]}_{_IRREGULAR[last]}".strip("_"))
    # a warehouse says what a table is: dim_customer, tbl_customer, customer_dim
    return found | {plain for name in found if (plain := _KIND_OF_TABLE.sub("", name)) and plain != name}


_KIND_OF_TABLE = re.compile(r"^(dim|fact|tbl|tb|stg|raw)_|_(dim|fact|tbl|table|dataset)$")
_IRREGULAR = {"people": "person", "children": "child", "men": "man", "women": "woman", "data": "datum", "indices": "index"}


def names_of(table: str) -> set[str]:
    """What a column that holds `table`'s key is called after the table."""
    return {name for base in bases(table) for name in (base, *(f"{base}_{suffix}" for suffix in KEY_SUFFIXES))}


def is_named_after(column: str, table: str) -> bool:
    """Whether `column` bears the table's name, with or without a word for a key."""
    name, named = words(column), names_of(table)
    return name in named or name.replace("_", "") in {n.replace("_", "") for n in named}


def has_key_suffix(name: str) -> bool:
    """Whether a column's name ends in a word for a key."""
    return words(name).rpartition("_")[2] in KEY_SUFFIXES


def is_generic(name: str) -> bool:
    """Whether every word of `name` would do for the key of any table: `id`, `key_id`, `row_no`."""
    return all(part in _COUNTING for part in words(name).split("_"))


def without_prefix(columns: Iterable[str]) -> dict[str, str]:
    """Each of a table's columns without the few letters that all of them begin with: `custkey` for `c_custkey`, `c_name`, …"""
    names = list(columns)
    first = names[0].partition("_") if names else ("", "", "")
    prefix = first[0] + first[1]
    shared = len(names) > 1 and first[1] == "_" and 0 < len(first[0]) <= _LONGEST_PREFIX
    shared = shared and all(name.startswith(prefix) and len(name) > len(prefix) for name in names)
    return {name: name[len(prefix) :] if shared else name for name in names}


_LONGEST_PREFIX = 3
