"""How many questions per second the engine reads (samples, fetches attributes, trains on) as the database grows.

The tables are those of `sampling.py`, with as many transactions per customer and product at every size, so that equal
fan-outs find equally many rows. They lie in files, so a database larger than memory can be measured.

    python benchmarks/reading.py --rows 1000000 50000000            # attributes in memory
    python benchmarks/reading.py --rows 50000000 --cold             # attributes mapped from disk, none of it cached
    python benchmarks/reading.py --rows 100000000 --cold --train    # with a small network that learns

prints one JSON line per size.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import nn

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.graph.attributes import Attributes, Encoders
from relbench_harness.graph.loader import GraphBatch, GraphReader, Loader, batches
from relbench_harness.graph.sampler import Sampler
from relbench_harness.graph.structure import Graph

YEAR = 365 * 86_400 * 10**9
PIECE = 1 << 22


def shop(transactions: int, folder: Path) -> Database:
    """50 transactions per customer and 500 per product; the columns of the transactions are files in `folder`."""
    customers, products = max(transactions // 50, 1), max(transactions // 500, 1)
    kinds = {"customer": np.int64, "product": np.int64, "time": np.int64, "amount": np.float64, "channel": np.int64}
    columns = {n: np.memmap(folder / n, k, mode="w+", shape=(transactions,)) for n, k in kinds.items()}
    for first in range(0, transactions, PIECE):
        rng = np.random.default_rng(first)
        here = slice(first, min(first + PIECE, transactions))
        count = here.stop - first
        columns["customer"][here] = rng.integers(0, customers, count)
        columns["product"][here] = rng.integers(0, products, count)
        columns["time"][here] = np.sort(rng.integers(first, here.stop, count)) * (YEAR // transactions)
        columns["amount"][here] = rng.lognormal(size=count)
        columns["channel"][here] = rng.integers(0, 4, count)
    for column in columns.values():
        column.flush()
    rows = {name: pa.array(np.memmap(folder / name, kind, mode="r")) for name, kind in kinds.items()}
    rows["time"] = rows["time"].view(pa.timestamp("ns"))
    rng = np.random.default_rng(0)
    people = {"id": np.arange(customers), "age": rng.integers(18, 90, customers)}
    goods = {"id": np.arange(products), "price": rng.lognormal(size=products)}
    return Database(
        [
            Table("customers", pa.table(people), key="id"),
            Table("products", pa.table(goods), key="id"),
            Table("transactions", pa.table(rows), time="time", references={"customer": "customers", "product": "products"}),
        ]
    )


class Pooled(nn.Module):
    """Rows to vectors, each node's neighbours averaged towards the questions, hop by hop."""

    def __init__(self, encoders: Encoders, channels: int) -> None:
        super().__init__()
        self.numbers = nn.ModuleDict({n: nn.LazyLinear(channels) for n in encoders.layouts})
        self.codes = nn.ModuleDict(
            {
                n: nn.ModuleList(nn.Embedding(c, channels) for c in layout.cardinalities)
                for n, layout in encoders.layouts.items()
            }
        )
        self.out = nn.Linear(channels, 1)

    def forward(self, batch: GraphBatch) -> torch.Tensor:
        state = {}
        for name in batch.packed:
            rows = batch.rows(name)
            known = self.numbers[name](torch.cat([rows.numbers.nan_to_num(), torch.ones(len(rows.numbers), 1)], dim=1))
            for i, table in enumerate(self.codes[name]):  # type: ignore[arg-type]
                known = known + table(rows.codes[:, i])
            state[name] = known.relu()[batch.place[name]]
        for edges in reversed(batch.around.edges):
            if len(edges):
                found = state[edges.step.target][torch.from_numpy(edges.target)]
                mean = torch.segment_reduce(found, "mean", offsets=torch.from_numpy(edges.ends), initial=0.0)
                before = state[edges.step.source]
                rows = torch.arange(edges.first, edges.first + len(mean))
                state[edges.step.source] = before.index_add(0, rows, mean.nan_to_num())
        return self.out(state[batch.around.table][torch.from_numpy(batch.around.seeds)]).squeeze(1)


