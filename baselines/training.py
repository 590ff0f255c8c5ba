"""The training loop that the learned baselines share: what happens between a batch and a fitted network.

Invariant: everything random follows from the seed; the weights that a loop returns are those that validation liked best.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from relbench_harness.data.writing import whole
from relbench_harness.errors import InputError
from relbench_harness.progress import work
from relbench_harness.protocol.method import Budget

B = TypeVar("B")
SMALLEST = 64
"""Questions of a batch where there are few in all."""
HALVED = 0.25
"""The part of the span of all questions by which one must be older to be drawn half as often, where not all can be."""


class DivergedError(ArithmeticError):
    """The loss became NaN or infinite."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn.

    Attributes:
        epochs: Passes over the training questions at most.
        steps: Most steps of one epoch; an epoch over more questions sees a fresh part of them, later ones more often.
        patience: Epochs without a better validation score after which to stop.
        warmup: Share of all steps over which the rate rises; it then falls as a cosine.
        average: Decay per step of the running mean of the weights, which is what is judged and returned.
        checkpoint: Where to keep the state after each epoch; learning resumes from it.
        compiled: Run the network through `torch.compile`.
    """

    epochs: int = 20
    steps: int = 100
    batch: int = 512
    rate: float = 0.003
    decay: float = 0.01
    clip: float = 1.0
    patience: int = 6
    warmup: float = 0.1
    average: float = 0.98
    checkpoint: str | None = None
    compiled: bool = False


@dataclass
class History:
    """What a loop did: validation scores by epoch (more is better), the best epoch (from 1), seconds and waiting."""

    scores: list[float] = field(default_factory=list)
    best: int = 0
    seconds: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)


def device_of(budget: Budget) -> torch.device:
    """The device that `budget.device` names: `auto` is a GPU where there is one, this process's own under torchrun."""
    name = budget.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"device {budget.device!r} was asked for, but this machine has no usable GPU")
    if name == "cuda":
        name = f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"
    try:
        return torch.device(name)
    except RuntimeError:
        raise InputError(f"unknown device {budget.device!r}; known: auto, cpu, cuda") from None


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 on a GPU, plain float32 elsewhere."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def draw(times: NDArray[np.int64], schedule: Schedule, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """The question numbers of each batch of an epoch, this process's part of them; equal for equal seeds.

    Where an epoch cannot see all, later questions are likelier to be drawn, since they are more like those to come: without
    replacement, with weights that halve with age (exponential keys: Efraimidis & Spirakis, 2006).

    Args:
        times: (questions,) when each is asked, nanoseconds.
    """
    count, random = len(times), np.random.default_rng([seed, epoch])
    ranks, rank = (dist.get_world_size(), dist.get_rank()) if dist.is_initialized() else (1, 0)
    # few questions: smaller batches, so that an epoch is still some twenty steps
    whole = ranks * min(schedule.batch, max(SMALLEST, count // (20 * ranks)))
    seen = schedule.steps * whole
    if count > seen:
        age = (times.max() - times) / max(1, int(times.max() - times.min()))
        keys = random.exponential(size=count) * np.exp2(age / HALVED)
        first = np.argpartition(keys, seen)[:seen]
        order = first[np.argsort(keys[first])]
    else:
        order = random.permutation(count)
    starts = range(0, len(order), whole)
    parts = [order[start : start + whole][rank::ranks] for start in starts]
    return [part for part in parts if len(part)]


def learn(
    network: nn.Module,
    batches: Callable[[int], Iterable[B]],
    loss: Callable[[nn.Module, B], Tensor],
    judge: Callable[[], float] | None,
    schedule: Schedule,
    total_steps: int,
    device: torch.device,
    deadline: float | None = None,
) -> History:
    """Fit `network` in place.

    Args:
        batches: Epoch → its batches; time spent in its iterator is counted as waiting.
        judge: The validation score of the network as it stands (more is better); None: learn all epochs.
        deadline: `time.monotonic()` after which no further epoch starts.

    Raises:
        DivergedError: NaN loss. A GPU that runs out of memory raises `torch.OutOfMemoryError`, a recorded failure.
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.rate, weight_decay=schedule.decay, fused=True)
    ramp = max(1, int(schedule.warmup * total_steps))

    def factor(step: int) -> float:
        done = min(1.0, max(0, step - ramp) / max(1, total_steps - ramp))
        return min(1.0, (step + 1) / ramp) * (0.02 + 0.98 * 0.5 * (1 + float(np.cos(np.pi * done))))

    rates = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
    average = Average(network, schedule.average)
    state = _State(network, optimiser, rates, average)
    history, best = state.load(schedule)
    trained: nn.Module = network
    if dist.is_initialized() and dist.get_world_size() > 1:
        trained = nn.parallel.DistributedDataParallel(network, find_unused_parameters=True)
    if schedule.compiled:
        trained = torch.compile(trained, dynamic=True)  # type: ignore[assignment]
    with work("epoch", schedule.epochs, logged=True) as epochs:
        for epoch in range(len(history.scores), schedule.epochs):
            if _stop(history, schedule, deadline):
                break
            network.train()
            begin, waited = time.perf_counter(), 0.0
            source = iter(batches(epoch))
            while True:
                asked = time.perf_counter()
                batch = next(source, None)
                waited += time.perf_counter() - asked
                if batch is None:
                    break
                optimiser.zero_grad(set_to_none=True)
                with autocast(device):
                    value = loss(trained, batch)
                if not torch.isfinite(value):
                    raise DivergedError(f"the training loss became {value.item()} in epoch {epoch + 1}")
                value.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(network.parameters(), schedule.clip)
                optimiser.step()
                rates.step()
                average.update()
            history.seconds.append(time.perf_counter() - begin)
            history.waited.append(waited)
            history.scores.append(_judged(network, average, judge) if judge else float(epoch))
            if history.scores[-1] >= max(history.scores):
                history.best, best = epoch + 1, deepcopy(average.state_dict())
            state.save(schedule, history, best)
            epochs.at(epoch + 1, f"validation {history.scores[-1]:.4f}" if judge else "")
    network.load_state_dict(best, strict=False)
    return history


