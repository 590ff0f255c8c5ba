"""Importance by ablation through the data: how much worse a predictor answers when a part of the data is taken away.

It needs nothing of the method but `predict`. Invariant: a part that the predictor does not read has importance exactly 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relbench_harness.board.intervals import resampled
from relbench_harness.board.predictions import SplitLabels
from relbench_harness.explain.changes import Change, every_column, every_key, every_table
from relbench_harness.explain.explanation import AGES, Amount, Explanation, Kind, Part, age_bands
from relbench_harness.explain.outputs import Output, answers, check_values, label_scale, metric_name, quality, same_again
from relbench_harness.explain.surroundings import rows_of_age
from relbench_harness.explain.variants import Subject
from relbench_harness.progress import track
from relbench_harness.protocol.audit.scenes import sampled
from relbench_harness.protocol.method import Examples, Predictor

LEVEL = 1.96
"""Standard errors of a mean on either side that an interval takes."""
FEW = 8
"""Examples whose rows are removed from the whole database, at most."""
DRAWS = 200
"""Resamples of the examples by which a change of the score varies."""


@dataclass(frozen=True)
class Ablation:
    """Takes parts of the data away, one at a time.

    Attributes:
        kinds: Which kinds of parts: `column` (permuted among rows of similar time), `table` and `path` (hidden), `age` (cut).
        repeats: How often a random change is made; the interval covers them and the choice of examples.
        most: At most so many examples are answered, a sample of those given.
        aged: Bands of age are taken away, example by example, from at most so many of them.
        ages: Days at which bands of age end.
    """

    kinds: tuple[Kind, ...] = ("table", "path", "column", "age")
    repeats: int = 3
    most: int = 500
    aged: int = 150
    ages: tuple[float, ...] = AGES
    seed: int = 0
    name: str = "ablation"

    def explain(self, predictor: Predictor, examples: Examples) -> tuple[Explanation, ...]:
        """One explanation of the predictor as a whole; amounts are losses of the score, or of nothing where labels are unknown.

        Raises:
            InputError: A recommendation, or no example.
        """
        check_values(examples)
        predictor, chosen = same_again(predictor), examples.take(sampled(examples, self.most, self.seed))
        before = answers(predictor, chosen)
        trial = _Trial(predictor, chosen, before, Output.chosen(before), self.seed)
        amounts = [trial.amount(change, self.repeats) for change in track(self.changes(chosen), "parts taken away")]
        if "age" in self.kinds:
            amounts += self._ages(predictor, examples)
        amounts += [Amount(part, 0.0, 0.0, 0.0, 0.0) for part in self._unseen(chosen)]
        unit = metric_name(chosen) if trial.is_scored else "prediction"
        notes = {"examples": len(chosen), "score": quality(chosen, before)}
        return (Explanation("model", self.name, unit, tuple(amounts), notes=notes),)

    def _ages(self, predictor: Predictor, examples: Examples) -> list[Amount]:
        """What the rows of each band of ages are worth; each example's own cut-off says how old a row is."""
        some = examples.take(sampled(examples, self.aged, self.seed))
        subject = Subject.of(predictor, some)
        if not subject.exact.all():
            # where no copy stands for the database, every removal costs a whole one
            kept = np.union1d(np.flatnonzero(subject.exact), np.flatnonzero(~subject.exact)[:FEW])
            some, subject = some.take(kept), subject.take(kept)
        trial = _Trial(predictor, some, subject.given, subject.output, self.seed)
        found = []
        for band in age_bands(self.ages):
            gone = [rows_of_age(some, i, around, band) for i, around in enumerate(subject.around)]
            after = subject.answers([(i, rows) for i, rows in enumerate(gone)])
            found.append(trial.measured(Part("age", age=band), [after]))
        return found

    def changes(self, examples: Examples) -> tuple[Change, ...]:
        """What is taken away, but for ages."""
        found: list[Change] = []
        if "table" in self.kinds:
            found += every_table(examples)
        if "path" in self.kinds:
            found += every_key(examples.database)
        if "column" in self.kinds:
            found += every_column(examples.database)
        return tuple(found)

    def _unseen(self, examples: Examples) -> Iterator[Part]:
        """Columns that the task hides from every method."""
        if "column" in self.kinds:
            for table, column in examples.task.remove_columns:
                if table in examples.database and column not in examples.database[table].rows.column_names:
                    yield Part("column", table=table, column=column)


@dataclass(frozen=True)
class _Trial:
    """Examples, what a predictor answers, and what it answers to changed ones."""

    predictor: Predictor
    examples: Examples
    before: NDArray[np.generic]
    output: Output
    seed: int

    @property
    def is_scored(self) -> bool:
        """Whether there is a score to lose: labels are known, and of more than one class."""
        return not np.isnan(quality(self.examples, self.before))

    def amount(self, change: Change, repeats: int) -> Amount:
        """What one change costs."""
        after = []
        for number in range(repeats if change.is_random else 1):
            changed = change.made(self.examples, 1000 * self.seed + number)
            if changed is self.examples:
                return Amount(change.part, 0.0, 0.0, 0.0, 0.0)
            after.append(answers(self.predictor, changed))
        return self.measured(change.part, after)

    def measured(self, part: Part, after: Sequence[NDArray[np.generic]]) -> Amount:
        """What `after`, the answers of each repeat, are worse by."""
        moved = np.stack([np.abs(self.output.of(one) - self.output.of(self.before)) for one in after])
        effect = float(moved.mean())
        if effect == 0:
            return Amount(part, 0.0, 0.0, 0.0, 0.0)
        if not self.is_scored:
            error = _error(moved.mean(axis=1), float(moved.mean(axis=0).std()) / np.sqrt(moved.shape[1]))
            return Amount(part, effect, effect - LEVEL * error, effect + LEVEL * error, effect)
        losses = np.asarray([quality(self.examples, self.before) - quality(self.examples, one) for one in after])
        error = _error(losses, self._drawn(after[0]))
        value = float(losses.mean())
        return Amount(part, value, value - LEVEL * error, value + LEVEL * error, effect)

    def _drawn(self, after: NDArray[np.generic]) -> float:
        """How far the loss of the score varies over resamples of the examples' entities."""
        labels, task = self.examples.labels, self.examples.task
        assert labels is not None
        classes = len(self.examples.classes) or self.examples.width
        split = SplitLabels(task, self.examples.entity, self.examples.time, labels, label_scale(self.examples), classes)
        drawn = resampled(metric_name(self.examples), split, [self.before, after], DRAWS, self.seed).drawn
        return float(np.nanstd(drawn[0] - drawn[1]))


def _error(repeats: NDArray[np.float64], of_examples: float) -> float:
    """The standard error of a mean over `repeats` that are all made on the same examples."""
    of_repeats = float(repeats.std(ddof=1)) / np.sqrt(len(repeats)) if len(repeats) > 1 else 0.0
    return float(np.hypot(of_repeats, of_examples))
