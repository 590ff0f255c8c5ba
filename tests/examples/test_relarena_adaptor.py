"""The adaptor hands a run what RelArena gives, and RelArena what the run answers; RelArena itself is stood in for."""

from __future__ import annotations

import runpy
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from relbench_harness.data.dataset import open_task

ADAPTOR = Path(__file__).parents[2] / "examples" / "relarena_adaptor.py"


@pytest.fixture
def adaptor(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The adaptor's names, its systems registered with a registry that returns them."""
    registry, system = ModuleType("relarena_core.registry"), ModuleType("relarena_core.system")
    registry.register_system = lambda one: one  # type: ignore[attr-defined]
    system.RelArenaSystem = object  # type: ignore[attr-defined]
    for module in (ModuleType("relarena_core"), registry, system):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    harness = shutil.which("relbench-harness") or str(Path(sys.executable).with_name("relbench-harness"))
    monkeypatch.setenv("RELBENCH_HARNESS", harness)
    monkeypatch.setenv("METHODS", "label_history")
    monkeypatch.setenv("SETTINGS", "isolation=none")
    yield runpy.run_path(str(ADAPTOR))


def given() -> tuple[Any, Any, Any, dict[int, float]]:
    """A task of forty customers as RelArena hands it over, and each customer's rate of positive labels in training."""
    random, customers = np.random.default_rng(0), 40
    days = {"train": "2024-03-01 2024-04-01 2024-05-01", "val": "2024-06-01", "test": "2024-07-01"}
    labels = {}
    for split, times in days.items():
        frame = pd.DataFrame(
            [(pd.Timestamp(t), c) for t in times.split() for c in range(customers)], columns=["date", "customer"]
        )
        labels[split] = frame.assign(churn=random.integers(0, 2, len(frame)).astype(float))
    orders = pd.DataFrame({"order": range(200), "customer": random.integers(0, customers, 200)})
    orders["at"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.sort(random.integers(0, 180, 200)), unit="D")
    people = pd.DataFrame({"customer": range(customers), "city": random.choice(["Graz", "Linz"], customers)})

    def table(df: pd.DataFrame, key: str | None = None, time: str | None = None, **keys: str) -> Any:
        return SimpleNamespace(df=df, pkey_col=key, time_col=time, fkey_col_to_pkey_table=keys)

    tables = {"customers": table(people, "customer"), "orders": table(orders, "order", "at", customer="customers")}
    val, test = pd.Timestamp("2024-06-01"), pd.Timestamp("2024-07-01")
    inner = SimpleNamespace(cutoff=val, eval_table=table(labels["val"]))
    hidden = table(labels["test"].drop(columns="churn"))
    outer = SimpleNamespace(
        cutoff=test, db_state=SimpleNamespace(table_dict=tables), train_table=table(labels["train"]), eval_table=hidden
    )
    task = SimpleNamespace(
        **{"entity_table": "customers", "entity_col": "customer", "time_col": "date", "target_col": "churn"},
        **{"task_type": SimpleNamespace(value="binary_classification"), "timedelta": pd.Timedelta("30 days")},
    )
    return task, inner, outer, labels["train"].groupby("customer")["churn"].mean().to_dict()


@pytest.mark.thorough
def test_a_run_answers_for_each_test_example(adaptor: dict[str, Any]) -> None:
    task, inner, outer, rates = given()
    answers = adaptor["system_of"]("label_history")().run(task, inner_split=inner, outer_split=outer, seed=0)
    assert answers.shape == (40,) and np.isfinite(answers).all()
    assert np.corrcoef(answers, [rates[c] for c in outer.eval_table.df["customer"]])[0, 1] > 0.5


def test_the_dataset_holds_what_was_given_and_no_test_label(
    adaptor: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, inner, outer, _ = given()
    adaptor["write_dataset"](tmp_path / "arena", task, inner, outer)
    monkeypatch.setenv("RELBENCH_HARNESS_DATASETS", str(tmp_path))
    dataset, opened = open_task("arena/task")
    assert opened.horizon == pd.Timedelta("30 days")
    assert {name: len(table) for name, table in dataset.database.items()} == {"customers": 40, "orders": 200}
    assert [len(dataset.labels(opened, split)) for split in ("train", "val", "test")] == [120, 40, 40]
    assert set(dataset.labels(opened, "test").target.to_pylist()) == {0.0}
