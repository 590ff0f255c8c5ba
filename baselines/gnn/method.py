"""Relational deep learning on the raw tables (Fey et al., 2024): rows are nodes, keys are edges, and an example sees only rows
older than its cut-off.

`RelationalGNN` builds encoder, temporal encoder, backbone and head for a task, trains them, and stops where validation says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError, nearest
from relbench_harness.features.entity_summary import sample_of, windows_of
from relbench_harness.graph.device import autocast, device_of, seeded
from relbench_harness.graph.loader import Loader, batches
from relbench_harness.graph.sampler import Strategy
from relbench_harness.graph.training import TrainConfig, TrainingSet, TrainLog, epoch_batches, train
from relbench_harness.protocol.method import Budget, Examples
from relbench_harness.temporal.staleness import simulate_staleness

from ..quality import quality
from ..recommendation.item_batches import ItemReader
from ..recommendation.item_head import ItemHead, ItemScores
from .batch import Batch
from .batch_builder import BatchBuilder
from .heads import Head, ValueHead
from .label_skip import LabelSkip
from .layers import PiecewiseLinearEncoding, ScalingLayer
from .mechanisms import Mechanism, check_mechanisms
from .message_passing import MessagePassing, MessagePassingConfig
from .objectives import Regression, objective_for
from .predictor import Backbone, RelationalPredictor, SummaryFusion
from .preprocessor import Prepared, Preprocessor, Sampling
from .row_encoder import RowEncoder
from .temporal_encoder import TemporalEncoder
from .transformer import Transformer, TransformerConfig

BackboneName = Literal["sage", "gat", "transformer"]
MOST_VALIDATED = 20_000
"""More validation examples than this are sampled: their batches are kept, and read after every epoch."""
STALE_SHARE = 0.5
"""Share of the training examples that are shown a view as old as validation's is."""
FITTING_SHARE = 0.8
"""Share of the seconds after which no further epoch starts."""
WINDOWS = (1, 2, 3)
"""The windows of `MultiAggregation`, in lengths of the summary's shortest."""
MOST_SCORES = 50_000_000
"""Scores of items that a batch of predictions holds at most."""


