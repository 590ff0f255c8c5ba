"""Explanations in notebooks: a value that shows itself, from a finished run or a kept model."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pandas as pd

from relbench_harness.errors import InputError, nearest
from relbench_harness.explain.explanation import KINDS, Explanation
from relbench_harness.explaining.about_model import headline, said
from relbench_harness.explaining.fitted import Fitted, fitted_in
from relbench_harness.explaining.found_out import View, found_out
from relbench_harness.explaining.material import Material
from relbench_harness.explaining.page import parts_of, write_page
from relbench_harness.models.keep import Keeping
from relbench_harness.models.model import Model, load_model
from relbench_harness.site.publish import check_extra
from relbench_harness.trial.html_table import html_table
from relbench_harness.trial.prose import prose


@dataclass(frozen=True, repr=False)
class Explained:
    """What a fitted method looks at.

    Attributes:
        material: All that was found out, as values.
    """

    material: Material

    def __repr__(self) -> str:
        return f"<{headline(self.material).replace('`', '')}>"

    @property
    def model(self) -> dict[str, Explanation]:
        """Way → explanation of the model as a whole."""
        return dict(self.material.model)

    @property
    def rows(self) -> list[Explanation]:
        """The explanation of each chosen prediction."""
        return [one.found for one in self.material.ones]

    @property
    def sql(self) -> str:
        """One query of a few columns that reproduce the answers, for every entity as of the latest validation cut-off.

        Raises:
            InputError: Few columns reproduce nothing, or the answers as SQL were not looked for.
        """
        if self.material.distilled is None:
            raise InputError(
                "no few columns reproduce the answers" if self.material.is_distilled else "the level 'sql' was left out"
            )
        return self.material.distilled.runnable

    def table(self, kind: str = "column") -> pd.DataFrame:
        """Amounts of one kind of parts of the model: columns way, part, value, low, high, effect."""
        if kind not in KINDS:
            raise InputError(f"no kind of parts {kind!r}; {nearest(kind, KINDS)}")
        found = [
            {"way": way, "part": a.part.label, "value": a.value, "low": a.low, "high": a.high, "effect": a.effect}
            for way, one in self.material.model.items()
            for a in one.of(kind)
        ]
        return pd.DataFrame(found, columns=["way", "part", "value", "low", "high", "effect"])

    def save(self, path: str | Path) -> Path:
        """Writes the page."""
        return write_page(self.material, Path(path))

    def _repr_html_(self) -> str:
        lines = [*said(self.material), *self.material.doubts]
        shown = [
            f"<p><b>{prose(headline(self.material))}</b></p><ul>{''.join(f'<li>{prose(one)}</li>' for one in lines)}</ul>"
        ]
        for part in parts_of(self.material):
            shown += [f"<h4>{escape(part.title)}</h4>", *(f"<p>{prose(one)}</p>" for one in part.said)]
            shown += [*(html_table(table) for table in part.tables), *(str(figure.svg) for figure in part.figures)]
            shown += [f"<p>{prose(step.why)}</p><pre>{escape(step.command)}</pre>" for step in part.steps]
        return "".join(shown)


def explain_model(
    model: Model | str | Path, examples: Sequence[str] = (), count: int = 3, level: View | None = None
) -> Explained:
    """What a kept model, or the one in a folder, looks at.

    Args:
        examples: KEY@TIME of predictions to explain, by the source's keys; `count` of different height where empty.
        level: `model`, `rows` or `sql` where only one is wanted.

    Raises:
        InputError: There is no such model or example, or the task recommends items.
    """
    check_extra()
    opened = model if isinstance(model, Model) else load_model(model)
    return explained(fitted_in(opened), examples, count, level)


def explain_run(keeping: Keeping, examples: Sequence[str], count: int, level: View | None) -> Explained:
    """As `explain_model`, of a run that has just ended."""
    with tempfile.TemporaryDirectory() as folder:
        keeping.write(Path(folder) / "model")
        return explain_model(Path(folder) / "model", examples, count, level)


def explained(fitted: Fitted, examples: Sequence[str], count: int, level: View | None) -> Explained:
    return Explained(found_out(fitted, level, examples, count))
