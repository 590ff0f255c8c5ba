"""The sampler behind PyG's interface: for `NodeLoader`, `LinkLoader` and models that expect `HeteroData`.

    data = hetero_data(graph)
    loader = NodeLoader(
        data,
        RelationalSampler(graph, [16, 8]),
        input_nodes=("drivers", rows),
        input_time=times,
        transform=WithAttributes(graph, attributes),
        batch_size=512,
    )

Messages flow as in RelBench's graphs: a row that sampled its children receives along `(child, f2p_column, parent)`, one that
sampled its parent along `(parent, rev_f2p_column, child)`. The examples come first among the nodes of their table, in
their order. Seed times are whole seconds since 1970, as in RelBench, and rows at or after them stay unseen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import get_worker_info
from torch_geometric.data import HeteroData
from torch_geometric.sampler import BaseSampler, EdgeSamplerInput, HeteroSamplerOutput, NegativeSampling, NodeSamplerInput

from relbench_harness.errors import InputError
from relbench_harness.graph.attributes import Attributes
from relbench_harness.graph.encoder import Encoder
from relbench_harness.graph.number_encoders import Calendar, Number
from relbench_harness.graph.pyg_output import hetero_output, joined
from relbench_harness.graph.sampler import Fanout, Sampler, Strategy
from relbench_harness.graph.structure import EdgeType, Graph

if TYPE_CHECKING:
    from relbench_harness.graph.frames import Frames

Long = NDArray[np.int64]
SECOND = 10**9
END_OF_TIME = np.iinfo(np.int64).max


def hetero_data(graph: Graph, attributes: Attributes | None = None) -> HeteroData:
    """The node and edge types of a graph, the times of its rows in seconds, and no edges: the sampler has those.

    Args:
        attributes: Give every node type its `tf`, a `TensorFrame` of all its rows, and `col_stats`, the statistics that
            pytorch-frame's encoders are made from. They lie in memory; `WithFrames` makes those of a batch instead.

    Raises:
        InputError: Attributes are given, and pytorch-frame is not installed.
    """
    data = HeteroData()
    if attributes is not None:
        from relbench_harness.graph.frames import Frames

        frames = Frames(graph, attributes)
        for table in graph.sizes:
            data[table].tf, data[table].col_stats = frames.table(table), frames.col_stats[table]
    for table, size in graph.sizes.items():
        data[table].num_nodes = size
        times = graph.table_times(table)
        if times is not None:
            data[table].time = torch.from_numpy(times // SECOND)
    for step in graph.steps:
        data[step.message_type].edge_index = torch.empty((2, 0), dtype=torch.long)
    return data


class RelationalSampler(BaseSampler):  # type: ignore[misc]
    """PyG's sampling interface over a graph.

    `batch` of its output names, for every node, an example with the node's cut-off, so that
    `seed_time[batch] − time` is a row's age; nodes are shared by examples with equal times.

    Where neighbours are drawn, each call draws anew: what it draws follows from `seed`, the number of calls before it and,
    in a loader's worker process, the seed that the loader gives its workers in each epoch (`torch.manual_seed`). So epochs
    differ, and the same program draws the same again.
    """

    def __init__(
        self,
        graph: Graph,
        num_neighbors: Sequence[int] | Mapping[EdgeType, Sequence[int]],
        strategy: Strategy = "uniform",
        seed: int = 0,
        threads: int = 1,
        own_parents: bool = False,
    ) -> None:
        self.graph = graph
        self.seed = seed
        self._calls = 0
        self.sampler = Sampler(graph, _fanouts(graph, num_neighbors), strategy, own_parents, seed, threads)

    def sample_from_nodes(self, index: NodeSamplerInput, **_: Any) -> HeteroSamplerOutput:
        """Sample around `index.node` of table `index.input_type`; without times everything is visible."""
        rows = index.node.numpy()
        output = self._sampled(str(index.input_type), rows, _cutoffs(index.time, len(rows)), self._next_seed())
        output.metadata = (index.input_id, index.time)
        return output

    def sample_from_edges(
        self, index: EdgeSamplerInput, neg_sampling: NegativeSampling | None = None
    ) -> HeteroSamplerOutput:
        """Sample around both ends of the links in `index`, and of negative links that share a link's source and time."""
        first, last = str(index.input_type[0]), str(index.input_type[-1])
        links, drawn = len(index.row), 0
        source, target = index.row.numpy(), index.col.numpy()
        cutoff = _cutoffs(index.time, links)
        if neg_sampling is not None:
            drawn = int(np.ceil(neg_sampling.amount * links))
            negative = neg_sampling.sample(drawn, "dst", self.graph.sizes[last]).numpy()
            target = np.concatenate([target, negative])
        # the j-th negative belongs to link j modulo the number of links
        owner = np.concatenate([np.arange(links), np.arange(drawn) % max(links, 1)])
        seed = self._next_seed()
        triplet = neg_sampling is not None and neg_sampling.is_triplet()
        sources = np.arange(links) if triplet else owner
        if first == last:
            both = np.concatenate([source[sources], target])
            output = self._sampled(first, both, np.concatenate([cutoff[sources], cutoff[owner]]), seed)
            begins = len(sources)
        else:
            output = joined(
                self._sampled(first, source[sources], cutoff[sources], seed),
                self._sampled(last, target, cutoff[owner], seed),
                last,
            )
            begins = 0
        place = torch.arange(begins, begins + len(target))
        if triplet:
            positive, others = place[:links], place[links:]
            wrong = others.view(-1, links).t() if links and drawn > links else others
            output.metadata = (index.input_id, torch.arange(links), positive, wrong, index.time)
            return output
        label = index.label
        if neg_sampling is not None:
            known = torch.ones(links) if label is None else label + 1
            label = torch.cat([known, known.new_zeros((drawn, *known.shape[1:]))])
        time = None if index.time is None else index.time[torch.from_numpy(owner)]
        output.metadata = (index.input_id, torch.stack([torch.arange(len(sources)), place]), label, time)
        return output

    def _sampled(self, table: str, rows: Long, cutoffs: Long, seed: int) -> HeteroSamplerOutput:
        return hetero_output(self.sampler.sample(table, rows, cutoffs, seed))

    def _next_seed(self) -> int:
        """The seed of this call."""
        worker = get_worker_info()
        # workers of one epoch have consecutive seeds, of which the first differs from epoch to epoch
        epoch = 0 if worker is None else worker.seed - worker.id
        call = self._calls
        self._calls += 1
        if call == epoch == 0:
            return self.seed
        return int(np.random.SeedSequence([self.seed % 2**64, epoch % 2**64, call]).generate_state(1, np.uint64)[0])


