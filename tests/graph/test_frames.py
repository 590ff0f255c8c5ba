"""pytorch-frame's tensor frames of our attributes, and RelBench's example model trained on our loader unchanged."""

from __future__ import annotations

import re
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch_geometric.loader import NodeLoader

pytest.importorskip("torch_frame")
from random_databases import DAY, random_database
from relbench.modeling.nn import HeteroEncoder, HeteroGraphSAGE, HeteroTemporalEncoder
from torch_frame import stype
from torch_frame.data.stats import StatType

from relbench_harness.data.database import Database
from relbench_harness.data.dataset import open_task
from relbench_harness.data.table import Table
from relbench_harness.graph.attributes import Encoders
from relbench_harness.graph.frames import CONSTANT, Frames
from relbench_harness.graph.pyg import RelationalSampler, WithAttributes, WithFrames, hetero_data
from relbench_harness.graph.structure import Graph
from relbench_harness.protocol.stages import Stages

DOCS = Path(__file__).parents[2] / "docs" / "graph.md"
SECONDS = 86_400


def things() -> Database:
    """One timed table with a column of every kind; rows of day 8 and later come after training."""
    n = 12
    random = np.random.default_rng(0)
    rows = pa.table(
        {
            "at": pa.array(np.arange(n) * DAY).cast(pa.timestamp("ns")),
            "price": pa.array([None, *random.normal(size=n - 2), 1e6]),
            "grade": pa.array([1, 2, 3, None] * 3),
            "colour": pa.array(["red", "red", "blue", None] * 2 + ["green", "red", "blue", None]),
            "tags": pa.array([["a", "b"], [], None, ["b"]] * 2 + [["new"], ["a"], ["b"], []]),
            "place": pa.array([[1.0, 2.0, 3.0]] * n),
            "size": [[1.0, float(i), 2.0] for i in range(n)],
            "bare": np.arange(n) % 2,
        }
    )
    parents = Table("bare", pa.table({"bare": np.arange(2)}), key="bare")
    return Database([Table("things", rows, time="at", references=MappingProxyType({"bare": "bare"})), parents])


@pytest.fixture(scope="module")
def frames() -> Frames:
    database = things()
    encoders = Encoders.fit(database.upto(8 * DAY), 8 * DAY)
    return Frames(Graph.from_database(database), encoders.encode(database))


def test_a_frame_holds_the_attributes_of_its_rows(frames: Frames) -> None:
    rows = np.array([3, 0, 8])
    frame, parts = frames.rows("things", rows), frames.attributes.rows("things", rows)
    names = frame.col_names_dict
    assert frame.num_rows == 3
    price = names[stype.numerical].index("price")
    assert torch.equal(frame.feat_dict[stype.numerical][:, price].nan_to_num(9), parts.numbers[:, 0].nan_to_num(9))
    days = names[stype.numerical].index("at.days") if "at.days" in names[stype.numerical] else None
    assert days is None or frame.feat_dict[stype.numerical][:, days].tolist() == [-5.0, -8.0, 0.0]
    # red is the most frequent colour of training; null is −1, and what training never saw 0
    colour = frame.feat_dict[stype.categorical][:, names[stype.categorical].index("colour")]
    assert colour.tolist() == [-1, 1, 0]
    assert "grade.category" in names[stype.categorical] and "grade" in names[stype.numerical]
    tags = frame.feat_dict[stype.multicategorical]
    known = frames.col_stats["things"]["tags"][StatType.MULTI_COUNT][0]
    listed = [[known[code] for code in tags[row, 0].tolist()] for row in range(3)]
    assert listed == [["b"], ["a", "b"], ["(unseen)"]]
    vectors = frame.feat_dict[stype.embedding]
    assert names[stype.embedding] == ["place", "size"]
    assert torch.allclose(vectors.values, parts.vectors.float()) and vectors[0, 0].shape[-1] == 3


