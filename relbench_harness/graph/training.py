"""The training loop: from batches to the weights that validation likes best.

Invariant: everything random follows from the seed. The weights returned are the running mean (EMA) of the best epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from relbench_harness.data.writing import whole
from relbench_harness.errors import InputError
from relbench_harness.graph.device import autocast
from relbench_harness.graph.ranks import processes, rank
from relbench_harness.progress import work

B = TypeVar("B")
SMALLEST_BATCH = 64
"""Examples of a batch where there are few in all."""
STEPS_OF_FEW = 20
"""Where examples are few, batches are smaller, so that an epoch still has about so many steps."""
HALF_LIFE = 0.25
"""The part of the span of all examples by which one must be older to be drawn half as often, where not all can be."""


class DivergedError(ArithmeticError):
    """The loss became NaN or infinite."""


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast to learn.

    Attributes:
        epochs: Passes over the training examples at most.
        steps_per_epoch: Most steps of one epoch; of more examples each epoch sees a fresh part, later ones more often.
        lr, weight_decay: Of AdamW.
        clip: Greatest norm of the gradient.
        patience: Epochs without a better validation score after which to stop.
        warmup: Share of all steps over which the learning rate rises; it then falls as a cosine.
        ema_decay: Decay per step of the running mean of the weights, which is what is validated and returned.
        checkpoint: Where to keep the state after each epoch; training resumes from it.
        compile: Run the network through `torch.compile`.
    """

    epochs: int = 12
    steps_per_epoch: int = 400
    batch_size: int = 512
    lr: float = 0.002
    weight_decay: float = 0.01
    clip: float = 1.0
    patience: int = 4
    warmup: float = 0.1
    ema_decay: float = 0.98
    checkpoint: str | None = None
    compile: bool = False


@dataclass
class TrainLog:
    """What training did: validation scores by epoch (more is better), the best epoch (from 1), seconds and waiting."""

    scores: list[float] = field(default_factory=list)
    best: int = 0
    seconds: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)


