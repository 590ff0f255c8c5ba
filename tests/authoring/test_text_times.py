"""Times written as text: the same instants whatever the process's zone, and nothing that is no time stops an import."""

from __future__ import annotations

import datetime
import hashlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relbench_harness.authoring.new_dataset import Wanted, new_dataset
from relbench_harness.data.dataset import open_dataset

START = datetime.datetime(2020, 6, 1, 12)


def texts(column: list[str | None], path: Path) -> str:
    """An SQLite file of one table with `column` as its texts of times."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, created_at TEXT, x INTEGER)")
        connection.executemany("INSERT INTO events VALUES (?, ?, ?)", [(i, v, i) for i, v in enumerate(column)])
    connection.close()
    return f"sqlite:///{path}"


def hourly(form: str) -> list[str | None]:
    return [(START + datetime.timedelta(hours=i)).strftime(form) for i in range(40)]


@pytest.mark.parametrize(
    ("form", "zone", "first"),
    [
        ("%Y-%m-%d %H:%M", "UTC", "2020-06-01 12:00"),
        ("%Y-%m-%d %H:%M", "America/New_York", "2020-06-01 16:00"),
        ("%Y-%m-%dT%H:%M:%S.250", "Europe/London", "2020-06-01 11:00:00.25"),
        ("%Y-%m-%d %H:%M:%S+02:00", "America/New_York", "2020-06-01 10:00"),
        ("%Y-%m-%dT%H:%M:%SZ", "America/New_York", "2020-06-01 12:00"),
        ("%Y-%m-%d %H:%M:%S-0530", "UTC", "2020-06-01 17:30"),
        (" %Y-%m-%d %H:%M:%S +02", "UTC", "2020-06-01 10:00"),
    ],
)
def test_offset_and_zone_of_a_text(form: str, zone: str, first: str, tmp_path: Path) -> None:
    imported = new_dataset("t", texts(hourly(form), tmp_path / "s.db"), tmp_path, Wanted(zone=zone))
    times = pq.read_table(imported.folder / "db" / "events.parquet").column("created_at").to_pandas()
    assert times.tolist() == [pd.Timestamp(first) + pd.Timedelta(hours=i) for i in range(40)]


def test_a_text_is_read_as_a_typed_time_is(tmp_path: Path) -> None:
    """Also where clocks go back and forth, and for dates, which lie in no zone."""
    hours = pd.date_range("2020-03-28", "2020-10-27", freq="30min")
    hours = hours[(hours.month != 3) | (hours.hour != 1) | (hours.day != 29)]
    days = pd.date_range("2020-03-28", periods=len(hours)).date
    typed = pa.table({"id": range(len(hours)), "at": pa.array(hours.astype("datetime64[us]")), "day": pa.array(days)})
    written = typed.set_column(1, "at", [hours.strftime("%Y-%m-%d %H:%M:%S").tolist()])
    written = written.set_column(2, "day", [[str(d) for d in days]])
    found = []
    formatted = typed.set_column(1, "at", [hours.strftime("%d/%m/%Y %H.%M").tolist()])
    for name, rows, form in (("typed", typed, ""), ("text", written, ""), ("formatted", formatted, ":%d/%m/%Y %H.%M")):
        (tmp_path / name).mkdir()
        pq.write_table(rows, tmp_path / name / "events.parquet")
        wanted = Wanted(zone="Europe/London", times={"events": f"at{form}"})
        imported = new_dataset(f"{name}-set", str(tmp_path / name), tmp_path, wanted)
        found.append(pq.read_table(imported.folder / "db" / "events.parquet").to_pandas())
    pd.testing.assert_frame_equal(found[0], found[1])
    pd.testing.assert_frame_equal(found[0], found[2])
    assert found[0]["day"].tolist() == [pd.Timestamp(d) for d in days]


IMPOSSIBLE = ["9999-12-31", "0001-01-01", "2021-02-30", "2021-01-01 24:00", "2021-13-01", "2021-01-01 10:61", "0000-00-00"]


@pytest.mark.parametrize("kind", ["sqlite", "parquet", "duckdb"])
def test_texts_that_are_no_times_become_null_and_are_counted(kind: str, tmp_path: Path) -> None:
    column = [*hourly("%Y-%m-%d %H:%M"), *IMPOSSIBLE, None, " "]
    uri = texts(column, tmp_path / "s.db")
    if kind == "parquet":
        (tmp_path / "in").mkdir()
        rows = pa.table({"id": range(len(column)), "created_at": column, "x": range(len(column))})
        pq.write_table(rows, tmp_path / "in" / "events.parquet")
        uri = str(tmp_path / "in")
    elif kind == "duckdb":
        with duckdb.connect(str(tmp_path / "s.duckdb")) as connection:
            connection.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, created_at VARCHAR, x INTEGER)")
            connection.executemany("INSERT INTO events VALUES (?, ?, ?)", [(i, v, i) for i, v in enumerate(column)])
        uri = f"duckdb:///{tmp_path / 's.duckdb'}"
    imported = new_dataset("t", uri, tmp_path / "out", Wanted(times={"events": "created_at"}))
    assert any(n.startswith(f"events.created_at: {len(IMPOSSIBLE)} times outside 1677 to 2262") for n in imported.notes)
    assert f"events: {len(IMPOSSIBLE) + 2} rows without a time were left out" in imported.notes
    assert imported.written["events"].rows == 40
    assert len(open_dataset(str(imported.folder)).database["events"]) == 40


def _digest(folder: Path) -> str:
    state = hashlib.blake2b()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            state.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return state.hexdigest()


SCRIPT = """
import sys
from pathlib import Path
from relbench_harness.authoring.new_dataset import Wanted, new_dataset
from relbench_harness.data.query import run_sql
import pyarrow as pa
for place, uri in enumerate(sys.argv[2:]):
    new_dataset(f"d{place}", uri, Path(sys.argv[1]), Wanted(take_all=True))
