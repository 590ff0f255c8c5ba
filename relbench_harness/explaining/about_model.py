"""The parts of a page about the model: which columns, tables, paths, hops and ages it rests on, by each way and how far these agree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from relbench_harness.explain.explanation import Amount, Explanation, Kind
from relbench_harness.explain.faithfulness import agreement
from relbench_harness.explaining.material import Material
from relbench_harness.explaining.pictures import by_weight, share_plot, shares_of, weight
from relbench_harness.explaining.sentences import code
from relbench_harness.site.drawing import Figure
from relbench_harness.site.tables import Cell, Column, Table
from relbench_harness.site.words import counted, fixed, metric_name, span
from relbench_harness.trial.parts import Part, plain

TITLES: Mapping[Kind, str] = {
    "column": "Columns",
    "table": "Tables",
    "path": "Paths",
    "hop": "Hops",
    "age": "Ages of rows",
    "other": "What is no table's",
}
MEANS: Mapping[Kind, str] = {
    "column": "Its values are exchanged among rows of similar time; of a foreign key, which rows belong to whom.",
    "table": "All of its rows are hidden.",
    "path": "By ablation a foreign key names nobody; contributions and gradients are of rows reached on the path from the entity.",
    "hop": "Foreign keys between the rows and the entity.",
    "age": "Rows of an age before each example's cut-off are hidden.",
    "other": "The time of the example, past labels, features of unknown origin.",
}
MOST = 15


def headline(material: Material) -> str:
    """What counts most, in one sentence."""
    best = _first(material)
    if best is None:
        return f"What {code(material.method)} looks at in {code(material.task)}"
    return f"On {code(material.task)}, {code(material.method)} rests on {code(best.part.label)} most"


def _first(material: Material) -> Amount | None:
    """The column that the first way finds to be looked at most."""
    for explanation in material.model.values():
        found = by_weight(explanation, "column")
        return found[0] if found and weight(found[0]) > 0 else None
    return None


def said(material: Material) -> Iterator[str]:
    """The first column in figures, and what each way's amounts are."""
    best = _first(material)
    explanation = next(iter(material.model.values()), None)
    if best is not None and explanation is not None:
        with_it = f"With the values of {code(best.part.label)} exchanged, predictions change by {fixed(best.effect, 3)} on average"
        if explanation.unit == "prediction":
            yield f"{with_it}."
        else:
            loss = f"{metric_name(explanation.unit)} loses {fixed(best.value, 3)} ({span(best.low, best.high, 3)})"
            yield f"{with_it}, and {loss}{'' if best.low > 0 else ': that it helps is not shown'}."
    for way, one in material.model.items():
        yield f"{way.capitalize()}: {_unit(one)}, over {counted(int(str(one.notes.get('examples', material.examples))), 'validation example')}."


def _unit(one: Explanation) -> str:
    if one.algorithm == "ablation":
        return (
            "what the predictions change by"
            if one.unit == "prediction"
            else f"what {metric_name(one.unit)} loses when the part is taken away"
        )
    if one.algorithm == "contributions":
        return "the mean size of what the part adds to the margin (SHAP values of features, mapped back)"
    return "the mean size of gradient × input in the margin, a guess of first order"


def about_model(material: Material) -> list[Part]:
    """A part of the page for each kind that some way knows."""
    return [part for kind in TITLES if (part := _of_kind(material, kind)) is not None]


def _of_kind(material: Material, kind: Kind) -> Part | None:
    by_way = {way: one for way, one in material.model.items() if one.of(kind)}
    if not by_way:
        return None
    sentences = [MEANS[kind], *_agreement(by_way, kind)]
    tables = tuple(_table(way, one, kind) for way, one in by_way.items())
    figure = None if kind == "other" else _figure(by_way, kind)
    return Part(f"model-{kind}", TITLES[kind], tuple(sentences), tables, () if figure is None else (figure,))


def _figure(by_way: Mapping[str, Explanation], kind: Kind) -> Figure | None:
    ways = dict(list(by_way.items())[:1]) if kind == "path" else by_way
    return share_plot(f"{TITLES[kind]}: shares of importance", {way: shares_of(one, kind) for way, one in ways.items()})


def agreements(by_way: Mapping[str, Explanation], kind: Kind) -> Iterator[tuple[str, str, float, int]]:
    """How alike the ways rank the parts that the first of them knows; a part that another does not name counts as 0 there.

    Gives the two ways, the rank correlation, and over how many parts; nothing where it is not defined.
    """
    ways = list(by_way.items())
    for name, other in ways[1:]:
        first = {one.part.label: weight(one) for one in ways[0][1].of(kind)}
        second = {one.part.label: weight(one) for one in other.of(kind)}
        labels = [label for label in first if label in second or kind in ("column", "table")]
        found = (
            agreement([first[one] for one in labels], [second.get(one, 0.0) for one in labels])
            if len(labels) > 2
            else math.nan
        )
        if math.isfinite(found):
            yield ways[0][0], name, found, len(labels)


def _agreement(by_way: Mapping[str, Explanation], kind: Kind) -> Iterator[str]:
    for first, second, found, parts in agreements(by_way, kind):
        yield f"{first.capitalize()} and {second} agree with a rank correlation of {fixed(found, 2)} over {counted(parts, 'part')}."


def _table(way: str, one: Explanation, kind: Kind) -> Table:
    amounts = by_weight(one, kind)
    shares = shares_of(one, kind)
    has_effect = any(math.isfinite(a.effect) for a in amounts)
    columns = [
        Column("Part"),
        *_where(kind),
        Column(f"By {way}", True, _unit(one)),
        Column("95 % interval", True),
        Column("Share", True),
    ]
    columns += [Column("Change of predictions", True, "Mean absolute change")] if has_effect else []
    shown = [a for a in amounts if a.value or weight(a) > 0][:MOST]
    rows = []
    for a in shown:
        cells = [Cell(a.part.label), *_cells(a, kind), Cell(fixed(a.value), a.value), Cell(span(a.low, a.high), a.low)]
        share = shares[a.part.label]
        cells.append(Cell(f"{share:.1%}", share))
        rows.append(tuple(cells + ([Cell(fixed(a.effect), a.effect)] if has_effect else [])))
    zero = sum(1 for a in amounts if not a.value and not weight(a) > 0)
    left = len(amounts) - len(shown) - zero
    notes = [f"{counted(left, 'more part')} with smaller amounts."] if left > 0 else []
    notes += [f"Of importance exactly 0: {counted(zero, 'more part')}."] if zero else []
    return plain(f"{TITLES[kind]} by {way}", tuple(columns), rows, tuple(notes))


def _where(kind: Kind) -> tuple[Column, ...]:
    return (Column("Table"), Column("Keys away", True)) if kind == "path" else ()


def _cells(amount: Amount, kind: Kind) -> tuple[Cell, ...]:
    hop = amount.part.hop
    away = Cell("–" if hop is None else str(hop), math.nan if hop is None else float(hop))
    return (Cell(amount.part.table or "–"), away) if kind == "path" else ()
