"""What a network predicts for examples of any database: their batches in order, decoded predictions, a validation score."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from relbench_harness.data.task import TaskType
from relbench_harness.graph.device import autocast
from relbench_harness.graph.loader import Loader, batches
from relbench_harness.graph.row_batch import Rows
from relbench_harness.protocol.method import Examples

from ..quality import label_scale, quality
from ..recommendation.item_batches import ItemReader
from .batch import Batch
from .batch_builder import BatchBuilder
from .heads import ValueHead
from .predictor import RelationalPredictor
from .preprocessor import Preprocessor

MOST_VALIDATED = 20_000
"""More validation examples than this are thinned evenly: their batches are kept, and read after every epoch."""
TIMED_BATCHES = 3
"""So many batches are timed to tell how long predictions take."""
MOST_SCORES = 50_000_000
"""Scores of items that a batch of predictions holds at most."""


class ExampleReader(NamedTuple):
    """Reads the batches of one database; `items` for recommendation only."""

    builder: BatchBuilder
    items: ItemReader | None

    @classmethod
    def of(cls, builder: BatchBuilder, train: Examples) -> ExampleReader:
        """The reader of the database of `builder` for a network that learns from `train`."""
        recommendation = train.task.type is TaskType.RECOMMENDATION
        return cls(builder, ItemReader(builder, train) if recommendation else None)

    def read(self, examples: Examples, sampler_seed: int = 0, item_seed: Sequence[int] | None = None) -> Batch:
        """The batch of `examples`; `item_seed` draws the items of a training batch, None takes all."""
        batch = self.builder.batch(examples, sampler_seed)
        return batch if self.items is None else replace(batch, items=self.items.read(examples, item_seed))


class Bound(NamedTuple):
    """Examples and the batch builder of their database.

    Attributes:
        seconds: What making the builder took.
    """

    examples: Examples
    builder: BatchBuilder
    seconds: float


@dataclass(frozen=True)
class Evaluator:
    """A network as it stands, and what its batches are read with."""

    preprocessor: Preprocessor
    network: RelationalPredictor
    device: torch.device
    batch_size: int

    def for_keeping(self) -> Evaluator:
        """What a kept model holds: predictions need to know what training saw, and none of its labels."""
        bare = replace(self.preprocessor, train=replace(self.preprocessor.train, labels=None))
        return replace(self, preprocessor=bare)

    def predict(self, examples: Examples) -> NDArray[np.generic]:
        """Predictions in the shape that the task asks for."""
        return self._decoded(self.batches(examples)) if len(examples) else self.network.head.empty()

    def for_copies(self, whole: Examples) -> Callable[[Examples, Mapping[str, Rows]], NDArray[np.generic]]:
        """A function that predicts examples about copies of rows of `whole`'s database.

        What is fitted to whole tables, such as the trailing means of residuals, is read from `whole`.
        """
        batches_of_copies = self.batches_for_copies(whole)
        return lambda examples, sources: self._decoded(batches_of_copies(examples, sources))

    def batches_for_copies(self, whole: Examples) -> Callable[[Examples, Mapping[str, Rows]], Loader[Batch]]:
        """A function that gives the batches of examples about copies of rows of `whole`'s database."""
        known = self.preprocessor.bind(whole)

        def batches_of_copies(examples: Examples, sources: Mapping[str, Rows]) -> Loader[Batch]:
            return self.batches_of(self.preprocessor.bind_copies(examples, known, sources), examples)

        return batches_of_copies

    def batches(self, examples: Examples) -> Loader[Batch]:
        """The batches of `examples`, in order."""
        return self.batches_of(self.preprocessor.bind(examples), examples)

    def batches_of(self, builder: BatchBuilder, examples: Examples) -> Loader[Batch]:
        """The batches of `examples`, which are about the database of `builder`, in order."""
        reader = ExampleReader.of(builder, self.preprocessor.train)
        size = self.batch_size
        if reader.items is not None:
            size = max(1, min(size, MOST_SCORES // max(1, reader.items.count)))
        parts = batches(len(examples), size)
        return Loader(lambda part: reader.read(examples.take(part)), parts, device=self.device)

    def bound(self, examples: Examples) -> Bound:
        """`examples` with what their batches are read from."""
        begin = time.perf_counter()
        builder = self.preprocessor.bind(examples)
        return Bound(examples, builder, time.perf_counter() - begin)

    def validator(self, bound: Bound) -> Callable[[], float]:
        """A function that scores the network as it stands on the examples of `bound`, more being better.

        The batches are made once and kept; of more than `MOST_VALIDATED` examples an evenly spread part is taken.
        """
        valid = bound.examples
        if len(valid) > MOST_VALIDATED:
            valid = valid.take(np.linspace(0, len(valid) - 1, MOST_VALIDATED).astype(np.int64))
        known, scale = list(self.batches_of(bound.builder, valid)), label_scale(self.preprocessor.train)
        return lambda: quality(valid, self._decoded(known), scale)

    def seconds_to_predict(self, bound: Bound) -> float:
        """About how long `predict` would take for the examples of `bound`, from the time of binding and of a few batches.

        No more batches are made than are timed: those made ahead would count as a part of their cost.
        """
        begin, count = time.perf_counter(), len(bound.examples)
        if not count:
            return bound.seconds
        loader = self.batches_of(bound.builder, bound.examples)
        timed = len(self._decoded(replace(loader, parts=loader.parts[:TIMED_BATCHES])))
        return bound.seconds + (time.perf_counter() - begin) * count / timed

    @property
    def width(self) -> int:
        """How many numbers `embed` gives for an example."""
        head = self._value_head
        return head.channels + len(head.objective.start)

    def embed(self, examples: Examples) -> NDArray[np.float32]:
        """(n, channels + outputs) the state of each example before the head, and the head's outputs."""
        return self.embedded(self.batches(examples))

    def embedded(self, known: Iterable[Batch]) -> NDArray[np.float32]:
        """The same of batches."""
        head, found = self._value_head, []
        self.network.eval()
        with torch.no_grad(), autocast(self.device):
            for batch in known:
                state = self.network.embed(batch)
                found.append(torch.cat([state, head.out(state)], dim=1).float().cpu().numpy())
        return np.concatenate(found)

    @property
    def _value_head(self) -> ValueHead:
        if not isinstance(self.network.head, ValueHead):
            raise TypeError("only the states of tasks with values are embedded")
        return self.network.head

    def _decoded(self, known: Iterable[Batch]) -> NDArray[np.generic]:
        self.network.eval()
        with torch.no_grad(), autocast(self.device):
            outputs = [self.network.head.decode(self.network(batch).float().cpu()) for batch in known]
        return np.concatenate(outputs)
