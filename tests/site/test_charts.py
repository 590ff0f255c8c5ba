"""What charts show is what the numbers say, against definitions written out; and a chart is shapes and text alone."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from site_results import CHURN, EVIL, SPEND, results

from relbench_harness.board.leaderboard import leaderboard
from relbench_harness.protocol.metrics import lift
from relbench_harness.site.curves import PERCENTS, calibration, lift_curve
from relbench_harness.site.drawing import KEPT, SHAPES, SVG, Ink, layer, names, number, svg, unique
from relbench_harness.site.overall_plots import cliques
from relbench_harness.site.pareto import Axes, Point, front, pareto, ticks
from relbench_harness.site.rankings import rankings
from relbench_harness.site.score_plots import score_plot
from relbench_harness.site.tables import ranking_table

points = st.lists(st.builds(Point, st.just("m"), st.integers(1, 6).map(float), st.integers(1, 6).map(float)), min_size=1)


@given(points, st.booleans())
def test_the_front_is_what_nothing_beats(several: list[Point], higher: bool) -> None:
    sign = -1 if higher else 1
    unbeaten = {
        (p.cost, p.quality) for p in several
        if not any(
            (q.cost <= p.cost and sign * q.quality <= sign * p.quality) and (q.cost, q.quality) != (p.cost, p.quality)
            for q in several
        )
    }  # fmt: skip
    found = front(several, higher)
    assert {(p.cost, p.quality) for p in found} == unbeaten and len(found) == len(unbeaten)
    assert [p.cost for p in found] == sorted(p.cost for p in found)


@given(st.floats(1e-3, 1e6), st.floats(1.3, 1e5))
def test_a_logarithmic_axis_has_a_few_round_ticks(low: float, ratio: float) -> None:
    made = ticks(low, low * ratio)
    assert all(low <= tick <= low * ratio for tick in made) and made == sorted(made) and len(made) <= 10
    assert len(made) >= 3 or ratio < 10


def test_names_on_a_chart_cover_neither_each_other_nor_a_point() -> None:
    random = np.random.default_rng(0)
    several = [Point(f"method_{i}", float(c), float(q)) for i, (c, q) in enumerate(random.uniform(1, 50, (25, 2)))]
    figure = pareto(several, Axes("Seconds", "AUROC", True, True))
    assert figure is not None
    root = ET.fromstring(figure.svg)
    texts = [e.text or "" for e in root.iter(f"{{{SVG}}}text")]
    shown = [text for text in texts if text.startswith("method_")]
    assert len(shown) >= 10 and len(set(shown)) == len(shown)
    hidden = re.search(r"(\d+) names? ha(?:s|ve) no room", figure.caption)
    assert len(shown) + (int(hidden[1]) if hidden else 0) == 25


@given(st.lists(st.floats(1, 10), min_size=1, max_size=8), st.floats(0.1, 5))
def test_bars_join_what_is_not_shown_to_differ(ranks: list[float], apart: float) -> None:
    ordered = sorted(ranks)
    bars = cliques(ordered, apart)
    for i, a in enumerate(ordered):
        for j, b in enumerate(ordered):
            if i < j:
                assert any(first <= i and j <= last for first, last in bars) is (b - a < apart)


def test_calibration_and_lift_follow_their_definitions() -> None:
    random = np.random.default_rng(0)
    predicted = random.uniform(size=5000)
    truth = (random.uniform(size=5000) < predicted).astype(np.float64)
    bins = calibration(truth, predicted)
    assert [one.size for one in bins] == [500] * 10
    assert all(abs(one.predicted - one.observed) < 0.06 for one in bins)
    first = np.sort(predicted)[:500]
    assert bins[0].predicted == pytest.approx(first.mean())
    assert bins[0].observed == pytest.approx(truth[predicted <= first[-1]].mean())
    (alone,) = calibration(truth, np.full(5000, 0.5))
    assert alone.size == 5000 and alone.observed == pytest.approx(truth.mean())
    curve = lift_curve(truth, predicted)
    assert curve == [(percent, lift(truth, predicted, percent)) for percent in PERCENTS] and curve[-1][1] == pytest.approx(
        1
    )


def test_a_chart_of_hostile_names_is_shapes_and_text() -> None:
    label = unique([EVIL, EVIL, "b", "\U0001f600" * 40, "\ud800 half"], 60)
    assert len(set(label)) == 5
    rows = [{"x": float(i), "name": one} for i, one in enumerate(label)]
    made = svg(100, 60, [layer(rows, {"type": "point"}, x=number("x", EVIL), y=names("name", sort=label))])
    root = ET.fromstring(made)
    for element in root.iter():
        assert element.tag.removeprefix(f"{{{SVG}}}") in SHAPES and set(element.attrib) <= KEPT
    assert "<img" not in made and any("<img" in (e.text or "") for e in root.iter())


def test_every_colour_of_a_chart_has_one_for_the_dark_or_stands_out_on_both() -> None:
    style = (Path(__file__).parents[2] / "relbench_harness" / "site" / "templates" / "style.css").read_text()
    dark = style.split("@media (prefers-color-scheme: dark)")[-1]
    for colour in (Ink.TEXT, Ink.FAINT, Ink.BLUE, Ink.PUBLISHED, Ink.GROUPS[2], *Ink.SHARES):
        assert f'[fill="{colour}"]' in dark
    for colour in (Ink.TEXT, Ink.FAINT, Ink.BLUE, Ink.GRID):
        assert f'[stroke="{colour}"]' in dark


def test_a_table_with_intervals_and_ties_shows_them() -> None:
    made = [result for result in results() if result.task == CHURN and result.regime == "frozen"]
    board = leaderboard(made).assign(low=0.6, high=0.9, tied=[True, True])
    (ranking,) = rankings(board, made, [])
    table = ranking_table(ranking)
    at = [column.heading for column in table.columns].index("95 % interval")
    assert [row.cells[at].text for row in table.rows] == ["0.600 to 0.900"] * 2
    assert all(row.cells[2].strong for row in table.rows) and any("Bold" in note for note in table.notes)
    plain = ranking_table(rankings(leaderboard(made), made, [])[0])
    assert "95 % interval" not in [column.heading for column in plain.columns]
    figure = score_plot(ranking)
    assert figure is not None and "Bars are 95 % intervals" in figure.caption


def test_lower_is_better_where_it_is() -> None:
    made = [result for result in results() if result.task == SPEND]
    (ranking,) = rankings(leaderboard(made), made, [])
    assert [line.name for line in ranking.lines] == ["alpha", "beta", "broken"] and not ranking.lines[2].complete
    table = ranking_table(ranking)
    assert table.rows[0].cells[2].strong and table.rows[2].failed and not table.rows[1].failed
