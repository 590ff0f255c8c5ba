"""Recommends items: a question's embedding against every item's, and what the question's past says about its own items.

Two parts, together in the line of ContextGNN (Yuan et al., 2024). `tower`: the inner product of the network's view of the
question with the item's vector, which is made of its attributes, its recent popularity and an embedding of its own; the
latter is left out at random in training, so that an item without history is served by its attributes. `past`: a score for
each item that the question met before, from how often and how lately, in the light of the question's view (identity-aware).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError, nearest
from relbench_harness.graph.loader import Loader
from relbench_harness.graph.loader import batches as batches_of
from relbench_harness.protocol.method import Budget, Examples, Predictor
from relbench_harness.protocol.metrics import PRIMARY, score

from .exchanges import Interactions
from .interactions import ALWAYS
from .reader import Batch, Reader, Reading
from .relational import Headed, Relational, judged, prepare
from .rows import Content, RowEncoder
from .training import History, autocast, device_of, draw, learn

Parts = Literal["hybrid", "two_tower", "id_aware"]
FORGET = 0.2
"""How often an item's own embedding is left out in training."""
NARROW = 16
MOST_CANDIDATES = 8192
"""Items scored against each other in one training batch: all where there are no more, else a random part."""


@dataclass(frozen=True)
class Recommending(Relational):
    """A relational network that answers recommendation tasks too.

    Attributes:
        parts: How items are recommended: `hybrid`, `two_tower` or `id_aware`; other tasks do not use it.
    """

    parts: Parts = "hybrid"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.parts not in get_args(Parts):
            raise InputError(f"no parts {self.parts!r}; {nearest(self.parts, get_args(Parts))}")

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Predictor:
        if train.task.type is TaskType.RECOMMENDATION:
            return fit_items(self, self.parts, train, valid, budget)
        return super().fit(train, valid, budget)


@dataclass(frozen=True)
class Questions:
    """A batch about items.

    Attributes:
        around: The questions' neighbourhoods.
        candidates: (c,) items scored.
        content: Of the candidates, which come first, and their parents.
        group: (questions,) which of the distinct cut-offs is each question's.
        popularity: (cut-offs, c, features).
        hidden: (cut-offs, c) which candidates were not there yet: no answer, and no lesson either.
        question, place, pairs: (pairs,), (pairs,), (pairs, features): past items, as places among the candidates.
        true_question, true_place: (positives,).
    """

    around: Batch
    candidates: Tensor
    content: Content
    group: Tensor
    popularity: Tensor
    hidden: Tensor
    question: Tensor
    place: Tensor
    pairs: Tensor
    true_question: Tensor
    true_place: Tensor


class ItemReading:
    """Reads batches about items from one database."""

    def __init__(self, reader: Reader, train: Examples, reading: Reading) -> None:
        self.reading = reading
        self.interactions = Interactions(train, reading.database)
        assert train.task.item_table is not None
        self.table = train.task.item_table
        items = reading.database[self.table]
        self.count = len(items)
        self.times = np.full(self.count, ALWAYS) if items.times is None else items.times

    def batch(self, questions: Examples, seed: list[int] | None = None, most: int | None = None) -> Questions:
        """The batch of `questions` against `most` items (the true and the past ones among them) or all."""
        pairs = self.interactions.pairs(questions.entity, questions.cutoff)
        truth, owner = self._truth(questions)
        there = self.times[truth] < questions.cutoff[owner]
        truth, owner = truth[there], owner[there]
        chosen = np.arange(self.count)
        if most is not None and self.count > most:
            drawn = np.random.default_rng(seed).choice(self.count, most, replace=False)
            chosen = np.unique(np.concatenate([drawn, truth, pairs.item]))
        cutoffs, group = np.unique(questions.cutoff, return_inverse=True)
        popularity = np.stack([self.interactions.item_features(int(c))[chosen] for c in cutoffs])
        return Questions(
            around=self.reading.batch(questions),
            candidates=torch.from_numpy(chosen),
            content=self.reading.content({self.table: chosen}),
            group=torch.from_numpy(group),
            popularity=torch.from_numpy(popularity),
            hidden=torch.from_numpy(self.times[chosen] >= cutoffs[:, None]),
            question=torch.from_numpy(pairs.question),
            place=torch.from_numpy(np.searchsorted(chosen, pairs.item)),
            pairs=torch.from_numpy(pairs.features),
            true_question=torch.from_numpy(owner),
            true_place=torch.from_numpy(np.searchsorted(chosen, truth)),
        )

    @staticmethod
    def _truth(questions: Examples) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if questions.labels is None:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        lists = questions.lists
        return lists.values, np.repeat(np.arange(len(questions)), np.diff(lists.offsets))


