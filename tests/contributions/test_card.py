"""The dataset for the hub holds what lines and predictions hold, and its card names its files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard

from relbench_harness.board import store
from relbench_harness.cli import main
from relbench_harness.protocol.result import Outcome, Result

HOSTILE = "<script>|`=1+1`\n# x"


def stored(folder: Path) -> list[Result]:
    """A number for each example, lists of items, and a failure."""
    plain = Result(
        *("shop/spend", "regression", "m", {"depth": 3}, 0, "frozen", "train", "ok", "nmae", False),
        scores={"val": {"nmae": 0.5}, "test": {"nmae": 0.25}},
        seconds={"total": 3.0},
        dataset_fingerprint="ab" * 16,
        started="2026-01-01T00:00:00+00:00",
    )
    basket = replace(plain, task="shop/basket", task_type="recommendation", metric="map", higher_is_better=True)
    basket = replace(basket, scores={split: {"map": 0.1} for split in ("val", "test")}, method=HOSTILE, seed=1)
    failed = replace(plain, method="broken", status="error", scores={}, error="ValueError: no", predictions=None)
    for result, values in ((plain, [0.5, 2.0]), (basket, [[3, 1], [0, -1]]), (failed, None)):
        times = pa.array([0, 1], pa.timestamp("ns"))
        table = values and pa.table({"split": ["val", "test"], "entity": [4, 5], "time": times, "prediction": values})
        store.write(Outcome(result, table), folder)
    return store.read_results(folder)


def test_the_tables_hold_every_line_and_prediction_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = stored(tmp_path / "board")
    assert main(["card", str(tmp_path / "board"), "--to", str(tmp_path / "to"), "--title", HOSTILE]) == 0
    assert "wrote 3 result lines" in capsys.readouterr().out
    rows = pq.read_table(tmp_path / "to" / "results.parquet").to_pylist()
    assert [row["method"] for row in rows] == [result.method for result in results]
    assert sorted((row["val"], row["test"]) for row in rows if row["status"] == "ok") == [(0.1, 0.1), (0.5, 0.25)]
    answers = pq.read_table(tmp_path / "to" / "predictions.parquet").to_pylist()
    assert [(a["method"], a["seed"], a["split"], a["entity"], a["prediction"]) for a in answers] == [
        (HOSTILE, 1, "val", 4, [3.0, 1.0]),
        (HOSTILE, 1, "test", 5, [0.0, -1.0]),
        ("m", 0, "val", 4, [0.5]),
        ("m", 0, "test", 5, [2.0]),
    ]
    assert {answer["run"] for answer in answers} < {row["run"] for row in rows}
    card = DatasetCard.load(tmp_path / "to" / "README.md")
    configs = {config["config_name"]: config["data_files"] for config in card.data.to_dict()["configs"]}
    assert configs == {"results": "results.parquet", "predictions": "predictions.parquet"}
    assert all((tmp_path / "to" / file).is_file() for file in configs.values())
    assert card.data.to_dict()["pretty_name"] == HOSTILE
    assert "<script>" not in card.text and "\n# x" not in card.text


def test_bad_input_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", str(tmp_path / "absent"), "--to", str(tmp_path / "to")]) == 2
    assert f"no results in {tmp_path / 'absent'}" in capsys.readouterr().err
    stored(tmp_path / "board")
    assert main(["card", str(tmp_path / "board"), "--to", str(tmp_path / "board")]) == 2
    assert "is no new or empty folder" in capsys.readouterr().err
