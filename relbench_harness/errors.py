"""Errors a user can mend: one clear sentence that names the thing at fault, shown by the shell with exit code 2.

Two kinds: `InputError`, which the harness raises itself, and what the system and other packages raise for causes outside
the program (a full disk, a missing file, a damaged file, a server that is down). `sentence` knows both and nothing else,
so that a fault of the program still shows its traceback.
"""

from __future__ import annotations

import difflib
import errno
import logging
from collections.abc import Iterable, Mapping

log = logging.getLogger(__name__)


class InputError(ValueError):
    """Bad input. The message is one sentence naming the file, table, column, key or value at fault."""


class UnsupportedTaskError(InputError):
    """A method cannot answer this task, whatever its settings."""


class LookAheadError(InputError):
    """A hand-written query uses rows that its examples cannot see."""


class ResultWarning(UserWarning):
    """A result that somebody should look at before believing it."""


class NotStoredError(InputError):
    """A run ended, but its result could not be written where it belongs. The message says where it lies instead."""


FOREIGN: Mapping[str, str] = {
    "pyarrow.lib.ArrowInvalid": "data that cannot be read: ",
    "_duckdb.Error": "DuckDB: ",
    "duckdb.duckdb.Error": "DuckDB: ",
    "sqlite3.Error": "the database: ",
    "sqlalchemy.exc.SQLAlchemyError": "the database: ",
    "adbc_driver_manager.Error": "the database: ",
    "psycopg.Error": "the database: ",
    "pymysql.err.MySQLError": "the database: ",
    "wandb.errors.errors.Error": "Weights & Biases: ",
    "huggingface_hub.errors.HfHubHTTPError": "the hub: ",
    "huggingface_hub.errors.OfflineModeIsEnabled": "the hub: ",
    "huggingface_hub.errors.HFValidationError": "the hub: ",
    "httpx.HTTPError": "the network: ",
    "httpx2.HTTPError": "the network: ",
    "requests.exceptions.RequestException": "the network: ",
    "urllib.error.URLError": "the network: ",
    "yaml.error.YAMLError": "YAML that cannot be read: ",
    "zlib.error": "a compressed file is damaged: ",
    "zipfile.BadZipFile": "a compressed file is damaged: ",
}
"""Base classes of other packages' errors whose causes lie outside the program, and what to say before their own text.

They are known by name, so that none of these packages is loaded to look at an error.
"""

HINTS: Mapping[int, str] = {
    errno.ENOSPC: "make room there, or choose another folder",
    errno.EDQUOT: "make room there, or choose another folder",
    errno.EFBIG: "the limit on the size of a file is reached",
    errno.EACCES: "choose a folder that this user may write to and files that it may read",
    errno.EPERM: "choose a folder that this user may write to and files that it may read",
    errno.EROFS: "choose a folder that can be written to",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "the limit on open files is reached",
}


def sentence(error: BaseException) -> str | None:
    """What to tell a user about `error`; None where it is a fault of the program."""
    if isinstance(error, InputError):
        return str(error)
    names = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__]
    for name in names:
        if name in FOREIGN:
            return _one_line(FOREIGN[name] + (str(error) or type(error).__name__))
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, UnicodeDecodeError):
        return f"text that is not {error.encoding}: byte {error.start} is {error.object[error.start]:#04x}"
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("relbench_harness"):
        return f"the package {error.name!r} is not installed"
    if isinstance(error, MemoryError):
        return _one_line(f"memory is not enough: {error}" if str(error) else "memory is not enough")
    return None


def explained(error: Exception) -> str:
    """What to tell a user about `error`, which is logged. Raises it again where it is a fault of the program."""
    found = sentence(error)
    if found is None:
        raise error
    if not isinstance(error, InputError):
        log.info("what was raised", exc_info=error)
    return found


def _of_system(error: OSError) -> str:
    # some packages hand the system's error on as text alone
    reason = error.strerror or str(error) or type(error).__name__
    files = [str(name) for name in (error.filename, error.filename2) if name is not None]
    hint = HINTS.get(error.errno or 0)
    return _one_line(": ".join([*files, reason]) + (f"; {hint}" if hint else ""))


def _one_line(text: str, most: int = 400) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 2] + " …"


def nearest(name: str, choices: Iterable[str], most: int = 3) -> str:
    """A closing clause for an unknown `name`: the nearest of `choices`, or all of them when few."""
    known = sorted(set(choices))
    if not known:
        return "none is known"
    close = difflib.get_close_matches(name, known, n=most, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    shown = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
    return f"known: {shown}"
