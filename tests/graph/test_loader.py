"""The loader: every batch once, in order, made ahead, its errors passed on, its waiting counted."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from random_databases import DAY, random_database

from relbench_harness.errors import InputError
from relbench_harness.graph.attributes import Encoders
from relbench_harness.graph.loader import GraphReader, Loader, batches, each_tensor
from relbench_harness.graph.sampler import Sampler
from relbench_harness.graph.structure import Graph


@dataclass(frozen=True)
class Numbers:
    values: torch.Tensor


def read(part: np.ndarray) -> Numbers:
    return Numbers(torch.from_numpy(part))


@pytest.mark.parametrize(("threads", "ahead"), [(1, 1), (2, 4), (8, 3)])
def test_every_batch_once_in_order(threads: int, ahead: int) -> None:
    parts = batches(103, 10, seed=3)
    assert len(parts) == 11 and sorted(np.concatenate(parts)) == list(range(103))
    loader = Loader(read, parts, threads, ahead)
    for _ in range(2):
        found = list(loader)
        assert len(found) == len(loader)
        assert all((f.values.numpy() == p).all() for f, p in zip(found, parts, strict=True))


def test_batches_are_made_ahead_while_the_consumer_works() -> None:
    made = threading.Semaphore(0)

    def counted(part: np.ndarray) -> Numbers:
        made.release()
        return read(part)

    loader = iter(Loader(counted, batches(50, 10), threads=1, ahead=3))
    next(loader)
    for _ in range(4):
        assert made.acquire(timeout=10), "the fourth batch is begun when the first is handed over"


def test_waiting_is_counted() -> None:
    gate = threading.Event()

    def slow(part: np.ndarray) -> Numbers:
        gate.wait(10)
        return read(part)

    loader = Loader(slow, batches(1, 1))
    threading.Timer(0.2, gate.set).start()
    list(loader)
    assert loader.waited >= 0.1 and 0 < loader.wait <= 1
    instant = Loader(read, batches(3, 1), ahead=3)
    for _ in instant:
        time.sleep(0.02)
    assert instant.waited < instant.elapsed


def test_an_error_reaches_the_consumer() -> None:
    def broken(part: np.ndarray) -> Numbers:
        if part[0] == 2:
            raise InputError("a batch cannot be made")
        return read(part)

    with pytest.raises(InputError, match="cannot be made"):
        list(Loader(broken, batches(5, 1), threads=2))


def test_leaving_early_ends_the_threads() -> None:
    before = threading.active_count()
    for _ in Loader(read, batches(100, 1), threads=3):
        break
    assert threading.active_count() <= before


def test_tensors_move_wherever_they_are() -> None:
    part = {"a": [torch.zeros(2), (torch.ones(1), "text")], "b": Numbers(torch.zeros(3))}
    moved = each_tensor(part, lambda t: t.to("meta"))
    assert moved["a"][0].is_meta and moved["a"][1][0].is_meta and moved["a"][1][1] == "text"
    assert moved["b"].values.is_meta and not part["b"].values.is_meta
    assert all(b.values.is_meta for b in Loader(read, batches(3, 1), device=torch.device("meta")))


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_graph_batches_are_equal_on_any_number_of_threads(threads: int) -> None:
    database = random_database(np.random.default_rng(0), 20, 30, 200, 100)
    encoders = Encoders.fit(database, 12 * DAY)
    sampler = Sampler(Graph.from_database(database), [4, 4], "uniform", threads=threads)
    rng = np.random.default_rng(1)
    entity, cutoff = rng.integers(0, 20, 64), rng.integers(3, 12, 64) * DAY
    reader = GraphReader(sampler, encoders.encode(database), "users", entity, cutoff, seed=5)
    parts = batches(64, 8, seed=0)
    for part, batch in zip(parts, Loader(reader, parts, threads), strict=True):
        single = Sampler(sampler.graph, [4, 4], "uniform").sample("users", entity[part], cutoff[part], 5)
        for name, nodes in single.nodes.items():
            assert (nodes.row == batch.around.nodes[name].row).all()
            assert (nodes.cut == batch.around.nodes[name].cut).all()
            values = database[name].rows.column("value").to_numpy()[nodes.row]
            numbers = batch.rows(name).numbers[batch.place[name].long()]
            assert (
                len(values) < 2
                or (np.argsort(values, kind="stable") == np.argsort(numbers[:, 0].numpy(), kind="stable")).all()
            )


@pytest.mark.parametrize(("threads", "ahead"), [(0, 1), (1, 0)])
def test_bad_settings(threads: int, ahead: int) -> None:
    with pytest.raises(InputError, match="at least one"):
        Loader(read, [], threads, ahead)
    with pytest.raises(InputError, match="at least one example"):
        batches(3, 0)
