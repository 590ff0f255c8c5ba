"""One name for one dataset: defaults that are spelled out, and the order of parameters, make no other one."""

from __future__ import annotations

from pathlib import Path

import pytest

from relbench_harness.board.audits import audited, audits_of
from relbench_harness.data.dataset import open_dataset
from relbench_harness.data.parameters import build_defaults
from relbench_harness.errors import InputError
from relbench_harness.protocol.audit.report import AuditReport, Finding
from relbench_harness.protocol.result import Result
from relbench_harness.sweep.identity import Identities

MANIFEST = """name: made
manifest_version: 1
val_timestamp: '2024-01-10'
test_timestamp: '2024-01-20'
parameters: {scale: 1, causes: all, known: true}
tables:
  people: {pkey: person, time_col: joined, fkeys: {}}
"""
BUILD = """import no_such_package

def build(scale, causes, known, seed=0, *, part='a', when=len('xy')):
    raise RuntimeError('not to be run')
"""


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "manifest.yaml").write_text(MANIFEST)
    (folder / "build.py").write_text(BUILD)
    monkeypatch.setenv("RELBENCH_HARNESS_DATASETS", str(tmp_path))
    return folder


@pytest.mark.parametrize(
    ("given", "name", "parameters"),
    [
        ("made", "made", {}),
        ("made@scale=1", "made", {}),
        ("made@seed=0,scale=1.0,part=a,causes=all", "made", {}),
        ("made@scale=true,known=1", "made@scale=true,known=1", {"scale": True, "known": 1}),
        ("made@seed=2,causes=rude+stain,scale=4", "made@scale=4,causes=rude+stain,seed=2", None),
        ("made@when=2", "made@when=2", {"when": 2}),
        ("made@seed=1,later=x,scale=1", "made@seed=1,later=x", {"seed": 1, "later": "x"}),
        ("made@backtest=1,scale=4", "made@scale=4,backtest=1", {"scale": 4}),
        ("made@scale=1,backtest=2", "made@backtest=2", {}),
    ],
)
def test_defaults_and_order_make_no_other_name(made: Path, given: str, name: str, parameters: dict[str, object]) -> None:
    for address, expected in ((given, name), (str(made) + given.removeprefix("made"), name)):
        dataset = open_dataset(address)
        assert dataset.name == expected
        assert parameters is None or dict(dataset.parameters) == parameters
        assert open_dataset(dataset.address).address == dataset.address


def test_defaults_are_read_and_not_run(made: Path) -> None:
    assert build_defaults(made) == {"seed": 0, "part": "a"}
    (made / "build.py").write_text("def build(:")
    assert build_defaults(made) == {} and open_dataset("made@seed=0").name == "made@seed=0"
    (made / "manifest.yaml").write_text("[")
    with pytest.raises(InputError, match="cannot be read"):
        open_dataset("made@scale=1")


def test_a_default_spelled_out_is_the_same_task() -> None:
    known = Identities()
    names = [known.task_id(f"{one}/customer-churn") for one in ("rel-shop@scale=0.05", "rel-shop@causes=all,scale=0.05")]
    assert names == ["rel-shop@scale=0.05/customer-churn"] * 2
    assert len({str(one) for one in known._tasks.values()}) == 1


@pytest.mark.parametrize(
    ("task", "data", "verdict"),
    [
        ("made/churn", "1" * 32, "yes"),
        ("made@scale=1/churn", "1" * 32, "yes"),
        ("made/churn", "2" * 32, "no"),
        ("made/spend", "1" * 32, "no"),
        ("other/churn", "1" * 32, "no"),
        ("made@backtest=1/churn", "1" * 32, "no"),
    ],
)
def test_a_report_is_about_the_data_and_not_about_how_they_are_called(task: str, data: str, verdict: str) -> None:
    """A report of an earlier version may spell out a default in its name."""
    report = AuditReport(
        task="made@scale=1/churn",
        method="m",
        regime="frozen",
        config={},
        budget={"seed": 0},
        dataset_fingerprint="1" * 32,
        code="",
        examples={},
        findings=(Finding("clock", "passed", "It uses none."),),
        started="",
        seconds=1.0,
    )
    result = Result(task, "regression", "m", {}, 0, "frozen", "train", "ok", "nmae", False, dataset_fingerprint=data)
    assert audited([result], audits_of([report])) == verdict
