"""Sentences in which words between backticks are code, as HTML."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from relbench_harness.board.plain_text import printable

CODE = re.compile(r"`([^`\n]+)`")


def prose(text: str) -> Markup:
    """A sentence as HTML: what stands between backticks is code, all else is text."""
    return Markup(CODE.sub(lambda found: f"<code>{found[1]}</code>", str(escape(printable(text)))))
