"""The parts of a page about single predictions: rows with sign and amount, as sentences, as a graph and as a table."""

from __future__ import annotations

from collections.abc import Iterator

from relbench_harness.explain.explanation import Explanation
from relbench_harness.explain.listing import row_listing
from relbench_harness.explaining.contrast_sentences import contrast_sentences
from relbench_harness.explaining.material import Material, One, moment
from relbench_harness.explaining.pictures import row_graph
from relbench_harness.explaining.sentences import NONE_OF_IT, code, sentences
from relbench_harness.site.tables import Cell, Column, Table, quantity
from relbench_harness.site.words import NOTHING, counted, fixed, span
from relbench_harness.trial.parts import Part, plain

MOST_ROWS = 20


def about_rows(material: Material) -> list[Part]:
    """A part of the page for each explained prediction."""
    return [_part(material, one, place) for place, one in enumerate(material.ones, 1)]


def _part(material: Material, one: One, place: int) -> Part:
    figure = row_graph(material, one)
    label = "" if one.label is None else f"; what came is {fixed(one.label, 3)}"
    head = f"The prediction, {one.why}, is {fixed(one.found.prediction, 3)}{label}."
    said = list(sentences(material, one.found)) or ["No row that was tried moves it."]
    said += _together(one.found)
    said += [] if one.contrast is None else contrast_sentences(material, one.contrast)
    tables = [_rows(material, one)] if any(abs(a.value) > NONE_OF_IT for a in one.found.of("row")) else []
    groups = _groups(one.found)
    return Part(
        f"example-{place}",
        f"{material.entity_table}: {one.name}",
        (head, *said),
        (*tables, *([groups] if groups is not None else [])),
        () if figure is None else (figure,),
        after=tuple(_how(one.found)),
    )


def _rows(material: Material, one: One) -> Table:
    amounts = one.found.of("row")
    listed = row_listing(one.found, material.keys).to_pylist()
    moving = [(row, a.part.time) for row, a in zip(listed, amounts, strict=True) if abs(a.value) > NONE_OF_IT]
    columns = (
        Column("Table"), Column("Key"), Column("Time"), Column("Amount", True, "The difference that the row makes to the prediction"),
        Column("95 % interval", True, "Of the sampling, where Shapley values were sampled"), Column("Keys away", True), Column("Way to the entity"),
    )  # fmt: skip
    rows = [
        (
            Cell(row["table"]), Cell(row["key"]), Cell(NOTHING if time is None else moment(time)), _signed(row["amount"]),
            Cell(span(row["low"], row["high"]), row["low"]), quantity(float(row["keys away"])), Cell(row["way"]),
        )
        for row, time in moving[:MOST_ROWS]
    ]  # fmt: skip
    still = len(amounts) - len(moving)
    notes = (
        (f"{counted(still, 'more row')} that {'was' if still == 1 else 'were'} tried did not move it.",) if still else ()
    )
    return plain("Rows that moved the prediction", columns, rows, notes)


def _together(explanation: Explanation) -> Iterator[str]:
    """The path whose rows move the prediction most when all are removed."""
    for path in explanation.of("path")[:1]:
        if abs(path.value) > NONE_OF_IT:
            verb = "raise" if path.value > 0 else "lower"
            yield f"All rows on the path {code(path.part.label)} together {verb} it by {fixed(abs(path.value), 3)}."


def _groups(explanation: Explanation) -> Table | None:
    """All rows of a path, a table or an age removed together."""
    kinds = {"path": "path", "table": "table", "age": "age"}
    amounts = [(word, one) for kind, word in kinds.items() for one in explanation.of(kind) if one.value][:MOST_ROWS]  # type: ignore[arg-type]
    if not amounts:
        return None
    rows = [(Cell(word), Cell(one.part.label), _signed(one.value)) for word, one in amounts]
    columns = (Column("All rows of a"), Column("Which"), Column("Amount together", True))
    return plain("Rows removed together", columns, rows)


def _signed(value: float) -> Cell:
    return Cell(("+" if value > 0 else "") + fixed(value), value)


def _how(explanation: Explanation) -> Iterator[str]:
    """Notes of how it was made."""
    notes = explanation.notes
    tried = len(explanation.of("row"))
    around = int(str(notes.get("rows around", 0)))
    yield (
        f"{counted(tried, 'row')} of {around:,} around the entity were removed one at a time, chosen by {notes.get('first pass')}; of the "
        f"{notes.get('sampled')} that moved the answer most amounts are Shapley values over {notes.get('orders')} orders."
    )
    yield (
        "Rows were removed from copies of what the example sees, which get the same answer as the database."
        if notes.get("copied")
        else "No copy of what the example sees gets the same answer, so rows were removed from the whole database."
    )