@dataclass(frozen=True)
class RelationalGNN:
    """A network that reads the tables themselves.

    Attributes:
        backbone: `sage` (mean of the neighbours), `gat` (attention over them) or `transformer` (attention over all rows).
        channels: Width of every vector inside.
        num_neighbors, ancestor_depth, strategy: See `Sampling`.
        layers, heads, max_tokens: Of the transformer.
        item_scores: How items are recommended: by `two_tower`, `id_gnn` or `both`; other tasks do not use it.
        without: Mechanisms that are left out; see `mechanisms`.
        epochs, steps_per_epoch, batch_size, lr, weight_decay, patience, compile, checkpoint: See `TrainConfig`.
    """

    backbone: BackboneName = "sage"
    channels: int = 64
    num_neighbors: tuple[int, ...] = (16, 8)
    ancestor_depth: int = 2
    strategy: Strategy = "recent"
    dropout: float = 0.2
    layers: int = 2
    heads: int = 4
    max_tokens: int = 64
    item_scores: ItemScores = "both"
    without: Sequence[Mechanism] = ()
    epochs: int = 12
    steps_per_epoch: int = 400
    batch_size: int = 512
    lr: float = 0.002
    weight_decay: float = 0.01
    patience: int = 4
    compile: bool = False
    checkpoint: str | None = None

    def __post_init__(self) -> None:
        for name, known in (("backbone", get_args(BackboneName)), ("item_scores", get_args(ItemScores))):
            chosen = getattr(self, name)
            if chosen not in known:
                raise InputError(f"no {name} {chosen!r}; {nearest(str(chosen), known)}")
        check_mechanisms(self.without)

    @property
    def sampling(self) -> Sampling:
        return Sampling(tuple(self.num_neighbors), self.ancestor_depth, self.strategy)

    @property
    def config(self) -> TrainConfig:
        return TrainConfig(
            epochs=self.epochs,
            steps_per_epoch=self.steps_per_epoch,
            batch_size=self.batch_size,
            lr=self.lr,
            weight_decay=self.weight_decay,
            patience=self.patience,
            compile=self.compile,
            checkpoint=self.checkpoint,
        )

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> FittedGNN:
        """Train on `train`; stop where `valid` says."""
        return self.fit_as_stale(train, valid, valid.time - valid.cutoff, budget)

    def fit_as_stale(
        self, examples: Examples, valid: Examples | None, staleness: NDArray[np.int64], budget: Budget
    ) -> FittedGNN:
        """Train on `examples`, shown as stale as `staleness` says. Without `valid` all epochs are run.

        Args:
            staleness: (m,) nanoseconds between later examples and the end of what they see.
        """
        deadline = None if budget.seconds is None else time.monotonic() + FITTING_SHARE * budget.seconds
        recommendation = examples.task.type is TaskType.RECOMMENDATION
        plain = recommendation or "simulated_staleness" in self.without or not staleness.any()
        drawn = None if plain else staleness
        device, config = device_of(budget), self.config
        with seeded(budget):
            prepared = Preprocessor.fit(examples, _shown(examples, drawn, [budget.seed]), self.sampling, self.without)
            network = self.network(prepared, examples, drawn, budget).to(device)
            fitted = FittedGNN(self, prepared.preprocessor, network, budget, staleness, TrainLog())
            reader = fitted.reader(prepared.builder)

            def epoch(number: int) -> Loader[Batch]:
                def read(part: NDArray[np.int64]) -> Batch:
                    draw = [budget.seed, number, int(part[0])]
                    shown = _shown(examples.take(part), drawn, draw)
                    return reader.read(shown, budget.seed * 1009 + number, draw)

                return Loader(read, epoch_batches(examples.time, config, budget.seed, number), device=device)

            validate = None if valid is None else fitted.validation(valid, examples)
            data = TrainingSet(epoch, len(examples), lambda model, batch: network.head.loss(model(batch), batch))
            fitted.log = train(network, data, validate, config, deadline)
        return fitted

    def network(
        self, prepared: Prepared, examples: Examples, staleness: NDArray[np.int64] | None, budget: Budget
    ) -> RelationalPredictor:
        """The network for `examples`, untrained.

        Args:
            staleness: See `fit_as_stale`; None simulates none.
        """
        preprocessor, builder = prepared
        schema = preprocessor.schema
        encoder = RowEncoder(schema, self.channels)
        temporal_encoder = TemporalEncoder(schema.layouts, self.channels)
        backbone = self._backbone(preprocessor, builder)
        fusion = self._fusion(preprocessor)
        head: Head
        if examples.task.type is TaskType.RECOMMENDATION:
            items = ItemReader(builder, examples)
            head = ItemHead(
                RowEncoder(schema, self.channels), items, examples.task.eval_k or 1, self.channels, self.item_scores
            )
        else:
            sample = sample_of(_shown(examples, staleness, [budget.seed]))
            head = self._value_head(examples, sample, builder.history.own(sample))
        return RelationalPredictor(encoder, temporal_encoder, backbone, fusion, head)

    def _backbone(self, preprocessor: Preprocessor, builder: BatchBuilder) -> Backbone:
        steps = [list(hop) for hop in preprocessor.steps(builder.sampler.graph)]
        if self.backbone == "transformer":
            ranks = max((*self.num_neighbors, 1))
            shape = TransformerConfig(self.channels, self.layers, self.heads, self.dropout, self.max_tokens, ranks)
            return Transformer(steps, shape)
        windows = None
        if "multi_aggregation" not in self.without:
            windows = [n * windows_of(preprocessor.train)[0] for n in WINDOWS]
        return MessagePassing(steps, MessagePassingConfig(self.backbone, self.channels, self.dropout, windows))

    def _fusion(self, preprocessor: Preprocessor) -> SummaryFusion:
        if preprocessor.standardisation is None:
            return SummaryFusion(None, 0, self.channels, self.dropout)
        edges = preprocessor.standardisation.edges
        width, parts = edges.shape[1], list[nn.Module]()
        if "piecewise_encoding" not in self.without:
            encoding = PiecewiseLinearEncoding(edges)
            width = encoding.width
            parts.append(encoding)
        if "scaling_layer" not in self.without:
            parts.append(ScalingLayer(width))
        return SummaryFusion(nn.Sequential(*parts), width, self.channels, self.dropout)

    def _value_head(self, examples: Examples, sample: Examples, own: NDArray[np.float64]) -> ValueHead:
        objective, skip = objective_for(examples), None
        if isinstance(objective, Regression) and "label_skip" not in self.without:
            skip = LabelSkip(objective, own, sample.values, "recent_label_mean" not in self.without)
        return ValueHead(objective, self.channels, skip)


