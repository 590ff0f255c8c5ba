"""Charts as SVG that stands in a page: drawn by Vega-Lite, without script, coloured by the page's style sheet.

Invariant: what comes out holds shapes and text alone, whatever the data say. Colours are those of `Ink`, which the style sheet
replaces in dark mode by their value, so each means one thing on every chart.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import altair as alt
import vl_convert
from markupsafe import Markup

from relbench_harness.site.words import printable

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


@dataclass(frozen=True)
class Figure:
    """A chart with what is said of it.

    Attributes:
        title: What it shows.
        caption: How to read it.
        wide: Whether it needs more room than a phone has; it scrolls in its box there.
    """

    title: str
    caption: str
    svg: Markup
    wide: bool = False


def svg(chart: Any) -> Markup:
    """`chart` as an SVG element without scripts, links and identifiers."""
    styled = chart.configure(background="transparent", font="system-ui", padding=4)
    styled = styled.configure_view(stroke=None).configure_axis(
        labelColor=Ink.FAINT, titleColor=Ink.FAINT, gridColor=Ink.GRID, domainColor=Ink.GRID, tickColor=Ink.GRID,
        labelFontSize=12, titleFontSize=12, titleFontWeight="normal", titlePadding=8, labelPadding=5, tickSize=0,
    )  # fmt: skip
    styled = styled.configure_legend(
        labelColor=Ink.TEXT, labelFontSize=12, title=None, orient="bottom", columns=2, labelLimit=150, symbolSize=60
    )
    root = ET.fromstring(vl_convert.vegalite_to_svg(styled.to_dict()))
    _plain(root)
    width, height = root.get("width"), root.get("height")
    root.set("viewBox", root.get("viewBox") or f"0 0 {width} {height}")
    ET.register_namespace("", SVG)
    return Markup(ET.tostring(root, encoding="unicode"))


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


def data(rows: Sequence[Mapping[str, Any]]) -> alt.Data:
    """Rows for a chart, their text printable."""
    return alt.Data(values=[{k: printable(v) if isinstance(v, str) else v for k, v in row.items()} for row in rows])


def number(name: str, title: str | None, domain: tuple[float, float] | None = None, **scale: Any) -> dict[str, Any]:
    """The encoding of a numeric column with an axis."""
    given: dict[str, Any] = {"zero": False, **({"domain": list(domain), "nice": False} if domain else {}), **scale}
    return {"field": name, "type": "quantitative", "title": title, "scale": alt.Scale(**given)}


def unique(names: Sequence[str], most: int = 30) -> list[str]:
    """The names as labels: no longer than `most`, and no two alike."""
    found: list[str] = []
    for name in names:
        plain = " ".join(printable(name).split())
        short = plain if len(plain) <= most else plain[: most - 1] + "…"
        label, again = short, 2
        while label in found:
            label, again = f"{short} ({again})", again + 1
        found.append(label)
    return found
