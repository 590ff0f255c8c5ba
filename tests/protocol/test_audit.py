"""The audit: every cheater is caught by the check that is there for it, and honest methods pass in both regimes."""

from __future__ import annotations

import sys
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import cheaters
import numpy as np
import pytest
from small_methods import small

from relbench_harness.compose import make_method
from relbench_harness.data.dataset import Dataset
from relbench_harness.errors import InputError
from relbench_harness.presets import method_names
from relbench_harness.protocol.audit.audit import CHECKS, Audit, found
from relbench_harness.protocol.audit.clock import Clock, unsteady
from relbench_harness.protocol.audit.determinism import Determinism
from relbench_harness.protocol.audit.lengths import LENGTHS, SHORT, short_config, shortened, without_lengths
from relbench_harness.protocol.audit.report import AuditReport, Finding
from relbench_harness.protocol.audit.seal import LabelSeal, patterns
from relbench_harness.protocol.audit.subject import Subject
from relbench_harness.protocol.audit.trial import Learner
from relbench_harness.protocol.method import Budget, Method, Regime
from relbench_harness.protocol.run import Run
from relbench_harness.protocol.sandbox import Sandbox
from relbench_harness.protocol.stages import Stages

BUDGET = Budget(seed=5, threads=1, trials=1, device="cpu")
BY_NAME = {check.name: check for check in CHECKS}
QUICK = [check if check.name != "determinism" else Determinism(elsewhere=False) for check in CHECKS]


def subject(dataset: Dataset, method: Method, regime: Regime = "rolling", task: str = "churn") -> Subject:
    return Subject(Stages(dataset, dataset.task(task), regime), Learner(method, BUDGET))


def failed(findings: list[Finding]) -> list[str]:
    return [f"{finding.check}: {finding.evidence}" for finding in findings if finding.verdict == "failed"]


@pytest.mark.parametrize("regime", ["rolling", "frozen"])
@pytest.mark.parametrize("name", cheaters.NAMES)
def test_a_cheater_is_caught(shop_dataset: Dataset, name: str, regime: Regime, monkeypatch: pytest.MonkeyPatch) -> None:
    cheater = cheaters.cheaters(shop_dataset)[name]
    monkeypatch.setenv("SHOP_LIES_AT", str(shop_dataset.folder))
    if not cheater.caught_by:
        pytest.skip("for the sandbox alone")
    finding = found(BY_NAME[cheater.caught_by], subject(shop_dataset, cheater, regime))
    assert finding.verdict == "failed", finding.evidence
    assert "Error" not in finding.evidence


def test_every_cheater_is_listed_and_every_check_has_two(shop_dataset: Dataset) -> None:
    made = cheaters.cheaters(shop_dataset)
    assert sorted(made) == sorted(cheaters.NAMES)
    for check in CHECKS:
        caught = [one for one in made.values() if one.caught_by == check.name]
        assert len(caught) >= 2 or check.name == "clock"


