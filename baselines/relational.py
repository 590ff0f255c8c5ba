"""What all relational networks share: read neighbourhoods, learn from labels with early stopping, answer.

A method names its network; this module trains it on batches of a `Reader` and turns its output into answers.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError
from relbench_harness.graph.loader import Loader
from relbench_harness.graph.loader import batches as batches_of
from relbench_harness.graph.sampler import Strategy
from relbench_harness.protocol.method import Budget, Examples, Predictor

from .answers import Amount, Answer, answer_for
from .averaged import FittedAverage, shares
from .bins import Bins
from .dropout import Dropout
from .echo import Echo
from .histories import Histories
from .quality import quality
from .reader import Batch, Reader, Reading
from .scales import Scales
from .training import History, Schedule, autocast, device_of, draw, learn

JUDGED = 20_000
"""More validation questions than this are sampled: their batches are kept, and read after every epoch."""
FEW = 20_000
"""With more training questions than this one network answers alone."""
STALE = 0.5
"""Share of the training questions that are asked with an old view where later questions have one."""


class Trunk(Protocol):
    """A network that turns a batch into (questions, `channels`)."""

    channels: int

    def __call__(self, batch: Batch) -> Tensor: ...


class Headed(nn.Module):
    """A trunk's view of each question and its plain history, joined and read off."""

    def __init__(
        self,
        trunk: nn.Module,
        channels: int,
        histories: Histories,
        answer: Answer | None,
        dropout: float,
        leveled: bool = False,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        bins = Bins(histories.edges)
        self.history = nn.Sequential(bins, Scales(bins.width), Dropout(dropout), nn.Linear(bins.width, channels))
        self.mix = nn.Sequential(nn.LayerNorm(channels), nn.ReLU(), Dropout(dropout), nn.Linear(channels, channels))
        if answer is None:
            return
        self.out = nn.Sequential(nn.LayerNorm(channels), nn.ReLU(), nn.Linear(channels, answer.width))
        last = self.out[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            last.bias.copy_(torch.from_numpy(answer.start))
        self.echo = None
        if isinstance(answer, Amount) and histories.own.shape[1]:
            self.echo = Echo(answer, histories.own, np.asarray(histories.answers), leveled)

    def embed(self, batch: Batch) -> Tensor:
        """(questions, channels)."""
        state: Tensor = self.trunk(batch) + self.history(batch.history)
        mixed: Tensor = self.mix(state)
        return state + mixed

    def forward(self, batch: Batch) -> Tensor:
        """(questions, outputs)."""
        output: Tensor = self.out(self.embed(batch))
        return output if self.echo is None else output + self.echo(batch.own)


@dataclass(frozen=True)
class Relational:
    """A network that reads the tables themselves.

    Attributes:
        channels: Width of every vector inside.
        fans: Most recent visible children of a row that are read at each hop.
        generations: How many parents up a row is read with.
        strategy: Which children are taken: `recent`, `uniform` or `decayed`.
        networks: How many networks, each from its own seed, whose mean answer counts where there are at most FEW training
            questions: few questions leave much to chance, and nothing else steadies answers as much. Recommendations are
            given by one.
        leveled: Whether numbers are answered from the level of everyone's recent labels too; None tries both, and keeps what
            validation prefers: levels tell much where they drift, and mislead where they just have.
        stale: Whether training questions are asked with a view as old as validation's is (frozen regime).
        epochs, steps, batch, rate, decay, patience, compiled, checkpoint: See `training.Schedule`.
    """

    channels: int = 64
    fans: tuple[int, ...] = (16, 8)
    generations: int = 2
    strategy: Strategy = "recent"
    dropout: float = 0.2
    networks: int = 1
    leveled: bool | None = None
    stale: bool = True
    epochs: int = 12
    steps: int = 200
    batch: int = 512
    rate: float = 0.002
    decay: float = 0.01
    patience: int = 4
    compiled: bool = False
    checkpoint: str | None = None

    def __post_init__(self) -> None:
        if self.networks < 1:
            raise InputError(f"answers need at least 1 network, got networks={self.networks}")

    def trunk(self, reader: Reader, reading: Reading) -> nn.Module:
        raise NotImplementedError

    @property
    def schedule(self) -> Schedule:
        return Schedule(
            epochs=self.epochs,
            steps=self.steps,
            batch=self.batch,
            rate=self.rate,
            decay=self.decay,
            patience=self.patience,
            compiled=self.compiled,
            checkpoint=self.checkpoint,
        )

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        count = self.networks if len(train) <= FEW else 1
        kinds = (True, False) if self.leveled is None and train.task.type is TaskType.REGRESSION else (self.leveled,)
        seeds = [count * budget.seed + i for i in range(count)]
        allowed = shares(budget, seeds[:1] * len(kinds) + seeds[1:])

        def one(number: int, leveled: bool | None) -> Fitted:
            alone = self.checkpoint is None or len(allowed) == 1
            checkpoint = self.checkpoint if alone else f"{self.checkpoint}.{number}"
            method = replace(self, networks=1, leveled=leveled, checkpoint=checkpoint)
            return fit(method, train, valid, valid.time - valid.cutoff, allowed[number], None)

        best = max((one(i, kind) for i, kind in enumerate(kinds)), key=lambda fitted: max(fitted.history.scores))
        others = [one(i, best.method.leveled) for i in range(len(kinds), len(allowed))]
        return FittedAverage((best, *others)) if others else best


def known_labels(batch: Batch) -> Tensor:
    if batch.labels is None:
        raise ValueError("a network learns from questions with labels")
    return batch.labels


class Setting(NamedTuple):
    reader: Reader
    reading: Reading
    device: torch.device
    deadline: float | None


def prepare(method: Relational, train: Examples, asked: Examples, budget: Budget) -> Setting:
    """Seeds and threads set, encoders fitted, the training database opened; `asked` is `train` as it will be shown."""
    deadline = None if budget.seconds is None else time.monotonic() + 0.8 * budget.seconds
    torch.manual_seed(budget.seed)
    torch.set_num_threads(budget.threads)
    reader = Reader(train, asked, tuple(method.fans), method.generations, method.strategy)
    return Setting(reader, reader.open(train), device_of(budget), deadline)


def fit(
    method: Relational,
    train: Examples,
    valid: Examples | None,
    staleness: NDArray[np.int64],
    budget: Budget,
    epochs: int | None,
) -> Fitted:
    """Learns `train`; stops where `valid` says, or after `epochs`."""
    chosen = staleness if method.stale and staleness.any() else None
    setting = prepare(method, train, aged(train, chosen, [budget.seed]), budget)
    reader, reading, device = setting.reader, setting.reading, setting.device
    answer = answer_for(train)
    network = Headed(
        method.trunk(reader, reading), method.channels, reader.histories, answer, method.dropout, bool(method.leveled)
    )
    network.to(device)
    schedule = replace(method.schedule, epochs=epochs or method.epochs)

    def batches(epoch: int) -> Loader[Batch]:
        def read(part: NDArray[np.int64]) -> Batch:
            asked = aged(train.take(part), chosen, [budget.seed, epoch, int(part[0])])
            return reading.batch(asked, budget.seed * 1009 + epoch)

        return Loader(read, draw(train.time, schedule, budget.seed, epoch), device=device)

    fitted = Fitted(method, reader, network, answer, budget, staleness, History())
    judge = None
    if valid is not None:
        valid = judged(valid)
        known = list(in_order(reader.open(valid), valid, schedule.batch, device))
        scale = float(np.std(train.values, ddof=1)) if len(train) > 1 else 1.0

        def judge() -> float:
            return quality(valid, fitted.answers(known), scale or 1.0)

    per_epoch = len(draw(train.time, schedule, 0, 0))
    fitted.history = learn(
        network,
        batches,
        lambda model, batch: answer.loss(model(batch), known_labels(batch)),
        judge,
        schedule,
        per_epoch * schedule.epochs,
        device,
        setting.deadline,
    )
    return fitted


def aged(questions: Examples, staleness: NDArray[np.int64] | None, seed: list[int]) -> Examples:
    """`questions`, every other one with a view as old as one of `staleness`, drawn at random."""
    if staleness is None:
        return questions
    random = np.random.default_rng(seed)
    drawn = random.choice(staleness, len(questions)) * (random.random(len(questions)) < STALE)
    return replace(questions, cutoff=np.minimum(questions.cutoff, questions.time - drawn))


def judged(valid: Examples) -> Examples:
    """The validation questions by which learning is stopped: all, or where there are many an even part of them."""
    if len(valid) <= JUDGED:
        return valid
    return valid.take(np.linspace(0, len(valid) - 1, JUDGED).astype(np.int64))


def in_order(reading: Reading, questions: Examples, size: int, device: torch.device) -> Loader[Batch]:
    """The batches of `questions`, in order."""
    return Loader(lambda part: reading.batch(questions.take(part)), batches_of(len(questions), size), device=device)


@dataclass
class Fitted:
    """A fitted relational network."""

    method: Relational
    reader: Reader
    network: Headed
    answer: Answer
    budget: Budget
    staleness: NDArray[np.int64]
    history: History

    def predict(self, questions: Examples) -> NDArray[np.generic]:
        if len(questions) == 0:
            return self.answer.decode(np.zeros((0, self.answer.width)))
        reading = self.reader.open(questions)
        return self.answers(in_order(reading, questions, self.method.batch, device_of(self.budget)))

    def refit(self, examples: Examples) -> Fitted:
        return fit(self.method, examples, None, self.staleness, self.budget, max(1, self.history.best))

    def answers(self, batches: Iterable[Batch]) -> NDArray[np.float64]:
        device = next(self.network.parameters()).device
        self.network.eval()
        with torch.no_grad(), autocast(device):
            outputs = [self.network(batch).float().cpu() for batch in batches]
        return self.answer.decode(torch.cat(outputs).double().numpy())
