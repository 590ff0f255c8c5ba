"""On a GPU: bfloat16 learns what float32 learns, memory that runs out is said, and a broken run resumes. Skipped without one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from relbench_harness.baselines.recommender import Recommender
from relbench_harness.baselines.relational import Relational
from relbench_harness.baselines.relational_gnn import RelationalGNN
from relbench_harness.baselines.relational_transformer import RelationalTransformer
from relbench_harness.baselines.training import Schedule, draw, learn
from sklearn.metrics import roc_auc_score
from small_shop import ITEMS, asked, shop
from torch import nn

from relbench_harness.data.task import TaskType
from relbench_harness.graph.loader import Loader
from relbench_harness.protocol.method import Budget

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
CUDA = torch.device("cuda")
TRAIN, VALID, LATER = range(40, 150, 10), range(160, 171, 10), range(160, 191, 10)


def learned(method: Relational, kind: TaskType, device: str) -> NDArray[np.generic]:
    database = shop()
    train, valid, later = (asked(database, kind, days) for days in (TRAIN, VALID, LATER))
    fitted = method.fit(train, valid, Budget(threads=1, device=device))
    if device != "cpu":
        assert {p.device.type for p in fitted.network.parameters()} == {"cuda"}  # type: ignore[attr-defined]
    return fitted.predict(replace(later, labels=None))


@pytest.mark.parametrize(
    "method",
    [
        RelationalGNN(channels=16, fans=(4, 2), epochs=12, steps=12, batch=64, rate=0.01),
        RelationalGNN(channels=16, fans=(4, 2), epochs=12, steps=12, batch=64, rate=0.01, layer="gat"),
        RelationalGNN(channels=16, fans=(4, 2), epochs=12, steps=12, batch=64, rate=0.01, compiled=True),
        RelationalTransformer(channels=16, fans=(4, 2), epochs=10, steps=12, batch=64, rate=0.005, tokens=12),
    ],
    ids=["sage", "gat", "compiled", "transformer"],
)
def test_a_gpu_learns_the_cause_as_a_processor_does(method: Relational) -> None:
    truth = asked(shop(), TaskType.BINARY, LATER).values
    told = learned(method, TaskType.BINARY, "auto")
    assert roc_auc_score(truth, told) > 0.85
    slow = learned(replace(method, compiled=False), TaskType.BINARY, "cpu")
    assert abs(roc_auc_score(truth, told) - roc_auc_score(truth, slow)) < 0.05


@pytest.mark.parametrize("layer", ["sage", "gat"])
@pytest.mark.parametrize("kind", list(TaskType))
def test_every_kind_of_question_is_answered(kind: TaskType, layer: str) -> None:
    method = RelationalGNN(channels=8, fans=(4, 2), epochs=2, steps=3, batch=64, layer=layer)  # type: ignore[arg-type]
    assert np.isfinite(learned(method, kind, "cuda")).all()


@pytest.mark.parametrize("parts", ["hybrid", "two_tower", "id_aware"])
def test_what_users_always_buy_is_recommended(parts: str) -> None:
    method = Recommender(parts=parts, channels=16, fans=(4, 2), epochs=12, steps=12, batch=64, rate=0.01)  # type: ignore[arg-type]
    told = learned(method, TaskType.RECOMMENDATION, "cuda")
    later = asked(shop(), TaskType.RECOMMENDATION, LATER)
    loyal = later.entity < 57  # the others never order
    hit = (told == (later.entity % ITEMS)[:, None]).any(axis=1)[loyal].mean()
    assert hit > (0.9 if parts != "two_tower" else 0.5)


def test_memory_that_runs_out_is_pytorchs_own_error() -> None:
    """Which a run records as `out_of_memory`."""
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-4)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            learned(RelationalGNN(channels=512, fans=(16, 8), epochs=1, batch=512), TaskType.BINARY, "cuda")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_copies_are_complete_and_what_is_freed_is_not_written_over_early() -> None:
    """Each batch is used while later ones are copied into memory that earlier ones gave back."""
    rows = torch.arange(2**21).view(64, -1)
    loader = Loader(lambda part: rows[torch.from_numpy(part)], [np.array([i]) for i in range(64)] * 8, 2, device=CUDA)
    sums = []
    for batch in loader:
        torch.cuda._sleep(1_000_000)  # type: ignore[no-untyped-call]
        sums.append(batch.sum())
        del batch
    assert torch.stack(sums).cpu().tolist() == rows.sum(dim=1).tolist() * 8


def test_a_broken_run_resumes_with_the_same_random_numbers(tmp_path: Path) -> None:
    data = torch.randn(256, 3, device=CUDA)
    schedule = Schedule(epochs=6, batch=64, checkpoint=str(tmp_path / "state.pt"))

    def run(schedule: Schedule, broken: int | None = None) -> nn.Module:
        torch.manual_seed(1)
        network = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1)).to(CUDA)

        def batches(epoch: int) -> Iterator[torch.Tensor]:
            if epoch == broken:
                raise KeyboardInterrupt
            return iter([data[part] for part in draw(np.zeros(len(data), np.int64), schedule, 3, epoch)])

        learn(network, batches, lambda m, x: (m(x)[:, 0] - x[:, 0]).square().mean(), lambda: 0.0, schedule, 40, CUDA)
        return network

    whole = run(replace(schedule, checkpoint=None))
    with pytest.raises(KeyboardInterrupt):
        run(schedule, broken=3)
    for ours, theirs in zip(run(schedule).parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs)
