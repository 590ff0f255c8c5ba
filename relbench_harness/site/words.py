"""Numbers and names as pages show them."""

from __future__ import annotations

import math

NOTHING = "–"
TYPES = {
    "regression": "regression",
    "binary_classification": "binary classification",
    "multiclass_classification": "multiclass classification",
    "multilabel_classification": "multilabel classification",
    "recommendation": "recommendation",
}
METRICS = {
    "roc_auc": "AUROC", "nmae": "NMAE", "map": "MAP", "mae": "MAE", "rmse": "RMSE", "r2": "R²", "ndcg": "NDCG", "f1": "F1",
    "average_precision": "average precision", "log_loss": "log loss", "macro_f1": "macro F1", "lift_1": "lift at 1 %",
    "lift_5": "lift at 5 %", "lift_10": "lift at 10 %", "macro_average_precision": "macro average precision",
}  # fmt: skip


def metric_name(metric: str) -> str:
    return METRICS.get(metric, metric)


def sentence_case(name: str) -> str:
    """`name` as it begins a heading."""
    return name[:1].upper() + name[1:]


def fixed(value: float, digits: int = 4) -> str:
    """A score; what is not known is a dash."""
    return f"{value:,.{digits}f}".replace("-", "−") if math.isfinite(value) else NOTHING


def percent(share: float) -> str:
    return f"{round(share, 2) + 0.0:.0%}" if math.isfinite(share) else NOTHING


def span(low: float, high: float, digits: int = 4) -> str:
    """An interval."""
    return f"{fixed(low, digits)} to {fixed(high, digits)}" if math.isfinite(low) and math.isfinite(high) else NOTHING


def counted(number: int, one: str, many: str = "") -> str:
    """`1 task`, `2 tasks`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