def uncached(attributes: Attributes, folder: Path) -> Attributes:
    """The same records, mapped anew, with nothing of them in the page cache."""
    shapes = {name: array.shape for name, array in attributes.packed.items()}
    encoders = attributes.encoders
    del attributes
    gc.collect()
    arrays: dict[str, NDArray[np.int32]] = {}
    for name, shape in shapes.items():
        file = os.open(folder / name, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)
        arrays[name] = np.memmap(folder / name, np.int32, mode="r", shape=shape)
    return Attributes(encoders, arrays)


def memory(kind: str) -> int:
    """Megabytes of this process: `RssAnon` its own, `RssFile` of mapped files, `VmHWM` the most of both so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(kind)).split()[1]) // 1024


def measure(transactions: int, chosen: argparse.Namespace, folder: Path) -> dict[str, object]:
    database = shop(transactions, folder)
    empty = memory("RssAnon")
    start = time.perf_counter()
    graph = Graph.from_database(database)
    built = time.perf_counter() - start
    structure = memory("RssAnon") - empty
    start = time.perf_counter()
    fit_end = YEAR // 2
    known = database.prefixes({name: int(graph.visible(name, np.array([fit_end]))[0]) for name in database})
    encoders = Encoders.fit(known, fit_end)
    del known
    store = folder / "attributes" if chosen.cold else None
    attributes = encoders.encode(database, store)
    encoded = time.perf_counter() - start
    rng = np.random.default_rng(1)
    entity = rng.integers(0, graph.sizes["customers"], chosen.questions)
    cutoff = rng.integers(fit_end, YEAR, chosen.questions)
    sampler = Sampler(graph, chosen.fans, chosen.strategy)
    network = Pooled(encoders, 32)
    rates, waits, work = [], [], []
    for repeat in range(chosen.repeats):
        if store is not None:
            attributes = uncached(attributes, store)
        reader = GraphReader(sampler, attributes, "customers", entity, cutoff, repeat)
        loader = Loader(reader, batches(chosen.questions, 512, repeat), chosen.threads, 2 * chosen.threads)
        start, busy = time.perf_counter(), time.process_time()
        optimiser = None
        for batch in loader:
            if chosen.train:
                loss = nn.functional.mse_loss(network(batch), torch.zeros(len(batch.questions)))
                optimiser = optimiser or torch.optim.Adam(network.parameters())
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        rates.append(chosen.questions / (time.perf_counter() - start))
        work.append(chosen.questions / (time.process_time() - busy))
        waits.append(loader.wait)
        del reader, loader, batch
    return {
        "benchmark": "reading",
        "rows": sum(graph.sizes.values()),
        "attributes": "disk, cold" if chosen.cold else "memory",
        "train": chosen.train,
        "questions": chosen.questions,
        "fans": chosen.fans,
        "questions_per_second": round(statistics.median(rates)),
        "best_questions_per_second": round(max(rates)),
        "questions_per_processor_second": round(statistics.median(work)),
        "seconds_per_epoch": round(chosen.questions / statistics.median(rates), 2),
        "loader_wait": round(statistics.median(waits), 3),
        "structure_seconds": round(built, 1),
        "structure_mb": round(graph.nbytes / 2**20),
        "structure_resident_mb": structure,
        "attributes_seconds": round(encoded, 1),
        "attributes_mb": round(attributes.nbytes / 2**20),
        "own_memory_mb": memory("RssAnon"),
        "peak_memory_mb": memory("VmHWM"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--fans", type=int, nargs="+", default=[16, 8])
    parser.add_argument("--strategy", choices=["uniform", "recent", "decayed"], default="recent")
    parser.add_argument("--questions", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cold", action="store_true", help="attributes mapped from disk, evicted before every repeat")
    parser.add_argument("--train", action="store_true", help="train a small network on the batches")
    parser.add_argument("--folder", type=Path, help="where the tables are written; a temporary folder by default")
    chosen = parser.parse_args()
    for rows in chosen.rows:
        with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
            print(json.dumps(measure(rows, chosen, Path(folder))), flush=True)


if __name__ == "__main__":
    main()
