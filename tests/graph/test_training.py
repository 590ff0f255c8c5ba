"""The training loop: it stops where validation says, resumes where it was broken off, and says what went wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shop
import torch
from numpy.typing import NDArray
from relbench_harness.baselines.gnn.method import RelationalGNN
from shop import made_shop
from torch import Tensor, nn

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.graph import training
from relbench_harness.graph.device import device_of
from relbench_harness.graph.training import EMA, DivergedError, Pace, TrainConfig, TrainingSet, epoch_batches, train
from relbench_harness.protocol.method import Budget

DATA = torch.randn(256, 3, generator=torch.Generator().manual_seed(0))


def loss(model: nn.Module, rows: Tensor) -> Tensor:
    error: Tensor = (model(rows)[:, 0] - rows @ torch.tensor([1.0, -2.0, 0.5])).square().mean()
    return error


def run(network: nn.Module, config: TrainConfig, broken: int | None = None) -> list[float]:
    def batches(epoch: int) -> list[Tensor]:
        if epoch == broken:
            raise KeyboardInterrupt
        return [DATA[part] for part in epoch_batches(np.zeros(len(DATA), np.int64), config, 3, epoch)]

    return train(network, TrainingSet(batches, len(DATA), loss), lambda: -float(loss(network, DATA)), config).scores


def seeded() -> nn.Module:
    torch.manual_seed(1)
    return nn.Linear(3, 1)


def test_a_broken_run_resumes_to_the_same_weights(tmp_path: Path) -> None:
    config = TrainConfig(epochs=6, batch_size=64, checkpoint=str(tmp_path / "state.pt"))
    whole = seeded()
    scores = run(whole, replace(config, checkpoint=None))
    with pytest.raises(KeyboardInterrupt):
        run(seeded(), config, broken=3)
    resumed = seeded()
    assert run(resumed, config) == scores
    assert torch.equal(whole.weight, resumed.weight)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    config = TrainConfig(epochs=1, checkpoint=str(tmp_path / "state.pt"))
    run(seeded(), config)
    with pytest.raises(InputError, match=r"state\.pt does not fit this model"):
        run(nn.Linear(3, 2), config)


def test_learning_stops_when_validation_tires_and_keeps_the_best() -> None:
    network, scores = seeded(), iter([0.1, 0.5, 0.4, 0.3, 0.2])
    kept: list[Tensor] = []

    def validate() -> float:
        kept.append(network.weight.detach().clone())
        return next(scores)

    config = TrainConfig(epochs=9, batch_size=64, patience=2)
    log = train(network, TrainingSet(lambda epoch: [DATA], len(DATA), loss), validate, config)
    assert (log.best, len(log.scores)) == (2, 4)
    assert torch.equal(network.weight, kept[1])


def test_a_loss_that_is_no_number_is_a_clear_failure() -> None:
    with pytest.raises(DivergedError, match="loss became nan in epoch 1"):
        train(seeded(), TrainingSet(lambda epoch: [DATA * float("nan")], len(DATA), loss), None, TrainConfig())


def test_the_running_mean_follows_the_weights() -> None:
    network = seeded()
    ema = EMA(network, 0.5)
    with torch.no_grad():
        network.weight.fill_(4.0)
    for _ in range(60):
        ema.update()
    assert torch.allclose(ema.state_dict()["weight"], network.weight)


def test_an_epoch_sees_every_example_once_and_ranks_share_it() -> None:
    times = np.arange(1000)
    parts = epoch_batches(times, TrainConfig(batch_size=64, steps_per_epoch=10**6), 0, 0)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(1000))
    assert not np.array_equal(parts[0], epoch_batches(times, TrainConfig(batch_size=64, steps_per_epoch=10**6), 0, 1)[0])


@pytest.mark.parametrize("count", [1000, 1025, 1026, 1027])
def test_processes_take_equal_steps_and_share_what_one_would_see(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    config, ranks = TrainConfig(batch_size=64, steps_per_epoch=10**6), 3
    monkeypatch.setattr(training, "processes", lambda: ranks)
    shares = []
    for number in range(ranks):
        monkeypatch.setattr(training, "rank", lambda number=number: number)
        shares.append(epoch_batches(np.arange(count), config, 0, 0))
    assert len({len(share) for share in shares}) == 1
    assert all(len(part) for share in shares for part in share)
    seen = np.concatenate([part for share in shares for part in share])
    assert len(np.unique(seen)) == len(seen) >= count - ranks + 1


def test_an_epoch_that_cannot_see_all_examples_sees_later_ones_more_often() -> None:
    times = np.repeat(np.arange(5), 2000)
    seen = np.zeros(len(times))
    for epoch in range(200):
        part = np.concatenate(epoch_batches(times, TrainConfig(batch_size=100, steps_per_epoch=2), 0, epoch))
        assert len(np.unique(part)) == 200
        seen[part] += 1
    often = seen.reshape(5, -1).sum(1)
    # four quarters of the span apart: halves with each
    np.testing.assert_allclose(often / often[-1], [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1], rtol=0.1)


def test_a_device_that_is_not_there_is_refused() -> None:
    assert device_of(Budget(device="cpu")).type == "cpu"
    with pytest.raises(InputError, match="unknown device 'gpu'"):
        device_of(Budget(device="gpu"))
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no usable GPU"):
            device_of(Budget(device="cuda"))


def line(batch_size: int) -> NDArray[np.float32]:
    """The weights of a line that was fitted to 5,120 points."""
    points = torch.randn(5120, 3, generator=torch.Generator().manual_seed(2))
    config = TrainConfig(epochs=3, batch_size=batch_size)

    def batches(epoch: int) -> list[Tensor]:
        return [points[part] for part in epoch_batches(np.zeros(len(points), np.int64), config, 3, epoch)]

    network = seeded()
    train(network, TrainingSet(batches, len(points), loss), None, config)
    return network.weight.detach().numpy()


DISTRIBUTED = """
import sys
import numpy as np
import torch.distributed as dist
from relbench_harness.baselines.gnn.method import RelationalGNN
from relbench_harness.data.task import TaskType
from relbench_harness.protocol.method import Budget
sys.path[:0] = sys.argv[1:2] + sys.argv[3:4]
from shop import made_shop

