"""Predictions in a table of a database: its rows are those of before or those of now, of each run once, with the types of their keys."""

from __future__ import annotations

import datetime
import decimal
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import servers
import sqlalchemy as sa
from shop_folder import write_shop
from small_methods import small

from relbench_harness.cli import main
from relbench_harness.errors import InputError
from relbench_harness.models.destination_choice import destination, score_table
from relbench_harness.models.destinations import Stamp, stamped
from relbench_harness.protocol.configuration import described_method
from relbench_harness.request import RunRequest

NAME = 'scores 50% "now"'
QUOTED = "scores%2050%25%20%22now%22"
SECRET = "s3cr3t"


@pytest.fixture(scope="module")
def postgres() -> Any:
    with servers.postgresql() as uri:
        yield uri


@pytest.fixture(params=["postgresql", pytest.param("mariadb", marks=pytest.mark.thorough), "sqlite", "duckdb"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres"))
    if request.param == "mariadb":
        return str(request.getfixturevalue("mariadb_module"))
    return f"{request.param}:///{tmp_path / 'scores.db'}"


@pytest.fixture(scope="module")
def mariadb_module() -> Any:
    with servers.mariadb() as uri:
        yield uri


def run(uri: str, statement: str) -> list[tuple[Any, ...]]:
    """The rows of `statement`, committed."""
    if uri.startswith("duckdb"):
        with duckdb.connect(uri.removeprefix("duckdb:///")) as connection:
            return connection.execute(statement).fetchall()
    drivers = {"postgresql": "postgresql+psycopg", "mariadb": "mysql+pymysql", "sqlite": "sqlite"}
    kind = uri.partition("://")[0]
    engine = sa.create_engine(uri.replace(kind, drivers[kind], 1))
    with engine.begin() as connection:
        found = connection.execute(sa.text(statement))
        return [tuple(row) for row in found] if found.returns_rows else []


def made(first: int, rows: int = 3) -> pa.Table:
    """Predictions with keys of many types."""
    keys = range(first, first + rows)
    return pa.table(
        {
            "id": pa.array(keys, pa.int64()),
            "sku %": pa.array([f"a,\"'\n\\N{key}" for key in keys]),
            "tax": pa.array([None, *(decimal.Decimal(key) / 4 for key in keys[1:])], pa.decimal128(38, 2)),
            "raw": pa.array([b"\x00\xff" + bytes([key % 256]) for key in keys]),
            "live": pa.array([key % 2 == 0 for key in keys]),
            "date": pa.array([datetime.datetime(2024, 2, 29, 12, 30, 15, 500)] * rows, pa.timestamp("ns")),
            "prediction": pa.array([0.1 + key for key in keys]),
        }
    )


def put(uri: str, mode: str, *tables: pa.Table, run_id: str = "r1") -> int:
    return destination(f"{uri}?table={QUOTED}&mode={mode}").write(iter(tables), Stamp(run_id, "m"))


def test_values_and_types_survive_and_runs_never_double(uri: str) -> None:
    table = "scores"
    target = destination(f"{uri}?table={table}")
    target.check()
    first = made(0)
    assert target.write(iter([first, made(3)]), Stamp("r1", "m")) == 6
    rows = run(uri, f"SELECT * FROM {table} ORDER BY id")
    expected = [(*row.values(), "r1", "m") for row in pa.concat_tables([first, made(3)]).to_pylist()]
    plain = (lambda v: v if not isinstance(v, bool) else int(v)) if "mariadb" in uri or "sqlite" in uri else (lambda v: v)
    written = [tuple(str(plain(v))[:26] for v in row) for row in expected]
    assert [tuple(str(plain(v))[:26] for v in row) for row in rows] == written
    more = destination(f"{uri}?table={table}&mode=append")
    for _ in range(2):
        more.write(iter([made(10)]), Stamp("r2", "m"))
        assert [r[0] for r in run(uri, f"SELECT id FROM {table} ORDER BY id")] == [0, 1, 2, 3, 4, 5, 10, 11, 12]
    target.write(iter([made(7)]), Stamp("r3", "m"))
    assert [r[0] for r in run(uri, f"SELECT id FROM {table} ORDER BY id")] == [7, 8, 9]


def test_odd_names_and_columns_that_are_not_ours(uri: str) -> None:
    put(uri, "replace", made(0))
    table = f"`{NAME}`" if "mariadb" in uri else '"' + NAME.replace('"', '""') + '"'
    statements = [f"ALTER TABLE {table} ADD COLUMN seen integer", f"SELECT count(*), count(seen) FROM {table}"]
    run(uri, statements[0])
    for _ in range(2):
        put(uri, "append", made(5), run_id="r2")
        assert run(uri, statements[1]) == [(6, 0)]


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ("id bigint, prediction integer", r"has no column 'sku %'"),
        ('id bigint, "sku %" integer', r"column 'sku %' is INTEGER there and a text here"),
        ('id integer, "sku %" text, tax numeric(38, 2), raw {bytes}, live boolean, date timestamp, prediction {float}, run_id text, '
         "model_id text, who integer NOT NULL", r"its column 'who' needs a value"),
    ],
)  # fmt: skip
def test_a_table_that_does_not_fit_is_refused_by_its_column(uri: str, columns: str, fault: str) -> None:
    types = {
        "bytes": "bytea" if "postgres" in uri else "blob", "float": "float" if "duckdb" not in uri else "double",
    }  # fmt: skip
    run(uri, "DROP TABLE IF EXISTS narrow")
    statement = f"CREATE TABLE narrow ({columns.format(**types)})"
    if "mariadb" in uri:
        statement = statement.replace('"', "`")
    run(uri, statement)
    with pytest.raises(InputError, match=fault) as refused:
        destination(f"{uri}?table=narrow").write(iter([made(0)]), Stamp("r1", "m"))
    assert "\n" not in str(refused.value) and SECRET not in str(refused.value)


