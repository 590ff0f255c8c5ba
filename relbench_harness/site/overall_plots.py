"""Charts across tasks: mean ranks with the critical difference, and how often each method beats each other."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from relbench_harness.site.drawing import Figure, Ink, Spec, layer, names, number, svg, unique

MOST = 24
"""More methods than this have no room in a chart; the best are shown."""
ROW = 20
CELL = 34


def critical_difference_plot(ranking: pd.DataFrame) -> Figure | None:
    """Mean ranks on an axis, with a bar over methods that are not shown to differ; None where nothing is known of that."""
    apart = float(ranking["critical_difference"].iloc[0])
    if not math.isfinite(apart):
        return None
    shown = ranking.head(MOST)
    ranks, labelled = [float(rank) for rank in shown["mean_rank"]], unique(list(shown["method"]), 24)
    bars = cliques(ranks, apart)
    first, last = math.floor(min(ranks)), math.ceil(max(ranks))
    last = max(last, first + 1)
    half, start = (len(ranks) + 1) // 2, 1 + len(bars)
    rows = max(half, len(ranks) - half) + start
    stems, labels = [], []
    for i, (rank, name) in enumerate(zip(ranks, labelled, strict=True)):
        left = i < half
        down = start + (i if left else len(ranks) - 1 - i)
        edge = first - 0.02 * (last - first) if left else last + 0.02 * (last - first)
        stems += [{"x": rank, "x2": rank, "y": 0, "y2": down}, {"x": rank, "x2": edge, "y": down, "y2": down}]
        labels.append(
            {"x": edge, "y": down, "name": f"{name}  {rank:.2f}" if left else f"{rank:.2f}  {name}", "left": left}
        )
    reach = 0.55 * (last - first)
    axis = {"orient": "top", "grid": False, "values": _ticks(first, last), "format": "d", "domain": False}
    x = {**number("x", "Mean rank", (first - reach, last + reach)), "axis": axis}
    y = {**number("y", None, (rows, 0)), "axis": None}
    ends: dict[str, Spec] = {"x": x, "y": y, "x2": {"field": "x2"}, "y2": {"field": "y2"}}
    thick = [{"x": ranks[a] - 0.03, "x2": ranks[b] + 0.03, "y": i + 0.8, "y2": i + 0.8} for i, (a, b) in enumerate(bars)]
    layers = [
        layer([{"x": first, "x2": last, "y": 0, "y2": 0}], {"type": "rule", "color": Ink.FAINT, "size": 1.2}, **ends),
        layer(stems, {"type": "rule", "color": Ink.FAINT, "size": 1}, **ends),
        layer(thick, {"type": "rule", "color": Ink.BLUE, "size": 5}, **ends),
    ]
    for left, align, dx in ((True, "right", -6), (False, "left", 6)):
        mark = {"type": "text", "align": align, "dx": dx, "baseline": "middle", "fontSize": 12, "color": Ink.TEXT}
        layers.append(layer([row for row in labels if row["left"] is left], mark, x=x, y=y, text=names("name")))
    caption = (
        f"Further left is better. Methods under one bar are not shown to differ: their mean ranks over "
        f"{int(ranking['tasks'].max())} tasks are less than {apart:.2f} apart (Nemenyi, 5 % level)."
    )
    return Figure("Critical differences", caption + _rest(ranking), svg(560, ROW * rows, layers), shape="wide")


def _ticks(first: int, last: int) -> list[int]:
    step = max(1, math.ceil((last - first) / 10))
    return list(range(first, last + 1, step))


def _rest(ranking: pd.DataFrame) -> str:
    return f" The best {MOST} of {len(ranking)} methods are shown." if len(ranking) > MOST else ""


def cliques(ranks: list[float], apart: float) -> list[tuple[int, int]]:
    """(first, last) positions of the longest stretches of sorted `ranks` that lie less than `apart` apart."""
    found: list[tuple[int, int]] = []
    for start, rank in enumerate(ranks):
        end = max(i for i, other in enumerate(ranks) if other - rank < apart or i == start)
        if end > start and (not found or end > found[-1][1]):
            found.append((start, end))
    return found


def win_plot(rates: pd.DataFrame) -> Figure | None:
    """A matrix of win rates (`board.overall.win_matrix`) as a heat map; None with fewer than two methods."""
    shown = list(rates.index)[:MOST]
    if len(shown) < 2:
        return None
    labels = dict(zip(shown, unique(shown, 20), strict=True))
    shares = rates.loc[shown, shown].to_numpy(dtype=np.float64)
    cells = [
        {"row": labels[a], "column": labels[b], "text": f"{shares[i, j] * 100:.0f}", "ink": _ink(float(shares[i, j]))}
        for i, a in enumerate(shown) for j, b in enumerate(shown) if math.isfinite(shares[i, j])
    ]  # fmt: skip
    axis = {"domain": False, "labelColor": Ink.TEXT, "labelLimit": 140}
    ordered = list(labels.values())
    x = names("column", sort=ordered, axis={"orient": "top", "labelAngle": -60, "labelAlign": "left", **axis})
    y = names("row", sort=ordered, axis=axis)
    square = {"type": "rect", "width": CELL - 2, "height": CELL - 8}
    layers = [
        layer(cells, square, x=x, y=y, fill=names("ink", scale=None, legend=None)),
        layer(cells, {"type": "text", "color": Ink.TEXT, "fontSize": 11}, x=x, y=y, text=names("text")),
    ]
    caption = "Per cent of tasks on which the method of the row ranks before that of the column; ties count half."
    return Figure("Win rates", caption, svg(CELL * len(shown), (CELL - 6) * len(shown), layers), shape="wide")


def _ink(share: float) -> str:
    bounds = (0.2, 0.4, 0.6, 0.8)
    return Ink.SHARES[sum(share > bound for bound in bounds)]