def _shown(examples: Examples, staleness: NDArray[np.int64] | None, seed: list[int]) -> Examples:
    """`examples`, a part of them with simulated staleness; as they are where `staleness` is None."""
    if staleness is None:
        return examples
    return simulate_staleness(examples, staleness, np.random.default_rng(seed), STALE_SHARE)


class ExampleReader(NamedTuple):
    """Reads the batches of one database; `items` of recommendation tasks only."""

    builder: BatchBuilder
    items: ItemReader | None

    def read(self, examples: Examples, seed: int = 0, draw: list[int] | None = None) -> Batch:
        """The batch of `examples`.

        Args:
            seed: Of the sampler.
            draw: Recommendation only: the seed by which the items of a training batch are drawn; None takes all.
        """
        batch = self.builder.batch(examples, seed)
        return batch if self.items is None else replace(batch, items=self.items.read(examples, draw))


@dataclass
class FittedGNN:
    """A trained network and what it was prepared with."""

    method: RelationalGNN
    preprocessor: Preprocessor
    network: RelationalPredictor
    budget: Budget
    staleness: NDArray[np.int64]
    log: TrainLog

    def predict(self, examples: Examples) -> NDArray[np.generic]:
        if len(examples) == 0:
            return self.network.head.empty()
        return self._decoded(self.batches(examples))

    def refit(self, examples: Examples) -> FittedGNN:
        """The same method trained on more labels, for as many epochs as validation liked best."""
        method = replace(self.method, epochs=max(1, self.log.best))
        again = method.fit_as_stale(examples, None, self.staleness, self.budget)
        return replace(again, method=self.method)

    @property
    def width(self) -> int:
        """How many numbers `embed` gives for an example."""
        return self.method.channels + len(self._value_head.objective.start)

    @property
    def _value_head(self) -> ValueHead:
        if not isinstance(self.network.head, ValueHead):
            raise TypeError("only the states of tasks with values are embedded")
        return self.network.head

    def embed(self, examples: Examples) -> NDArray[np.float32]:
        """(n, channels + outputs) the state of each example before the head, and the head's outputs without past labels."""
        head, found = self._value_head, []
        self.network.eval()
        with torch.no_grad(), autocast(next(self.network.parameters()).device):
            for batch in self.batches(examples):
                state = self.network.embed(batch)
                found.append(torch.cat([state, head.out(state)], dim=1).float().cpu().numpy())
        return np.concatenate(found)

    def reader(self, builder: BatchBuilder) -> ExampleReader:
        """What reads batches from the database of `builder`."""
        train = self.preprocessor.train
        return ExampleReader(builder, ItemReader(builder, train) if train.task.type is TaskType.RECOMMENDATION else None)

    def batches(self, examples: Examples) -> Loader[Batch]:
        """The batches of `examples`, in order."""
        reader, size = self.reader(self.preprocessor.bind(examples)), self.method.batch_size
        if reader.items is not None:
            size = max(1, min(size, MOST_SCORES // max(1, reader.items.count)))
        return Loader(
            lambda part: reader.read(examples.take(part)), batches(len(examples), size), device=device_of(self.budget)
        )

    def validation(self, valid: Examples, train: Examples) -> Callable[[], float]:
        """The score of the network as it stands on `valid`, or where that is large on an even part of it."""
        if len(valid) > MOST_VALIDATED:
            valid = valid.take(np.linspace(0, len(valid) - 1, MOST_VALIDATED).astype(np.int64))
        known = list(self.batches(valid))
        scale = 1.0
        if train.task.type is not TaskType.RECOMMENDATION and len(train) > 1:
            scale = float(np.std(train.values, ddof=1)) or 1.0
        return lambda: quality(valid, self._decoded(known), scale)

    def _decoded(self, batches: Iterable[Batch]) -> NDArray[np.generic]:
        device = next(self.network.parameters()).device
        self.network.eval()
        with torch.no_grad(), autocast(device):
            outputs = [self.network.head.decode(self.network(batch).float().cpu()) for batch in batches]
        return np.concatenate(outputs)
