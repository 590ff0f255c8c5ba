"""Workers that are jobs of a Slurm cluster, submitted by submitit as one array.

A job that is preempted, or whose time is nearly over, learns of it by a signal. It gives up the mark of its run, puts itself into
the queue again and goes on later with what is left then. Invariant: a job does not depend on the process that submitted it;
where that ends by a signal or an error, the jobs are cancelled, and where it is killed, they go on.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from relbench_harness.errors import InputError, nearest
from relbench_harness.sweep.carry_out import Listener, Work
from relbench_harness.sweep.elsewhere import Walk
from relbench_harness.sweep.launchers import carry_out_elsewhere, package
from relbench_harness.sweep.workers import kill_all, tree_of

CLUSTERS = ("slurm", "local")


@dataclass(frozen=True)
class Slurm:
    """Jobs of a Slurm cluster.

    Attributes:
        cluster: `slurm`, or `local` for processes of this machine under submitit.
        timeout_minutes: After which a job puts itself into the queue again.
        signal_seconds: How long before that it learns of it.
        cpus, gpus, memory_gb: Of each job.
        parallel: How many jobs may run at a time; None: all.
        requeues: How often a job goes on after its time.
        setup: Shell commands before each job.
    """

    cluster: str = "slurm"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    timeout_minutes: int = 60
    signal_seconds: int = 90
    cpus: int = 1
    gpus: int = 0
    memory_gb: float | None = None
    parallel: int | None = None
    requeues: int = 100
    setup: Sequence[str] = field(default_factory=tuple)

    def check(self) -> None:
        package("submitit", "slurm", "slurm")
        if self.cluster not in CLUSTERS:
            raise InputError(f"no launcher.cluster {self.cluster!r}; {nearest(self.cluster, CLUSTERS)}")
        if self.cluster == "slurm" and shutil.which("sbatch") is None:
            raise InputError(
                "launcher=slurm needs the command sbatch, which is not here; start the sweep where jobs are submitted, "
                "or use launcher.cluster=local"
            )

    def carry_out(self, work: Work, listener: Listener, jobs: int) -> None:
        carry_out_elsewhere(work, listener, jobs, self._started)

    @contextmanager
    def _started(self, walk: Walk, jobs: int, say: Callable[[str], None]) -> Iterator[_Jobs]:
        if self.cluster == "slurm":
            walk = replace(walk, parent=None)
        folder = walk.reports / "jobs"
        try:
            submitted = _Jobs(self._executor(str(folder)).map_array(_Resumed(walk), range(jobs)), self.cluster == "local")
        except Exception as error:
            # submitit raises errors of its own and of sbatch
            raise InputError(f"the jobs cannot be submitted: {' '.join(str(error).split())}") from error
        if self.cluster == "slurm":
            say(f"submitted {jobs} jobs, the first is {submitted.jobs[0].job_id}; their logs lie in {folder}")
        try:
            yield submitted
        finally:
            submitted.end()

    def _executor(self, folder: str) -> Any:
        import submitit

        given = {f"{self.cluster}_max_num_timeout": self.requeues}
        executor = submitit.AutoExecutor(folder=folder, cluster=self.cluster, **given)
        executor.update_parameters(
            name="relbench-harness",
            timeout_min=self.timeout_minutes,
            cpus_per_task=self.cpus,
            gpus_per_node=self.gpus or None,
            mem_gb=self.memory_gb,
            slurm_partition=self.partition,
            slurm_account=self.account,
            slurm_qos=self.qos,
            slurm_constraint=self.constraint,
            slurm_signal_delay_s=self.signal_seconds,
            slurm_array_parallelism=self.parallel or 256,
            slurm_setup=list(self.setup) or None,
            local_setup=list(self.setup) or None,
        )
        return executor


@dataclass(frozen=True)
class _Resumed:
    """A walk that submitit begins again after a preemption or a timeout: results and marks say what is left."""

    walk: Walk

    def __call__(self, number: int) -> None:
        if not self.walk(number):
            # an interpreter takes its time to end
            os._exit(1)

    def checkpoint(self, number: int) -> Any:
        """What is submitted in place of a job that has to end."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, number)


@dataclass
class _Jobs:
    jobs: Sequence[Any]
    local: bool

    def failures(self) -> Sequence[str] | None:
        if not all(job.done() for job in self.jobs):
            return None
        errors = [job.exception() for job in self.jobs]
        return [(str(error).strip() or type(error).__name__).splitlines()[-1] for error in errors if error is not None]

    def end(self) -> None:
        """Ends what has not ended."""
        for job in self.jobs:
            if job.done(force_check=True):
                continue
            if self.local:
                # the job's number is that of its process, and a cancelled one would show a traceback
                kill_all(tree_of(int(job.job_id)))
            else:
                job.cancel(check=False)
