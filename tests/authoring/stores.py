"""Writes a RelBench folder into each kind of source, with the keys declared where the source can declare them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import unquote, urlsplit

import duckdb
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from relbench.manifest import DatasetManifest


def tables_of(folder: Path) -> dict[str, pa.Table]:
    """The tables of a RelBench folder, parents first."""
    specs = DatasetManifest.load(folder / "manifest.yaml").tables
    left = dict(specs)
    order: list[str] = []
    while left:
        ready = [n for n, s in left.items() if not set(s.fkeys.values()) - {n} & set(left)]
        order += ready
        for name in ready:
            del left[name]
    return {name: pq.read_table(folder / "db" / f"{name}.parquet") for name in order}


def _kind(kind: pa.DataType, names: dict[str, str]) -> str:
    if pa.types.is_integer(kind):
        return names["whole"]
    if pa.types.is_floating(kind):
        return names["number"]
    return names["time"] if pa.types.is_timestamp(kind) else names["text"]


def _ddl(folder: Path, name: str, rows: pa.Table, kinds: dict[str, str], quote: str) -> str:
    spec = DatasetManifest.load(folder / "manifest.yaml").tables[name]
    parts = [f"{quote}{f.name}{quote} {_kind(f.type, kinds)}" for f in rows.schema]
    if spec.pkey:
        parts.append(f"PRIMARY KEY ({quote}{spec.pkey}{quote})")
    for column, parent in spec.fkeys.items():
        key = DatasetManifest.load(folder / "manifest.yaml").tables[parent].pkey
        parts.append(f"FOREIGN KEY ({quote}{column}{quote}) REFERENCES {quote}{parent}{quote} ({quote}{key}{quote})")
    return f"CREATE TABLE {quote}{name}{quote} ({', '.join(parts)})"


def into_duckdb(folder: Path, where: Path) -> str:
    kinds = {"whole": "BIGINT", "number": "DOUBLE", "time": "TIMESTAMP", "text": "VARCHAR"}
    path = where / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        for name, rows in tables_of(folder).items():
            connection.execute(_ddl(folder, name, rows, kinds, '"'))
            connection.register("incoming", rows)
            connection.execute(f'INSERT INTO "{name}" SELECT * FROM incoming')
            connection.unregister("incoming")
    return f"duckdb:///{path}"


def into_sqlite(folder: Path, where: Path) -> str:
    kinds = {"whole": "INTEGER", "number": "REAL", "time": "DATETIME", "text": "TEXT"}
    path = where / "shop.sqlite"
    connection = sqlite3.connect(path)
    for name, rows in tables_of(folder).items():
        connection.execute(_ddl(folder, name, rows, kinds, '"'))
        columns = [(c.cast(pa.string()) if pa.types.is_timestamp(c.type) else c).to_pylist() for c in rows.columns]
        marks = ", ".join("?" * len(columns))
        connection.executemany(f'INSERT INTO "{name}" VALUES ({marks})', zip(*columns, strict=True))
    connection.commit()
    connection.close()
    return f"sqlite:///{path}"


def into_postgresql(folder: Path, uri: str) -> str:
    import psycopg
    from adbc_driver_postgresql import dbapi

    kinds = {"whole": "bigint", "number": "double precision", "time": "timestamp", "text": "text"}
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS retail CASCADE")
        connection.execute("CREATE SCHEMA retail")
        connection.execute("SET search_path = retail")
        for name, rows in tables_of(folder).items():
            connection.execute(_ddl(folder, name, rows, kinds, '"'))
    with dbapi.connect(uri) as ingest, ingest.cursor() as cursor:
        for name, rows in tables_of(folder).items():
            stamps = [f.with_type(pa.timestamp("us")) if pa.types.is_timestamp(f.type) else f for f in rows.schema]
            cursor.adbc_ingest(name, rows.cast(pa.schema(stamps)), mode="append", db_schema_name="retail")
        ingest.commit()
    return f"{uri}?schema=retail"


def into_mariadb(folder: Path, uri: str, where: Path) -> str:
    import pymysql

    kinds = {"whole": "BIGINT", "number": "DOUBLE", "time": "DATETIME(6)", "text": "TEXT"}
    url = urlsplit(uri)
    with pymysql.connect(
        host=url.hostname, port=url.port or 3306, user=url.username or "", password=unquote(url.password or ""),
        database="shop", local_infile=True,
    ) as connection, connection.cursor() as cursor:  # fmt: skip
        cursor.execute("SET FOREIGN_KEY_CHECKS = 0, UNIQUE_CHECKS = 0")
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute("SHOW TABLES")
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP TABLE `{name}`")
        for name, rows in tables_of(folder).items():
            cursor.execute(_ddl(folder, name, rows, kinds, "`"))
            path = where / f"{name}.txt"
            columns = ", ".join(f"@c{i}" for i in range(rows.num_columns))
            sets = ", ".join(f"`{f.name}` = NULLIF(@c{i}, '\\\\N')" for i, f in enumerate(rows.schema))
            _null_as_mark(rows, path)
            cursor.execute(
                f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE `{name}` CHARACTER SET utf8mb4 "
                f"FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY '' LINES TERMINATED BY '\\n' "
                f"({columns}) SET {sets}"
            )
        connection.commit()
    return uri


def _null_as_mark(rows: pa.Table, path: Path) -> None:
    with duckdb.connect() as connection:
        connection.register("incoming", rows)
        connection.execute(f"COPY incoming TO '{path}' (FORMAT csv, HEADER false, NULLSTR '\\N')")


def into_csv(folder: Path, where: Path) -> str:
    for name, rows in tables_of(folder).items():
        pacsv.write_csv(rows, where / f"{name}.csv")
    return str(where)


def into_parquet(folder: Path, where: Path) -> str:
    for name, rows in tables_of(folder).items():
        pq.write_table(rows, where / f"{name}.parquet")
    return str(where)


def into_delta(folder: Path, where: Path) -> str:
    import deltalake

    for name, rows in tables_of(folder).items():
        stamps = [f.with_type(pa.timestamp("us")) if pa.types.is_timestamp(f.type) else f for f in rows.schema]
        deltalake.write_deltalake(str(where / name), rows.cast(pa.schema(stamps)))
    return str(where)
