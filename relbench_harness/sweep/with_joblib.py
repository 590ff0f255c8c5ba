"""Workers that joblib starts, by its own pool of processes (loky).

Invariant: this process's pool of loky is empty before and after. Joblib ends all workers where one is killed; they are started
again by what follows them (`launchers`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from relbench_harness.sweep.carry_out import Listener, Work
from relbench_harness.sweep.elsewhere import Walk
from relbench_harness.sweep.launchers import carry_out_elsewhere, package
from relbench_harness.sweep.workers import shares_of_machine


@dataclass(frozen=True)
class Joblib:
    """Processes of this machine, started by joblib."""

    def check(self) -> None:
        package("joblib", "joblib", "")

    def carry_out(self, work: Work, listener: Listener, jobs: int) -> None:
        carry_out_elsewhere(work.together(jobs), listener, jobs, _started)


@dataclass
class _Workers:
    walk: Walk
    jobs: int
    _failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._all, name="joblib", daemon=True)
        self.thread.start()

    def _all(self) -> None:
        from joblib import Parallel, delayed

        # one job alone would be done in this process
        pool = Parallel(n_jobs=max(2, self.jobs), backend="loky", batch_size=1, pre_dispatch="all")
        try:
            pool(delayed(self.walk)(number) for number in range(self.jobs))
        except Exception as error:
            # joblib says in several sentences what may have happened
            self._failures.append(f"{type(error).__name__}: {str(error).partition('. ')[0]}")

    def failures(self) -> Sequence[str] | None:
        return None if self.thread.is_alive() else self._failures


@contextmanager
def _started(walk: Walk, jobs: int, say: Callable[[str], None]) -> Iterator[_Workers]:
    from joblib.externals.loky import get_reusable_executor

    workers = _Workers(replace(walk, cores=shares_of_machine(jobs, say)), jobs)
    try:
        yield workers
    finally:
        get_reusable_executor(max_workers=max(2, jobs), reuse=True).shutdown(wait=True, kill_workers=True)
        workers.thread.join(1.0)
