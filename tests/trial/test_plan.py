"""The division of minutes: nobody gets more than there is, what one leaves the others get, and what is needed runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relbench_harness.errors import InputError
from relbench_harness.trial.plan import (
    FEWEST_SECONDS,
    GRACE,
    LATENESS,
    LEAST_SECONDS,
    TURNS,
    for_report,
    most_seconds,
    seconds_of_next,
    turns_of,
)

seconds = st.floats(0, 3600)
parts = st.lists(st.floats(0, 1), min_size=len(TURNS), max_size=len(TURNS))


def carried(left: float, overhead: float, used: list[float]) -> list[float | None]:
    """The budgets of all turns where each uses a part of its own and takes its overhead."""
    found = []
    for place, part in enumerate(used):
        budget = seconds_of_next(left, TURNS[place:], overhead)
        found.append(budget)
        left -= 0.0 if budget is None else part * budget + overhead
    return found


@given(seconds, st.floats(0, 10), parts)
def test_all_that_is_given_fits_into_what_is_left(left: float, overhead: float, used: list[float]) -> None:
    budgets = carried(left, overhead, used)
    taken = sum(overhead + part * budget for budget, part in zip(budgets, used, strict=True) if budget is not None)
    needed = sum(turn.needed for turn in TURNS) * (LEAST_SECONDS + overhead)
    assert taken <= max(left, needed) + 1e-6


@given(seconds, st.floats(0, 10))
def test_what_is_needed_always_has_its_turn(left: float, overhead: float) -> None:
    budgets = carried(left, overhead, [1.0] * len(TURNS))
    for turn, budget in zip(TURNS, budgets, strict=True):
        assert not turn.needed or (budget is not None and budget >= LEAST_SECONDS)
        assert turn.needed or budget is None or budget >= FEWEST_SECONDS


@given(st.floats(120, 3600), st.floats(0, 5))
def test_with_minutes_all_have_a_turn_and_the_mixture_most(left: float, overhead: float) -> None:
    budgets = carried(left, overhead, [1.0] * len(TURNS))
    assert None not in budgets
    others = [budget for turn, budget in zip(TURNS, budgets, strict=True) if budget is not None and not turn.needed]
    assert max(others) == pytest.approx(others[-1])


@given(st.floats(0, 3600), st.floats(0, 10))
def test_those_at_the_end_go_without_first(left: float, overhead: float) -> None:
    had = [budget is not None for budget in carried(left, overhead, [1.0] * len(TURNS))]
    assert had == sorted(had, reverse=True)


@given(st.floats(150, 3600), st.floats(0, 1), st.floats(0, 1))
def test_what_one_does_not_use_the_next_gets(left: float, one: float, other: float) -> None:
    less, more = sorted((one, other))
    first = seconds_of_next(left, TURNS)
    assert first is not None
    after_less = seconds_of_next(left - less * first, TURNS[1:])
    after_more = seconds_of_next(left - more * first, TURNS[1:])
    assert after_less is not None and after_more is not None and after_less >= after_more


@given(st.floats(0, 3600), st.floats(1, 1000), st.integers(1, len(TURNS)))
def test_a_late_run_is_ended_before_it_takes_the_time_of_all(left: float, budget: float, waiting: int) -> None:
    turns = TURNS[-waiting:]
    most = most_seconds(budget, left, turns)
    assert most >= budget
    room = left - (len(turns) - 1) * FEWEST_SECONDS
    assert most <= max(room, budget + GRACE)


@given(st.floats(60, 3600), st.floats(0, 5), st.floats(0, 1))
def test_a_run_that_is_a_little_late_ends_by_itself_and_in_time(left: float, overhead: float, late: float) -> None:
    end = 0.0
    for place, turn in enumerate(TURNS):
        budget = seconds_of_next(left - end, TURNS[place:], overhead)
        if budget is None:
            continue
        assert turn.needed or most_seconds(budget, left - end, TURNS[place:], overhead) >= budget + LATENESS
        end += overhead + budget + (0.0 if turn.needed else late * LATENESS)
    assert end <= left + 1e-6


def test_the_report_keeps_a_little() -> None:
    assert [for_report(one) for one in (6, 60, 600, 36000)] == [5.0, 5.0, 25.0, 25.0]


def test_turns_keep_their_order_and_others_come_last() -> None:
    found = turns_of(["hybrid", "gnn", "constant"])
    assert [turn.method for turn in found] == ["constant", "gnn", "hybrid"]
    with pytest.raises(InputError, match="did you mean 'gnn"):
        turns_of(["gnm"])