class ItemScores(nn.Module):
    """(questions, candidates) scores."""

    def __init__(
        self,
        view: Headed,
        encoder: RowEncoder,
        table: str,
        items: int,
        widths: tuple[int, int],
        channels: int,
        parts: Parts,
    ) -> None:
        super().__init__()
        self.view, self.encoder, self.table, self.parts = view, encoder, table, parts
        popular, past = widths
        self.own = nn.Embedding(items, channels)
        nn.init.normal_(self.own.weight, std=0.02)
        # narrow, since it is read for every item at every cut-off
        self.popular = nn.Sequential(nn.LayerNorm(popular), nn.Linear(popular, NARROW), nn.ReLU())
        self.rise = nn.Linear(NARROW, 1)
        self.fame = nn.Linear(NARROW, channels, bias=False)
        self.context = nn.Linear(channels, channels)
        self.past = nn.Linear(past, channels)
        self.judge = nn.Sequential(nn.ReLU(), nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, 1))

    def forward(self, batch: Questions) -> Tensor:
        view = self.view.embed(batch.around)
        fresh = batch.candidates >= self.own.num_embeddings
        own = self.own(batch.candidates.masked_fill(fresh, 0)).masked_fill(fresh[:, None], 0.0)
        attributes = self.encoder(batch.content)[1][self.table][: len(batch.candidates)]
        lately = self.popular(batch.popularity)
        scores = self.rise(lately)[..., 0].index_select(0, batch.group)
        item = attributes + (own * (torch.rand(len(own), 1, device=own.device) > FORGET) if self.training else own)
        if self.parts != "id_aware":
            scores = scores + view @ item.T / view.shape[1] ** 0.5
        if self.parts != "two_tower" and len(batch.question):
            lately = lately[batch.group[batch.question], batch.place]
            context = self.context(view).index_select(0, batch.question)
            met = self.past(batch.pairs) + context + self.fame(lately) + item.index_select(0, batch.place)
            met = self.judge(met)[:, 0].to(scores.dtype)
            place = batch.question * scores.shape[1] + batch.place
            scores = scores.reshape(-1).index_add(0, place, met).view_as(scores)
        found: Tensor = scores.masked_fill(batch.hidden.index_select(0, batch.group), -torch.inf)
        return found


def loss_of(scores: Tensor, batch: Questions) -> Tensor:
    """Mean cross-entropy of each question's true items against all candidates."""
    chance = torch.log_softmax(scores.float(), dim=1)
    found = chance[batch.true_question, batch.true_place]
    count = torch.bincount(batch.true_question, minlength=len(scores)).clamp(min=1)
    return -(found / count[batch.true_question]).sum() / len(scores)


def fit_items(
    method: Relational, parts: Parts, train: Examples, valid: Examples | None, budget: Budget, epochs: int | None = None
) -> FittedItems:
    """Learns to rank items; stops where `valid` says, or after `epochs`."""
    setting = prepare(method, train, train, budget)
    items = ItemReading(setting.reader, train, setting.reading)
    channels = method.channels
    trunk = method.trunk(setting.reader, setting.reading)
    view = Headed(trunk, channels, setting.reader.histories, None, method.dropout)
    encoder = setting.reader.row_encoder(channels)
    widths = (items.interactions.item_width, items.interactions.pair_width)
    network = ItemScores(view, encoder, items.table, items.count, widths, channels, parts).to(setting.device)
    schedule = replace(method.schedule, epochs=epochs or method.epochs)

    def batches(epoch: int) -> Loader[Questions]:
        def read(part: NDArray[np.int64]) -> Questions:
            return items.batch(train.take(part), [budget.seed, epoch, int(part[0])], MOST_CANDIDATES)

        return Loader(read, draw(train.time, schedule, budget.seed, epoch), device=setting.device)

    fitted = FittedItems(method, parts, setting.reader, network, train, budget, History())
    judge = None
    if valid is not None:
        valid = judged(valid)
        known = list(fitted.read(valid))
        metric = PRIMARY[valid.task.type].name

        def judge() -> float:
            return score(valid.task, valid.lists, fitted.answers(known, valid.task.eval_k or 1), 1.0)[metric]

    fitted.history = learn(
        network,
        batches,
        lambda model, batch: loss_of(model(batch), batch),
        judge,
        schedule,
        len(draw(train.time, schedule, 0, 0)) * schedule.epochs,
        setting.device,
        setting.deadline,
    )
    return fitted


@dataclass
class FittedItems:
    """A fitted recommender."""

    method: Relational
    parts: Parts
    reader: Reader
    network: ItemScores
    train: Examples
    budget: Budget
    history: History

    def predict(self, questions: Examples) -> NDArray[np.generic]:
        if len(questions) == 0:
            return np.zeros((0, questions.task.eval_k or 1), np.int64)
        return self.answers(self.read(questions), questions.task.eval_k or 1)

    def refit(self, examples: Examples) -> FittedItems:
        return fit_items(self.method, self.parts, examples, None, self.budget, max(1, self.history.best))

    def read(self, questions: Examples) -> Loader[Questions]:
        items = ItemReading(self.reader, self.train, self.reader.open(questions))
        asked = replace(questions, labels=None)
        size = max(1, min(self.method.batch, 50_000_000 // max(1, items.count)))
        parts = batches_of(len(asked), size)
        return Loader(lambda part: items.batch(asked.take(part)), parts, device=device_of(self.budget))

    def answers(self, batches: Iterable[Questions], k: int) -> NDArray[np.int64]:
        """(n, k) the best items there are; −1 where they are fewer than k."""
        device = next(self.network.parameters()).device
        self.network.eval()
        best = []
        with torch.no_grad(), autocast(device):
            for batch in batches:
                scores = self.network(batch).float()
                top = scores.topk(min(k, scores.shape[1]), dim=1)
                items = torch.where(top.values.isfinite(), top.indices, -1).cpu().numpy()
                best.append(np.pad(items, ((0, 0), (0, k - items.shape[1])), constant_values=-1))
        return np.concatenate(best)
