"""Charts as SVG that stands in a page: drawn by Vega-Lite, without script, coloured by the page's style sheet.

Invariant: what comes out holds shapes and text alone, whatever the data say. Colours are those of `Ink`, which the style sheet
replaces in dark mode by their value, so each means one thing on every chart.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import vl_convert
from markupsafe import Markup

from relbench_harness.board.plain_text import printable

Spec = dict[str, Any]
"""A piece of Vega-Lite."""
SVG: Final = "http://www.w3.org/2000/svg"
SHAPES = frozenset({"svg", "g", "path", "line", "rect", "text"})
KEPT = frozenset(
    {
        *("d", "fill", "fill-opacity", "font-size", "font-weight", "height", "opacity", "stroke", "stroke-dasharray"),
        *("stroke-linecap", "stroke-linejoin", "stroke-miterlimit", "stroke-opacity", "stroke-width", "text-anchor"),
        *("transform", "viewBox", "width", "x", "x1", "x2", "y", "y1", "y2"),
    }
)
"""Attributes that shapes keep."""


class Ink:
    """Colours of charts: the palette of Okabe and Ito, and greys."""

    TEXT = "#1f2328"
    FAINT = "#59636e"
    GRID = "#e3e8ed"
    BLUE = "#0072b2"
    GROUPS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
    PUBLISHED = "#d55e00"
    SHARES = ("#f2b680", "#f9dfc4", "#f1f3f5", "#cfe4f3", "#93c4e6")
    """From losing to winning."""


CONFIG: Spec = {
    "background": "transparent",
    "font": "system-ui",
    "padding": 4,
    "view": {"stroke": None},
    "axis": {
        "labelColor": Ink.FAINT, "titleColor": Ink.FAINT, "gridColor": Ink.GRID, "domainColor": Ink.GRID, "tickColor": Ink.GRID,
        "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "titlePadding": 8, "labelPadding": 5, "tickSize": 0,
    },
    "legend": {
        "labelColor": Ink.TEXT, "labelFontSize": 12, "title": None, "orient": "bottom", "columns": 2, "labelLimit": 150,
        "symbolSize": 60,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """A chart with what is said of it.

    Attributes:
        title: What it shows.
        caption: How to read it.
        shape: `wide` takes a row of the page, and scrolls in its box where that is narrower; `tall` takes two rows.
    """

    title: str
    caption: str
    svg: Markup
    shape: Literal["", "wide", "tall"] = ""


def svg(width: float, height: float, layers: Sequence[Spec]) -> Markup:
    """Layers drawn over each other, as an SVG element without scripts, links and identifiers."""
    chart = _printable({"width": width, "height": height, "layer": list(layers), "config": CONFIG})
    root = ET.fromstring(vl_convert.vegalite_to_svg(chart))
    _plain(root)
    ET.register_namespace("", SVG)
    return Markup(ET.tostring(root, encoding="unicode"))


def _printable(spec: Any) -> Any:
    """`spec` with every text in it on one line of signs that can be drawn.

    The package for drawing ends the process at a control sign, and fails where it cuts a sign beyond U+FFFF in two.
    """
    if isinstance(spec, str):
        return " ".join("".join(sign if sign <= "\uffff" else "\ufffd" for sign in printable(spec)).split())
    if isinstance(spec, Mapping):
        return {key: _printable(inner) for key, inner in spec.items()}
    return [_printable(inner) for inner in spec] if isinstance(spec, list | tuple) else spec


def _plain(element: ET.Element) -> None:
    """Leaves nothing but visible shapes and text."""
    for child in list(element):
        tag = child.tag.removeprefix(f"{{{SVG}}}")
        hidden = child.get("display") == "none" or child.get("class") == "background"
        if tag not in SHAPES or (hidden and not len(child)):
            element.remove(child)
        else:
            _plain(child)
    for name in [name for name in element.attrib if name not in KEPT]:
        del element.attrib[name]


def layer(rows: Sequence[Mapping[str, Any]], mark: Spec, **encoding: Spec) -> Spec:
    """Marks for `rows`."""
    return {"data": {"values": list(rows)}, "mark": mark, "encoding": encoding}


def number(name: str, title: str | None = None, domain: tuple[float, float] | None = None, **scale: Any) -> Spec:
    """The encoding of a numeric column."""
    given = {"zero": False, **({"domain": list(domain), "nice": False} if domain else {}), **scale}
    return {"field": name, "type": "quantitative", "title": title, "scale": given}


def names(name: str, **more: Any) -> Spec:
    """The encoding of a column of names, which are never read as an expression."""
    return {"field": name, "type": "nominal", "title": None, **more}


def unique(labels: Sequence[str], most: int = 30) -> list[str]:
    """The names as labels: no longer than `most`, and no two alike."""
    found: list[str] = []
    for name in labels:
        plain = " ".join(printable(name).split())
        short = plain if len(plain) <= most else plain[: most - 1] + "…"
        label, again = short, 2
        while label in found:
            label, again = f"{short} ({again})", again + 1
        found.append(label)
    return found
