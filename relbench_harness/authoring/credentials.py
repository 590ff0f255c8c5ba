"""Keeps credentials out of everything that is printed or written: a URI is named without them, errors are cleansed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from relbench_harness.errors import InputError

HIDDEN = "***"


def secrets(uri: str) -> set[str]:
    """Parts of `uri` that must not be shown: the whole of it where it has any, its password and its query's
    values, the names of schemas aside."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return {uri}
    found = {value for name, value in parse_qsl(parts.query) if name != "schema"}
    login = parts.netloc.rpartition("@")[0]
    password = login.partition(":")[2]
    if password:
        found |= {password, unquote(password), login}
    if not found:
        return set()
    variants = {v for value in found if value for v in (value, quote(value, safe=""), quote_plus(value))}
    return variants | {uri, parts.netloc, parts.query}


def cleansed(message: str, uri: str) -> str:
    """`message` with every secret of `uri` hidden."""
    for secret in sorted((s for s in secrets(uri) if s), key=len, reverse=True):
        message = message.replace(secret, HIDDEN)
    return message


@contextmanager
def cleansing(uri: str, what: str) -> Iterator[None]:
    """Turn whatever goes wrong inside into an `InputError` without credentials and without the original chained to it."""
    try:
        yield
    except (InputError, KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except Exception as error:
        message = " ".join(cleansed(str(error), uri).split())[:400]
        raise InputError(f"{what}: {message or type(error).__name__}") from None
