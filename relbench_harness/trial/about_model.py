"""The part of a report about what the best model looks at: columns and tables, by one cheap way."""

from __future__ import annotations

from relbench_harness.explain.explanation import Explanation, Kind
from relbench_harness.explaining.pictures import by_weight, share_plot, shares_of, weight
from relbench_harness.site.tables import Cell, Column, Table
from relbench_harness.trial.facts import Trial
from relbench_harness.trial.parts import Part, plain, share

MOST = 10
HOW = {
    "contributions": "the mean size of what the features that rest on it add to the margin (SHAP values)",
    "gradients": "the mean size of gradient × input, a guess of first order",
    "ablation": "how far predictions move on average when its values are exchanged among rows, or its rows are hidden",
}


def looking(trial: Trial) -> Part | None:
    """Top columns and tables of the proposed method; None where it was not explained."""
    found, title = trial.looked_at, f"What {trial.proposed} looks at"
    if found is None:
        return None
    if isinstance(found, str):
        return Part("looking", title, (f"It could not be explained: {found}",))
    kinds: tuple[Kind, ...] = ("column", "table")
    tables = tuple(_table(found, kind) for kind in kinds if found.of(kind))
    figure = share_plot(title, {found.algorithm: shares_of(found, "column" if found.of("column") else "table")})
    said = f"By {found.algorithm}, over {found.notes.get('examples')} validation examples: {HOW[found.algorithm]}. It says what the fitted model uses, not what causes what."
    return Part("looking", title, (said,), tables, () if figure is None else (figure,))


def _table(found: Explanation, kind: Kind) -> Table:
    shares = shares_of(found, kind)
    amounts = [one for one in by_weight(found, kind) if weight(one) > 0][:MOST]
    rows = [(Cell(one.part.label), share(shares[one.part.label])) for one in amounts]
    return plain(
        f"{kind.capitalize()}s by {found.algorithm}", (Column(kind.capitalize()), Column("Share of importance", True)), rows
    )
