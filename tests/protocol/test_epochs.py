"""Learning curves: each network of a run has its own, they come through a process of its own, and foreign ones are left out."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from relbench_harness.progress import watched, work
from relbench_harness.protocol.epochs import MOST_POINTS, Epochs, Point, curves_of


def test_each_network_has_a_curve_of_its_own() -> None:
    epochs = Epochs()
    with watched(epochs):
        with work("epoch", 9) as one, work("epoch", 9) as two:
            one.at(1, "validation 0.5000")
            two.at(1, "validation -0.2500")
            one.at(2, "validation 0.7500")
            two.at(2)
        with work("epoch", 1) as three:
            three.at(1, "validation 0.1000")
        with work("candidates", 1) as other:
            other.at(1, "validation 0.9000")
    assert [[(p.epoch, p.validation) for p in curve] for curve in epochs.curves] == [
        [(1, 0.5), (2, 0.75)], [(1, -0.25)], [(1, 0.1)],
    ]  # fmt: skip
    stored = json.loads(json.dumps(epochs.stored()))
    assert curves_of(stored) == epochs.curves
    assert all(a.seconds <= b.seconds for curve in epochs.curves for a, b in pairwise(curve))


def test_what_is_kept_is_bounded_and_nothing_is_kept_of_others() -> None:
    epochs = Epochs()
    with watched(epochs), work("epoch") as one:
        for k in range(MOST_POINTS + 7):
            one.at(k, "validation 0.5000")
    assert len(epochs.curves[0]) == MOST_POINTS
    assert Epochs().stored() == {} and curves_of({}) == []


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-3, 3) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(Point._fields), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(Point._fields), anything))
def test_curves_of_other_tools_are_left_out(stored: dict[str, object]) -> None:
    for curve in curves_of(stored):
        assert curve and all(isinstance(part, float | int) for point in curve for part in point)
