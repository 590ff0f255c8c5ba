"""Check: what happens at and after a cut-off changes no answer to an example that is cut off there or earlier.

Two scenes. In the early one the method also learns before the cut-off, while the database that it is handed goes on after it; so
whatever it fits on later rows shows. In the other it has learned as in a run, and answers the first examples of the test split.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from relbench_harness.protocol.audit.later_rows import VARIANTS, Future
from relbench_harness.protocol.audit.rearranged import Rows, own_rows
from relbench_harness.protocol.audit.report import Figure, Finding
from relbench_harness.protocol.audit.scenes import first_half
from relbench_harness.protocol.audit.subject import Subject
from relbench_harness.protocol.audit.trial import Answers, concerned, difference, read_back, same
from relbench_harness.protocol.method import Examples


@dataclass(frozen=True)
class FuturePerturbation:
    name: str = "future perturbation"

    def find(self, subject: Subject) -> Finding:
        figures: dict[str, Figure] = {}
        found = [*self._learned(subject, figures), *self._answered(subject, figures)]
        if not figures:
            return Finding(self.name, "not applicable", "No row lies at or after a cut-off in what the method is handed.")
        if found:
            return Finding(self.name, "failed", f"With later rows {found[0]}.", figures)
        scenes = [scene for scene in ("early", "test") if f"{scene}_later_rows" in figures]
        rows, answers = (" and ".join(f"{figures[f'{s}_{what}']:,}" for s in scenes) for what in ("later_rows", "answers"))
        evidence = f"With {rows} later rows scrambled, deleted, duplicated and added, {answers} answers are the same."
        return Finding(self.name, "passed", evidence, figures)

    def _learned(self, subject: Subject, figures: dict[str, Figure]) -> Iterator[str]:
        """The early scene: what differs, in words."""
        if subject.early is None:
            return
        instant, scene = subject.early
        future = _future(instant, scene.parts, scene.answered)
        if not future.later:
            return
        expected = subject.learner.run(scene)
        figures |= {"early_later_rows": future.later, "early_training": len(scene.train), "early_answers": len(expected)}
        for name, variant in VARIANTS.items():
            change = variant(future)
            given = read_back(subject.learner.run(scene.over(change.moved)), change, scene.answered)
            yield from _compared(f"early_{name}", (expected, given), figures, f"{name} before learning")

    def _answered(self, subject: Subject, figures: dict[str, Figure]) -> Iterator[str]:
        """The test scene: what differs, in words."""
        examples = subject.scene.answered
        instant, known = first_half(examples)
        future = _future(instant, [known], known)
        if not future.later:
            return
        expected = subject.learner.answers(subject.predictor, known)
        figures |= {"test_later_rows": future.later, "test_answers": len(expected)}
        for name, variant in VARIANTS.items():
            change = variant(future)
            given = read_back(subject.learner.answers(subject.predictor, change.moved(known)), change, known)
            yield from _compared(f"test_{name}", (expected, given), figures, f"{name} before it answers test")


def _future(instant: int, parts: Sequence[Examples], answered: Examples) -> Future:
    """The rows at and after the instant, but those that belong to `parts`."""
    own: dict[str, Rows] = {}
    for part in parts:
        for table, rows in own_rows(part).items():
            own[table] = np.union1d(own.get(table, np.zeros(0, np.int64)), rows)
    return Future(answered.database, instant, own, {answered.task.entity_table: np.unique(answered.entity)})


def _compared(key: str, answers: tuple[Answers, Answers], figures: dict[str, Figure], words: str) -> Iterator[str]:
    figures[f"{key}_difference"] = difference(*answers)
    if not same(*answers):
        yield f"{words}, {concerned(*answers):,} of {len(answers[0]):,} answers change"
