"""What lies in a folder decides what is left; plans are whole files, and neither they nor marks are results."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from sweep_results import entry, made, stored

from relbench_harness.board.store import read_results
from relbench_harness.errors import InputError
from relbench_harness.protocol.result import FAILURES
from relbench_harness.sweep.claims import Claims
from relbench_harness.sweep.plan import Planned, check_name, kinds, leave, plan_named, plans, without_repetitions
from relbench_harness.sweep.scan import files_of, scan

ONE, TWO = "1" * 32, "2" * 32


class Never:
    """A request that must not be executed."""

    def execute(self, keep: object) -> object:
        raise AssertionError


def planned(identity: str, folder: Path, **changed: object) -> Planned:
    return Planned(entry(identity), Never(), folder, **changed)  # type: ignore[arg-type]


def test_results_are_found_by_identity_wherever_they_were_copied(tmp_path: Path) -> None:
    stored(tmp_path, made(ONE), made(TWO, "timeout"), made(""))
    stored(tmp_path / "copied", made(ONE))
    found = scan(tmp_path)
    assert {identity: [one.status for one in several] for identity, several in found.items()} == {
        ONE: ["ok", "ok"], TWO: ["timeout"], "": ["ok"],
    }  # fmt: skip
    assert set(scan(tmp_path, {TWO})) == {TWO} and found[ONE][0].seconds == 2.0
    assert len(files_of(ONE, "shop/churn", "constant", tmp_path)) == 1
    assert files_of(ONE, "shop/churn", "other", tmp_path) == frozenset()


def test_a_half_written_result_is_none(tmp_path: Path) -> None:
    stored(tmp_path, made(ONE))
    (path,) = tmp_path.rglob("*.json")
    path.write_text(path.read_text()[:100])
    assert scan(tmp_path) == {}


def test_what_stands_for_a_run(tmp_path: Path) -> None:
    assert planned(ONE, tmp_path).standing(scan(tmp_path)) is None
    stored(tmp_path, made(ONE, "timeout"))
    found = scan(tmp_path)
    assert planned(ONE, tmp_path).standing(found) is not None
    assert planned(ONE, tmp_path, retry=kinds("timeout")).standing(found) is None
    assert planned(ONE, tmp_path, retry=kinds("failed")).standing(found) is None
    assert planned(ONE, tmp_path, retry=kinds("error,out_of_memory")).standing(found) is not None
    stored(tmp_path, made(ONE))
    found = scan(tmp_path)
    assert planned(ONE, tmp_path, retry=kinds("failed")).standing(found) is not None
    assert planned(ONE, tmp_path, resume=False).standing(found) is None


def test_kinds_of_failure() -> None:
    assert kinds("") == frozenset() and kinds("failed") == kinds("failed,error") == frozenset(FAILURES)
    assert kinds("timeout, error") == {"timeout", "error"}
    with pytest.raises(InputError, match="no kind of failure 'timeot' for retry; did you mean 'timeout'"):
        kinds("error,timeot")


def test_a_run_that_is_planned_twice_is_one(tmp_path: Path) -> None:
    runs = [planned(ONE, tmp_path), planned(TWO, tmp_path), planned(ONE, tmp_path), planned(ONE, tmp_path / "other")]
    assert without_repetitions(runs) == [runs[0], runs[1], runs[3]]


def test_plans_are_left_once(tmp_path: Path) -> None:
    runs = [entry(ONE, swept=("budget.threads=1",)), entry(TWO, budget_seconds=60.0)]
    leave(runs, tmp_path)
    leave(list(reversed(runs)), tmp_path)
    (plan,) = plans(tmp_path)
    assert plan.runs == tuple(runs)
    leave(runs[:1], tmp_path)
    leave(runs, tmp_path, "mine")
    leave(runs[:1], tmp_path, "mine")
    assert len(plans(tmp_path)) == 3 and plan_named("mine", tmp_path).runs == tuple(runs[:1])
    with pytest.raises(InputError, match=r"no sweep 'mime' in .*; did you mean 'mine'"):
        plan_named("mime", tmp_path)
    for wrong in ("a/b", "", "..", ".x"):
        with pytest.raises(InputError, match="is no name for a file"):
            check_name(wrong)


def test_a_file_that_is_no_plan_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "x.json").write_text(json.dumps({"runs": [{"identity": 1}]}))
    broken: list[InputError] = []
    assert plans(tmp_path, broken.append) == [] and "x.json is no plan of a sweep" in str(broken[0])


def test_plans_and_marks_are_no_results(tmp_path: Path) -> None:
    stored(tmp_path, made(ONE))
    leave([entry(ONE)], tmp_path)
    assert Claims(tmp_path).attempt(ONE, {"task": "a", "method": "b", "status": "c", "regime": "d"}) is not None
    assert [one.identity for one in read_results(tmp_path)] == [ONE]


@pytest.mark.slow
def test_ten_thousand_results_are_scanned_in_seconds(tmp_path: Path) -> None:
    line = made(notes={"filler": "x" * 3000}).to_json()
    for number in range(10_000):
        home = tmp_path / f"shop__task{number % 30}" / f"method{number % 10}"
        if number < 300:
            home.mkdir(parents=True, exist_ok=True)
        name = f"frozen-seed0-{number:032x}-20260101T000000Z-{number:08x}.json"
        (home / name).write_text(line)
    begin = time.process_time()
    assert len(scan(tmp_path, {f"{number:032x}" for number in range(10_000)})) == 10_000
    assert time.process_time() - begin < 2.0
