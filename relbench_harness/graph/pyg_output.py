"""A neighbourhood in the form of PyG's samplers: nodes and edges by type, the examples first, each a node of its own."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch_geometric.sampler import HeteroSamplerOutput

from relbench_harness.graph.neighbourhood import Neighbourhood
from relbench_harness.graph.structure import EdgeType

Long = NDArray[np.int64]


def hetero_output(around: Neighbourhood) -> HeteroSamplerOutput:
    """PyG's form: every example a node of its own, before all others of its table."""
    seeds, table = around.seeds.astype(np.int64), around.table
    merged = int(around.nodes[table].hop_ends[0])
    count = len(seeds)
    # the first of equal examples stands for the merged node wherever another row leads to it
    number = {name: np.arange(len(nodes)) for name, nodes in around.nodes.items()}
    number[table] = np.arange(len(around.nodes[table])) - merged + count
    number[table][seeds[::-1]] = np.arange(count)[::-1]
    node, batch, counts = {}, {}, {}
    example = np.zeros(len(around.cutoffs), np.int64)
    example[around.nodes[table].cut[seeds[::-1]]] = np.arange(count)[::-1]
    for name, nodes in around.nodes.items():
        row, cut = nodes.row.astype(np.int64), nodes.cut
        counts[name] = np.diff(nodes.hop_ends, prepend=0).tolist()
        batch[name] = example[cut]
        if name == table:
            row = np.concatenate([row[seeds], row[merged:]])
            batch[name] = np.concatenate([np.arange(count), batch[name][merged:]])
            counts[name][0] = count
        node[name] = torch.from_numpy(row)
    rows: dict[EdgeType, list[Long]] = {s.message_type: [] for s in around.graph.steps}
    cols: dict[EdgeType, list[Long]] = {s.message_type: [] for s in around.graph.steps}
    for edges in around.edges:
        found, to = edges.target, number[edges.step.source][edges.source]
        if edges.hop == 1 and edges.step.source == table:
            taken = np.diff(edges.ends)[seeds]
            inner = np.arange(taken.sum()) - np.repeat(np.cumsum(taken) - taken, taken)
            found = edges.target[np.repeat(edges.ends[:-1][seeds], taken) + inner]
            to = np.repeat(np.arange(count), taken)
        rows[edges.step.message_type].append(number[edges.step.target][found])
        cols[edges.step.message_type].append(to)
    return HeteroSamplerOutput(
        node=node,
        row={key: torch.from_numpy(np.concatenate(parts)) for key, parts in rows.items()},
        col={key: torch.from_numpy(np.concatenate(parts)) for key, parts in cols.items()},
        edge=dict.fromkeys(rows),
        batch={name: torch.from_numpy(b) for name, b in batch.items()},
        num_sampled_nodes=counts,
        num_sampled_edges={key: [len(part) for part in parts] for key, parts in rows.items()},
    )


def joined(one: HeteroSamplerOutput, two: HeteroSamplerOutput, second: str) -> HeteroSamplerOutput:
    """Both outputs side by side; in table `second` the nodes of `two` come first, elsewhere those of `one`."""
    shift_one = {name: len(two.node[name]) if name == second else 0 for name in one.node}
    shift_two = {name: 0 if name == second else len(one.node[name]) for name in one.node}

    def ordered(name: str, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.cat([b, a] if name == second else [a, b])

    return HeteroSamplerOutput(
        node={n: ordered(n, one.node[n], two.node[n]) for n in one.node},
        row={k: torch.cat([one.row[k] + shift_one[k[0]], two.row[k] + shift_two[k[0]]]) for k in one.row},
        col={k: torch.cat([one.col[k] + shift_one[k[2]], two.col[k] + shift_two[k[2]]]) for k in one.col},
        edge=dict.fromkeys(one.row),
        batch={n: ordered(n, one.batch[n], two.batch[n]) for n in one.node},
    )
