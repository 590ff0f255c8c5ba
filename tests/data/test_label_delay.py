"""A manifest may say how long after its window a label is known; every part of the harness then knows it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml
from shop_folder import write_shop

from relbench_harness.compose import make_method
from relbench_harness.data.dataset import open_task
from relbench_harness.errors import InputError
from relbench_harness.models.task_facts import read_facts, task_facts
from relbench_harness.protocol.audit.scenes import Sizes, early_scene
from relbench_harness.protocol.stages import Stages
from relbench_harness.request import RunRequest
from relbench_harness.sweep.identity import definition


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shop(tmp_path_factory.mktemp("late") / "shop").folder


def delayed(folder: Path, delay: object) -> str:
    """The address of the churn task whose labels come `delay` late."""
    path = folder / "tasks" / "churn" / "manifest.yaml"
    manifest = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**manifest, "label_delay": delay} if delay is not None else without(manifest)))
    return f"{folder}/churn"


def without(manifest: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in manifest.items() if key != "label_delay"}


def test_the_key_is_read_checked_and_part_of_what_a_run_is(folder: Path) -> None:
    _, plain = open_task(delayed(folder, None))
    _, late = open_task(delayed(folder, "5 days"))
    assert replace(late, label_delay=pd.Timedelta(0)) == plain and late.label_delay == pd.Timedelta(days=5)
    assert late.known_after == plain.known_after + pd.Timedelta(days=5).value
    # nothing says so where the key is absent: identities and kept models stay what they were
    assert "label_delay" not in definition(plain) and definition(late) == {
        **definition(plain),
        "label_delay": "5 days 00:00:00",
    }
    assert "label_delay" not in task_facts(plain)
    for task in (plain, late):
        assert read_facts(task_facts(task), "x") == replace(task, folder=None)
    for wrong in ("-1 days", "soon", "NaT"):
        with pytest.raises(InputError, match=f"label_delay is a span of time, such as '30 days', got '{wrong}'"):
            open_task(delayed(folder, wrong))


def test_a_run_learns_from_less_and_answers_all(folder: Path) -> None:
    runs = {}
    for delay in (None, "9 days"):
        address = delayed(folder, delay)
        stages = Stages(*open_task(address), "rolling")
        method, config = make_method("label_history")
        result, predictions = RunRequest(address, method, "label_history", config, regime="rolling").execute()
        assert result.ok and predictions is not None, result.error
        runs[delay] = (stages, result, predictions)
    (plain, one, all_answers), (late, other, answers) = runs.values()
    assert len(late.examples("train")) < len(plain.examples("train"))
    assert answers.column("time").equals(all_answers.column("time")) and one.identity != other.identity
    # the audit's own cut-offs keep the delay as well
    found = early_scene(late.examples("train"), Sizes(), 0)
    assert found is not None
    instant, scene = found
    assert (scene.train.time + late.task.known_after < instant).all()


def test_labels_that_all_come_too_late_are_said_before_anything_is_learned(folder: Path) -> None:
    address = delayed(folder, "900 days")
    method, config = make_method("constant")
    with pytest.raises(InputError, match="with label_delay 900 days 00:00:00 no label of split 'train' is known before"):
        RunRequest(address, method, "constant", config).execute()
