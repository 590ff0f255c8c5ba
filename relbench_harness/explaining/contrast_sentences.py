"""What would have to be otherwise for another prediction, in sentences with the keys, columns and values of the source."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from relbench_harness.explain.contrast import Contrast, RowsGone, ValuesReplaced
from relbench_harness.explain.explanation import Part
from relbench_harness.explaining.material import Material, key_text, moment
from relbench_harness.explaining.sentences import code, short
from relbench_harness.site.words import counted, fixed

MEDIAN = "the median of validation"


def contrast_sentences(material: Material, found: Contrast, threshold: str = MEDIAN) -> Iterator[str]:
    """One sentence for rows and one for values where they are enough, else one that says that neither is.

    Args:
        threshold: What the threshold is.
    """
    if found.rows is not None:
        yield f"{_without(material, found.rows)} the prediction would be {_answer(found, found.rows.answer, threshold)}."
    if found.values is not None:
        yield f"{_with(material, found.values)}, the prediction would be {_answer(found, found.values.answer, threshold)}."
    if found.rows is None and found.values is None:
        goal = (
            f"by {fixed(found.amount, 3)}"
            if math.isnan(found.threshold)
            else f"to the other side of {fixed(found.threshold, 3)}, {threshold}"
        )
        reached = "" if math.isnan(found.farthest) else f"; the farthest that it went is {fixed(found.farthest, 3)}"
        yield f"Neither a few of its rows nor one or two of its columns that were tried move the prediction {goal}{reached}."


def _answer(found: Contrast, answer: float, threshold: str) -> str:
    if math.isnan(found.threshold):
        return f"{fixed(answer, 3)} instead of {fixed(found.prediction, 3)}"
    side = "below" if answer < found.threshold else "above"
    return f"{fixed(answer, 3)}, {side} {fixed(found.threshold, 3)}, {threshold}"


def _without(material: Material, gone: RowsGone) -> str:
    texts = [_row(material, part) for part in gone.rows]
    return f"Without {_and(texts)}"


def _row(material: Material, part: Part) -> str:
    keys = key_text(material.keys(part.table or ""), part.row or 0)
    day = "" if part.time is None else f" of {moment(part.time)}"
    return f"the row {code(keys)} of {code(part.table or '')}{day}"


def _with(material: Material, values: ValuesReplaced) -> str:
    texts = []
    for (table, column, path), count, before, after in zip(
        values.places, values.counts, values.before, values.after, strict=True
    ):
        name = code(f"{table}.{column}")
        if count == 1:
            texts.append(f"{name} {code(short(after) or 'missing')} in the place of {code(short(before) or 'missing')}")
        else:
            texts.append(f"other values of {name} in {counted(count, 'row')} on the path {code(path)}")
    who = key_text(material.keys(material.entity_table), values.entity)
    return f"With {_and(texts)}, as {code(who)} had at {moment(values.time)}"


def _and(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
