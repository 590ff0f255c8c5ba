"""An explanation as a page that needs nothing else.

Invariant: every value is text to the template but for charts, whose making ends in `drawing.svg`; nothing is fetched.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from jinja2 import ChoiceLoader, PackageLoader
from markupsafe import Markup

from relbench_harness.data.writing import write_whole
from relbench_harness.explaining.about_cohorts import about_cohorts
from relbench_harness.explaining.about_model import about_model, headline, said
from relbench_harness.explaining.about_rows import about_rows
from relbench_harness.explaining.material import Material
from relbench_harness.site.pages import environment
from relbench_harness.trial.parts import Part
from relbench_harness.trial.prose import prose


def parts_of(material: Material) -> list[Part]:
    """In the order in which they are read."""
    return [*about_model(material), *about_cohorts(material.cohorts), *about_rows(material)]


def page(material: Material) -> str:
    """The whole page, its style sheet and its script within."""
    templates = environment()
    templates.loader = ChoiceLoader(
        [
            PackageLoader("relbench_harness.explaining"),
            PackageLoader("relbench_harness.trial"),
            PackageLoader("relbench_harness.site"),
        ]
    )
    templates.filters["prose"] = prose
    folder = files("relbench_harness.site") / "templates"
    style, script = (Markup((folder / name).read_text(encoding="utf-8")) for name in ("style.css", "tables.js"))
    given = {
        "headline": headline(material),
        "said": list(said(material)),
        "parts": parts_of(material),
        "material": material,
    }
    return templates.get_template("explanation.html").render(style=style, script=script, **given)


def write_page(material: Material, path: Path) -> Path:
    write_whole(path, page(material))
    return path
