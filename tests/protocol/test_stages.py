"""Splits, labels, visibility and cuts against an oracle that looks at every row by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relbench_harness.data.database import Database
from relbench_harness.data.dataset import Dataset
from relbench_harness.data.labels import SPLITS, Cuts, Split
from relbench_harness.data.table import Table
from relbench_harness.data.task import Kind, Task, TaskType
from relbench_harness.errors import InputError
from relbench_harness.protocol.method import REGIMES, Examples, Regime
from relbench_harness.protocol.stages import Stages
from relbench_harness.temporal.closed_labels import closed_labels

DAY = 86_400 * 10**9
VAL, TEST = 20, 28
SQL = """SELECT s.timestamp AS t, e.who AS who, SUM(e.value) AS total FROM timestamps s
JOIN events e ON e.at > s.timestamp AND e.at <= s.timestamp + INTERVAL '{timedelta}'
WHERE e.who IS NOT NULL GROUP BY ALL"""


@dataclass(frozen=True)
class Toy:
    """Events (day, who or None, value) and the days people joined, None where people are a static table."""

    events: list[tuple[int, int | None, int]]
    joined: list[int] | None
    people: int
    horizon: int
    windows: int
    delay: int = 0

    @property
    def task(self) -> Task:
        return Task(
            dataset="toy", name="total", kind=Kind.FORECAST, type=TaskType.REGRESSION, entity_table="people",
            entity_col="who", target="total", time_col="t", horizon=pd.Timedelta(days=self.horizon),
            num_eval_timestamps=self.windows, sql=SQL, folder=Path("hosted labels lie here"),
            label_delay=pd.Timedelta(days=self.delay),
        )  # fmt: skip

    @property
    def dataset(self) -> Dataset:
        opened = Dataset("toy", Path("nowhere"))
        cuts = Cuts(pd.Timestamp(VAL * DAY), pd.Timestamp(TEST * DAY))
        opened.__dict__.update(database=self.database, cuts=cuts)
        return opened

    @property
    def database(self) -> Database:
        who = pa.table({"who": np.arange(self.people)})
        if self.joined is not None:
            who = who.append_column("since", _days(self.joined))
        days, named, values = zip(*self.events, strict=True)
        events = pa.table({"at": _days(days), "who": pa.array(named, pa.int64()), "value": pa.array(values, pa.int64())})
        return Database(
            [
                Table("people", who, key="who", time=None if self.joined is None else "since"),
                Table("events", events, time="at", references=MappingProxyType({"who": "people"})),
            ]
        )


def _days(days: list[int] | tuple[int, ...]) -> pa.Array:
    return pa.array(np.asarray(days, dtype=np.int64) * DAY).cast(pa.timestamp("ns"))


@st.composite
def toys(draw: st.DrawFn) -> Toy:
    people = draw(st.integers(1, 5))
    joined = draw(st.none() | st.lists(st.integers(0, 32), min_size=people, max_size=people).map(sorted))
    named = st.none() | st.integers(0, people - 1)
    some = draw(st.lists(st.tuples(st.integers(0, 45), named, st.integers(-9, 9)), min_size=4, max_size=40))
    # so that no split is empty and no window reaches past the data
    firm = [(day, 0, 1) for day in range(0, 46, 2)]
    return Toy(
        sorted([*some, *firm], key=lambda e: e[0]),
        joined if joined is None or joined[0] < VAL else None,
        people,
        draw(st.integers(2, 5)),
        draw(st.integers(1, 3)),
    )


def asked_days(toy: Toy, split: Split) -> list[int]:
    first, last = min(e[0] for e in toy.events), max(e[0] for e in toy.events)
    if toy.joined is not None:
        first, last = min(first, toy.joined[0]), max(last, toy.joined[-1])
    h = toy.horizon
    if split == "train":
        return sorted(day for day in (VAL - h * i for i in range(1, 60)) if day >= first)
    start, latest = (VAL, TEST - h) if split == "val" else (TEST, last - h)
    return [start + i * h for i in range(toy.windows) if start + i * h <= latest]


def expected_labels(toy: Toy, split: Split) -> list[tuple[int, int, int]]:
    """(day, who, total) in canonical order."""
    found: dict[tuple[int, int], int] = {}
    for day in asked_days(toy, split):
        for at, who, value in toy.events:
            exists = who is not None and (toy.joined is None or toy.joined[who] <= TEST)
            if exists and day < at <= day + toy.horizon and (split == "test" or at <= TEST):
                found[day, who] = found.get((day, who), 0) + value  # type: ignore[index]
    return [(*key, total) for key, total in sorted(found.items())]


@settings(max_examples=40, deadline=None)
@given(toys())
def test_labels_are_what_the_windows_hold(toy: Toy) -> None:
    for split in SPLITS:
        labels = toy.dataset.labels(toy.task, split)
        rows = zip((labels.time // DAY).tolist(), labels.entity.tolist(), labels.target.to_pylist(), strict=True)
        assert list(rows) == expected_labels(toy, split)


@settings(max_examples=40, deadline=None)
@given(toys(), st.sampled_from(REGIMES))
def test_examples_hold_what_their_questions_may_see(toy: Toy, regime: Regime) -> None:
    stages = Stages(toy.dataset, toy.task, regime)
    for split, end in (("train", VAL), ("val", VAL), ("test", TEST)):
        labels = expected_labels(toy, split)  # type: ignore[arg-type]
        holdout = stages.holdout(split)  # type: ignore[arg-type]
        cutoffs = [min(day, end) if regime == "frozen" else day for day, _, _ in labels]
        _check(toy, holdout.examples, labels, cutoffs, VAL)
        assert holdout.examples.labels is None
        if split != "test":
            examples = stages.examples(split)  # type: ignore[arg-type]
            _check(toy, examples, labels, cutoffs, VAL)
            assert examples.values.tolist() == [float(total) for _, _, total in labels]
    train, val = expected_labels(toy, "train"), expected_labels(toy, "val")
    late = [min(day, VAL) if regime == "frozen" else day for day, _, _ in val]
    _check(toy, stages.final_training(), train + val, [day for day, _, _ in train] + late, TEST)


def _check(toy: Toy, examples: Examples, labels: list[tuple[int, int, int]], cutoffs: list[int], fit_end: int) -> None:
    assert (examples.time // DAY).tolist() == [day for day, _, _ in labels]
    assert examples.entity.tolist() == [who for _, who, _ in labels]
    assert (examples.cutoff // DAY).tolist() == cutoffs
    assert examples.fit_end == fit_end * DAY
    assert examples.task.folder is None
    latest, most = max(cutoffs), max(who for _, who, _ in labels)
    events = [e for e in toy.events if e[0] < latest]
    kept = toy.people
    if toy.joined is not None:
        kept = max(sum(day < latest for day in toy.joined), most + 1)
    assert len(examples.database["people"]) == kept
    rows = examples.database["events"].rows.to_pydict()
    assert [v.value // DAY for v in map(pd.Timestamp, rows["at"])] == [e[0] for e in events]
    assert rows["who"] == [e[1] if e[1] is not None and e[1] < kept else None for e in events]
    assert rows["value"] == [e[2] for e in events]
    assert len(examples.known["events"]) == sum(e[0] < min(fit_end, latest) for e in toy.events)


@settings(max_examples=60, deadline=None)
@given(toys(), st.integers(-1, 47))
def test_a_row_is_visible_iff_it_is_older(toy: Toy, day: int) -> None:
    events = toy.database["events"]
    expected = [i for i, e in enumerate(toy.events) if e[0] < day]
    assert list(range(int(events.visible(day * DAY)[0]))) == expected
    cut = toy.database.upto(day * DAY)
    assert len(cut["events"]) == len(expected)
    assert cut["events"].rows["value"].to_pylist() == [toy.events[i][2] for i in expected]


@settings(max_examples=40, deadline=None)
@given(toys(), st.sampled_from(REGIMES), st.sampled_from([0, 0, 1, 3, 9]))
def test_label_history_knows_training_labels_and_later_windows_once_they_have_closed(
    toy: Toy, regime: Regime, delay: int
) -> None:
    toy = replace(toy, delay=delay)
    examples = Stages(toy.dataset, toy.task, regime).holdout("test").examples
    past = closed_labels(examples, windows=60)
    span = past.known(examples)
    h = toy.horizon
    training = expected_labels(toy, "train")
    last = max(day for day, _, _ in training)
    latest = int(examples.cutoff.max() // DAY)
    for i, (who, cutoff) in enumerate(zip(examples.entity, examples.cutoff // DAY, strict=True)):
        # persons who are not there at the last cut-off have no examples
        expected = [float(v) for day, w, v in training if w == who and day + h + delay < cutoff]
        for start in range(last + h, latest, h):
            inside = [v for at, w, v in toy.events if w == who and start < at <= start + h]
            there = toy.joined is None or toy.joined[who] <= start + h
            if inside and there and start + h + delay < cutoff:
                expected.append(float(sum(inside)))
        assert np.asarray(past.value)[span.first[i] : span.last[i]].tolist() == expected


@settings(max_examples=25, deadline=None)
@given(toys(), st.sampled_from(REGIMES), st.integers(1, 12))
def test_a_model_learns_from_labels_that_are_known_by_then(toy: Toy, regime: Regime, delay: int) -> None:
    late = replace(toy, delay=delay)
    stages, prompt = Stages(late.dataset, late.task, regime), Stages(toy.dataset, toy.task, regime)
    h = toy.horizon

    def known(split: Split, until: int) -> list[tuple[int, int, int]]:
        return [row for row in expected_labels(toy, split) if row[0] + h + delay < until]

    def held(examples: Examples) -> list[tuple[int, int, float]]:
        return list(zip((examples.time // DAY).tolist(), examples.entity.tolist(), examples.values.tolist(), strict=True))

    for split, until in (("train", VAL), ("val", TEST)):
        if rows := known(split, until):  # type: ignore[arg-type]
            assert held(stages.examples(split)) == rows  # type: ignore[arg-type]
        else:
            with pytest.raises(InputError, match=f"no label of split '{split}' is known before"):
                stages.check_delay() if split == "train" or known("train", VAL) else stages.examples("val")
    if known("val", TEST):
        assert held(stages.final_training()) == known("train", TEST) + known("val", TEST)
    # all examples are answered, whatever is known of their labels
    for split in SPLITS:
        assert np.array_equal(stages.holdout(split).examples.time, prompt.holdout(split).examples.time)
    # a label that comes too late changes nothing that is learned from or known
    test = stages.holdout("test").examples
    past = closed_labels(test)
    span = past.known(test)
    last = past.known_from[span.last[span.last > span.first] - 1]
    assert (last <= test.cutoff[span.last > span.first]).all()


def test_labels_of_windows_past_the_data_or_without_rows_are_refused() -> None:
    firm: list[tuple[int, int | None, int]] = [(day, 0, 1) for day in range(0, 46, 2)]
    short = Toy(firm[:15], None, 1, 3, 1)
    with pytest.raises(InputError, match="reaches past the data"):
        short.dataset.labels(short.task, "test")
    with pytest.raises(InputError, match="longer than"):
        Toy(firm, None, 1, 9, 1).dataset.labels(Toy(firm, None, 1, 9, 1).task, "val")
    late = Toy([e for e in firm if e[0] > 15], None, 1, 3, 1)
    with pytest.raises(InputError, match="at least 3 are needed"):
        late.dataset.labels(late.task, "train")
    hole = Toy([e for e in firm if not VAL < e[0] <= VAL + 3], None, 1, 3, 1)
    with pytest.raises(InputError, match="split 'val' is empty"):
        hole.dataset.labels(hole.task, "val")