dist.init_process_group("gloo")
made = made_shop()
learn, valid = (made.examples(TaskType.BINARY, days) for days in (range(40, 150, 10), range(160, 171, 10)))
method = RelationalGNN(channels=8, num_neighbors=(4, 2), epochs=3, batch_size=64)
answers = method.fit(learn, valid, Budget(threads=1, device="cpu")).predict(valid)
np.save(f"{sys.argv[2]}/{dist.get_rank()}.npy", answers)
import test_training
np.save(f"{sys.argv[2]}/line{dist.get_rank()}.npy", test_training.line(128))
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_learn_one_network(tmp_path: Path) -> None:
    script = tmp_path / "learn.py"
    script.write_text(DISTRIBUTED)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=29617", str(script)]
    done = subprocess.run(
        [*command, str(Path(shop.__file__).parent), str(tmp_path), str(Path(__file__).parent)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = (np.load(tmp_path / f"{rank}.npy") for rank in (0, 1))
    assert np.array_equal(first, second)
    # gradients are averaged: two halves of a batch are one batch
    lines = [np.load(tmp_path / f"line{rank}.npy") for rank in (0, 1)]
    assert np.array_equal(*lines)
    np.testing.assert_allclose(lines[0], line(256), atol=1e-6)
    # and not the network that one process alone learns from the whole of each batch
    made = made_shop()
    learn, valid = (made.examples(TaskType.BINARY, days) for days in (range(40, 150, 10), range(160, 171, 10)))
    method = RelationalGNN(channels=8, num_neighbors=(4, 2), epochs=3, batch_size=64)
    alone = method.fit(learn, valid, Budget(threads=1, device="cpu")).predict(valid)
    assert first.shape == alone.shape
    assert np.corrcoef(first, alone)[0, 1] > 0.5


def test_the_learning_rate_follows_steps_or_time_whichever_is_further(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(training.time, "monotonic", lambda: now[0])
    unlimited, limited = Pace(1000, 0.1), Pace(1000, 0.1, 200.0, begin=100.0)
    rates = [unlimited.rate(step) for step in range(1001)]
    assert int(np.argmax(rates)) in (99, 100) and rates[99] == 1 and rates[-1] == 0.02
    assert np.diff(rates[100:]).max() <= 0
    for seconds, step, as_at in ((1, 300, 300), (50, 300, 500), (90, 10, 900), (100, 10, 1000), (150, 10, 1000)):
        now[0] = 100.0 + seconds
        assert limited.rate(step) == rates[as_at] and unlimited.rate(step) == rates[step]
        assert limited.is_over == (seconds >= 100) and not unlimited.is_over


def test_training_ends_with_the_time_within_an_epoch_and_is_validated() -> None:
    config = TrainConfig(epochs=3, batch_size=1, steps_per_epoch=10**9)

    def batches(epoch: int) -> Iterator[Tensor]:
        for part in epoch_batches(np.zeros(len(DATA) * 1000, np.int64), config, 3, epoch):
            yield DATA[part % len(DATA)]

    network = seeded()
    before = float(loss(network, DATA))
    data = TrainingSet(batches, len(DATA) * 1000, loss)
    log = train(network, data, lambda: -float(loss(network, DATA)), config, time.monotonic() + 1)
    assert len(log.scores) == log.best == 1
    assert -log.scores[0] == float(loss(network, DATA)) < before
