"""The part of a report that says what to do next, as commands that can be copied, and how the report came about."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from relbench_harness.data.names import PATH_VARIABLE
from relbench_harness.site.words import counted
from relbench_harness.trial.about_data import relevant
from relbench_harness.trial.carry_out import REGIME
from relbench_harness.trial.facts import Trial
from relbench_harness.trial.parts import Part, Step
from relbench_harness.trial.plan import RULES

FEWEST_ENTITIES = 200


def following(trial: Trial) -> Part:
    """Commands: keep the best model, predict, more time, more seeds, what the check found, rank and publish."""
    return Part("next", "What to do next", steps=tuple(_steps(trial)))


def _steps(trial: Trial) -> Iterator[Step]:
    errors = [finding for finding in relevant(trial)[0] if finding.known is None]
    if errors:
        yield Step(
            f"First look at {counted(len(errors), 'finding')} of the check: scores hold only as far as the data do.",
            _command("dataset", "check", trial.found.address, "--tasks", trial.task.name, "--open"),
        )
    if trial.found.searched is not None:
        folder = shlex.quote(f"{PATH_VARIABLE}={trial.found.searched}")
        yield Step(
            f"So that other commands find `{trial.found.address}`, name the folder that it lies in:", f"export {folder}"
        )
    best = trial.proposed
    result = next((one.result for one in trial.attempts if one.method == best), None)
    if best is not None and result is not None:
        seconds = max(int(float(result.budget.get("seconds") or 0)), 60)
        keep = _run(trial, f"method={best}", f"budget.seconds={seconds}", f"save=models/{trial.task.name}")
        yield Step(f"Keep {best}, which validation likes best, and predict with it for the end of the data:", keep)
        yield Step("", _command("predict", f"models/{trial.task.name}", "--at", "now", "--out", "scores.parquet"))
    learned = [one.method for one in trial.attempts if one.method not in RULES]
    if trial.minutes < 10 or any(not one.scored or one.left_out for one in trial.attempts):
        yield Step("Give the methods more time:", _again(trial, max(10.0, 3 * trial.minutes)))
    if learned and trial.lines:
        sweep = [
            "run",
            "-m",
            f"task={trial.chosen.address}",
            f"method={','.join(learned)}",
            "seed=0,1,2",
            f"regime={REGIME}",
        ]
        sweep += ["budget.seconds=120", f"results_dir={trial.results_folder}"]
        yield Step("See how much scores depend on the seed, at equal budgets:", _command(*sweep))
    if trial.lines and 0 < len(trial.labels) < FEWEST_ENTITIES:
        yield Step(
            f"{len(trial.labels):,} test examples are few: an earlier origin of the same task gives more evidence:",
            _run(trial, f"method={best}", "budget.seconds=60", backtest=True),
        )
    yield Step("Rank these results again, or make pages of them:", _command("rank", str(trial.results_folder)))
    yield Step("", _command("publish", str(trial.results_folder), "--to", str(trial.folder / "site")))


def _again(trial: Trial, minutes: float) -> str:
    return _command(
        "try",
        trial.found.address,
        trial.chosen.query if "PREDICT" in trial.chosen.query.upper() else trial.task.name,
        "--minutes",
        f"{minutes:g}",
    )


def _run(trial: Trial, *settings: str, backtest: bool = False) -> str:
    dataset, _, task = trial.chosen.address.rpartition("/")
    address = f"{dataset}@backtest=1/{task}" if backtest else trial.chosen.address
    return _command("run", f"task={address}", f"regime={REGIME}", *settings, f"results_dir={trial.results_folder}")


def _command(*words: str) -> str:
    return " ".join(["relbench-harness", *map(shlex.quote, words)])


def made(trial: Trial) -> Part:
    """Under what the figures hold."""
    said = [
        f"Each example sees all rows before its own time (regime `{REGIME}`), seed 0, one run a method. Each method had its part of the "
        "minutes; one that needs less leaves the rest to those after it. A longer budget may change the order.",
        "`xgboost_dfs` synthesises features from related tables, `gnn` is a network on the raw tables, `auto` mixes both with the plain "
        "reference as validation likes best. Which method is proposed was decided on validation, so that its test score is no pick among many.",
        "Intervals and differences are from a bootstrap over entities; p-values are corrected by Holm's method for how many are compared. "
        "The test period is one stretch of time: intervals do not say how scores change from one season to the next.",
    ]
    for one in trial.attempts:
        said += [f"Doubt about `{one.method}`: {doubt.rstrip('.')}." for doubt in one.doubts]
    first = next(iter(trial.results), None)
    if first is not None:
        machine = first.machine
        said.append(
            f"Data {first.dataset_fingerprint[:8]}, commit {first.commit[:12] or 'unknown'}, {machine.get('cpu', 'unknown processor')}. "
            f"Results lie in `{trial.results_folder}`, one line a run."
        )
    return Part("made", "How this was made", tuple(said))
