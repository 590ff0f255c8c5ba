"""Charts of explanations: shares of importance as bars, and the rows that moved one prediction as a small graph over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from relbench_harness.explain.explanation import Amount, Explanation, Kind, Part
from relbench_harness.explaining.material import Material, One, key_text, moment
from relbench_harness.site.drawing import Figure, Ink, Spec, layer, names, number, svg, unique
from relbench_harness.temporal.visibility import days_before

MOST_BARS = 12
MOST_ROWS = 16
MOST_LANES = 7
DAYS = (-1, -7, -30, -90, -365, -1825, -7300)
RAISES, LOWERS = Ink.GROUPS[0], Ink.GROUPS[1]


def share_plot(title: str, shares: Mapping[str, Mapping[str, float]]) -> Figure | None:
    """Way → part → its share of all importance that the way finds, as bars; None where nothing has any."""
    first = next(iter(shares.values()), {})
    parts = [label for label in first if any(some.get(label, 0.0) > 0 for some in shares.values())][:MOST_BARS]
    if not parts:
        return None
    labels = unique(parts)
    rows: list[dict[str, Any]] = [
        {"part": label, "way": way, "share": max(some.get(part, 0.0), 0.0)}
        for way, some in shares.items()
        for part, label in zip(parts, labels, strict=True)
    ]
    y = names(
        "part", sort=labels, scale={"domain": labels}, axis={"labelColor": Ink.TEXT, "labelLimit": 165, "domain": False}
    )
    x = number("share", "Share of all importance", zero=True)
    x["axis"] = {"format": ".0%", "tickCount": 5}
    colour = names("way", scale={"domain": list(shares), "range": list(Ink.GROUPS[: len(shares)])})
    offset = {"field": "way", "sort": list(shares)}
    if len(shares) == 1:
        colour = {**colour, "legend": None}
    bars = layer(rows, {"type": "bar", "height": {"band": 0.8}}, x=x, y=y, yOffset=offset, color=colour)
    caption = "Of all that each way finds, which share is each part's: by ablation of the changes of predictions, else of the amounts."
    return Figure(title, caption, svg(190, (14 * len(shares) + 12) * len(labels), [bars]), "tall")


def row_graph(material: Material, one: One) -> Figure | None:
    """The entity in the middle of the right edge, the rows that moved its prediction before it in time, lanes by table."""
    amounts = [amount for amount in one.found.of("row") if amount.value][:MOST_ROWS]
    if not amounts:
        return None
    tables = list(dict.fromkeys(amount.part.table or "" for amount in amounts))[: MOST_LANES - 1]
    amounts = [amount for amount in amounts if amount.part.table in tables]
    lanes = [*tables[: len(tables) // 2], "", *tables[len(tables) // 2 :]]
    scene = _Scene(material, one, dict(zip(unique([lane or material.entity_table for lane in lanes]), lanes, strict=True)))
    return scene.figure(amounts)


class _Scene:
    """Where rows of an example stand: their table's lane, and their age."""

    def __init__(self, material: Material, one: One, lanes: Mapping[str, str]) -> None:
        self.material, self.one, self.lanes = material, one, lanes
        self.labels = {table: label for label, table in lanes.items()}

    def age(self, part: Part) -> float:
        """Days, at most 0; of a row without a time 0."""
        if part.time is None:
            return 0.0
        return -max(float(days_before(np.asarray([part.time]), self.one.cutoff)[0]), 0.0)

    def figure(self, amounts: Sequence[Amount]) -> Figure:
        last = min([self.age(amount.part) for amount in amounts] + [-1.0])
        y = names(
            "lane", sort=list(self.lanes), scale={"domain": list(self.lanes)},
            axis={"labelColor": Ink.TEXT, "labelLimit": 130, "domain": False, "grid": True},
        )  # fmt: skip
        x = number(
            "age",
            "Days before the cut-off, in steps that widen with age",
            (1.25 * last, 0.6),
            type="symlog",
            constant=1,
        )
        x["axis"] = {"values": [0, *(day for day in DAYS if day >= 1.25 * last)]}
        entity = self.labels[""]
        links, points = self._marks(amounts, entity)
        sign = names("sign", scale={"domain": ["raises", "lowers"], "range": [RAISES, LOWERS]})
        shape = names("sign", scale={"domain": ["raises", "lowers"], "range": ["triangle-up", "triangle-down"]})
        size = {"field": "size", "type": "quantitative", "legend": None, "scale": {"domain": [0, 1], "range": [40, 320]}}
        layers: list[Spec] = [
            layer(links, {"type": "line", "color": Ink.FAINT, "size": 1, "opacity": 0.6}, x=x, y=y, detail=names("link")),
            layer([{"age": 0.0, "lane": entity}], {"type": "point", "shape": "square", "filled": True, "size": 130, "color": Ink.TEXT, "opacity": 1}, x=x, y=y),
            layer(points, {"type": "point", "filled": True, "opacity": 0.9}, x=x, y=y, color=sign, shape=shape, size=size),
            layer(_apart(points), {"type": "text", "dy": -12, "color": Ink.TEXT, "fontSize": 11, "align": "right"}, x=x, y=y, text=names("label")),
        ]  # fmt: skip
        caption = (
            f"The square is {self.one.name}. It sees rows before {moment(self.one.cutoff)}, the latest to the right; those without a time stand "
            "at the right edge. Triangles up raise it, triangles down lower it, larger ones by more; lines lead to the entity."
        )
        return Figure(
            f"Rows that moved the prediction of {self.one.name}",
            caption,
            svg(420, 46 * len(self.lanes) + 20, layers),
            "wide",
        )

    def _marks(self, amounts: Sequence[Amount], entity: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Lines to the entity, over rows between where these have a lane, and points."""
        most = max(abs(amount.value) for amount in amounts)
        ages = {(a.part.table, a.part.row): self.age(a.part) for a in amounts}
        links: list[dict[str, Any]] = []
        points: list[dict[str, Any]] = []
        for number_, amount in enumerate(amounts):
            part = amount.part
            here = {"age": self.age(part), "lane": self.labels[part.table or ""]}
            key = key_text(self.material.keys(part.table or ""), part.row or 0)
            sign = "raises" if amount.value > 0 else "lowers"
            points.append({**here, "sign": sign, "size": abs(amount.value) / most, "label": unique([key], 24)[0]})
            way = [{"age": ages[step], "lane": self.labels[step[0]]} for step in part.via[:-1] if step in ages]
            links += [{**place, "link": str(number_)} for place in (here, *way, {"age": 0.0, "lane": entity})]
        return links, points


def _apart(points: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The points, the greatest first, whose labels do not cover each other."""
    where = [-float(np.log1p(-point["age"])) for point in points]
    gap = 0.3 * max(-min(where), 1.0)
    kept: list[int] = []
    for i, point in enumerate(points):
        if all(point["lane"] != points[k]["lane"] or abs(where[i] - where[k]) >= gap for k in kept):
            kept.append(i)
    return [points[i] for i in kept]


def weight(amount: Amount) -> float:
    """How much a model looks at a part: the change of its predictions where that was measured, else the size of the amount."""
    return amount.effect if np.isfinite(amount.effect) else max(amount.value, 0.0)


def by_weight(explanation: Explanation, kind: Kind) -> list[Amount]:
    """The amounts of a kind, what the model looks at most first."""
    return sorted(explanation.of(kind), key=lambda amount: -weight(amount))


def shares_of(explanation: Explanation, kind: Kind) -> dict[str, float]:
    """Label → share of the sum of all weights of a kind, the greatest first."""
    amounts = by_weight(explanation, kind)
    total = sum(weight(amount) for amount in amounts)
    return {amount.part.label: weight(amount) / total if total else 0.0 for amount in amounts}
