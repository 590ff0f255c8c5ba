"""The part of a page about the answers as SQL: a few columns, how much of the answers they reproduce, and their queries."""

from __future__ import annotations

from collections.abc import Iterator

from relbench_harness.explain.distilled import Distilled
from relbench_harness.explaining.material import Material
from relbench_harness.explaining.sentences import code
from relbench_harness.site.tables import Cell, Column, Table
from relbench_harness.site.words import counted, fixed, percent, span
from relbench_harness.trial.parts import Part, Step, plain, share

MOST, HALF = 0.8, 0.5
"""R² from which columns reproduce most of the answers, and below which they reproduce little."""
LOOSE = 0.3
"""An interval as wide as this is said to be."""
KEY, TITLE = "sql", "The answers as SQL"


def about_sql(material: Material) -> list[Part]:
    """One part; nothing where answers as SQL were not looked for."""
    if not material.is_distilled:
        return []
    found = material.distilled
    if found is None:
        said = "No few columns reproduce these answers: too few entities are answered, all answers are alike, or no column goes with them."
        return [Part(KEY, TITLE, (said,))]
    steps = [Step("All columns in one query that runs on the tables as they are, a line per entity.", found.runnable)]
    given = f"Each column alone. {code(found.seeds)} is a relation with `seed` (a number), `entity` (the key) and `cutoff` of each example."
    for number, one in enumerate(found.columns):
        steps.append(Step(f"{given if not number else ''} {code(one.name)}:".strip(), one.sql))
    return [
        Part(KEY, TITLE, tuple(sentences(material, found)), (_table(found),), steps=tuple(steps), after=tuple(_how(found)))
    ]


def sentences(material: Material, found: Distilled) -> Iterator[str]:
    """How faithful the columns are, first and plainly."""
    fidelity = found.fidelity
    columns = counted(len(found.columns), "column")
    what = "log odds" if found.unit == "margin" else "predictions"
    measured = (
        f"R² is {fixed(fidelity.r2, 2)} ({span(fidelity.low, fidelity.high, 2)}) and the rank correlation {fixed(fidelity.rank, 2)} "
        f"with its {what}, over {counted(fidelity.examples, 'example')} of {counted(fidelity.entities, 'entity', 'entities')} that neither the trees "
        "nor the choice of columns have seen"
    )
    if fidelity.r2 >= MOST:
        yield f"{columns} reproduce most of what {code(material.method)} answers: {measured}."
    elif fidelity.r2 >= HALF:
        yield f"{columns} reproduce a part of what {code(material.method)} answers, not all: {measured}."
    else:
        yield f"{columns} reproduce little of what {code(material.method)} answers, and are not to be taken for it: {measured}."
    if fidelity.high - fidelity.low > LOOSE:
        yield "With so few entities the figure is loose."
    yield f"All {found.tried:,} columns that were tried reach an R² of {fixed(found.of_all, 2)}; what is missing there lies outside of them."


def _table(found: Distilled) -> Table:
    columns = (
        Column("Column"), Column("Share of gain", True, "Of the gain of the trees"),
        Column("R² gained", True, "On the entities by which columns are chosen, when the column was added"),
        Column("Goes with the answer", True, "Spearman's correlation of its values with the answers"),
    )  # fmt: skip
    rows = [
        (
            Cell(one.name),
            share(one.share),
            Cell(fixed(one.gained, 3), one.gained),
            Cell(fixed(one.direction, 2), one.direction),
        )
        for one in found.columns
    ]
    return plain("Columns that reproduce the answers", columns, rows)


def _how(found: Distilled) -> Iterator[str]:
    gained = percent(sum(one.gained for one in found.columns))
    yield (
        f"Boosted trees learn the method's answers to training and validation examples from window aggregates of rows on foreign-key paths below the "
        f"entity, its own values and those of its parents; columns are added while R² rises ({gained} of the variance where they were chosen). Rows of "
        "other entities and past labels are not among them."
    )
