"""What came of a trial in a few sentences, the first of which answers: does a model beat the simple rule here, and which?

Invariant: a method is called better only where the 95 % interval of its difference leaves out zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from relbench_harness.board.paired import Difference
from relbench_harness.site.words import fixed, metric_name
from relbench_harness.trial.carry_out import Attempt
from relbench_harness.trial.facts import Trial
from relbench_harness.trial.plan import REFERENCE, RULES


@dataclass(frozen=True)
class Verdict:
    """Attributes: headline: The answer. said: What it rests on, a sentence each."""

    headline: str
    said: tuple[str, ...] = ()


def verdict(trial: Trial) -> Verdict:
    """The answer that the trial's figures give."""
    rule, reference, learned = trial.rule, trial.reference, trial.learned
    if not trial.lines:
        return Verdict("No method came to an end, so nothing can be compared.", tuple(_failures(trial)))
    if not trial.resamples:
        return Verdict(
            f"`{trial.proposed}` is best on validation; how sure that is cannot be said.",
            ("There are no intervals: predictions or labels cannot be read by the name of the dataset.", *_failures(trial)),
        )
    better_than_rule = [] if rule is None else [m for m in better_than(trial, rule) if m not in RULES]
    to_reference = None if learned is None or reference is None else trial.alone(learned, reference)
    said = [*_against_reference(trial), *_chosen_later(trial), *_against_rule(trial, better_than_rule)]
    said += [*_failures(trial), *_cut_short(trial), *_caveats(trial)]
    if rule is not None and not better_than_rule:
        if all(_learned(one) for one in trial.attempts):
            return Verdict(f"Nothing here is shown to beat the simple rule `{rule}`.", tuple(said))
        return Verdict(
            f"Within {_minutes(trial)} nothing is shown to beat the simple rule `{rule}`, and not every method learned more than a rule in that time.",
            tuple(said),
        )
    if to_reference is not None and _shown_better(trial, to_reference) and reference not in (None, *RULES):
        if any(one.method == reference and one.left_out for one in trial.attempts):
            return Verdict(f"`{learned}` beats `{reference}`, which had no time for all of its features.", tuple(said))
        return Verdict(f"Yes: `{learned}` beats the plain features of `{reference}`.", tuple(said))
    if reference in (None, *RULES) or learned is None:
        best = trial.proposed
        return Verdict(f"`{best}` is best on validation, and there is no plain reference to compare it with.", tuple(said))
    if to_reference is not None and to_reference.shown:
        return Verdict(f"No: the plain features of `{reference}` do better than `{learned}`.", tuple(said))
    within = "" if all(_learned(one) and not one.left_out for one in trial.attempts) else f" within {_minutes(trial)}"
    return Verdict(
        f"A model beats the simple rule, but nothing is shown to beat the plain features of `{reference}`{within}.",
        tuple(said),
    )


def _minutes(trial: Trial) -> str:
    return f"{trial.minutes:g} minute{'' if trial.minutes == 1 else 's'}"


def _learned(one: Attempt) -> bool:
    """Whether a method's own answers were scored, not those of a rule in its place."""
    return one.result is not None and one.scored and "fallback" not in one.result.notes


def better_than(trial: Trial, other: str) -> list[str]:
    """Methods that are shown to be better than `other`, corrected for how many are compared."""
    return [name for name, found in trial.compared_with(other).items() if _shown_better(trial, found)]


def _shown_better(trial: Trial, found: Difference) -> bool:
    return found.shown and (found.difference > 0) == trial.higher_is_better


