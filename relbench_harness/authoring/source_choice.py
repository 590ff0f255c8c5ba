"""The choice of a source by its URI."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from relbench_harness.authoring.credentials import cleansed
from relbench_harness.authoring.delta_source import DeltaSource
from relbench_harness.authoring.duckdb_source import DuckDBSource
from relbench_harness.authoring.file_source import FolderSource
from relbench_harness.authoring.sources import Source
from relbench_harness.authoring.sql_source import listed, sql_source
from relbench_harness.data.names import check_no_uri
from relbench_harness.errors import InputError

SCHEMES = ("postgresql://", "mysql://", "mariadb://", "sqlite:///", "duckdb:///", "delta://", "a folder of CSV or Parquet")


def open_source(uri: str) -> Source:
    """The source that `uri` names. Raises `InputError` for a scheme that is not known or a folder that is not there."""
    if not uri.strip():
        raise InputError(f"the source has no name; known: {', '.join(SCHEMES)}")
    scheme, separator, rest = uri.partition("://")
    if not separator:
        check_no_uri(uri, "the source is neither a folder, nor a file, nor a URI")
        return _folder(Path(uri).expanduser())
    kind = scheme.lower().split("+")[0]
    if kind in ("postgresql", "postgres", "mysql", "mariadb", "sqlite"):
        return sql_source(uri)
    if kind == "duckdb":
        path, _, query = rest.partition("?schema=")
        return DuckDBSource(
            Path(path.removeprefix("/") if not path.startswith("//") else path[1:]).expanduser(), listed(query)
        )
    if kind in ("delta", "s3", "gs", "az", "abfss"):
        return DeltaSource(uri.removeprefix("delta://"))
    if kind == "file":
        return _folder(Path(rest))
    raise InputError(f"no source of the kind {kind!r}; known: {', '.join(SCHEMES)}")


def place_of(named: str) -> str:
    """The source without its login; a file or folder by its whole path."""
    if "://" not in named:
        return str(Path(named).expanduser().resolve())
    kind = named.partition("://")[0].lower().partition("+")[0]
    if kind in ("sqlite", "duckdb"):
        path, mark, query = named.partition("://")[2].removeprefix("/").partition("?")
        return f"{kind}:{Path(path).expanduser().resolve()}{mark}{query}"
    parts = urlsplit(named)
    return cleansed(f"{kind}://{parts.netloc.rpartition('@')[2]}{parts.path}?{parts.query}", named)


def _folder(path: Path) -> Source:
    if not path.exists():
        raise InputError(f"no folder {path} to import from; a database is named by its URI, such as postgresql://host/name")
    if path.is_file():
        known = {".db": "sqlite", ".sqlite": "sqlite", ".sqlite3": "sqlite", ".duckdb": "duckdb"}
        if path.suffix in known:
            return open_source(f"{known[path.suffix]}:///{path}")
        raise InputError(f"{path} is one file; name the folder that holds the tables, or sqlite:///… or duckdb:///…")
    if (path / "_delta_log").is_dir() or any(path.glob("*/_delta_log")):
        return DeltaSource(str(path))
    return FolderSource(path)