class Average:
    """The running mean of a network's weights, young steps counting more while there are few."""

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


def _stop(history: History, schedule: Schedule, deadline: float | None) -> bool:
    tired = len(history.scores) - history.best >= schedule.patience
    late = deadline is not None and bool(history.scores) and time.monotonic() > deadline
    return _agreed(tired or late)


def _agreed(stop: bool) -> bool:
    """Whether any process wants to stop, so that all stop after the same epoch."""
    if not dist.is_initialized():
        return stop
    vote = torch.tensor(float(stop), device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(vote)
    return bool(vote > 0)


def _judged(network: nn.Module, average: Average, judge: Callable[[], float]) -> float:
    """The score of the averaged weights."""
    kept = deepcopy(network.state_dict())
    network.load_state_dict(average.state_dict(), strict=False)
    network.eval()
    with torch.no_grad():
        score = judge()
    network.load_state_dict(kept)
    return score if np.isfinite(score) else -float("inf")


@dataclass
class _State:
    """All that a checkpoint holds."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    rates: torch.optim.lr_scheduler.LRScheduler
    average: Average

    def save(self, schedule: Schedule, history: History, best: dict[str, Any]) -> None:
        if schedule.checkpoint is None or (dist.is_initialized() and dist.get_rank()):
            return
        path = Path(schedule.checkpoint)
        parts = {name: getattr(self, name).state_dict() for name in ("network", "optimiser", "rates", "average")}
        held = {"parts": parts, "history": asdict(history), "best": best, "random": torch.get_rng_state()}
        if torch.cuda.is_available():  # a GPU draws its own dropout
            held["random of the GPU"] = torch.cuda.get_rng_state()
        with whole(path) as file:
            torch.save(held, file)

    def load(self, schedule: Schedule) -> tuple[History, dict[str, Any]]:
        if schedule.checkpoint is None or not Path(schedule.checkpoint).is_file():
            return History(), deepcopy(self.network.state_dict())
        try:
            held = torch.load(schedule.checkpoint, weights_only=True)
            for name, values in held["parts"].items():
                getattr(self, name).load_state_dict(values)
        except (RuntimeError, KeyError, ValueError, EOFError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"checkpoint {schedule.checkpoint} does not fit this model: {reason}") from None
        torch.set_rng_state(held["random"])
        if "random of the GPU" in held and torch.cuda.is_available():
            torch.cuda.set_rng_state(held["random of the GPU"])
        return History(**held["history"]), held["best"]