@pytest.mark.skipif(sys.platform != "linux", reason="isolation needs Linux")
@pytest.mark.parametrize("name", [n for n in cheaters.NAMES if getattr(cheaters, n).needs_sandbox])
def test_what_reads_by_path_finds_nothing_in_the_sandbox(
    shop_dataset: Dataset, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_LIES_AT", str(shop_dataset.folder))
    sealed = Sandbox("sealed")
    stages = Stages(shop_dataset, shop_dataset.task("churn"), "rolling")
    try:
        result = Run(stages, cheaters.cheaters(shop_dataset)[name], name, BUDGET, isolation=sealed).execute().result
    except InputError as error:
        pytest.skip(str(error))
    assert not result.ok or abs(result.score - 0.5) < 0.2


@pytest.mark.parametrize("regime", ["rolling", "frozen"])
def test_an_honest_method_passes_every_check(shop_dataset: Dataset, regime: Regime) -> None:
    report = Audit(subject(shop_dataset, cheaters.Honest(), regime), "honest").execute()
    assert failed(list(report.findings)) == [] and report.passed
    assert {finding.check: finding.verdict for finding in report.findings} == {check.name: "passed" for check in CHECKS}


QUICK_METHODS = ("constant", "label_history", "lightgbm_simple")
SOME = [("xgboost", "churn", "frozen"), ("gnn", "churn", "rolling")]
HONEST = [
    pytest.param(
        name, task, regime, marks=[] if name in QUICK_METHODS or (name, task, regime) in SOME else [pytest.mark.thorough]
    )
    for name in method_names()
    for task in ("churn", "basket")
    for regime in ("rolling", "frozen")
]


@pytest.mark.parametrize(("name", "task", "regime"), HONEST)
def test_shipped_methods_pass(shop_dataset: Dataset, name: str, task: str, regime: Regime) -> None:
    try:
        report = Audit(subject(shop_dataset, small(name), regime, task), name, checks=QUICK).execute()
    except InputError as refusal:
        assert task in str(refusal) or "recommendation" in str(refusal) or "binary" in str(refusal)
        pytest.skip(f"{name} does not do {task}")
    assert failed(list(report.findings)) == [] and report.passed


@pytest.mark.parametrize("regime", ["rolling", "frozen"])
@pytest.mark.parametrize("cheater", [cheaters.RefitsOnAllRows(), cheaters.RefitsFirstAndLast()])
def test_what_learns_again_is_audited_with_what_it_learned_then(
    shop_dataset: Dataset, cheater: cheaters.Refits, regime: Regime
) -> None:
    """Such a method is honest until it learns again."""
    stages = Stages(shop_dataset, shop_dataset.task("churn"), regime)
    for method, both, verdict in (
        (cheaters.Refits(), True, "passed"),
        (cheater, False, "passed"),
        (cheater, True, "failed"),
    ):
        one = Subject(stages, Learner(method, BUDGET, "train+val" if both else "train"))
        report = Audit(one, "refits", checks=QUICK).execute()
        assert report.verdict == verdict, failed(list(report.findings))
        assert report.fit_on == ("train+val" if both else "train")
        assert [finding.check for finding in report.failed] == ([] if verdict == "passed" else [cheater.caught_by])


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK_METHODS else pytest.param(name, marks=pytest.mark.thorough) for name in method_names()],
)
def test_shipped_methods_that_learn_again_pass(shop_dataset: Dataset, name: str) -> None:
    stages = Stages(shop_dataset, shop_dataset.task("churn"), "rolling")
    one = Subject(stages, Learner(small(name), BUDGET, "train+val"), sizes=SHORT)
    try:
        report = Audit(one, name, checks=QUICK).execute()
    except InputError as refusal:
        pytest.skip(str(refusal))
    assert failed(list(report.findings)) == [] and report.passed


def test_what_cannot_learn_again_is_refused(shop_dataset: Dataset) -> None:
    one = subject(shop_dataset, cheaters.Honest())
    with pytest.raises(InputError, match="cannot learn again"):
        Audit(replace(one, learner=Learner(cheaters.Honest(), BUDGET, "train+val")), "honest").execute()


@pytest.mark.parametrize("name", method_names())
def test_a_short_audit_changes_lengths_alone(name: str) -> None:
    method, config = make_method(name)
    brief = short_config(config)
    assert without_lengths(brief) == without_lengths(config)
    assert short_config(brief) == brief and shortened(shortened(method)) == shortened(method)
    assert completed_from(shortened(method)) == numbers_of(brief)
    assert sum(numbers_of(brief).values()) < sum(numbers_of(config).values()) or not numbers_of(config)


def numbers_of(config: Any, where: str = "") -> dict[str, int]:
    """The lengths in a configuration, by where they stand."""
    if isinstance(config, list | tuple):
        config = dict(enumerate(config))
    if not isinstance(config, dict):
        return {}
    found: dict[str, int] = {}
    for key, value in config.items():
        found |= {f"{where}.{key}": value} if key in LENGTHS else numbers_of(value, f"{where}.{key}")
    return found


def completed_from(part: Any, where: str = "") -> dict[str, int]:
    """The lengths in the fields of a method, by where they stand."""
    if is_dataclass(part):
        part = {entry.name: getattr(part, entry.name) for entry in fields(part)}
    elif isinstance(part, list | tuple):
        part = dict(enumerate(part))
    if not isinstance(part, dict):
        return {}
    found: dict[str, int] = {}
    for key, value in part.items():
        found |= {f"{where}.{key}": value} if key in LENGTHS else completed_from(value, f"{where}.{key}")
    return found


