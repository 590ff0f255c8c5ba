"""What the method that a trial proposes looks at, found out by the cheapest way that it offers.

Invariant: it is found out once, on validation examples, within a few seconds; a fault of it is a sentence and ends no trial.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.explain.ablation import Ablation
from relbench_harness.explain.contributions import FeatureContributions
from relbench_harness.explain.explainer import explain, ways
from relbench_harness.explain.explanation import Explanation, Kind
from relbench_harness.explain.gradients import Gradients
from relbench_harness.explaining.fitted import Fitted, fitted_in
from relbench_harness.models.model import load_model
from relbench_harness.trial.facts import Trial
from relbench_harness.trial.plan import RULES

FEW = 300
"""Validation examples that contributions are read of, and three times as many as gradients and ablation take."""
SECONDS = 6.0
"""What ablation may take, reckoned from one call of `predict`."""


def looked_at(trial: Trial) -> Explanation | str | None:
    """The explanation, or why there is none; None of a rule, of recommendations, and where nothing was kept."""
    name = trial.proposed
    if name is None or name in RULES or trial.task.type is TaskType.RECOMMENDATION:
        return None
    attempt = next((one for one in trial.attempts if one.method == name), None)
    if attempt is None:
        return None
    rule = attempt.result.notes.get("fallback") if attempt.result is not None else None
    if rule:
        return f"{name} gave way to the rule {rule} on validation, so there is no model to look at"
    keeping = attempt.keeping
    if keeping is None or keeping.kept is None or keeping.kept.refused:
        return None
    try:
        with tempfile.TemporaryDirectory() as folder:
            keeping.write(Path(folder) / "model")
            return _cheap(fitted_in(load_model(Path(folder) / "model")))
    except InputError as error:
        return str(error)


def _cheap(fitted: Fitted) -> Explanation | None:
    """The cheapest way that the method offers; None where even tables take too long."""
    offered = ways(fitted.predictor, "model")
    if "contributions" in offered:
        return explain(fitted.predictor, fitted.valid, by=FeatureContributions(kinds=("column", "table"), most=FEW))[0]
    if "gradients" in offered:
        return explain(fitted.predictor, fitted.valid, by=Gradients(kinds=("column", "table"), most=FEW // 3))[0]
    some = fitted.valid.take(np.arange(min(len(fitted.valid), FEW // 3)))
    begin = time.monotonic()
    fitted.predictor.predict(some)
    calls = SECONDS / max(time.monotonic() - begin, 1e-3)
    tables = len(some.database)
    columns = sum(table.rows.num_columns for table in some.database.values())
    kinds: tuple[Kind, ...] = ("table", "column") if columns + tables < calls else ("table",)
    if tables >= calls:
        return None
    return explain(fitted.predictor, fitted.valid, by=Ablation(kinds=kinds, repeats=1, most=len(some)))[0]
