"""Batches made ahead of the model by threads: sampling, fetching attributes, copying to the device while it computes.

Kernels and copies release the interpreter's lock, so threads suffice and nothing is pickled. The loader counts the seconds
that its consumer waited.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Generic, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray

from relbench_harness.errors import InputError
from relbench_harness.graph.attributes import Attributes
from relbench_harness.graph.layout import Records
from relbench_harness.graph.neighbourhood import Neighbourhood
from relbench_harness.graph.sampler import Sampler

Order = NDArray[np.int64]


T = TypeVar("T")


def each_tensor(part: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """`part` with every tensor changed, within dataclasses, mappings, lists and tuples; other things stay as they are."""
    if isinstance(part, torch.Tensor):
        return change(part)
    if isinstance(part, Mapping):
        return {key: each_tensor(value, change) for key, value in part.items()}
    if isinstance(part, tuple) and hasattr(part, "_fields"):
        return type(part)(*(each_tensor(value, change) for value in part))
    if isinstance(part, list | tuple):
        return type(part)(each_tensor(value, change) for value in part)
    if is_dataclass(part) and not isinstance(part, type | Neighbourhood | Attributes):
        return replace(part, **{f.name: each_tensor(getattr(part, f.name), change) for f in fields(part) if f.init})
    return part


@dataclass(frozen=True, eq=False)
class GraphBatch:
    """A neighbourhood and the records of its distinct rows.

    Attributes:
        examples: (n,) which examples these are.
        packed: Table → (distinct rows, words) records, on the batch's device.
        place: Table → (nodes,) each node's record.
    """

    examples: Order
    around: Neighbourhood
    attributes: Attributes
    packed: Mapping[str, torch.Tensor]
    place: Mapping[str, torch.Tensor]

    def rows(self, table: str) -> Records:
        """The unpacked records of `table`, one per distinct row."""
        return self.attributes.layout(table).unpack(self.packed[table])


@dataclass(frozen=True, eq=False)
class GraphReader:
    """Makes the batch of some examples.

    Attributes:
        table: The table of the examples' entities.
        entity, cutoff: (all examples,) row and nanoseconds.
        seed: Of the sampling; another one samples anew.
    """

    sampler: Sampler
    attributes: Attributes
    table: str
    entity: Order
    cutoff: Order
    seed: int = 0

    def __call__(self, examples: Order) -> GraphBatch:
        around = self.sampler.sample(self.table, self.entity[examples], self.cutoff[examples], self.seed)
        packed, place = {}, {}
        for name, nodes in around.nodes.items():
            rows, index = nodes.distinct
            packed[name] = self.attributes.take(name, rows)
            place[name] = torch.from_numpy(index)
        return GraphBatch(examples, around, self.attributes, packed, place)


def batches(count: int, size: int, seed: int | None = None) -> list[Order]:
    """The examples 0 … count − 1 in batches of `size`; shuffled by `seed`, in order where it is None."""
    if size < 1:
        raise InputError(f"a batch needs at least one example, got {size}")
    order = np.arange(count) if seed is None else np.random.default_rng(seed).permutation(count)
    return [order[first : first + size] for first in range(0, count, size)]


@dataclass
class Loader(Generic[T]):
    """Iterates over batches in the order of `parts`, up to `ahead` of them made before they are needed.

    Attributes:
        read: Makes the batch of some examples; called from several threads at once.
        parts: Which examples each batch holds.
        threads: How many batches are made at the same time.
        device: Where batches go. To a GPU they are copied from pinned memory beside the computation.
        waited: Seconds that the consumer waited for batches, of all iterations so far.
        elapsed: Seconds that all iterations so far took.
    """

    read: Callable[[Order], T]
    parts: Sequence[Order]
    threads: int = 1
    ahead: int = 4
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    waited: float = 0.0
    elapsed: float = 0.0

    def __post_init__(self) -> None:
        if self.threads < 1 or self.ahead < 1:
            raise InputError(f"a loader needs at least one thread and batch ahead, got {self.threads} and {self.ahead}")

    def __len__(self) -> int:
        return len(self.parts)

    @property
    def wait(self) -> float:
        """The part of all seconds that the consumer waited."""
        return self.waited / self.elapsed if self.elapsed else 0.0

    def __iter__(self) -> Iterator[T]:
        begun = time.perf_counter()
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="loader")
        waiting: deque[Future[T]] = deque()
        left = iter(self.parts)
        try:
            for part in left:
                waiting.append(pool.submit(self._make, part))
                if len(waiting) == self.ahead:
                    break
            while waiting:
                start = time.perf_counter()
                batch = waiting.popleft().result()
                self.waited += time.perf_counter() - start
                part_left = next(left, None)
                if part_left is not None:
                    waiting.append(pool.submit(self._make, part_left))
                if self.device.type == "cuda":
                    _used_here(batch, self.device)
                yield batch
        finally:
            for future in waiting:
                future.cancel()
            pool.shutdown(wait=True)
            self.elapsed += time.perf_counter() - begun

    def _make(self, part: Order) -> T:
        batch = self.read(part)
        if self.device.type == "cuda":
            return _copied(batch, self.device)
        return batch if self.device.type == "cpu" else cast(T, each_tensor(batch, lambda t: t.to(self.device)))


def _copied(batch: T, device: torch.device) -> T:
    """`batch` on a GPU, copied from pinned memory on a stream of its own; complete when this returns."""
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    with torch.cuda.stream(stream):
        pinned = each_tensor(batch, torch.Tensor.pin_memory)
        moved = each_tensor(pinned, lambda tensor: tensor.to(device, non_blocking=True))
    stream.synchronize()
    return cast(T, moved)


def _used_here(batch: Any, device: torch.device) -> None:
    """Keep the batch's memory, which another stream owns, until this stream's work on it is done."""
    current = torch.cuda.current_stream(device)

    def used(tensor: torch.Tensor) -> torch.Tensor:
        tensor.record_stream(current)
        return tensor

    each_tensor(batch, used)