def test_the_seal_sees_the_folder_of_the_task_and_what_a_sandbox_hands_over(shop_dataset: Dataset, tmp_path: Path) -> None:
    one = subject(shop_dataset, cheaters.Honest())
    labels = one.stages.examples("test").labels
    assert isinstance(labels, np.ndarray)
    (tmp_path / "predictions.bin").write_bytes(b"head" + labels.astype("i4").tobytes())
    assert LabelSeal({"a folder": tmp_path}).find(one).verdict == "failed"
    (tmp_path / "predictions.bin").write_bytes(b"head" + labels.astype("i4")[::-1].tobytes())
    assert LabelSeal({"a folder": tmp_path}).find(one).verdict == "passed"
    named = replace(one.scene.answered, task=one.stages.task)
    one.cast.__dict__["scene"] = replace(one.scene, answered=named)
    finding = LabelSeal().find(one)
    assert finding.verdict == "failed" and "folder" in finding.evidence


def test_patterns_are_no_coincidence(shop_dataset: Dataset) -> None:
    stages = Stages(shop_dataset, shop_dataset.task("churn"), "rolling")
    labels = stages.examples("test").labels
    assert isinstance(labels, np.ndarray)
    assert patterns(labels, stages.labels("test").target)
    assert patterns(np.zeros(1000), stages.labels("test").target) == []


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("SELECT now()", "now() in line 1"),
        ("SELECT 1,\n current_date", "current_date() in line 2"),
        ("SELECT 'now'::TIMESTAMP", "'now' in line 1"),
        ("SELECT age(t) FROM x", "age() with one argument in line 1"),
        ("SELECT date_diff('day', t,\n today()) FROM x", "current_date() in line 2"),
        ("SELECT random() FROM x", "rand() in line 1"),
        ("SELECT gen_random_uuid()", "gen_random_uuid() in line 1"),
        ("WITH a AS (SELECT setseed(0.5))\nSELECT * FROM a", "setseed() in line 1"),
        ("SELECT * FROM x USING SAMPLE 10%", "SAMPLE in line 1"),
        ("SELECT getenv('HOME')", "getenv() in line 1"),
        ("SELECT pg_catalog.now()", "now() in line 1"),
        ("SELECT (", "SQL that cannot be parsed"),
    ],
)
def test_a_clock_or_chance_in_sql_is_named(sql: str, named: str) -> None:
    places = list(unsteady(sql))
    assert len(places) == 1 and places[0].startswith(named)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT \"now\", t.random, age(a, b), hash(x) FROM t WHERE s > TIMESTAMP '2020-01-01' + INTERVAL '{timedelta}'",
        "SELECT 'now' AS word, MAX(today) FROM t",
    ],
)
def test_steady_sql_passes(sql: str) -> None:
    assert list(unsteady(sql)) == []


def test_label_sql_and_queries_are_both_read(shop_dataset: Dataset) -> None:
    one = subject(shop_dataset, cheaters.Honest())
    assert Clock().find(one).verdict == "passed"
    task = replace(one.stages.task, sql=f"{one.stages.task.sql} LIMIT CAST(epoch(now()) AS BIGINT)")
    labelled = replace(one, stages=replace(one.stages, task=task))
    assert "SQL of task" in Clock().find(labelled).evidence and Clock().find(labelled).verdict == "failed"
    asking = replace(one, queries={"the query shop/churn.sql": "SELECT seed, random() FROM seeds"})
    assert Clock().find(asking).verdict == "failed"


def test_a_report_comes_back_from_its_json(shop_dataset: Dataset) -> None:
    report = Audit(
        subject(shop_dataset, cheaters.RowNumber()), "cheater", {"a": [1]}, checks=[BY_NAME["order and keys"]]
    ).execute()
    assert not report.passed
    again = AuditReport.from_json(report.to_json())
    assert again.failed[0].evidence == report.failed[0].evidence and again.config == {"a": [1]}
    assert "status" not in report.to_json()