WRITER = """
import sys, time
import pyarrow.parquet as pq
from relbench_harness.models.destinations import Stamp
from relbench_harness.models.destination_choice import score_table

address, file = sys.argv[1:]
def batches():
    yield from pq.ParquetFile(file).iter_batches(1000)
    print("midway", flush=True)
    time.sleep(60)
score_table(address).send(pq.read_schema(file), batches(), Stamp("r1", "m"))
"""


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("postgresql", "replace"),
        ("postgresql", "append"),
        ("sqlite", "replace"),
        *(pytest.param(*one, marks=pytest.mark.thorough) for one in (("sqlite", "append"), ("duckdb", "replace"))),
    ],
)
def test_killed_while_writing_leaves_the_rows_of_before(
    kind: str, mode: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    uri = request.getfixturevalue("postgres") if kind == "postgresql" else f"{kind}:///{tmp_path / 'scores.db'}"
    address = f"{uri}?table=killed_{mode}&mode={mode}"
    destination(address).write(iter([made(0)]), Stamp("r1", "m"))
    before = run(uri, f"SELECT * FROM killed_{mode} ORDER BY id")
    new = next(stamped([made(1000, 40_000)], Stamp("r1", "m")))
    pq.write_table(new, tmp_path / "new.parquet")
    command = [sys.executable, "-c", WRITER, address, str(tmp_path / "new.parquet")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == "midway\n"
        if kind == "postgresql":
            assert run(uri, f"SELECT * FROM killed_{mode} ORDER BY id") == before
        writer.send_signal(signal.SIGKILL)
    assert run(uri, f"SELECT * FROM killed_{mode} ORDER BY id") == before
    destination(address).write(iter([made(1)]), Stamp("r1", "m"))
    assert [row[0] for row in run(uri, f"SELECT id FROM killed_{mode} ORDER BY id")] == [1, 2, 3]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda uri: uri, "names no table"),
        (lambda uri: f"{uri}?table=a&table=b", "names no table, or several"),
        (lambda uri: f"{uri}?table=a&mode=upsert", "mode is 'upsert'"),
        (lambda uri: f"oracle{uri[10:]}?table=a", "kind 'oracle'"),
        (lambda uri: uri.replace("s3cr3t", "wr0ng-s3cr3t") + "?table=a", "authentication failed"),
        (lambda uri: f"{uri}?table=nowhere.a", "nowhere"),
        (lambda uri: f"{uri}?table=a.csv", 'schema "a" does not exist'),
        (lambda uri: uri.replace("://", ":/"), "neither a file nor a URI"),
        (lambda uri: f"{uri}?table=pg_catalog.pg_tables", "is no table but a view"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_to_is_one_sentence_without_credentials(
    postgres: str, model: Path, capsys: pytest.CaptureFixture[str], change: Callable[[str], str], fault: str
) -> None:
    assert main(["predict", str(model), "--out", change(postgres)]) == 2
    output = capsys.readouterr()
    said = output.err.strip().splitlines()[-1]
    assert fault in said and "sqlalche.me" not in said
    assert "s3cr3t" not in output.out + output.err


def test_a_server_that_is_down_and_a_user_without_rights(
    postgres: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    down = postgres.replace(postgres.rpartition(":")[2], f"{servers.free_port()}/postgres")
    assert main(["predict", str(model), "--out", f"{down}?table=a"]) == 2
    assert "cannot be written to" in capsys.readouterr().err
    run(postgres, "CREATE USER reader PASSWORD 'other s3cr3t'")
    run(postgres, "CREATE TABLE locked (x integer)")
    run(postgres, "GRANT SELECT ON locked TO reader")
    reader = postgres.replace("shop:s3cr3t%20p%40ss", "reader:other%20s3cr3t")
    assert main(["predict", str(model), "--out", f"{reader}?table=fresh"]) == 2
    output = capsys.readouterr()
    assert "permission denied" in output.err and "s3cr3t" not in output.err
    assert run(postgres, "SELECT count(*) FROM pg_tables WHERE tablename = 'fresh'") == [(0,)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scored")
    shop, method = write_shop(folder / "shop"), small("label_history")
    request = RunRequest(
        f"{shop.folder}/churn", method, "tested", described_method(method), regime="rolling", save=folder / "model"
    )
    assert request.execute().result.ok
    return folder / "model"


def test_the_command_writes_what_a_file_would_hold(
    postgres: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import pandas as pd

    address = f"{postgres}?table=public.churn&mode=append"
    assert main(["predict", str(model), "--out", str(tmp_path / "scores.parquet")]) == 0
    for _ in range(2):
        assert main(["predict", str(model), "--out", address]) == 0
    output = capsys.readouterr()
    assert "wrote table public.churn of postgresql database postgres" in output.out and SECRET not in output.out
    expected = pd.read_parquet(tmp_path / "scores.parquet")
    rows = run(postgres, 'SELECT "customer id", date, prediction, run_id, model_id FROM churn ORDER BY 1')
    assert [row[:3] for row in rows] == list(expected.itertuples(index=False, name=None))
    assert len({row[3:] for row in rows}) == 1
    assert main(["predict", str(model), "--at", "2021-04-15", "--out", address]) == 0
    assert run(postgres, "SELECT count(*), count(DISTINCT run_id), count(DISTINCT model_id) FROM churn") == [
        (2 * len(rows), 2, 1)
    ]


def test_a_uri_of_a_table_is_read_before_a_model_is(tmp_path: Path) -> None:
    assert score_table("postgresql://u@h/d?table=a.b&mode=append").place == ("a", "b")
    with pytest.raises(InputError, match="names no table"):
        destination("sqlite:///scores.db")
