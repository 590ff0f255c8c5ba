"""Columns that are named like secrets: they predict nothing that should be predicted, and a copy of them is a leak.

Such a column is left out of a dataset unless it is a key, a time or a flag, or the import is given to keep it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from relbench_harness.authoring.name_words import spaced
from relbench_harness.authoring.numbering import Decision
from relbench_harness.authoring.staging import Staged
from relbench_harness.authoring.table_choice import column_of

_ANYWHERE = re.compile(
    r"passw(or)?d|passphrase|passcode|api_?key|(private|secret|access|encryption|signing|ssh)_?key|social_?security|"
    r"(credit|debit)_?card(?!_?(id|type|brand|key)$)|card_?(number|no|num|pan)(_|$)|cardnumber|national_?id|passport_?(number|no|num|id)|"
    r"(bank_?)?account_?iban|tax_?payer_?id"
)
_WORD = {
    "pwd",
    "passwd",
    "token",
    "secret",
    "ssn",
    "cvv",
    "cvv2",
    "cvc",
    "iban",
    "otp",
    "pin",
    "pincode",
    "secrets",
    "credential",
    "credentials",
    "passwords",
}
_BESIDE = {"salt", "hash"}
_ABOUT = {
    "at", "date", "time", "count", "attempt", "attempts", "length", "type", "kind", "status", "expire", "expires", "expiry", "expiration", "day",
    "month", "year", "changed", "updated", "created", "enabled", "required", "hint", "brand", "limit", "policy", "on",
}  # fmt: skip
"""A name that ends so tells about a secret and is none."""


def sensitive(columns: Iterable[tuple[str, pa.DataType]]) -> set[str]:
    """Those of a table's columns that are named like secrets."""
    values = [name for name, kind in columns if not (pa.types.is_timestamp(kind) or pa.types.is_boolean(kind))]
    found = {name for name in values if _is_secret(name)}
    if any(_ANYWHERE.search(_plain(name)) or _plain(name).startswith("pw") for name in found):
        found |= {name for name in values if _plain(name).split("_")[-1] in _BESIDE}
    return found


def _plain(name: str) -> str:
    """`name` in lower case, its words apart and as they are: `tokens` are counted, a `token` is one."""
    return spaced(name).lower().strip("_")


def _is_secret(name: str) -> bool:
    parts = _plain(name).split("_")
    if parts[-1] in _ABOUT:
        return False
    return bool(_ANYWHERE.search("_".join(parts))) or parts[-1] in _WORD or bool(_WORD & set(parts) and parts[-1] in _TAILS)


_TAILS = {"hash", "salt", "number", "no", "num", "code", "value", "text", "plain", "encrypted", "digest"}
"""What may follow a word for a secret that is still one: `pin_code`, `token_hash`."""


def leave_out_secrets(staged: Mapping[str, Staged], decisions: Mapping[str, Decision], keep: Sequence[str]) -> list[str]:
    """Take the columns that are named like secrets out of the schemas of `staged`, keys and times aside.

    Args:
        keep: Columns, as TABLE.COLUMN, that stay.

    Returns:
        What to say of each column that is left out.
    """
    columns = {name: one.schema.names for name, one in staged.items()}
    kept = {column_of("--keep", place, columns) for place in keep}
    notes = []
    for name, one in staged.items():
        used = {(name, c) for c in _used(decisions[name])}
        used |= {(r.parent, c) for d in decisions.values() for r in d.references for c in r.parent_columns}
        found = sensitive(zip(one.schema.names, one.schema.types, strict=True))
        gone = {column for column in found if (name, column) not in kept | used}
        if len(gone) == len(one.schema.names):
            continue  # a table needs a column
        one.schema = pa.schema([f for f in one.schema if f.name not in gone])
        notes += [f"{name}.{c} is named like a secret and left out; --keep {name}.{c} takes it" for c in sorted(gone)]
    return notes


def _used(decision: Decision) -> set[str]:
    keys = {*decision.key, *(c for r in decision.references for c in r.columns)}
    return keys | ({decision.time} if decision.time is not None else set())
