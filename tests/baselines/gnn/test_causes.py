"""What a network must find in rows that no plain statistic of the entity's own history tells: joint causes, and windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import torch
from made_examples import DAY, every_pair, made_examples, made_task
from numpy.typing import NDArray
from relbench_harness.baselines.gnn.method import RelationalGNN
from relbench_harness.baselines.gnn.row_encoder import TableEncoder
from sklearn.metrics import roc_auc_score

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.data.task import TaskType
from relbench_harness.graph.attributes import Encoders
from relbench_harness.graph.code_encoders import FIRST, UNSEEN
from relbench_harness.protocol.method import Budget, Examples

USERS, GOODS, BUYS = 150, 40, 4000


def world() -> Database:
    rng = np.random.default_rng(0)
    goods = {"good": np.arange(GOODS), "own": rng.choice(["yes", "no"], GOODS), "worth": rng.normal(size=GOODS)}
    buys = {
        "at": pa.array(np.sort(rng.integers(0, 200 * DAY, BUYS))).cast(pa.timestamp("ns")),
        "user": rng.integers(0, USERS, BUYS),
        "good": rng.integers(0, GOODS, BUYS),
        "paid": rng.choice(["card", "cash"], BUYS),
        **{f"number {i}": rng.normal(size=BUYS) for i in range(6)},
    }
    return Database(
        [
            Table("users", pa.table({"user": np.arange(USERS)}), key="user"),
            Table("goods", pa.table(goods), key="good"),
            Table("buys", pa.table(buys), time="at", references=MappingProxyType({"user": "users", "good": "goods"})),
        ]
    )


def examples_of(database: Database, days: range, label: Callable[[NDArray[np.int64], int], float]) -> Examples:
    """Every user on each of `days`; `label` reads the user's earlier buys and the day in nanoseconds."""
    buys = database["buys"]
    assert buys.times is not None
    user, time = every_pair(USERS, days)
    labels = np.array(
        [label(np.flatnonzero((buys.parents("user") == u) & (buys.times < t)), t) for u, t in zip(user, time, strict=True)]
    )
    return made_examples(made_task("users", TaskType.BINARY), database, (user, time), labels)


def learned(label: Callable[[NDArray[np.int64], int], float], method: RelationalGNN) -> float:
    """AUROC on later days."""
    database = world()
    train, valid, later = (
        examples_of(database, d, label) for d in (range(30, 150, 4), range(155, 171, 5), range(175, 200, 5))
    )
    fitted = method.fit(train, valid, Budget(threads=1, device="cpu"))
    return float(roc_auc_score(later.values, fitted.predict(replace(later, labels=None))))


def column(table: str, name: str) -> NDArray[np.object_]:
    return np.array(world()[table].rows.column(name).to_pylist())


def test_a_mean_within_a_window_is_learned() -> None:
    worth = column("goods", "worth")[world()["buys"].parents("good")]
    times = world()["buys"].times
    assert times is not None
    method = RelationalGNN(channels=32, num_neighbors=(16, 2), epochs=10, steps_per_epoch=40, batch_size=128, lr=0.005)

    def recent(past: NDArray[np.int64], day: int) -> float:
        young = past[times[past] >= day - 30 * DAY]  # three horizons
        return float(len(young) > 0 and worth[young].mean() > 0)

    found = learned(recent, method)
    assert found > max(0.95, learned(recent, replace(method, without=["multi_aggregation"])) + 0.1)


def test_a_category_is_not_drowned_by_numbers() -> None:
    database = world()
    layout = Encoders.fit(database, 200 * DAY).layouts["buys"]
    rows = torch.empty((200, layout.words), dtype=torch.int32)
    layout.pack(database["buys"], 0, len(rows), rows.numpy())
    other, unseen = rows.clone(), rows.clone()
    code = layout.slices["codes"]
    other[:, code] = 2 * FIRST + 1 - rows[:, code]  # cash instead of card
    unseen[:, code] = UNSEEN
    for seed in range(5):
        torch.manual_seed(seed)
        encoder = TableEncoder(layout, 32)
        predicted, changed = encoder(rows), encoder(other)
        by_category = (predicted - changed).norm(dim=1).mean()
        by_numbers = (encoder(unseen) - encoder(unseen[torch.randperm(len(rows))])).norm(dim=1).mean()
        assert by_category > 0.5 * by_numbers
