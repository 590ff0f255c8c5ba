"""Ensembles of stored predictions: chosen on validation, scored as runs are, and charged with all of their members."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from relbench_harness.board import store
from relbench_harness.board.ensemble import ENSEMBLE, ensembles
from relbench_harness.board.predictions import faults
from relbench_harness.cli import main
from relbench_harness.data.dataset import Dataset
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.protocol.metrics import PRIMARY
from relbench_harness.protocol.mixture import greedy_weights, mixed
from relbench_harness.protocol.result import Result
from relbench_harness.protocol.run import Answers
from relbench_harness.protocol.stages import Stages

SEED = 5


@pytest.fixture
def board(shop_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A board of spend: two good methods with noise of their own, one of noise alone, one that failed."""
    monkeypatch.setenv("RELBENCH_HARNESS_DATASETS", str(shop_dataset.folder.parent))
    stages = Stages(shop_dataset, shop_dataset.task("spend"), "rolling")
    for number, method in enumerate(("left", "right", "noise")):
        store.write((run := _run(stages, method, number)), tmp_path)
    store.write(
        type(run)(replace(run.result, method="broken", status="error", scores={}, predictions=None), None), tmp_path
    )
    return tmp_path


def _run(stages: Stages, method: str, number: int):  # type: ignore[no-untyped-def]
    from relbench_harness.protocol.result import Outcome

    answers, random = Answers(stages, "train"), np.random.default_rng(number)
    for split in ("val", "test"):
        truth = np.asarray(stages.labels(split).target.to_numpy(zero_copy_only=False), dtype=np.float64)
        noise = random.normal(size=len(truth)) * truth.std()
        answers.hand_in(split, noise * 5 if method == "noise" else truth + noise)
    metric = PRIMARY[TaskType.REGRESSION]
    result = Result(
        task=stages.task.id,
        task_type="regression",
        method=method,
        config={"_target_": method},
        seed=SEED,
        regime="rolling",
        fitted_on="train",
        status="ok",
        metric=metric.name,
        higher_is_better=False,
        scores=answers.scores,
        seconds={"fit": 1.0 + number, "total": 2.0 + number},
        peak_memory_mb=100.0 * (number + 1),
        lines={"task": 1, "method": 10, "harness": 1000},
        budget={"seed": SEED, "seconds": 60.0},
        dataset_fingerprint=stages.dataset.database.fingerprint,
        identity=f"{number:032x}",
    )
    return Outcome(result, answers.table)


def test_an_ensemble_is_better_than_its_members_and_costs_what_all_cost(board: Path, shop_dataset: Dataset) -> None:
    results = store.read_results(board)
    (made,) = ensembles(board, results)
    result = made.result
    alone = {one.method: one.score for one in results if one.ok}
    assert result.method == ENSEMBLE and result.ok and result.seed == SEED
    assert result.score < min(alone.values()), "NMAE of a mean of independent errors is below that of each"
    weights = result.notes["weights"]
    assert set(weights) == {"left", "right"} and sum(weights.values()) == pytest.approx(1)
    assert result.seconds == {"fit": 6.0, "total": 9.0} and result.peak_memory_mb == 300.0
    assert result.lines == {"task": 3, "method": 30, "harness": 1000}
    # its scores come again from its own stored predictions, as those of any run
    stored = store.write(made, board).result
    (path,) = board.rglob(str(stored.predictions))
    assert faults(stored, path, Stages(shop_dataset, shop_dataset.task("spend"), "rolling")) == []


def test_the_command_adds_an_ensemble_once_and_ranks_it(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ensemble", str(board)]) == 0
    assert "1 ensembles added" in capsys.readouterr().out
    assert main(["ensemble", str(board)]) == 0
    assert "0 ensembles added" in capsys.readouterr().out
    assert main(["ensemble", str(board), "--methods", "left,rihgt"]) == 2
    assert "'rihgt'" in (said := capsys.readouterr().err) and "right" in said
    assert main(["ensemble", str(board), "--methods", "left,noise"]) == 0
    assert "left 0.9" in capsys.readouterr().out
    assert main(["rank", str(board), "--format", "csv", "--no-intervals"]) == 0
    assert ENSEMBLE in capsys.readouterr().out


def test_a_method_that_is_not_there_and_data_that_are_not_here(board: Path) -> None:
    results = store.read_results(board)
    with pytest.raises(InputError, match="no method 'lefd'"):
        list(ensembles(board, results, ["lefd"]))
    said: list[str] = []
    other = [replace(one, dataset_fingerprint="0" * 12) for one in results]
    assert list(ensembles(board, other, missing=said.append)) == []
    assert len(said) == 1 and "version" in said[0]


def test_of_equals_the_one_that_the_mixture_holds_is_added() -> None:
    """A constant changes no ranking, so it must win no weight by coming first."""
    truth = np.array([0.0, 1.0, 0.0, 1.0])
    answers: list[NDArray[np.generic]] = [np.full(4, 0.5), truth * 0.8, truth[::-1]]

    def ranked(answer: NDArray[np.generic]) -> float:
        return float(np.mean([answer[i] > answer[j] for i in (1, 3) for j in (0, 2)]))

    assert greedy_weights(TaskType.BINARY, answers, ranked) == [0.0, 1.0, 0.0]
    assert mixed(TaskType.BINARY, answers[:2]).tolist() == [0.25, 0.65, 0.25, 0.65]
