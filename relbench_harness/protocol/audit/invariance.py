"""Check: numbers and order carry nothing. Keys renumbered where their order is free, rows of equal times and examples permuted.

A row number says when a row came to its source, and where an example stands says who else is there. Answers of a method that
draws at random by position differ all the same. So what differs is held against what another seed makes of the same run: renumbering
may change no more than twice as much, in one of a few orders of the examples to learn from. A method for which the seed changes
nothing must answer the same but for rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.protocol.audit.rearranged import Draft, Rearranged, rearranged
from relbench_harness.protocol.audit.report import Figure, Finding
from relbench_harness.protocol.audit.subject import Subject
from relbench_harness.protocol.audit.trial import Answers, Scene, concerned, difference, read_back, same
from relbench_harness.protocol.method import Examples
from relbench_harness.protocol.metrics import PRIMARY, score

SEEDS = 2
"""How many other seeds a difference is held against."""
DRAWS = 100
"""Bootstrap samples by which lists of items are compared."""
SHUFFLES = (13, 14, 15)
"""Seeds of the orders of examples to learn from; a renumbering counts only if it changes as much with each of them."""
SLACK = 2.0
"""How many times as much as another seed a renumbering may change."""


@dataclass(frozen=True)
class Invariance:
    name: str = "order and keys"

    def find(self, subject: Subject) -> Finding:
        learner, scene, expected = subject.learner, subject.scene, subject.answers
        order = np.random.default_rng(3).permutation(len(scene.answered))
        permuted = np.empty_like(expected)
        permuted[order] = learner.answers(subject.predictor, scene.answered.take(order))
        moved: dict[str, int] = {}
        changes = [_renumbered(part.database, scene.train.fit_end, moved) for part in scene.parts]
        renamed = Scene(*(change.moved(part) for change, part in zip(changes, scene.parts, strict=True)))

        def made(shuffle: int) -> Answers:
            mixed = renamed.over(lambda part: part if part is renamed.answered else _shuffled(part, shuffle))
            return read_back(learner.run(mixed), changes[2], renamed.answered)

        renumbered = made(SHUFFLES[0])
        figures: dict[str, Figure] = {
            "rows_renumbered": sum(moved.values()),
            "difference_permuted": difference(expected, permuted),
            "difference_renumbered": difference(expected, renumbered),
        }
        if same(expected, permuted) and same(expected, renumbered):
            evidence = f"Answers are the same with {sum(moved.values()):,} rows renumbered and all examples permuted."
            return Finding(self.name, "passed", evidence, figures)
        seeds = [learner.with_seed(learner.budget.seed + 1 + i).run(scene) for i in range(SEEDS)]
        noise = max(disagreement(expected, answers) for answers in seeds)
        for shuffle in SHUFFLES[1:]:
            if disagreement(expected, renumbered) > SLACK * noise:
                renumbered = min(renumbered, made(shuffle), key=lambda answers: disagreement(expected, answers))
        return self._judged(subject, [("permuted", permuted), ("renumbered", renumbered)], noise, figures)

    def _judged(
        self, subject: Subject, differing: list[tuple[str, Answers]], noise: float, figures: dict[str, Figure]
    ) -> Finding:
        """Whether what differs is within what another seed makes of the run."""
        expected = subject.answers
        figures["disagreement_of_seeds"] = noise
        for what, answers in differing:
            figures[f"disagreement_{what}"] = disagreement(expected, answers)
        words = {
            "permuted": "examples to answer permuted",
            "renumbered": "keys renumbered and rows of equal times permuted",
        }
        for what, answers in differing:
            found = float(figures[f"disagreement_{what}"])
            if found > SLACK * noise and not _as_good(subject, answers, figures):
                evidence = (
                    f"With {words[what]}, {concerned(expected, answers):,} of {len(expected):,} answers change, by "
                    f"{found:.3g} of their spread, where another seed changes them by {noise:.3g}."
                )
                return Finding(self.name, "failed", evidence, figures)
        worst = max(float(figures[f"disagreement_{what}"]) for what, _ in differing)
        if worst > SLACK * noise:
            evidence = f"Items that tie change places ({worst:.3g} of all), and the lists are as good as before."
            return Finding(self.name, "passed", evidence, figures)
        evidence = (
            f"Keys renumbered and examples permuted change answers by {worst:.3g} of their spread, "
            f"no more than {SLACK:g} times what another seed does ({noise:.3g})."
        )
        return Finding(self.name, "passed", evidence, figures)


def disagreement(first: Answers, second: Answers) -> float:
    """Root mean square of the difference over the spread of the first; for lists the share of items that are not in both."""
    if first.shape != second.shape:
        return float("inf")
    if np.issubdtype(first.dtype, np.integer):
        shares = [
            len(np.intersect1d(one, two)) / max(len(np.unique(one)), 1) for one, two in zip(first, second, strict=True)
        ]
        return 1.0 - float(np.mean(shares)) if shares else 0.0
    one, two = first.astype(np.float64), second.astype(np.float64)
    off = float(np.sqrt(np.mean((one - two) ** 2)))
    spread = float(one.std())
    return off / spread if spread > 0 else (0.0 if off == 0 else float("inf"))


def _as_good(subject: Subject, answers: Answers, figures: dict[str, Figure]) -> bool:
    """Whether lists of items are as good as before, within two standard errors: items that tie have no order of their own."""
    if not np.issubdtype(answers.dtype, np.integer):
        return False
    metric = PRIMARY[subject.scene.answered.task.type].name
    truth = subject.stages.examples("test").take(subject.cast.tested).labels
    assert truth is not None

    def gain(rows: NDArray[np.int64]) -> float:
        task, part = subject.scene.answered.task, truth.take(rows)
        one, two = (score(task, part, lists[rows], 1.0)[metric] for lists in (subject.answers, answers))
        return two - one

    random, count = np.random.default_rng(17), len(answers)
    gains = [gain(np.sort(random.integers(0, count, count))) for _ in range(DRAWS)]
    whole, error = gain(np.arange(count)), float(np.std(gains, ddof=1))
    figures |= {"gain": whole, "gain_error": error}
    return abs(whole) <= 2 * error


def _shuffled(examples: Examples, seed: int) -> Examples:
    return examples.take(np.random.default_rng(seed).permutation(len(examples)))


def _renumbered(database: Database, until: int, moved: dict[str, int]) -> Rearranged:
    """The database with the rows of tables without time permuted, and of others the rows of equal times before `until`.

    Databases that are cut no earlier than there are permuted alike, so that a number means the same row in both.
    """
    drafts = {}
    for table in database.values():
        order = _order(table, until)
        changed = int((order != np.arange(len(table))).sum())
        if changed:
            drafts[table.name] = Draft(order)
            moved[table.name] = changed
    return rearranged(database, drafts)


def _order(table: Table, until: int) -> NDArray[np.int64]:
    """A permutation that keeps the order of times; it follows from the old numbers alone."""
    count = int(table.visible(until)[0])
    drawn = (np.arange(count, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    drawn ^= drawn >> np.uint64(29)
    drawn *= np.uint64(0xBF58476D1CE4E5B9)
    first = np.argsort(drawn, kind="stable") if table.times is None else np.lexsort((drawn, table.times[:count]))
    return np.concatenate([first, np.arange(count, len(table))])
