"""On a GPU: bfloat16 learns what float32 learns, memory that runs out is said, and a broken run resumes. Skipped without one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from relbench_harness.baselines.gnn.method import RelationalGNN
from shop import made_shop
from sklearn.metrics import roc_auc_score
from torch import nn

from relbench_harness.data.task import TaskType
from relbench_harness.graph.loader import Loader
from relbench_harness.graph.training import TrainConfig, TrainingSet, epoch_batches, train
from relbench_harness.protocol.method import Budget

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
CUDA = torch.device("cuda")
TRAIN, VALID, LATER = range(40, 150, 10), range(160, 171, 10), range(160, 191, 10)


def learned(method: RelationalGNN, kind: TaskType, device: str) -> NDArray[np.generic]:
    shop = made_shop()
    learn, valid, later = (shop.examples(kind, days) for days in (TRAIN, VALID, LATER))
    fitted = method.fit(learn, valid, Budget(threads=1, device=device))
    if device != "cpu":
        assert {p.device.type for p in fitted.evaluator.network.parameters()} == {"cuda"}  # type: ignore[attr-defined]
    return fitted.predict(replace(later, labels=None))


@pytest.mark.parametrize(
    "method",
    [
        RelationalGNN(channels=16, num_neighbors=(4, 2), epochs=12, steps_per_epoch=12, batch_size=64, lr=0.01),
        RelationalGNN(
            channels=16, num_neighbors=(4, 2), epochs=12, steps_per_epoch=12, batch_size=64, lr=0.01, backbone="gat"
        ),
        RelationalGNN(
            channels=16, num_neighbors=(4, 2), epochs=12, steps_per_epoch=12, batch_size=64, lr=0.01, compile=True
        ),
        RelationalGNN(
            backbone="transformer",
            channels=16,
            num_neighbors=(4, 2),
            epochs=10,
            steps_per_epoch=12,
            batch_size=64,
            lr=0.005,
            max_tokens=12,
        ),
    ],
    ids=["sage", "gat", "compiled", "transformer"],
)
def test_a_gpu_learns_the_cause_as_a_processor_does(method: RelationalGNN) -> None:
    truth = made_shop().examples(TaskType.BINARY, LATER).values
    predicted = learned(method, TaskType.BINARY, "auto")
    assert roc_auc_score(truth, predicted) > 0.85
    slow = learned(replace(method, compile=False), TaskType.BINARY, "cpu")
    assert abs(roc_auc_score(truth, predicted) - roc_auc_score(truth, slow)) < 0.05


@pytest.mark.parametrize("backbone", ["sage", "gat"])
@pytest.mark.parametrize("kind", list(TaskType))
def test_every_type_of_task_is_predicted(kind: TaskType, backbone: str) -> None:
    method = RelationalGNN(channels=8, num_neighbors=(4, 2), epochs=2, steps_per_epoch=3, batch_size=64, backbone=backbone)  # type: ignore[arg-type]
    assert np.isfinite(learned(method, kind, "cuda")).all()


@pytest.mark.parametrize("item_scores", ["both", "two_tower", "id_gnn"])
def test_what_customers_mostly_buy_is_recommended(item_scores: str) -> None:
    method = RelationalGNN(
        item_scores=item_scores, channels=16, num_neighbors=(4, 2), epochs=12, steps_per_epoch=12, batch_size=64, lr=0.01
    )  # type: ignore[arg-type]
    predicted = learned(method, TaskType.RECOMMENDATION, "cuda")
    shop = made_shop()
    entity = shop.examples(TaskType.RECOMMENDATION, LATER).entity
    hit = (predicted == shop.favourite[entity][:, None]).any(axis=1)[shop.rate[entity] > 0].mean()
    assert hit > (0.9 if item_scores != "two_tower" else 0.5)


def test_memory_that_runs_out_is_pytorchs_own_error() -> None:
    """Which a run records as `out_of_memory`."""
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-4)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            learned(RelationalGNN(channels=512, num_neighbors=(16, 8), epochs=1, batch_size=512), TaskType.BINARY, "cuda")
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
    config = TrainConfig(epochs=6, batch_size=64, checkpoint=str(tmp_path / "state.pt"))

    def run(config: TrainConfig, broken: int | None = None) -> nn.Module:
        torch.manual_seed(1)
        network = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1)).to(CUDA)

        def batches(epoch: int) -> Iterator[torch.Tensor]:
            if epoch == broken:
                raise KeyboardInterrupt
            return iter([data[part] for part in epoch_batches(np.zeros(len(data), np.int64), config, 3, epoch)])

        learned_from = TrainingSet(batches, len(data), lambda m, x: (m(x)[:, 0] - x[:, 0]).square().mean())
        train(network, learned_from, lambda: 0.0, config)
        return network

    whole = run(replace(config, checkpoint=None))
    with pytest.raises(KeyboardInterrupt):
        run(config, broken=3)
    for ours, theirs in zip(run(config).parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs)
