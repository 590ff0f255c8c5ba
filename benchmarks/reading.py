"""How many questions per second the method `gnn` trains on as the database grows, and what memory that takes.

The database is rel-shop, in which every customer has as many rows around at every scale, so that equal fan-outs find
equally many. Everything is the method's own: encoders, history, sampling, network, loss.

    python benchmarks/reading.py --scale 10 500          # attributes in memory: 1 and 49 million rows
    python benchmarks/reading.py --scale 500 --cold      # attributes mapped from disk, none of it cached
    python benchmarks/reading.py --scale 1000 --cold     # 97 million rows

prints one JSON line per scale.
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
from relbench_harness.baselines.answers import answer_for
from relbench_harness.baselines.reader import Batch
from relbench_harness.baselines.relational import Headed, Relational, known_labels, prepare
from relbench_harness.baselines.training import draw, learn

from relbench_harness.compose import make_method
from relbench_harness.data.dataset import open_task
from relbench_harness.graph.attributes import Attributes
from relbench_harness.graph.loader import Loader
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


def measure(scale: float, chosen: argparse.Namespace, folder: Path) -> dict[str, object]:
    dataset, task = open_task(f"rel-shop@scale={scale:g}/customer-churn")
    train = Stages(dataset, task, "rolling").examples("train")
    method, _ = make_method("gnn", steps=chosen.steps, epochs=chosen.epochs)
    assert isinstance(method, Relational)
    begun, busy = time.perf_counter(), time.process_time()
    setting = prepare(method, train, train, Budget(threads=chosen.threads, device="cpu"))
    reader, reading = setting.reader, setting.reading
    if chosen.cold:
        reading.attributes = reader.encoders.encode(train.database, folder / "attributes")
    opened, opened_busy = time.perf_counter() - begun, time.process_time() - busy
    answer = answer_for(train)
    network = Headed(method.trunk(reader, reading), method.channels, reader.histories, answer, method.dropout)
    work: list[float] = []

    def batches(epoch: int) -> Loader[Batch]:
        if chosen.cold:
            evict(reading.attributes)
        work.append(time.process_time())

        def read(part: NDArray[np.int64]) -> Batch:
            return reading.batch(train.take(part), epoch)

        return Loader(read, draw(len(train), method.schedule, 0, epoch), device=setting.device)

    history = learn(
        network,
        batches,
        lambda model, batch: answer.loss(model(batch), known_labels(batch)),
        None,
        replace(method.schedule, patience=chosen.epochs),
        chosen.steps * chosen.epochs,
        setting.device,
    )
    work.append(time.process_time())
    questions = sum(len(part) for part in draw(len(train), method.schedule, 0, 0))
    # the first epoch compiles and warms up
    seconds = statistics.median(history.seconds[1:])
    return {
        "benchmark": "reading",
        "scale": scale,
        "rows": sum(len(table) for table in train.database.values()),
        "attributes": "disk, cold" if chosen.cold else "memory",
        "training_questions": len(train),
        "questions_per_epoch": questions,
        "questions_per_second": round(questions / seconds),
        "questions_per_processor_second": round(questions / statistics.median(np.diff(work)[1:])),
        "seconds_per_epoch": round(seconds, 2),
        "loader_wait": round(sum(history.waited[1:]) / sum(history.seconds[1:]), 3),
        "opening_seconds": round(opened, 1),
        "opening_processor_seconds": round(opened_busy, 1),
        "structure_mb": reading.graph.nbytes >> 20,
        "attributes_mb": reading.attributes.nbytes >> 20,
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
    for scale in chosen.scale:
        with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
            print(json.dumps(measure(scale, chosen, Path(folder))), flush=True)


if __name__ == "__main__":
    main()