def test_statistics_are_of_training_alone(frames: Frames) -> None:
    stats = frames.col_stats["things"]
    visible = frames.rows("things", np.arange(8)).feat_dict[stype.numerical][:, 0].numpy()
    assert stats["price"][StatType.MEAN] == pytest.approx(np.nanmean(visible), abs=1e-6)
    assert stats["price"][StatType.STD] == pytest.approx(np.nanstd(visible), abs=1e-6)
    # two nulls in eight rows, no green yet
    assert stats["colour"][StatType.COUNT] == (["(unseen)", "red", "blue"], [0, 4, 2])
    assert stats["place"] == {StatType.EMB_DIM: 3}
    assert frames.col_names["bare"] == {stype.numerical: [CONSTANT]} and set(frames.col_stats["bare"]) == {CONSTANT}


def test_frames_of_no_rows(frames: Frames) -> None:
    none = np.empty(0, np.int64)
    for table in ("things", "bare"):
        empty = frames.rows(table, none)
        assert empty.num_rows == 0 and empty.col_names_dict == frames.col_names[table]


def test_a_table_with_embeddings_and_no_sampled_rows(frames: Frames) -> None:
    graph = frames.graph
    for transform in (WithAttributes(graph, frames.attributes), WithFrames(graph, frames.attributes)):
        loader = NodeLoader(
            hetero_data(graph), RelationalSampler(graph, [2]), input_nodes=("bare", torch.arange(2)),
            input_time=torch.zeros(2, dtype=torch.long), transform=transform, batch_size=2,
        )  # fmt: skip
        (batch,) = loader
        assert len(batch["things"].n_id) == 0 == batch["things"].tf.num_rows
        assert batch["things"].tf.col_names_dict


def test_frames_of_whole_tables_and_of_batches_are_the_same() -> None:
    database = random_database(np.random.default_rng(1), 20, 20, 150, 80)
    graph = Graph.from_database(database)
    attributes = Encoders.fit(database, 12 * DAY).encode(database)
    for data, transform in ((hetero_data(graph, attributes), None), (hetero_data(graph), WithFrames(graph, attributes))):
        loader = NodeLoader(
            data, RelationalSampler(graph, [3, 3], "recent"), input_nodes=("users", torch.arange(8)),
            input_time=torch.full((8,), 9 * SECONDS), transform=transform, batch_size=8,
        )  # fmt: skip
        (batch,) = loader
        for name in graph.sizes:
            expected = Frames(graph, attributes).rows(name, batch[name].n_id.numpy())
            assert batch[name].tf == expected


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.thorough)])
def test_frames_come_from_worker_processes_however_those_begin(start: str) -> None:
    database = random_database(np.random.default_rng(1), 20, 20, 150, 80)
    graph = Graph.from_database(database)
    attributes = Encoders.fit(database, 12 * DAY).encode(database)
    for data, transform in (
        (hetero_data(graph, attributes), None),
        (hetero_data(graph), WithFrames(graph, attributes)),
        (hetero_data(graph), WithAttributes(graph, attributes)),
    ):
        loaders = [
            NodeLoader(
                data, RelationalSampler(graph, [3, 3], "recent"), input_nodes=("users", torch.arange(8)),
                input_time=torch.full((8,), 9 * SECONDS), transform=transform, batch_size=8, num_workers=workers,
                multiprocessing_context=start if workers else None, timeout=60 if workers else 0,
            )
            for workers in (1, 0)
        ]  # fmt: skip
        (there,), (here,) = loaders
        for name in graph.sizes:
            assert torch.equal(there[name].n_id, here[name].n_id)
            assert there[name].tf.num_rows == len(here[name].n_id)


# -- drawing anew ---------------------------------------------------------------------------------------------------------


def drawn(workers: int, seed: int, epochs: int = 2, persistent: bool = False) -> list[list[list[int]]]:
    """Epoch → batch → sampled rows of `events`."""
    database = random_database(np.random.default_rng(0), 20, 20, 600, 80)
    torch.manual_seed(3)
    graph = Graph.from_database(database)
    loader = NodeLoader(
        hetero_data(graph), RelationalSampler(graph, [2, 2], "uniform", seed=seed), input_nodes=("users", torch.arange(12)),
        input_time=torch.full((12,), 12 * SECONDS), batch_size=6, num_workers=workers, persistent_workers=persistent,
    )  # fmt: skip
    return [[batch["events"].n_id.tolist() for batch in loader] for _ in range(epochs)]


