"""A little shop as an SQLite file and in PostgreSQL, and one trial of it that many tests look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import servers
from little_shop import CHURN, QUICK, TABLES, rows, write_sqlite

from relbench_harness.trial.carried import Carried, Request, carry_out
from relbench_harness.trial.plan import turns_of


@pytest.fixture(scope="session")
def sqlite_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_sqlite(tmp_path_factory.mktemp("source") / "little shop.sqlite")


@pytest.fixture(scope="session")
def postgresql_uri() -> Iterator[str]:
    """The shop in PostgreSQL, on a server that writes nothing by itself."""
    with servers.postgresql() as uri:
        import psycopg

        with psycopg.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("ALTER SYSTEM SET autovacuum = off")
            cursor.execute("SELECT pg_reload_conf()")
            for statement in TABLES:
                cursor.execute(statement.format(time="TIMESTAMP"))
            for name, values in rows()._asdict().items():
                marks = ", ".join(["%s"] * len(values[0]))
                cursor.executemany(f"INSERT INTO {name} VALUES ({marks})", values)
        yield uri


@pytest.fixture(scope="session")
def retail(real_data: Path) -> Path:
    """The folder of the dataset retail-uk."""
    if not (real_data / "retail-uk" / "manifest.yaml").is_file():
        pytest.skip(f"no dataset retail-uk in {real_data}")
    return real_data / "retail-uk"


@pytest.fixture(scope="session")
def tried(sqlite_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Carried:
    """A trial of churn with the quick methods and one that cannot begin, all in this process."""
    home = tmp_path_factory.mktemp("trial")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELBENCH_HARNESS_DATASETS", str(home / "datasets"))
        methods = turns_of([*QUICK, "sql_xgboost"])
        request = Request(sqlite_uri, CHURN, home / "datasets", 10.0, 5, home / "report", turns=methods, isolation="none")
        carried = carry_out(request, lambda line: None)
        # what is read lazily is read while the dataset can be found
        carried.trial.material  # noqa: B018
    return carried
