"""Real database servers for tests: started on loopback with a data folder of their own, stopped at the end."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _program(name: str, patterns: tuple[str, ...]) -> Path | None:
    found = shutil.which(name)
    if found:
        return Path(found).resolve()
    candidates = sorted(path for pattern in patterns for path in Path("/").glob(pattern.lstrip("/")))
    return candidates[-1] if candidates else None


@contextmanager
def _folder(user: str) -> Iterator[Path]:
    """A short-named folder that belongs to `user`."""
    folder = Path(tempfile.mkdtemp(prefix="rbh-"))
    try:
        if os.getuid() == 0:
            shutil.chown(folder, user, user)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as(user: str) -> list[str]:
    """Servers refuse to run as root."""
    return ["runuser", "-u", user, "--"] if os.getuid() == 0 else []


def _stopped(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()


@contextmanager
def postgresql() -> Iterator[str]:
    """The URI of an empty PostgreSQL server."""
    initdb = _program("initdb", ("/usr/lib/postgresql/*/bin/initdb",))
    if initdb is None:
        pytest.skip("PostgreSQL is not installed (.ci/servers installs it)")
    with _folder("postgres") as folder:
        data, port = folder / "data", free_port()
        (folder / "password").write_text("s3cr3t p@ss\n")
        (folder / "password").chmod(0o644)
        made = subprocess.run(
            [*_as("postgres"), str(initdb), "-D", str(data), "-U", "shop", "-A", "scram-sha-256", "-E", "UTF8",
             "--no-sync", f"--pwfile={folder / 'password'}"],
            capture_output=True, text=True, cwd=folder,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        options = ["-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*_as("postgres"), str(initdb.parent / "postgres"), "-D", str(data), *options],
                stdout=log, stderr=log, cwd=folder,
            )  # fmt: skip
        try:
            uri = f"postgresql://shop:s3cr3t%20p%40ss@127.0.0.1:{port}/postgres"
            _await(lambda: _connect_postgresql(uri), process, folder / "log")
            yield uri
        finally:
            _stopped(process)


def _connect_postgresql(uri: str) -> None:
    import psycopg

    psycopg.connect(uri).close()


@contextmanager
def mariadb() -> Iterator[str]:
    """The URI of an empty MariaDB server, its database called shop."""
    install = _program("mariadb-install-db", ("/usr/bin/mariadb-install-db",))
    server = _program("mariadbd", ("/usr/sbin/mariadbd",))
    if install is None or server is None:
        pytest.skip("MariaDB is not installed (.ci/servers installs it)")
    with _folder("mysql") as folder:
        data, port = folder / "data", free_port()
        made = subprocess.run(
            [*_as("mysql"), str(install), "--no-defaults", f"--datadir={data}", "--skip-test-db",
             "--auth-root-authentication-method=normal"],
            capture_output=True, text=True, cwd=folder,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr + made.stdout
        options = [f"--datadir={data}", f"--port={port}", f"--socket={folder / 's'}", "--bind-address=127.0.0.1"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*_as("mysql"), str(server), "--no-defaults", *options, "--skip-name-resolve",
                 f"--pid-file={folder / 'pid'}", "--innodb-flush-log-at-trx-commit=0",
                 "--innodb-buffer-pool-size=384M", "--innodb-log-file-size=256M", "--innodb-doublewrite=0"],
                stdout=log, stderr=log, cwd=folder,
            )  # fmt: skip
        try:
            _await(lambda: _prepare_mariadb(port), process, folder / "log")
            yield f"mariadb://shop:s3cr3t%20p%40ss@127.0.0.1:{port}/shop"
        finally:
            _stopped(process)


def _prepare_mariadb(port: int) -> None:
    import pymysql

    with pymysql.connect(host="127.0.0.1", port=port, user="root") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE shop CHARACTER SET utf8mb4")
        cursor.execute("CREATE USER 'shop'@'127.0.0.1' IDENTIFIED BY 's3cr3t p@ss'")
        cursor.execute("GRANT ALL ON *.* TO 'shop'@'127.0.0.1'")


def _await(ready: object, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            ready()  # type: ignore[operator]
            return
        except Exception as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the server did not start: {error}\n{log.read_text()[-2000:]}") from None
            time.sleep(0.1)