@pytest.mark.parametrize(("workers", "persistent"), [(0, False), (2, False), (2, True)])
def test_every_epoch_draws_anew_and_every_program_the_same(workers: int, persistent: bool) -> None:
    first, second = drawn(workers, 5, persistent=persistent)
    assert first != second and first[0] != first[1]
    assert drawn(workers, 5, persistent=persistent) == [first, second]
    assert drawn(workers, 6, persistent=persistent)[0] != first


# -- real data ------------------------------------------------------------------------------------------------------------


def snippets() -> list[str]:
    return re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.S)


@pytest.mark.slow
def test_the_snippets_of_the_documentation_run(real_data: Path) -> None:
    names: dict[str, object] = {}
    for snippet in snippets():
        exec(compile(snippet, str(DOCS), "exec"), names)
    assert len(snippets()) == 3
    numbers, predictions = names["numbers"], names["predictions"]
    assert isinstance(numbers, torch.Tensor) and len(numbers) > 0
    assert isinstance(predictions, torch.Tensor) and predictions.shape == (512, 64) and bool(predictions.isfinite().all())


class Example(torch.nn.Module):
    """The model of RelBench's examples (Robinson et al. 2024): encoder, temporal encoder, SAGE, head."""

    def __init__(self, data: torch.nn.Module, channels: int = 32) -> None:
        super().__init__()
        names = {name: data[name].tf.col_names_dict for name in data.node_types}
        stats = {name: data[name].col_stats for name in data.node_types}
        shape = {"channels": channels, "num_layers": 1}
        self.encoder = HeteroEncoder(channels, names, stats, torch_frame_model_kwargs=shape)
        self.temporal_encoder = HeteroTemporalEncoder([n for n in data.node_types if "time" in data[n]], channels)
        self.gnn = HeteroGraphSAGE(data.node_types, data.edge_types, channels)
        self.head = torch.nn.Linear(channels, 1)

    def forward(self, batch: torch.nn.Module, entity: str) -> torch.Tensor:
        seed_time = batch[entity].seed_time
        x_dict = self.encoder(batch.tf_dict)
        rel_time_dict = self.temporal_encoder(seed_time, batch.time_dict, batch.batch_dict)
        for node_type, rel_time in rel_time_dict.items():
            x_dict[node_type] = x_dict[node_type] + rel_time
        x_dict = self.gnn(x_dict, batch.edge_index_dict)
        return self.head(x_dict[entity][: seed_time.size(0)])[:, 0]


def test_the_model_of_relbenchs_examples_learns(real_data: Path) -> None:
    train = Stages(*open_task("rel-f1/driver-dnf"), "rolling").examples("train")
    graph = Graph.from_database(train.database)
    data = hetero_data(graph, Encoders.fit(train.known, train.fit_end).encode(train.database))
    some = np.random.default_rng(0).permutation(len(train))[:2048]
    torch.manual_seed(0)
    loader = NodeLoader(
        data, RelationalSampler(graph, [6, 3], "uniform"), input_nodes=("drivers", torch.tensor(train.entity[some])),
        input_time=torch.tensor(train.time[some] // 10**9), batch_size=256, shuffle=True,
    )  # fmt: skip
    labels = torch.tensor(train.values[some]).float()
    model = Example(data)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.005)
    losses = []
    for _ in range(4):
        epoch = []
        for batch in loader:
            optimiser.zero_grad()
            answers = model(batch, "drivers")
            loss = torch.nn.functional.binary_cross_entropy_with_logits(answers, labels[batch["drivers"].input_id])
            loss.backward()
            optimiser.step()
            epoch.append(loss.item())
        losses.append(float(np.mean(epoch)))
    constant = float(torch.nn.functional.binary_cross_entropy(labels.mean().expand(len(labels)), labels))
    assert losses[-1] < losses[0] and losses[-1] < constant
