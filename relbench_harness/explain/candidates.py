"""Which rows around an example are removed one at a time where there are too many to remove each.

A predictor's own first pass says, where it has one: gradients of rows, or contributions of paths. Else the most recent rows of every
path are taken in turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relbench_harness.explain.contributions import Contributing, FeatureContributions
from relbench_harness.explain.gradients import Differentiable, Gradients
from relbench_harness.explain.surroundings import Surroundings
from relbench_harness.protocol.method import Examples, Predictor

Row = tuple[str, int]
"""A table and a row number."""


@dataclass(frozen=True)
class FirstPass:
    """What is known of rows and paths before any is removed.

    Attributes:
        rows: Per example, row → size of its amount.
        paths: Per example, path → size of its amount.
        name: What said so.
    """

    rows: Sequence[Mapping[Row, float]]
    paths: Sequence[Mapping[str, float]]
    name: str

    @classmethod
    def of(cls, predictor: Predictor, examples: Examples) -> FirstPass:
        none: list[dict[Row, float]] = [{} for _ in range(len(examples))]
        if isinstance(predictor, Differentiable):
            found = Gradients(kinds=("row",)).explain(predictor, examples, "rows")
            rows = [
                {(a.part.table or "", a.part.row if a.part.row is not None else -1): abs(a.value) for a in one.amounts}
                for one in found
            ]
            return cls(rows, [{} for _ in range(len(examples))], "gradients")
        if isinstance(predictor, Contributing):
            found = FeatureContributions(kinds=("path",)).explain(predictor, examples, "rows")
            paths = [{a.part.path or "": abs(a.value) for a in one.of("path")} for one in found]
            return cls(none, paths, "contributions")
        return cls(none, [{} for _ in range(len(examples))], "most recent rows")


def candidates(around: Surroundings, most: int, rows: Mapping[Row, float], paths: Mapping[str, float]) -> list[Row]:
    """At most `most` rows, the entity's own not among them.

    Args:
        rows, paths: Sizes of amounts, from a first pass.
    """
    ranked = sorted((row for row in rows if row[1] >= 0), key=lambda row: -rows[row])
    known = {table: set(numbers.tolist()) for table, numbers in around.rows.items()}
    own = (around.blocks[0].table, int(around.blocks[0].rows[0]))
    chosen = [row for row in ranked if row != own and row[1] in known.get(row[0], ())][:most]
    chosen += _recent(around, most - len(chosen), set(chosen), paths)
    return chosen


def _recent(around: Surroundings, most: int, taken: set[Row], paths: Mapping[str, float]) -> list[Row]:
    """The most recent rows of every path in turn; of a path that counts for more, more rows in each turn."""
    blocks = [block for block in around.blocks if block.route.legs]
    if paths:
        # rows on the way to what a feature reads count as well
        weight = [sum(v for path, v in paths.items() if (path + "/").startswith(b.route.name + "/")) for b in blocks]
        blocks = [b for b, w in zip(blocks, weight, strict=True) if w > 0]
        weight = [w for w in weight if w > 0]
    else:
        weight = [1.0] * len(blocks)
    queues = [[(b.table, int(r)) for r in b.rows[::-1] if (b.table, int(r)) not in taken] for b in blocks]
    # a row of a path waits for as long as rows before it were many for what the path counts
    waiting = [
        (at / w, i, row) for i, (queue, w) in enumerate(zip(queues, weight, strict=True)) for at, row in enumerate(queue, 1)
    ]
    return [row for _, _, row in sorted(waiting)[: max(most, 0)]]


def by_table(rows: Sequence[Row]) -> Mapping[str, NDArray[np.int64]]:
    """Rows as what is removed."""
    found: dict[str, list[int]] = {}
    for table, row in rows:
        found.setdefault(table, []).append(row)
    return {table: np.unique(np.asarray(numbers, np.int64)) for table, numbers in found.items()}