rows = {"t": pa.table({"at": ["2020-06-01 12:00:00"]})}
print(run_sql("SELECT CAST(CAST(t.at AS TIMESTAMPTZ) AS VARCHAR) AS v, epoch(CAST(t.at AS TIMESTAMPTZ)) AS s FROM t", rows, "x").to_pylist())
"""


def test_nothing_rests_on_the_process(tmp_path: Path, postgresql_uri: str) -> None:
    """The same bytes in every time zone, language and locale that the environment may name."""
    import psycopg

    with psycopg.connect(postgresql_uri, autocommit=True) as server:
        server.execute("DROP SCHEMA IF EXISTS zones CASCADE; CREATE SCHEMA zones; SET search_path = zones")
        server.execute(
            "CREATE TABLE events (id int PRIMARY KEY, seen_at timestamp, span tstzrange, j jsonb, stay interval, cost money)"
        )
        server.execute(
            "INSERT INTO events SELECT i, '2020-06-01 12:00'::timestamp + i * interval '1 hour', "
            "tstzrange('2020-06-01 12:00Z', '2020-06-02 12:00Z'), jsonb_build_object('at', '2020-06-01 12:00Z'::timestamptz), "
            "interval '1 month 2 days', 12.5::float8::numeric::money FROM generate_series(1, 40) i"
        )
    with duckdb.connect(str(tmp_path / "s.duckdb")) as connection:
        connection.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, seen_at TIMESTAMPTZ, s STRUCT(a TIMESTAMPTZ))")
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            "INSERT INTO events SELECT i, TIMESTAMPTZ '2020-06-01 12:00:00+00' + i * INTERVAL 1 HOUR, "
            "{'a': TIMESTAMPTZ '2020-06-01 12:00:00+00'} FROM range(40) t(i)"
        )
    (tmp_path / "in").mkdir()
    lines = [f"{i},{START + datetime.timedelta(hours=i)},{(START + datetime.timedelta(days=i)).date()}" for i in range(40)]
    (tmp_path / "in" / "events.csv").write_text("\n".join(["id,created_at,day", *lines]))
    uris = [texts(hourly("%Y-%m-%d %H:%M"), tmp_path / "s.db"), f"duckdb:///{tmp_path / 's.duckdb'}", str(tmp_path / "in")]
    uris.append(postgresql_uri + "?schema=zones")
    found = set()
    for place, surroundings in enumerate(
        ({"TZ": "UTC"}, {"TZ": "America/New_York", "LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8"},
         {"TZ": "Asia/Kathmandu", "PGTZ": "Asia/Tokyo", "PGDATESTYLE": "German", "LC_ALL": "C"})
    ):  # fmt: skip
        out = tmp_path / f"out{place}"
        told = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(out), *uris],
            env=dict(os.environ) | surroundings, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert told.returncode == 0, told.stderr
        found.add((told.stdout, _digest(out)))
    assert len(found) == 1
    assert "2020-06-01 12:00:00+00" in next(iter(found))[0]


def test_mariadb_instants_dates_and_clocks(tmp_path: Path, mariadb_uri: str) -> None:
    """A TIMESTAMP is an instant, a DATE lies in no zone, a DATETIME lies in the zone that the import is told."""
    from urllib.parse import unquote, urlsplit

    import pymysql

    url = urlsplit(mariadb_uri)
    with pymysql.connect(
        host=url.hostname, port=url.port or 0, user=url.username or "", password=unquote(url.password or "")
    ) as connection, connection.cursor() as cursor:  # fmt: skip
        cursor.execute("DROP DATABASE IF EXISTS zones")
        cursor.execute("CREATE DATABASE zones")
        cursor.execute("USE zones")
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute("SET SESSION sql_mode = ''")
        cursor.execute(
            "CREATE TABLE events (id INT PRIMARY KEY, made_at DATETIME, instant TIMESTAMP NULL, day DATE, odd DATE NULL)"
        )
        for i in range(40):
            at = START + datetime.timedelta(hours=i)
            cursor.execute("INSERT INTO events VALUES (%s, %s, %s, %s, %s)", (i, at, at, at.date(), "0000-00-00"))
        connection.commit()
    uri = mariadb_uri.rpartition("/")[0] + "/zones"
    wanted = Wanted(zone="Europe/London", times={"events": "made_at"}, none_late=True)
    imported = new_dataset("t", uri, tmp_path, wanted)
    first = pq.read_table(imported.folder / "db" / "events.parquet").to_pylist()[0]
    assert first["made_at"] == pd.Timestamp(START) - pd.Timedelta(hours=1)
    assert first["instant"] == pd.Timestamp(START)
    assert first["day"] == pd.Timestamp(START.date()) and first["odd"] is None
