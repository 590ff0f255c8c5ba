"""Check: a planted column that equals the label, in rows at and after the last cut-off, does not help.

Each example has rows there that hold its label. Rows before, which some example may see, hold noise, the same in both runs.

In a second run the column holds each other's labels. A method that sees no later row answers the same in both; one that looks ahead
changes its answers, and is the better the more it looks at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from relbench_harness.protocol.audit.planting import Planting, hosts, numbers
from relbench_harness.protocol.audit.report import Figure, Finding
from relbench_harness.protocol.audit.scenes import sampled
from relbench_harness.protocol.audit.subject import Subject
from relbench_harness.protocol.audit.trial import Answers, Scene, concerned, difference, read_back, same
from relbench_harness.protocol.method import Examples
from relbench_harness.protocol.metrics import PRIMARY, score


@dataclass(frozen=True)
class Canary:
    name: str = "canary"

    def find(self, subject: Subject) -> Finding:
        learned, tested = _parts(subject)
        tables = [table.name for table in hosts(tested)]
        if not tables:
            return Finding(self.name, "not applicable", "No table with a time can hold rows about an example.")
        first, second = (_answers(subject, learned, tested, is_true) for is_true in (True, False))
        metric = PRIMARY[tested.task.type].name
        planted, shuffled = (_score(subject, tested, answers) for answers in (first, second))
        figures: dict[str, Figure] = {
            "training": len(learned),
            "answers": len(tested),
            "tables": ", ".join(tables),
            "distinct_answers": len(np.unique(first, axis=0)),
            "difference": difference(first, second),
            f"{metric}_planted": planted,
            f"{metric}_shuffled": shuffled,
        }
        what = "A column that equals the label in rows at and after the last cut-off"
        if same(first, second):
            return Finding(self.name, "passed", f"{what} changes none of {len(first):,} answers.", figures)
        evidence = (
            f"{what} changes {concerned(first, second):,} of {len(first):,} answers: {metric} {planted:.4f} with it, "
            f"{shuffled:.4f} with it shuffled."
        )
        return Finding(self.name, "failed", evidence, figures)


def _parts(subject: Subject) -> tuple[Examples, Examples]:
    """Training and test examples, with their labels; nothing is fitted on rows at or after the last of training."""
    seed, sizes = subject.learner.budget.seed, subject.sizes
    train, test = subject.stages.examples("train"), subject.stages.examples("test")
    train, test = train.take(sampled(train, sizes.training, seed)), test.take(sampled(test, sizes.answered, seed))
    end = int(train.cutoff.max())
    return replace(train, fit_end=end), replace(test, fit_end=end)


def _answers(subject: Subject, learned: Examples, tested: Examples, is_true: bool) -> Answers:
    train, test = _planting(learned, is_true).planted(), _planting(tested, is_true).planted()
    order = np.random.default_rng(11).permutation(len(learned))
    cut = (2 * len(order) + 2) // 3
    rows = np.sort(order[:cut]), np.sort(order[cut:] if cut < len(order) else order)
    moved = train.moved(learned)
    both = moved if subject.learner.fit_on == "train+val" else None
    scene = Scene(moved.take(rows[0]), moved.take(rows[1]), test.moved(replace(tested, labels=None)), both)
    return read_back(subject.learner.run(scene), test, tested)


def _planting(examples: Examples, is_true: bool) -> Planting:
    assert examples.labels is not None
    labels = numbers(examples.labels)
    other = np.random.default_rng(5).permutation(labels)
    return Planting(examples, labels if is_true else other, labels)


def _score(subject: Subject, tested: Examples, answers: Answers) -> float:
    assert tested.labels is not None
    width = len(tested.classes) or tested.width
    scores = score(tested.task, tested.labels, answers, subject.stages.scale, width)
    return float(scores[PRIMARY[tested.task.type].name])
