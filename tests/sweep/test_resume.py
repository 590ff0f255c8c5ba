"""A second start makes what is not there: finished runs stay, failures on request, marks of killed processes are no results."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from relbench_harness.board.store import read_results
from relbench_harness.cli import main
from relbench_harness.sweep.claims import Claims, this_process

MODEL = """
from dataclasses import dataclass
import numpy as np


@dataclass(frozen=True)
class Model:
    fails: str = ""

    def fit(self, train, valid, budget):
        if self.fails == "time":
            raise TimeoutError("late")
        if self.fails:
            raise ValueError(self.fails)
        return self

    def predict(self, examples):
        return np.full(len(examples), 0.5)
"""


@pytest.fixture
def results(tmp_path: Path, shop: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = tmp_path / "site" / "own_sweep_methods"
    (package / "configs" / "method").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "model.py").write_text(MODEL)
    (package / "configs" / "method" / "own.yaml").write_text("_target_: own_sweep_methods.model.Model\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr("relbench_harness.presets.plugin_folders", lambda what: [package / what])
    return tmp_path / "results"


def run(results: Path, *given: str, task: str = "shop/churn") -> int:
    return main(["run", *given, f"task={task}", f"results_dir={results}"])


def files(results: Path) -> set[Path]:
    return {path for path in results.rglob("*") if path.is_file()}


def test_a_finished_run_is_not_made_again(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = ["-m", "method=constant", "seed=0,1"]
    assert run(results, *sweep) == 0
    before = files(results)
    capsys.readouterr()
    assert run(results, *sweep) == 0
    shown = capsys.readouterr()
    assert shown.out == "" and files(results) == before
    assert shown.err == "relbench-harness: 2 runs are already there; resume=false makes all again\n"
    assert run(results, "-m", "method=constant", "seed=0,1,2") == 0
    assert capsys.readouterr().out.count("roc_auc val") == 1 and len(read_results(results)) == 3
    # one run goes the same way, and another budget is another run
    assert run(results, "method=constant", "seed=2") == 0
    assert run(results, "method=constant", "seed=2", "budget.threads=1") == 0
    assert len(read_results(results)) == 4
    assert run(results, *sweep, "resume=false") == 0
    assert len(read_results(results)) == 6
    assert not list((results / ".started").iterdir())


def test_failures_are_kept_until_they_are_named(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = ["-m", "method=own", "guard=none", "method.fails='',time,odd"]
    assert run(results, *sweep) == 1
    capsys.readouterr()

    def again(*given: str) -> list[str]:
        assert run(results, *sweep, *given) == 1
        shown = capsys.readouterr()
        assert ("already there" in shown.err) == (given != ("resume=false",))
        return sorted(line.partition("failed (")[2].partition(")")[0] for line in shown.out.splitlines())

    assert again() == []
    assert again("retry=timeout") == ["timeout"]
    assert again("retry=timeout,error") == again("retry=failed") == ["error", "timeout"]
    assert again("retry=out_of_memory") == []
    assert again("resume=false") == ["", "error", "timeout"]
    assert len(read_results(results)) == 3 + 1 + 2 + 2 + 3


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["retry=timeot"], "no kind of failure 'timeot' for retry; did you mean 'timeout'?"),
        (["resume=maybe"], "resume: Value 'maybe' is not a valid bool"),
        (["jobs=0"], "jobs is 0; it is one whole number, at least 1"),
        (["jobs=two"], "jobs: Value 'two' of type 'str' could not be converted to Integer"),
        (["sweep=a/b"], "sweep 'a/b' is no name for a file"),
        (["--dryrun"], "run has no option '--dryrun'; did you mean '--dry-run'"),
    ],
)
def test_a_wrong_setting_is_one_sentence(
    results: Path, capsys: pytest.CaptureFixture[str], given: Sequence[str], sentence: str
) -> None:
    assert run(results, "method=constant", *given) == 2
    shown = capsys.readouterr().err
    assert sentence in shown and shown.count("\n") == 1 and not results.exists()


def test_nothing_is_written_before_the_folder_was_looked_through(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def early(*_: object) -> None:
        assert not results.exists()
        raise KeyboardInterrupt

    monkeypatch.setattr("relbench_harness.sweep.scan.scan", early)
    assert run(results, "-m", "method=constant", "seed=0,1") == 130
    assert not results.exists()


def test_the_mark_of_a_killed_process_is_a_run_that_is_made_again(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    child = os.fork()
    if not child:
        # it dies as a killed sweep does, in the middle of a run
        from relbench_harness.request import RunRequest

        RunRequest.execute = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign,assignment]
        run(results, "-m", "method=constant", "seed=0,1")
        os._exit(1)
    os.waitpid(child, 0)
    assert len(list((results / ".started").iterdir())) == 1
    assert main(["status", str(results)]) == 0
    shown = capsys.readouterr().out
    assert "interrupted  1" in shown and "left         1" in shown and "done         0 of 2" in shown
    assert run(results, "-m", "method=constant", "seed=0,1") == 0
    assert len(read_results(results)) == 2 and not list((results / ".started").iterdir())


def test_a_mark_that_outlived_its_result_goes(results: Path) -> None:
    assert run(results, "method=constant") == 0
    (result,) = read_results(results)
    own = this_process()
    claim = Claims(results, owner=type(own)(own.host, own.pid, "earlier")).attempt(result.identity, {})
    assert claim is not None
    assert run(results, "method=constant") == 0
    assert len(read_results(results)) == 1 and not list((results / ".started").iterdir())


def test_what_another_sweep_made_meanwhile_is_not_made_again(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = Claims.attempt
    made = []

    def late(self: Claims, identity: str, about: dict[str, object]) -> object:
        if not made:
            made.append(identity)
            # between the look at the folder and the claim
            assert run(results, "method=constant") == 0
        return attempt(self, identity, about)

    monkeypatch.setattr(Claims, "attempt", late)
    assert run(results, "-m", "method=constant", "seed=0,1") == 0
    assert [one.seed for one in read_results(results)] == [0, 1]


def test_a_bad_combination_costs_no_other_and_is_said_first(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(results, "-m", "method=constant", "seed=0,one,2") == 2
    shown = capsys.readouterr()
    assert shown.out.count("roc_auc val") == 2 and shown.err.count("\n") == 1 and "seed: Value 'one'" in shown.err
