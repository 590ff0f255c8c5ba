"""Suggested queries as Markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from relbench_harness.authoring.suggestions import Suggestion


def written(found: Sequence[Suggestion], form: str) -> str:
    """`found` as text that ends in a line break.

    Args:
        form: md, csv or json.
    """
    if form == "md":
        return "\n".join([*_table(found), "", "```", *(one.command for one in found), "```", ""])
    rows = [_row(one) for one in found]
    if form == "json":
        return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
    with io.StringIO(newline="") as file:
        writer = csv.DictWriter(file, rows[0] if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return file.getvalue()


def _row(one: Suggestion) -> dict[str, Any]:
    return {
        "task": f"{one.dataset}/{one.name}",
        "kind": one.kind,
        "query": one.query,
        "eval_timestamps": one.eval_timestamps,
        "type": one.task_type,
        "window": one.window,
        "labels": one.rate,
        "train": one.examples["train"],
        "val": one.examples["val"],
        "test": one.examples["test"],
        "first": str(one.first),
        "last": str(one.last),
        "past_labels": None if one.past_labels is None else round(one.past_labels, 4),
        "score": round(one.score, 4),
        "command": one.command,
    }


def _table(found: Sequence[Suggestion]) -> list[str]:
    lines = ["| | kind | query | labels | train, val, test | from, to | past labels |", "|---|---|---|---|---|---|---|"]
    for number, one in enumerate(found, 1):
        counts = ", ".join(f"{count:,}" for count in one.examples.values())
        past = "" if one.past_labels is None else f"{one.past_labels:.3f}"
        cells = [number, one.kind, f"`{one.query}`", one.rate, counts, f"{one.first:%Y-%m-%d}, {one.last:%Y-%m-%d}", past]
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return lines
