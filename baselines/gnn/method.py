"""Relational deep learning on the raw tables (Fey et al., 2024): rows are nodes, keys are edges, and an example sees its own row,
tables without times, and rows older than its cut-off.

`RelationalGNN` builds encoder, temporal encoder, backbone and head for a task, trains them, and stops where validation says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError, nearest
from relbench_harness.features.entity_summary import windows_of
from relbench_harness.features.input_amounts import InputAmounts
from relbench_harness.graph.device import device_of, seeded
from relbench_harness.graph.loader import Loader
from relbench_harness.graph.ranks import processes
from relbench_harness.graph.row_batch import Rows
from relbench_harness.graph.sampler import Strategy
from relbench_harness.graph.training import TrainConfig, TrainingSet, TrainLog, epoch_batches, train
from relbench_harness.protocol.method import PREDICTIONS, Budget, Countdown, Examples
from relbench_harness.temporal.staleness import simulate_staleness

from ..recommendation.item_batches import ItemReader
from ..recommendation.item_head import ItemHead, ItemScores
from .batch import Batch
from .batch_builder import BatchBuilder
from .evaluation import Evaluator, ExampleReader
from .heads import Head, ValueHead
from .input_amounts import AmountReader
from .layers import ScalingLayer
from .mechanisms import Mechanism, check_mechanisms
from .message_passing import GAT_HEADS, MessagePassing, MessagePassingConfig
from .objectives import objective_for
from .predictor import Backbone, RelationalPredictor, SummaryFusion
from .preprocessor import Prepared, Preprocessor, Sampling
from .row_encoder import RowEncoder
from .temporal_encoder import DAY, TemporalEncoder
from .transformer import Transformer, TransformerConfig

BackboneName = Literal["sage", "gat", "transformer"]
STALE_SHARE = 0.5
"""Share of the training examples whose database ends as long before them as validation's does."""
WINDOWS = (1, 2, 3)
"""The windows of `MultiAggregation`, in multiples of the shortest window of the entity's summary."""
SEED_STRIDE = 1009
"""More than the epochs of any training, so that seeds do not share the sampler's seeds."""


@dataclass(frozen=True)
class RelationalGNN:
    """A method: which network reads the raw tables, and how it is fitted.

    Attributes:
        backbone: `sage` (mean of the neighbours), `gat` (attention over them) or `transformer` (attention over sampled rows).
        channels: Width of every state.
        num_neighbors, ancestor_depth, strategy: See `Sampling`.
        dropout: Of the backbone, of the summary and of the layer that joins them.
        attention_layers, attention_heads, max_tokens: Of the transformer alone.
        item_scores: How items are recommended: by the inner product of two towers (`two_tower`), by past interactions with the
            item (`id_gnn`), or by the sum of `both`.
        without: Mechanisms that are left out; see `mechanisms`.
        epochs, steps_per_epoch, batch_size, lr, weight_decay, patience, compile, checkpoint: See `TrainConfig`.
    """

    backbone: BackboneName = "sage"
    channels: int = 64
    num_neighbors: tuple[int, ...] = (16, 8)
    ancestor_depth: int = 2
    strategy: Strategy = "recent"
    dropout: float = 0.2
    attention_layers: int = 2
    attention_heads: int = 4
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
        heads = {"sage": 1, "gat": GAT_HEADS, "transformer": self.attention_heads}[self.backbone]
        if self.channels < 1 or heads < 1 or self.channels % heads:
            raise InputError(
                f"channels={self.channels} cannot be divided among the {heads} heads of backbone {self.backbone!r}"
            )

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
        return self.fit_with_staleness(train, valid, valid.time - valid.cutoff, budget)

    def fit_with_staleness(
        self, examples: Examples, valid: Examples | None, staleness: NDArray[np.int64], budget: Budget
    ) -> FittedGNN:
        """Train on `examples`, a part of them made as stale as examples to predict are.

        Without `valid` nothing stops training early but the budget's seconds.

        Args:
            staleness: Nanoseconds between examples to predict and the end of what they see; any number of them.
        """
        countdown = Countdown(budget)
        device, config = device_of(budget), self.config
        stale = self._simulated(examples, staleness)
        with seeded(budget):
            prepared = Preprocessor.fit(examples, stale.shown(examples, [budget.seed]), self.sampling, self.without)
            network = self.network(prepared, examples).to(device)
            evaluator = Evaluator(prepared.preprocessor, network, device, self.batch_size)
            reader = ExampleReader.of(prepared.builder, examples)

            def batches_of(epoch: int) -> Loader[Batch]:
                read = _EpochReader(examples, reader, stale, budget.seed, epoch)
                return Loader(read, epoch_batches(examples.time, config, budget.seed, epoch), device=device)

            def loss(model: nn.Module, batch: Batch) -> torch.Tensor:
                # `model` may be the compiled or distributed form of the network
                return network.head.loss(model(batch), batch)

            validate, reserve = _validation(evaluator, valid, budget)
            seconds = countdown.part(reserve=reserve).seconds
            deadline = None if seconds is None else time.monotonic() + seconds
            log = train(network, TrainingSet(batches_of, len(examples), loss), validate, config, deadline)
        return FittedGNN(self, evaluator, staleness, budget, log, processes())

    def _simulated(self, examples: Examples, staleness: NDArray[np.int64]) -> SimulatedStaleness:
        """The staleness that training simulates; none for recommendation, where items of the last days count most."""
        left_out = "simulated_staleness" in self.without or examples.task.type is TaskType.RECOMMENDATION
        return SimulatedStaleness(None if left_out or not staleness.any() else staleness)

    def network(self, prepared: Prepared, examples: Examples) -> RelationalPredictor:
        """The network for `examples`, untrained."""
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
            head = ValueHead(objective_for(examples), self.channels)
        return RelationalPredictor(encoder, temporal_encoder, backbone, fusion, head)

    def _backbone(self, preprocessor: Preprocessor, builder: BatchBuilder) -> Backbone:
        steps = [list(hop) for hop in preprocessor.fan_outs(builder.sampler.graph)]
        if self.backbone == "transformer":
            ranks = max((*self.num_neighbors, 1))
            shape = TransformerConfig(
                self.channels, self.attention_layers, self.attention_heads, self.dropout, self.max_tokens, ranks
            )
            return Transformer(steps, shape)
        windows = None
        if "multi_aggregation" not in self.without:
            windows = [n * windows_of(preprocessor.train)[0] / DAY for n in WINDOWS]
        return MessagePassing(steps, MessagePassingConfig(self.backbone, self.channels, self.dropout, windows))

    def _fusion(self, preprocessor: Preprocessor) -> SummaryFusion:
        if preprocessor.standardisation is None:
            return SummaryFusion(None, 0, self.channels, self.dropout)
        width = len(preprocessor.standardisation.mean)
        encoding = nn.Identity() if "scaling_layer" in self.without else ScalingLayer(width)
        return SummaryFusion(encoding, width, self.channels, self.dropout)


