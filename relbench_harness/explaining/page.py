"""An explanation as a page that needs nothing else.

Invariant: every value is text to the template but for charts, whose making ends in `drawing.svg`; nothing is fetched.
"""

from __future__ import annotations

from pathlib import Path

from relbench_harness.data.writing import write_whole
from relbench_harness.explaining.about_cohorts import about_cohorts
from relbench_harness.explaining.about_model import about_model, headline, said
from relbench_harness.explaining.about_rows import about_rows
from relbench_harness.explaining.about_sql import about_sql
from relbench_harness.explaining.material import Material
from relbench_harness.trial.page_of_parts import page_of_parts
from relbench_harness.trial.parts import Part


def parts_of(material: Material) -> list[Part]:
    """In the order in which they are read."""
    return [
        *about_model(material),
        *about_cohorts(material.cohorts, material.by_distance),
        *about_sql(material),
        *about_rows(material),
    ]


def page(material: Material) -> str:
    """The whole page, its style sheet and its script within."""
    parts = parts_of(material)
    return page_of_parts("explanation.html", said(material), parts, headline=headline(material), material=material)


def write_page(material: Material, path: Path) -> Path:
    write_whole(path, page(material))
    return path
