"""How many examples per second the method `gnn` trains on as the database grows, and what memory that takes.

The database is rel-shop, in which every customer has as many rows around at every scale, so that equal fan-outs find
equally many. Everything is the method's own: encoders, history, sampling, network, loss.

    python benchmarks/reading.py --scale 10 500          # attributes in memory: 1 and 49 million rows
    python benchmarks/reading.py --scale 500 --cold      # attributes mapped from disk, none of it cached
    python benchmarks/reading.py --scale 1000 --cold     # 97 million rows

prints one JSON line per scale. Several scales take turns, epoch by epoch, so that a machine whose speed varies serves them alike;
`to_first_scale` is the examples per second of each turn against the first scale's. Memory is that of the process, all scales.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from relbench_harness.baselines.gnn.batch import Batch
from relbench_harness.baselines.gnn.method import RelationalGNN
from relbench_harness.baselines.gnn.preprocessor import Prepared, Preprocessor

from relbench_harness.compose import make_method
from relbench_harness.data.dataset import open_task
from relbench_harness.graph.attributes import Attributes
from relbench_harness.graph.loader import Loader
from relbench_harness.graph.training import TrainingSet, epoch_batches, train
from relbench_harness.protocol.method import Budget
from relbench_harness.protocol.stages import Stages


def evict(attributes: Attributes) -> None:
    """Nothing of the stored records stays in the page cache."""
    for array in attributes.packed.values():
        if isinstance(array, np.memmap) and array.filename is not None:
            mapping: Any = array._mmap
            mapping.madvise(mmap.MADV_DONTNEED)
            file = os.open(array.filename, os.O_RDONLY)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def memory(kind: str) -> int:
    """Megabytes of this process: `RssAnon` its own, `RssFile` of mapped files, `VmHWM` the most of both so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(kind)).split()[1]) // 1024


class Opened:
    """The method `gnn` on rel-shop at one scale, ready to learn an epoch at a time."""

    def __init__(self, scale: float, chosen: argparse.Namespace, folder: Path) -> None:
        self.scale, self.cold = scale, chosen.cold
        dataset, task = open_task(f"rel-shop@scale={scale:g}/customer-churn")
        self.train = Stages(dataset, task, "rolling").examples("train")
        # drawn as if all had one time: old and young ones alike, at every scale
        self.alike = np.zeros(len(self.train), np.int64)
        method, _ = make_method("gnn", steps_per_epoch=chosen.steps, epochs=1)
        assert isinstance(method, RelationalGNN)
        begun, busy = time.perf_counter(), time.process_time()
        budget = Budget(threads=chosen.threads, device="cpu")
        torch.set_num_threads(budget.threads)
        preprocessor, self.builder = Preprocessor.fit(self.train, self.train, method.sampling, method.without)
        if chosen.cold:
            attributes = preprocessor.encoders.encode(self.train.database, folder / f"attributes {scale:g}")
            self.builder = replace(self.builder, rows=replace(self.builder.rows, attributes=attributes))
        self.opened, self.opened_busy = time.perf_counter() - begun, time.process_time() - busy
        self.method = method
        self.network = method.network(Prepared(preprocessor, self.builder), self.train)
        self.seconds: list[float] = []
        self.waited: list[float] = []
        self.work: list[float] = []

    def learn(self, epoch: int) -> None:
        """One epoch over a part of the training examples of its own."""
        if self.cold:
            evict(self.builder.rows.attributes)
        begun = time.process_time()

        def read(part: NDArray[np.int64]) -> Batch:
            return self.builder.batch(self.train.take(part), epoch)

        data = TrainingSet(
            lambda _: Loader(read, epoch_batches(self.alike, self.method.config, 0, epoch)),
            len(self.train),
            lambda model, batch: self.network.head.loss(model(batch), batch),
        )
        log = train(self.network, data, None, self.method.config)
        self.work.append(time.process_time() - begun)
        self.seconds += log.seconds
        self.waited += log.waited

    def report(self) -> dict[str, object]:
        """The median epoch but for the first, which compiles and warms up."""
        examples = sum(len(part) for part in epoch_batches(self.alike, self.method.config, 0, 0))
        seconds = statistics.median(self.seconds[1:])
        return {
            "benchmark": "reading",
            "scale": self.scale,
            "rows": sum(len(table) for table in self.train.database.values()),
            "attributes": "disk, cold" if self.cold else "memory",
            "training_examples": len(self.train),
            "examples_per_epoch": examples,
            "examples_per_second": round(examples / seconds),
            "examples_per_processor_second": round(examples / statistics.median(self.work[1:])),
            "seconds_per_epoch": round(seconds, 2),
            "loader_wait": round(sum(self.waited[1:]) / sum(self.seconds[1:]), 3),
            "opening_seconds": round(self.opened, 1),
            "opening_processor_seconds": round(self.opened_busy, 1),
            "structure_mb": self.builder.sampler.graph.nbytes >> 20,
            "attributes_mb": self.builder.rows.attributes.nbytes >> 20,
            "own_memory_mb": memory("RssAnon"),
            "mapped_memory_mb": memory("RssFile"),
            "peak_memory_mb": memory("VmHWM"),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, nargs="+", default=[10])
    parser.add_argument("--steps", type=int, default=50, help="batches of an epoch")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cold", action="store_true", help="attributes mapped from disk, evicted before every epoch")
    parser.add_argument("--folder", type=Path, help="where attributes are written; a temporary folder by default")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        scales = [Opened(scale, chosen, Path(folder)) for scale in chosen.scale]
        for epoch in range(chosen.epochs):
            for opened in scales:
                opened.learn(epoch)
        first = scales[0]
        for opened in scales:
            pairs = [a / b for a, b in zip(first.seconds[1:], opened.seconds[1:], strict=True)]
            print(json.dumps({**opened.report(), "to_first_scale": [round(pair, 3) for pair in sorted(pairs)]}), flush=True)


if __name__ == "__main__":
    main()
