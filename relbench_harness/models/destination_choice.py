"""The choice of where predictions go by what `--out` says."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from relbench_harness.data.names import check_no_uri
from relbench_harness.errors import InputError, nearest
from relbench_harness.models.destinations import Destination, File
from relbench_harness.models.score_table import Place, ScoreTable, Server

MODES = ("replace", "append")
KINDS = ("postgresql", "mysql", "mariadb", "sqlite", "duckdb")
FORM = "postgresql://user@host/database?table=scores&mode=replace"


def destination(out: str) -> Destination:
    """The place that `out` names: a URI of a database, else a file.

    Raises:
        InputError: A file of another ending, or a URI that names no table of a known kind of database.
    """
    if "://" in out:
        return score_table(out)
    # what was meant as a URI is not made a file's name either
    check_no_uri(out, "--out is neither a file nor a URI")
    return File(Path(out))


def score_table(uri: str) -> ScoreTable:
    """The table that `uri` names by `?table=[schema.]name`, with `mode` as it says.

    Raises:
        InputError: No table, an unknown kind or mode; no part of the URI is in the message.
    """
    kind = uri.partition("://")[0].lower().split("+")[0]
    if kind not in (*KINDS, "postgres"):
        raise InputError(f"predictions cannot be written to a database of the kind {kind!r}; {nearest(kind, KINDS)}")
    try:
        options = parse_qsl(urlsplit(uri).query, keep_blank_values=True)
    except ValueError:
        raise InputError(f"the URI of --out cannot be read; one reads {FORM}") from None
    given = {name: [v for n, v in options if n == name] for name in ("table", "mode")}
    if len(given["table"]) != 1 or not given["table"][0].strip("."):
        raise InputError(f"the URI of --out names no table, or several; one reads {FORM}")
    mode = given["mode"][-1] if given["mode"] else MODES[0]
    if mode not in MODES:
        raise InputError(f"--out: mode is {mode!r}; {nearest(mode, MODES)}")
    schema, _, name = given["table"][0].rpartition(".")
    return ScoreTable(_server(kind, uri), Place(schema or None, name), mode == "append")


def _server(kind: str, uri: str) -> Server:
    if kind == "duckdb":
        from relbench_harness.models.duckdb_scores import DuckDBFile

        path = urlsplit(uri).path
        return DuckDBFile(Path(path[1:]))
    from relbench_harness.models.sql_scores import sql_server

    return sql_server(uri)
