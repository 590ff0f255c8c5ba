"""What about an explanation gives cause for doubt in the model or the data, a sentence each.

Invariant: nothing here says that something is wrong; each sentence names the figure that it rests on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from relbench_harness.authoring.check import check_dataset
from relbench_harness.authoring.findings import Finding
from relbench_harness.explain.ablation import Ablation
from relbench_harness.explain.explanation import Explanation
from relbench_harness.explaining.fitted import Fitted
from relbench_harness.explaining.pictures import by_weight, shares_of, weight
from relbench_harness.explaining.sentences import code
from relbench_harness.site.words import fixed, metric_name, percent, span

DOMINATES = 0.5
EDGE = 0.5
NOTABLE = 0.1
GONE = 0.2
"""On validation a column is worth at most so much of what it is worth on training."""
MOST_TRAINED = 300
TOP = 10
MOST_FINDINGS = 12


def doubts(fitted: Fitted, found: Explanation) -> tuple[str, ...]:
    """Warnings about a model that `found`, by ablation, explains."""
    trained = Ablation(kinds=("column",), repeats=1, most=MOST_TRAINED)
    (before,) = trained.explain(fitted.predictor, fitted.stages.examples("train"))
    checked = check_dataset(fitted.dataset.address, (fitted.stages.task.name,))
    return (*dominating(found), *at_the_edge(found), *gone(before, found), *findings(checked.findings, found))


def dominating(found: Explanation) -> Iterator[str]:
    """One column that the model looks at more than at all others."""
    for label, share in list(shares_of(found, "column").items())[:1]:
        if share > DOMINATES:
            yield (
                f"One column dominates: {code(label)} has {percent(share)} of the importance of all columns. Is it known at the time of the "
                "prediction, and no copy of what is predicted?"
            )


def at_the_edge(found: Explanation) -> Iterator[str]:
    """Importance of the rows of the last day before the cut-off."""
    shares = [(a, weight(a)) for a in found.of("age") if a.part.age is not None]
    total = sum(value for _, value in shares)
    for amount, value in shares:
        if amount.part.age is not None and not amount.part.age.low and total and value / total > EDGE:
            yield (
                f"Importance lies at the very edge: rows of {amount.part.age.name} before the cut-off have {percent(value / total)} of the "
                "importance of all ages. Are they there in time when predictions are made?"
            )


def gone(before: Explanation, found: Explanation) -> Iterator[str]:
    """Columns that help on training examples and hardly on validation ones."""
    if before.unit == "prediction" or found.unit == "prediction":
        return
    shares = {one.part.label: max(one.value, 0.0) for one in before.of("column")}
    total = sum(shares.values())
    now = {one.part.label: one for one in found.of("column")}
    for one in before.of("column"):
        later = now.get(one.part.label)
        if later is None or not total or one.low <= 0 or shares[one.part.label] / total < NOTABLE:
            continue
        if later.value <= GONE * one.value and later.high < one.value:
            yield (
                f"{code(one.part.label)} helps on training examples and not later: {metric_name(found.unit)} loses {fixed(one.value, 3)} "
                f"({span(one.low, one.high, 3)}) without it there, {fixed(later.value, 3)} ({span(later.low, later.high, 3)}) on validation."
            )


def findings(checked: Iterable[Finding], found: Explanation) -> Iterator[str]:
    """What `dataset check` says of the columns and tables that the model looks at most."""
    columns = [one.part for one in by_weight(found, "column") if weight(one) > 0][:TOP]
    names = {part.label for part in columns}
    tables = {part.table for part in columns}
    said = 0
    for finding in checked:
        places = finding.where.split(" ")[-1]
        if any(finding.where.endswith(name) for name in names) or (places in tables and finding.level == "leak"):
            said += 1
            if said <= MOST_FINDINGS:
                known = f" Known: {finding.known}" if finding.known is not None else ""
                yield f"`dataset check` says of {code(finding.where)}: {finding.what}.{known}"
