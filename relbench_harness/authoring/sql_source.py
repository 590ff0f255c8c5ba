"""Tables of PostgreSQL, MySQL, MariaDB and SQLite: schema by SQLAlchemy's reflection, rows as Arrow batches.

All tables are read in one transaction, so that foreign keys agree.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from relbench_harness.authoring.credentials import cleansing
from relbench_harness.authoring.mysql_source import MySQL
from relbench_harness.authoring.postgres_source import Postgres
from relbench_harness.authoring.reflection import Database
from relbench_harness.authoring.sources import Reading
from relbench_harness.authoring.sqlite_source import SQLite
from relbench_harness.errors import InputError

_NEEDS = {
    "postgresql": (("psycopg", "adbc_driver_postgresql"), "postgres"),
    "mysql": (("pymysql",), "mysql"),
    "sqlite": (("adbc_driver_sqlite",), None),
}


def listed(names: str) -> tuple[str, ...]:
    """`a,b` as names."""
    return tuple(name for part in names.split(",") if (name := part.strip()))


def sql_source(uri: str) -> SqlSource:
    """The database that `uri` names, if its drivers are installed. `?schema=a,b` chooses schemas (MySQL: databases)."""
    with cleansing(uri, "the URI of the source cannot be read"):
        url = sa.make_url(uri.replace("postgres://", "postgresql://", 1) if uri.startswith("postgres://") else uri)
    if "@" in (url.host or ""):
        raise InputError(
            "the URI of the source holds several @; in a user's name or a password it is written %40, and / is %2F"
        )
    name = url.get_backend_name()
    name = "mysql" if name == "mariadb" else name
    for package in _NEEDS[name][0]:
        if importlib.util.find_spec(package) is None:
            extra = _NEEDS[name][1]
            wanted = f"'relbench-harness[{extra}]'" if extra else package.replace("_", "-")
            raise InputError(f"reading {name} needs the package {package}; install it with: pip install {wanted}")
    named = url.query.get("schema", "")
    schemas = listed(named if isinstance(named, str) else ",".join(named))
    if schemas and name == "sqlite":
        raise InputError("an SQLite file has no schemas; leave out ?schema=")
    return SqlSource(url.difference_update_query(["schema"]), name, schemas)


@dataclass(frozen=True, repr=False)
class SqlSource(Database):
    """A database server or an SQLite file as a source."""

    ordered: bool = False

    @contextmanager
    def open(self) -> Iterator[Reading]:
        reading = {"postgresql": Postgres, "mysql": MySQL, "sqlite": SQLite}[self.dialect]
        with cleansing(self.uri, f"{self.label} cannot be read"), warnings.catch_warnings():
            # names in another letter case and types that it does not know, both of which are dealt with here
            warnings.simplefilter("ignore", sa.exc.SAWarning)
            with reading(self).opened() as opened:
                yield opened