def _validation(evaluator: Evaluator, valid: Examples | None, budget: Budget) -> tuple[Callable[[], float] | None, float]:
    """What scores the network while it learns, and the seconds to keep for predictions; one batch builder serves for both."""
    if valid is None:
        return None, 0.0
    bound = evaluator.bound(valid)
    # first, so that what is compiled now does not count among the seconds of predictions
    validate = evaluator.validator(bound)
    reserve = 0.0 if budget.seconds is None else PREDICTIONS * evaluator.seconds_to_predict(bound)
    return validate, reserve


@dataclass(frozen=True)
class SimulatedStaleness:
    """Attributes: staleness: Nanoseconds, one of which is drawn for each of a share of the examples; None simulates none."""

    staleness: NDArray[np.int64] | None

    def shown(self, examples: Examples, seed: Sequence[int]) -> Examples:
        """`examples` with the cut-offs that training shows them."""
        if self.staleness is None:
            return examples
        return simulate_staleness(examples, self.staleness, np.random.default_rng(list(seed)), STALE_SHARE)


@dataclass(frozen=True)
class _EpochReader:
    """Reads the training batches of one epoch; everything random in a batch follows from seed, epoch and first example."""

    examples: Examples
    reader: ExampleReader
    stale: SimulatedStaleness
    seed: int
    epoch: int

    def __call__(self, part: NDArray[np.int64]) -> Batch:
        seed = [self.seed, self.epoch, int(part[0])]
        shown = self.stale.shown(self.examples.take(part), seed)
        return self.reader.read(shown, self.seed * SEED_STRIDE + self.epoch, seed)


@dataclass(frozen=True)
class FittedGNN:
    """A trained network, and how training went.

    Attributes:
        staleness: See `RelationalGNN.fit_with_staleness`.
    """

    method: RelationalGNN
    evaluator: Evaluator
    staleness: NDArray[np.int64]
    budget: Budget
    log: TrainLog
    processes: int = 1

    @property
    def notes(self) -> Mapping[str, object]:
        """`loader_wait`, the part of the seconds of training that waited for batches; `processes` where several learned it."""
        seconds = sum(self.log.seconds)
        waited: dict[str, object] = {"loader_wait": round(sum(self.log.waited) / seconds, 3)} if seconds else {}
        return waited if self.processes == 1 else {**waited, "processes": self.processes}

    def predict(self, examples: Examples) -> NDArray[np.generic]:
        return self.evaluator.predict(examples)

    def for_copies(self, whole: Examples) -> Callable[[Examples, Mapping[str, Rows]], NDArray[np.generic]]:
        """See `Evaluator.for_copies`."""
        return self.evaluator.for_copies(whole)

    def input_amounts(self, examples: Examples) -> Iterator[InputAmounts]:
        """Gradient × input of each example, one after another."""
        preprocessor, network = self.evaluator.preprocessor, self.evaluator.network
        return AmountReader(preprocessor, preprocessor.bind(examples), network).read(examples)

    def refit(self, examples: Examples) -> FittedGNN:
        """The same method trained on more labels, for at most as many epochs as led to the best validation score."""
        method = replace(self.method, epochs=max(1, self.log.best))
        again = method.fit_with_staleness(examples, None, self.staleness, self.budget)
        return replace(again, method=self.method)
