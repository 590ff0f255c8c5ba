"""What would have to be otherwise, of a method whose rule is known: it answers with the worth of the latest two orders."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest

from relbench_harness.data.database import Database
from relbench_harness.errors import InputError
from relbench_harness.explain.candidates import FirstPass
from relbench_harness.explain.changes import without_rows
from relbench_harness.explain.contrast import Contrast, Contrasts, Others
from relbench_harness.explain.removal import Removal
from relbench_harness.explain.variants import Subject
from relbench_harness.protocol.audit.rearranged import Draft
from relbench_harness.protocol.method import Examples

from .conftest import LatestWorth, latest_orders


@pytest.fixture(scope="module", params=[0.0, 3.0], ids=["from copies", "from the whole"])
def method(request: pytest.FixtureRequest) -> LatestWorth:
    """The second one reads a mean over the whole table, so that no copy stands for the database."""
    return LatestWorth(request.param)


def contrasts(method: LatestWorth, examples: Examples, others: Examples, settings: Contrasts) -> tuple[Contrast, ...]:
    subject = Subject.of(method, examples)
    assert subject.exact.all() == (method.everywhere == 0)
    found = Removal(rows=60, top=0, groups=False).of_subject(subject, FirstPass.of(method, examples))
    return settings.of(subject, found, Others(others, method.predict(others)))


def with_values(examples: Examples, found: Contrast, method: LatestWorth, others: Examples) -> float:
    """The answer where the latest orders have the worth of the other customer's latest ones."""
    assert found.values is not None and found.values.places == (("order", "worth", "order[customer]"),)
    one, i = examples.take(np.asarray([found.example])), found.example
    donor = int(np.flatnonzero((others.entity == found.values.entity) & (others.time == found.values.time))[0])
    mine, theirs = latest_orders(examples, i, 10_000), latest_orders(others, donor, 10_000)
    worth = examples.database["order"].rows.column("worth").to_numpy().copy()
    before = worth.copy()
    for place, row in enumerate(mine):
        worth[row] = before[theirs[place % len(theirs)]]
    table = examples.database["order"]
    at = table.rows.column_names.index("worth")
    changed = replace(table, rows=table.rows.set_column(at, "worth", pa.array(worth)))
    tables = [changed if name == "order" else other for name, other in examples.database.items()]
    return float(method.predict(replace(one, database=Database(tables)))[0])


def test_the_smallest_changes_are_found_and_true(method: LatestWorth, later: Examples) -> None:
    some = later.take(np.arange(2, 14, 3))
    threshold = float(np.median(method.predict(later)))
    for found in contrasts(method, some, later, Contrasts()):
        assert found.threshold == pytest.approx(threshold)
        above = found.prediction > threshold
        orders = latest_orders(some, found.example, 3)
        one = some.take(np.asarray([found.example]))

        def without(rows: tuple[int, ...], one: Examples = one) -> float:
            kept = np.setdiff1d(np.arange(len(one.database["order"])), rows)
            return float(method.predict(without_rows(one, {"order": Draft(kept)}))[0])

        enough = [row for row in orders if (without((row,)) > threshold) != above]
        if enough:
            assert found.rows is not None and len(found.rows.rows) == 1
        if found.rows is not None:
            gone = tuple(part.row or 0 for part in found.rows.rows)
            assert {part.table for part in found.rows.rows} == {"order"}
            assert without(gone) == pytest.approx(found.rows.answer) and (found.rows.answer > threshold) != above
            assert all((without(few) > threshold) == above for few in combinations(gone, len(gone) - 1) if few)
        assert found.values is not None and (found.values.answer > threshold) != above
        assert with_values(some, found, method, later) == pytest.approx(found.values.answer)


def test_a_stated_amount_and_a_threshold_out_of_reach(later: Examples) -> None:
    method, some = LatestWorth(), later.take(np.arange(2, 14, 3))
    for found in contrasts(method, some, later, Contrasts(amount=0.5)):
        assert np.isnan(found.threshold) and found.amount == 0.5
        for change in (found.rows, found.values):
            assert change is None or abs(change.answer - found.prediction) >= 0.5
        assert found.rows is not None
    beyond = contrasts(method, some, later, Contrasts(threshold=99.0))
    for found in beyond:
        assert found.rows is None and found.values is None and 99 > found.farthest >= found.prediction
    assert any(found.farthest > found.prediction for found in beyond)
    with pytest.raises(InputError, match="move by -1; name an amount above 0"):
        contrasts(method, some, later, Contrasts(amount=-1))


def test_values_are_no_younger_than_the_example(later: Examples) -> None:
    first = later.take(np.flatnonzero(later.time == later.time.min())[:3])
    for found in contrasts(LatestWorth(), first, later, Contrasts()):
        assert found.values is None or found.values.time <= later.time.min()
