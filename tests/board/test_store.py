"""Results on disk: nothing is lost or rewritten, foreign files are passed over, broken ones are named."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relbench_harness.board import store
from relbench_harness.errors import InputError
from relbench_harness.protocol.result import Outcome, Result

Make = Callable[..., Result]


def write(result: Result, predictions: pa.Table | None, folder: Path) -> Path:
    """Stores and says where."""
    before = set(folder.rglob("*.json"))
    store.write(Outcome(result, predictions), folder)
    (path,) = set(folder.rglob("*.json")) - before
    return path


def predictions(n: int = 3) -> pa.Table:
    return pa.table(
        {
            "split": ["test"] * n,
            "entity": range(n),
            "time": pa.array(range(n)).cast(pa.timestamp("ns")),
            "prediction": [0.5] * n,
        }
    )


def test_what_is_written_is_read_back(tmp_path: Path, result: Make) -> None:
    made = result(test=0.75)
    path = write(made, predictions(), tmp_path)
    (read,) = store.read_results(tmp_path)
    assert path.parent == tmp_path / "rel-f1__driver-dnf" / "constant"
    assert store.OWN.fullmatch(path.name)
    assert path.read_text().count("\n") == 1
    assert read.score == 0.75 and read.predictions == f"{path.stem}.parquet"
    assert pq.read_table(path.parent / str(read.predictions)).equals(predictions())
    assert store.read_results(path) == [read]


def test_failures_and_undefined_scores_survive(tmp_path: Path, result: Make) -> None:
    write(result(test=None), None, tmp_path)
    write(result(test=math.nan, seed=1), None, tmp_path)
    failed, undefined = sorted(store.read_results(tmp_path), key=lambda r: r.seed)
    assert (failed.status, failed.error, failed.predictions) == ("error", "ValueError: no", None)
    assert math.isnan(undefined.score)


def test_runs_at_the_same_time_do_not_meet(tmp_path: Path, result: Make) -> None:
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(lambda _: store.write(Outcome(result(), predictions()), tmp_path), range(40)))
    assert len({outcome.result.predictions for outcome in stored}) == 40 == len(store.read_results(tmp_path))


def test_an_existing_file_is_never_written_again(tmp_path: Path, result: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    class Fixed:
        @staticmethod
        def now(zone: object) -> object:
            from datetime import datetime

            return datetime(2026, 1, 1)

    monkeypatch.setattr(store, "datetime", Fixed)
    monkeypatch.setattr(store.secrets, "token_hex", lambda n: "00000000")
    first = write(result(test=0.7), predictions(), tmp_path)
    before = first.read_bytes(), first.with_suffix(".parquet").read_bytes()
    for given in (predictions(5), None):
        with pytest.raises(InputError, match="cannot be written"):
            write(result(test=0.9), given, tmp_path)
    assert before == (first.read_bytes(), first.with_suffix(".parquet").read_bytes())


def test_odd_names_stay_inside_the_folder(tmp_path: Path, result: Make) -> None:
    path = write(result(task="../a b@rows=1,x=2/t", method="../../my method"), None, tmp_path)
    assert path.is_relative_to(tmp_path) and path.parent.parent.parent == tmp_path
    assert store.read_results(tmp_path)[0].task == "../a b@rows=1,x=2/t"


def test_foreign_files_are_passed_over(tmp_path: Path, result: Make) -> None:
    write(result(), None, tmp_path)
    (tmp_path / "wandb-metadata.json").write_text('{\n  "os": "Linux"\n}')
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "events.jsonl").write_text('{"a": 1}\n{"b"')
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "leaderboard.md").write_text("#")
    assert len(store.read_results(tmp_path)) == 1


def test_lines_of_many_results(tmp_path: Path, result: Make) -> None:
    lines = [result(seed=seed).to_json() for seed in range(3)]
    (tmp_path / "published.jsonl").write_text("\n".join(lines) + "\n\n")
    assert [r.seed for r in store.read_results(tmp_path)] == [0, 1, 2]
    (tmp_path / "published.jsonl").write_text("\n".join([lines[0], lines[1][:40]]))
    with pytest.raises(InputError, match=r"published\.jsonl:2 is no JSON line"):
        store.read_results(tmp_path)


def test_a_broken_result_is_named(tmp_path: Path, result: Make) -> None:
    path = write(result(), None, tmp_path)
    whole = path.read_text()
    for text, message in {
        whole[:50]: "is no JSON line",
        "": "is empty",
        '{"task": "a/b", "status": "ok"}': "is no complete result",
        whole.replace('"schema": 2', '"schema": 99'): "has schema 99, newer than",
        '{"a": 1}': "lacks 'task' or 'status'",
    }.items():
        path.write_text(text)
        with pytest.raises(InputError, match=message) as caught:
            store.read_results(tmp_path)
        assert str(path) in str(caught.value)


def test_a_missing_folder_is_named_and_an_empty_one_is_empty(tmp_path: Path) -> None:
    assert store.read_results(tmp_path) == []
    with pytest.raises(InputError, match=r"no results folder .*absent"):
        store.read_results(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is empty"):
        store.read_results(tmp_path / "file")


def test_predictions_have_the_four_columns(tmp_path: Path, result: Make) -> None:
    with pytest.raises(ValueError, match="expected"):
        write(result(), predictions().drop_columns(["time"]), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["numbers", "few", "classes", "lists"])
def test_predictions_are_small_and_read_by_others(tmp_path: Path, kind: str) -> None:
    random, rows = np.random.default_rng(0), 2000
    made = {
        # a network answers in single precision
        "numbers": pa.array(random.random(rows).astype(np.float32).astype(np.float64)),
        # a tree or a rule
        "few": pa.array(random.choice(random.random(20), rows)),
        "classes": pa.array(list(random.random((rows, 3))), pa.list_(pa.float64())),
        "lists": pa.array(list(random.integers(0, 300, (rows, 10))), pa.list_(pa.int64())),
    }[kind]
    time = pa.array(np.repeat(np.datetime64("2020-01-01", "ns"), rows))
    entity = pa.array(random.permutation(rows))
    whole = pa.table({"split": ["test"] * rows, "entity": entity, "time": time, "prediction": made})
    with (tmp_path / "written.parquet").open("wb") as file:
        store.write_predictions(whole, file)
    pq.write_table(whole, tmp_path / "plain.parquet", compression="zstd")
    assert pq.read_table(tmp_path / "written.parquet").equals(whole)
    read = duckdb.sql(f"SELECT * FROM '{tmp_path / 'written.parquet'}'").to_arrow_table()
    assert (
        read.column("prediction").to_pylist() == made.to_pylist()
        and read.column("entity").to_pylist() == entity.to_pylist()
    )
    size, plain = ((tmp_path / f"{name}.parquet").stat().st_size for name in ("written", "plain"))
    assert size < (0.75 if kind in ("numbers", "few") else 1.0) * plain


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("peak_memory_mb", 10**400),
        ("peak_memory_mb", True),
        ("seed", True),
        ("scores", {"test": {"roc_auc": 10**400}}),
        ("scores", {"test": {"roc_auc": False}}),
    ],
)
def test_a_number_that_is_none_is_named(tmp_path: Path, result: Make, field: str, value: object) -> None:
    path = write(result(), None, tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    broken: list[InputError] = []
    assert store.read_results(tmp_path, broken.append) == []
    assert len(broken) == 1 and f"{path}:1: {field}" in str(broken[0])


@pytest.mark.parametrize("content", [b'{"seed": ' + b"9" * 5000 + b"}", b"[" * 100_000, b"\xff\xfe{\x00"])
@pytest.mark.parametrize("name", ["frozen-seed0-20260101T000000Z-00000000.json", "foreign.json", "foreign.jsonl"])
def test_what_no_reader_of_json_takes_is_passed_over(tmp_path: Path, result: Make, content: bytes, name: str) -> None:
    write(result(), None, tmp_path)
    (tmp_path / name).write_bytes(content)
    broken: list[InputError] = []
    assert len(store.read_results(tmp_path, broken.append)) == 1
    # a foreign file that holds no result is nobody's fault
    assert len(broken) == (0 if name.startswith("foreign") else 1)


def test_lines_end_where_json_lines_end(tmp_path: Path, result: Make) -> None:
    odd = json.loads(result().to_json()) | {"error": "one\u2028two\x85three\x0bfour"}
    (tmp_path / "foreign.jsonl").write_text("\ufeff" + json.dumps(odd, ensure_ascii=False) + "\n", encoding="utf-8")
    (read,) = store.read_results(tmp_path)
    assert read.error == odd["error"]


def test_a_result_that_turns_its_metric_round_is_named(tmp_path: Path, result: Make) -> None:
    write(result(), None, tmp_path)
    path = write(result("b", test=0.1, higher_is_better=False), None, tmp_path)
    broken: list[InputError] = []
    assert [read.method for read in store.read_results(tmp_path, broken.append)] == ["constant"]
    assert str(broken[0]) == f"{path}:1 has higher_is_better wrong: of roc_auc higher is better"
