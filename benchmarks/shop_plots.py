"""Draws the plots of docs/rel-shop.md from rel-shop at scale 1 into docs/rel-shop/ (needs the extra `docs`)."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from relbench_harness.data.dataset import open_dataset
from relbench_harness.data.labels import SPLITS

FOLDER = Path(__file__).parents[1] / "docs" / "rel-shop"
INK = "#33536b"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    plt.rcParams.update({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "shop"})
    shop = open_dataset("rel-shop@scale=1")
    tables = {name: table.rows.to_pandas() for name, table in shop.database.items()}
    shape(tables)
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 2.4))
    calibration(left, shop)
    recency(right, shop)
    save(figure, "truth")


def shape(tables: dict[str, pd.DataFrame]) -> None:
    """Products, rhythm, baskets, customers."""
    figure, axes = plt.subplots(2, 3, figsize=(7.2, 4.2))
    sold = np.sort(tables["lines"]["product_id"].value_counts().to_numpy())[::-1]
    axes[0, 0].loglog(np.arange(1, len(sold) + 1), sold, color=INK)
    label(axes[0, 0], "lines by product", "rank of product", "lines")
    visited = tables["visits"]["time"]
    bars(axes[0, 1], np.bincount(visited.dt.hour, minlength=24), "visits by hour", "hour of day")
    bars(axes[0, 2], np.bincount(visited.dt.dayofweek, minlength=7), "visits by weekday", "Monday … Sunday")
    baskets = tables["lines"]["transaction_id"].value_counts().to_numpy()
    bars(axes[1, 0], np.bincount(baskets)[1:12], "lines per transaction", "lines", first=1)
    often = tables["transactions"]["customer_id"].value_counts().to_numpy()
    axes[1, 1].hist(often, bins=40, color=INK)
    label(axes[1, 1], "transactions per customer", "transactions", "customers")
    weekly = tables["transactions"].set_index("time")["amount"].resample("7D").sum()
    axes[1, 2].plot(weekly.index, weekly.to_numpy(), color=INK)
    axes[1, 2].tick_params(axis="x", rotation=45)
    label(axes[1, 2], "turnover by week", "", "")
    save(figure, "shape")


def calibration(axes: Axes, shop: object) -> None:
    task = shop.task("customer-churn")  # type: ignore[attr-defined]
    chance = np.concatenate([shop.truth(task, split).answers for split in SPLITS])  # type: ignore[attr-defined]
    came = np.concatenate([shop.labels(task, split).target.to_numpy() for split in SPLITS])  # type: ignore[attr-defined]
    groups = np.array_split(np.argsort(chance), 20)
    axes.plot([0, 1], [0, 1], color="#bbbbbb", lw=1)
    axes.errorbar(
        [chance[g].mean() for g in groups],
        [came[g].mean() for g in groups],
        [np.sqrt((chance[g] * (1 - chance[g])).sum()) / len(g) for g in groups],
        fmt="o",
        ms=3,
        color=INK,
    )
    label(axes, "churn: how often it came true", "true probability", "share of customers")


def recency(axes: Axes, shop: object) -> None:
    """The share that stays away, by days since the last purchase."""
    task = shop.task("customer-churn")  # type: ignore[attr-defined]
    rows = shop.labels(task, "train")  # type: ignore[attr-defined]
    sales = shop.database["transactions"]  # type: ignore[attr-defined]
    buyer = sales.parents("customer_id")
    order = np.lexsort((sales.times, buyer))
    key = buyer[order].astype(np.float64) * 4e18 + sales.times[order]
    last = np.searchsorted(key, rows.entity.astype(np.float64) * 4e18 + rows.time) - 1
    days = (rows.time - sales.times[order][last]) / 86_400e9
    bins = np.arange(0, 91, 6)
    place = np.digitize(days, bins)
    away = rows.target.to_numpy()
    at = [(bins[i - 1] + 3, away[place == i].mean()) for i in range(1, len(bins)) if (place == i).sum() > 30]
    axes.plot(*zip(*at, strict=True), "o-", ms=3, color=INK)
    axes.axvline(42, color="#bbbbbb", lw=1)
    label(axes, "churn by days since the last purchase", "days (scale of the effect: 42)", "share that stays away")


def bars(axes: Axes, counts: np.ndarray, title: str, below: str, first: int = 0) -> None:
    axes.bar(np.arange(first, first + len(counts)), counts, color=INK)
    label(axes, title, below, "")


def label(axes: Axes, title: str, below: str, beside: str) -> None:
    axes.set_title(title, fontsize=8)
    axes.set_xlabel(below)
    axes.set_ylabel(beside)


def save(figure: plt.Figure, name: str) -> None:
    figure.tight_layout()
    figure.savefig(FOLDER / f"{name}.png", dpi=110, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