def epoch_batches(times: NDArray[np.int64], config: TrainConfig, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """The example numbers of each batch of an epoch, this process's part of them; equal for equal seeds.

    Where an epoch cannot see all, later examples are likelier to be drawn, since they are more like those to come: without
    replacement, with weights that halve with age (exponential keys: Efraimidis & Spirakis, 2006).

    Args:
        times: (examples,) nanoseconds.
    """
    count, random = len(times), np.random.default_rng([seed, epoch])
    ranks, number = processes(), rank()
    size = _batch_size(count, config, ranks)
    seen = config.steps_per_epoch * size
    if count > seen:
        age = (times.max() - times) / max(1, int(times.max() - times.min()))
        keys = random.exponential(size=count) * np.exp2(age / HALF_LIFE)
        first = np.argpartition(keys, seen)[:seen]
        order = first[np.argsort(keys[first])]
    else:
        order = random.permutation(count)
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    # every process takes the same number of steps: a last batch that is too small to be shared is left out
    return [batch[number::ranks] for batch in batches if len(batch) >= ranks]


def _batch_size(count: int, config: TrainConfig, ranks: int) -> int:
    """Examples of a batch, those of all processes together."""
    return ranks * min(config.batch_size, max(SMALLEST_BATCH, count // (STEPS_OF_FEW * ranks)))


def _steps(count: int, config: TrainConfig) -> int:
    """Steps of all epochs over `count` examples."""
    size = _batch_size(count, config, processes())
    return config.epochs * min(config.steps_per_epoch, -(-count // size))


@dataclass(frozen=True)
class TrainingSet(Generic[B]):
    """The examples that a network learns from.

    Attributes:
        batches: Epoch → its batches; time spent in its iterator is counted as waiting.
        examples: How many there are.
        loss: Of a network on a batch.
    """

    batches: Callable[[int], Iterable[B]]
    examples: int
    loss: Callable[[nn.Module, B], Tensor]


def train(
    network: nn.Module,
    data: TrainingSet[B],
    validate: Callable[[], float] | None,
    config: TrainConfig,
    deadline: float | None = None,
) -> TrainLog:
    """Fit `network` in place.

    Args:
        validate: The validation score of the network as it stands (more is better); None: all epochs are run.
        deadline: `time.monotonic()` at which training ends, within an epoch too. The learning rate then follows the share of
            the time that has passed where that is greater than the share of the steps, so that it has come down by the end.

    Raises:
        DivergedError: NaN loss. A GPU that runs out of memory raises `torch.OutOfMemoryError`, a recorded failure.
    """
    pace = Pace(_steps(data.examples, config), config.warmup, deadline)
    state = _State.of(network, config, pace)
    log, best = state.load(config)
    runner: nn.Module = network
    if processes() > 1:
        runner = nn.parallel.DistributedDataParallel(network, find_unused_parameters=True)
    if config.compile:
        runner = torch.compile(runner, dynamic=True)  # type: ignore[assignment]
    with work("epoch", config.epochs, logged=True) as epochs:
        for epoch in range(len(log.scores), config.epochs):
            if _agreed(len(log.scores) - log.best >= config.patience or (bool(log.scores) and pace.is_over)):
                break
            network.train()
            begin = time.perf_counter()
            log.waited.append(_epoch(runner, data, epoch, state, pace))
            log.seconds.append(time.perf_counter() - begin)
            log.scores.append(_validated(network, state.ema, validate) if validate else float(epoch))
            if log.scores[-1] >= max(log.scores):
                log.best, best = epoch + 1, deepcopy(state.ema.state_dict())
            state.save(config, log, best)
            epochs.at(epoch + 1, f"validation {log.scores[-1]:.4f}" if validate else "")
    network.load_state_dict(best, strict=False)
    return log


def _epoch(runner: nn.Module, data: TrainingSet[B], epoch: int, state: _State, pace: Pace) -> float:
    """One pass over the batches of `epoch`, cut short when time is over; the seconds that were spent waiting for batches."""
    device, waited = next(runner.parameters()).device, 0.0
    source = iter(data.batches(epoch))
    while True:
        begin = time.perf_counter()
        batch = next(source, None)
        waited += time.perf_counter() - begin
        if batch is None:
            return waited
        state.optimiser.zero_grad(set_to_none=True)
        with autocast(device):
            loss = data.loss(runner, batch)
        if not torch.isfinite(loss):
            raise DivergedError(f"the training loss became {loss.item()} in epoch {epoch + 1}")
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(runner.parameters(), state.clip)
        state.optimiser.step()
        state.schedule.step()
        state.ema.update()
        if pace.deadline is not None and _agreed(pace.is_over):
            return waited


class EMA:
    """The exponential moving average of a network's weights, young steps counting more while there are few."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._names = [name for name, _ in network.named_parameters()]
        self._live: list[Tensor] = [value for _, value in network.named_parameters()]
        self._mean = [value.detach().clone() for value in self._live]
        self._decay, self._steps = decay, 0

    @torch.no_grad()
    def update(self) -> None:
        self._steps += 1
        weight = 1 - min(self._decay, (1 + self._steps) / (10 + self._steps))
        torch._foreach_lerp_(self._mean, self._live, weight)

    def state_dict(self) -> dict[str, Tensor]:
        return {**dict(zip(self._names, self._mean, strict=True)), "average/steps": torch.tensor(self._steps)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._steps = int(state["average/steps"])
        for name, mean in zip(self._names, self._mean, strict=True):
            mean.copy_(state[name])


def _agreed(stop: bool) -> bool:
    """Whether any process wants to stop, so that all stop after the same epoch."""
    return _furthest(float(stop)) > 0


def _furthest(value: float) -> float:
    """The greatest `value` of all processes."""
    if not dist.is_initialized():
        return value
    greatest = torch.tensor(value, device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(greatest, dist.ReduceOp.MAX)
    return float(greatest)


def _validated(network: nn.Module, ema: EMA, validate: Callable[[], float]) -> float:
    """The score of the averaged weights."""
    kept = deepcopy(network.state_dict())
    network.load_state_dict(ema.state_dict(), strict=False)
    network.eval()
    with torch.no_grad():
        score = validate()
    network.load_state_dict(kept)
    return score if np.isfinite(score) else -float("inf")


@dataclass(frozen=True)
class Pace:
    """How far training is, by steps or by time, and how fast it learns there.

    Attributes:
        steps: Of all epochs.
        warmup: Share of the steps over which the learning rate rises; it then falls as a cosine.
        deadline: `time.monotonic()` at which training ends; None for no limit.
    """

    steps: int
    warmup: float
    deadline: float | None = None
    begin: float = field(default_factory=time.monotonic)

    @property
    def is_over(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    def rate(self, step: int) -> float:
        """The learning rate at `step`, as a part of the greatest; by time where that is further than the steps."""
        at, ramp = float(step), max(1, int(self.warmup * self.steps))
        if self.deadline is not None:
            share = (time.monotonic() - self.begin) / max(self.deadline - self.begin, 1e-9)
            at = _furthest(max(at, min(share, 1.0) * self.steps))
        done = min(1.0, max(0.0, at - ramp) / max(1, self.steps - ramp))
        return min(1.0, (at + 1) / ramp) * (0.02 + 0.98 * 0.5 * (1 + float(np.cos(np.pi * done))))


@dataclass
class _State:
    """All that a checkpoint holds."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    ema: EMA
    clip: float

    @classmethod
    def of(cls, network: nn.Module, config: TrainConfig, pace: Pace) -> _State:
        optimiser = torch.optim.AdamW(network.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, pace.rate)
        return cls(network, optimiser, schedule, EMA(network, config.ema_decay), config.clip)

    def save(self, config: TrainConfig, log: TrainLog, best: dict[str, Any]) -> None:
        if config.checkpoint is None or rank():
            return
        parts = {name: getattr(self, name).state_dict() for name in ("network", "optimiser", "schedule", "ema")}
        held = {"parts": parts, "log": asdict(log), "best": best, "random": torch.get_rng_state()}
        if torch.cuda.is_available():  # a GPU draws its own dropout
            held["random of the GPU"] = torch.cuda.get_rng_state()
        with whole(Path(config.checkpoint)) as file:
            torch.save(held, file)

    def load(self, config: TrainConfig) -> tuple[TrainLog, dict[str, Any]]:
        if config.checkpoint is None or not Path(config.checkpoint).is_file():
            return TrainLog(), deepcopy(self.network.state_dict())
        try:
            held = torch.load(config.checkpoint, weights_only=True)
            for name, values in held["parts"].items():
                getattr(self, name).load_state_dict(values)
        except (RuntimeError, KeyError, ValueError, EOFError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"checkpoint {config.checkpoint} does not fit this model: {reason}") from None
        torch.set_rng_state(held["random"])
        if "random of the GPU" in held and torch.cuda.is_available():
            torch.cuda.set_rng_state(held["random of the GPU"])
        return TrainLog(**held["log"]), held["best"]
