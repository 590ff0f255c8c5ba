"""Workers that are tasks of Ray, on a cluster that runs already or on one of this machine that lives as long as the sweep.

A worker that is killed is started again by Ray. Invariant: a cluster that this process started ends with the sweep; of another
one only the tasks of the sweep end.
"""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from relbench_harness.errors import InputError
from relbench_harness.sweep.carry_out import Listener, Work
from relbench_harness.sweep.elsewhere import Walk
from relbench_harness.sweep.launchers import carry_out_elsewhere, package

MOST_RETRIES = 20
"""How often Ray starts a worker again whose process was ended."""
SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS_SKIP_REGEX": ".*"}
"""Variables that Ray reads when it is loaded: it reports nothing to its makers, and writes nothing between the lines of results."""
STORE = 100 * 2**20
"""Bytes of memory for objects of a cluster on this machine: workers share files, not objects."""


@dataclass(frozen=True)
class Ray:
    """Tasks of Ray.

    Attributes:
        address: Of a cluster; None for one on this machine.
        cpus, gpus: Of each worker.
    """

    address: str | None = None
    cpus: int = 1
    gpus: float = 0

    def check(self) -> None:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        with _own_signals():
            package("ray", "ray", "ray")

    def carry_out(self, work: Work, listener: Listener, jobs: int) -> None:
        carry_out_elsewhere(work, listener, jobs, self._started)

    @contextmanager
    def _started(self, walk: Walk, jobs: int, say: Callable[[str], None]) -> Iterator[_Tasks]:
        with _own_signals():
            ray = self._joined(jobs)
        try:
            start = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=MOST_RETRIES)(_walk)
            shared = ray.put(walk)
            tasks = _Tasks(ray, [start.remote(shared, number) for number in range(jobs)])
            try:
                yield tasks
            finally:
                tasks.end()
        finally:
            ray.shutdown()

    def _joined(self, jobs: int) -> Any:
        """Ray, with a cluster."""
        import logging

        import ray

        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self.address is None:
            options |= {"num_cpus": self.cpus * jobs, "object_store_memory": STORE, "include_dashboard": False}
            options |= {"num_gpus": math.ceil(self.gpus * jobs)} if self.gpus else {}
        try:
            ray.init(address=self.address or "local", **options)
        except (OSError, RuntimeError, ValueError) as error:
            where = "on this machine" if self.address is None else f"at {self.address}"
            raise InputError(f"no cluster of Ray {where}: {' '.join(str(error).split())[:300]}") from error
        return ray


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray sets handlers of signals where it is loaded and joined; those of this process stay."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _walk(walk: Walk, number: int) -> None:
    walk(number)


@dataclass
class _Tasks:
    ray: Any
    tasks: Sequence[Any]

    def failures(self) -> Sequence[str] | None:
        if self._left():
            return None
        found = []
        for task in self.tasks:
            try:
                self.ray.get(task)
            except Exception as error:
                # Ray raises what the worker raised as an error of its own
                found.append((str(error).strip() or type(error).__name__).splitlines()[-1])
        return found

    def end(self) -> None:
        """Ends the workers that are at work."""
        for task in self._left():
            with suppress(Exception):
                self.ray.cancel(task, force=True)

    def _left(self) -> Sequence[Any]:
        left: Sequence[Any] = self.ray.wait(list(self.tasks), num_returns=len(self.tasks), timeout=0)[1]
        return left