def difference_in_words(found: Difference, higher_is_better: bool, metric: str) -> str:
    """`AUROC 0.751 against 0.725, better by 0.026 (95 % interval 0.011 to 0.041)`."""
    values = f"{metric_name(metric)} {fixed(found.first, 3)} against {fixed(found.second, 3)}"
    if found.difference == found.low == found.high == 0:
        return f"{values}: both give answers of the same worth on every example"
    interval = f"95 % interval of the difference {fixed(found.low, 3)} to {fixed(found.high, 3)}"
    if not found.shown:
        return f"{values}, a difference of {fixed(found.difference, 3)} ({interval}, which includes zero)"
    word = "better" if (found.difference > 0) == higher_is_better else "worse"
    return f"{values}, {word} by {fixed(abs(found.difference), 3)} ({interval})"


def _against_rule(trial: Trial, better: list[str]) -> Iterator[str]:
    if trial.rule is None:
        return
    best = trial.reference if trial.learned is None else trial.learned
    names = [name for name in dict.fromkeys((trial.reference, best)) if name is not None and name not in RULES]
    for name in names:
        found = trial.alone(name, trial.rule)
        if found is not None:
            yield f"`{name}` against the rule `{trial.rule}`: {difference_in_words(found, trial.higher_is_better, trial.metric)}."
    others = [name for name in better if name not in names]
    if others:
        yield f"Also better than the rule: {', '.join(f'`{name}`' for name in others)}."
    rules = [name for name in better_than(trial, trial.rule) if name in RULES]
    if rules:
        yield f"On test the rule `{rules[0]}` beats `{trial.rule}`, which validation preferred: the two splits are unlike each other."


def _against_reference(trial: Trial) -> Iterator[str]:
    learned, reference = trial.learned, trial.reference
    if learned is None or reference is None or reference in RULES:
        return
    found = trial.alone(learned, reference)
    if found is None:
        return
    yield (
        f"`{learned}`, the best on validation of the methods that read related tables by themselves, against `{reference}`: "
        f"{difference_in_words(found, trial.higher_is_better, trial.metric)}."
    )
    if not found.shown and found.high > found.low:
        yield (
            f"With {found.examples:,} test examples of {found.entities:,} entities, only a difference larger than about "
            f"{fixed((found.high - found.low) / 2, 3)} would show."
        )


def _chosen_later(trial: Trial) -> Iterator[str]:
    """Methods that turned out better on test than the one that validation chose."""
    if trial.reference is None or trial.reference in RULES:
        return
    others = [name for name in better_than(trial, trial.reference) if name != trial.learned]
    if others:
        yield (
            f"On test {', '.join(f'`{name}`' for name in others)} "
            f"{'does' if len(others) == 1 else 'do'} beat `{REFERENCE}` as well, corrected for how many are compared."
        )


def _cut_short(trial: Trial) -> Iterator[str]:
    for one in trial.attempts:
        if one.left_out:
            parts = ", ".join(f"`{part}`" for part in one.left_out)
            more = ", so that the others look better beside it than they are" if one.method == REFERENCE else ""
            yield f"`{one.method}` left out {parts} for lack of time{more}."


GRAVE = ("giveaway", "afterwards", "future-column", "future-member")
"""Findings of a check that may make scores too good to be true."""


def _caveats(trial: Trial) -> Iterator[str]:
    """What of the data a reader should know before believing a score."""
    shifts = () if trial.summary is None else trial.summary.shifts
    yield from (f"Mind the shift: {shift}." for shift in shifts if shift.endswith("split test"))
    task = trial.task.name
    about = [f for f in trial.checked.findings if f.where.split(" ")[0] == task and f.known is None]
    grave = [finding.kind for finding in about if finding.level == "error" or finding.kind in GRAVE]
    if grave:
        yield f"The check found {', '.join(f'`{kind}`' for kind in dict.fromkeys(grave))} in this task: scores may be too good to be true."


def _failures(trial: Trial) -> Iterator[str]:
    for one in trial.attempts:
        if not one.scored:
            yield f"`{one.method}` has no score: {one.why.rstrip('.')}."
        elif one.result is not None and "fallback" in one.result.notes:
            yield f"`{one.method}` answers as `{one.result.notes['fallback']}` does, which validation preferred to what it learned in {one.seconds:.0f} s."