def _fanouts(graph: Graph, chosen: Sequence[int] | Mapping[EdgeType, Sequence[int]]) -> list[Fanout]:
    """PyG's numbers of neighbours, by edge type and then by hop, the other way round."""
    if not isinstance(chosen, Mapping):
        return list(chosen)
    known = {step.message_type: step for step in graph.steps}
    for key in chosen:
        if key not in known:
            raise InputError(f"no edge type {key} in the graph")
    hops = max((len(by_hop) for by_hop in chosen.values()), default=0)
    return [{known[key]: by_hop[hop] for key, by_hop in chosen.items() if hop < len(by_hop)} for hop in range(hops)]


def _cutoffs(seconds: torch.Tensor | None, count: int) -> Long:
    if seconds is None:
        return np.full(count, END_OF_TIME, np.int64)
    return np.asarray(seconds.numpy().astype(np.int64) * SECOND)


@dataclass(frozen=True)
class Frame:
    """The attributes of some rows in the shape of pytorch-frame's `TensorFrame`.

    Attributes:
        feat_dict: Semantic type → (rows, columns) numbers or codes, (rows, columns, width) where all columns of the type
            have one width, else (rows, total width).
        col_names_dict: Semantic type → the columns' names.
    """

    feat_dict: dict[str, torch.Tensor]
    col_names_dict: dict[str, list[str]]

    @property
    def num_rows(self) -> int:
        """The number of rows; 0 for a table without attributes."""
        return len(next(iter(self.feat_dict.values()), ()))

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Frame:
        moved = {k: v.to(device, non_blocking=non_blocking) for k, v in self.feat_dict.items()}
        return Frame(moved, self.col_names_dict)


@dataclass(frozen=True)
class WithAttributes:
    """A PyG transform: gives every node type of a sampled `HeteroData` its `tf` (a `Frame`) and its `time` in seconds."""

    graph: Graph
    attributes: Attributes

    def __call__(self, data: HeteroData) -> HeteroData:
        for table in self.graph.sizes:
            data[table].tf = self._frame(table, data[table].n_id.numpy())
        return data

    def _frame(self, table: str, rows: Long) -> Frame:
        layout, parts = self.attributes.layout(table), self.attributes.rows(table, rows)
        numbers = layout.part("numbers")
        features: dict[str, torch.Tensor] = {}
        names: dict[str, list[str]] = {}
        if numbers:
            features["numerical"] = parts.numbers
            names["numerical"] = [name for e in numbers if isinstance(e, Number | Calendar) for name in e.names]
        for stype, tensor, encoders in (
            ("categorical", parts.codes, layout.part("codes")),
            ("timestamp", parts.moments, layout.part("moments")),
            ("multicategorical", parts.sets, layout.part("sets")),
            ("embedding", parts.vectors.float(), layout.part("vectors")),
        ):
            if encoders:
                features[stype] = _by_column(tensor, encoders) if stype == "embedding" else tensor
                names[stype] = [e.column for e in encoders]
        return Frame(features, names)


def _by_column(vectors: torch.Tensor, encoders: Sequence[Encoder]) -> torch.Tensor:
    widths = {len(e.names) for e in encoders}
    return vectors.view(len(vectors), len(encoders), *widths) if len(widths) == 1 else vectors


@dataclass(frozen=True)
class WithFrames:
    """A PyG transform: gives every node type of a sampled `HeteroData` its `tf`, a pytorch-frame `TensorFrame`."""

    graph: Graph
    attributes: Attributes

    @cached_property
    def frames(self) -> Frames:
        from relbench_harness.graph.frames import Frames

        return Frames(self.graph, self.attributes)

    def __call__(self, data: HeteroData) -> HeteroData:
        for table in self.graph.sizes:
            data[table].tf = self.frames.rows(table, data[table].n_id.numpy())
        return data
