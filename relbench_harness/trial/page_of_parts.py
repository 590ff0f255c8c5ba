"""Pages made of parts: one file each, with the style and script of sites within.

Invariant: every value is text, and nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files

from jinja2 import ChoiceLoader, PackageLoader
from markupsafe import Markup

from relbench_harness.site.pages import environment
from relbench_harness.trial.parts import Part
from relbench_harness.trial.prose import prose

ROOMS = ("relbench_harness.trial", "relbench_harness.explaining", "relbench_harness.site")
"""Packages whose templates are looked through, in this order."""


def page_of_parts(template: str, said: Iterable[str], parts: Sequence[Part], **given: object) -> str:
    """The whole page.

    Args:
        template: The name of one that extends `parts_page.html`.
        said: What stands above the parts, a sentence each.
        given: What else the template shows.
    """
    templates = environment()
    templates.loader = ChoiceLoader([PackageLoader(room) for room in ROOMS])
    templates.filters["prose"] = prose
    folder = files("relbench_harness.site") / "templates"
    style, script = (Markup((folder / name).read_text(encoding="utf-8")) for name in ("style.css", "tables.js"))
    made: str = templates.get_template(template).render(style=style, script=script, said=list(said), parts=parts, **given)
    return made
