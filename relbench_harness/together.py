"""`torchrun --no-python relbench-harness run …`: one run by several processes, whose result is written once.

Invariant: the process of rank 0 does what a run without torchrun does; the others learn and predict beside it, and write and show
nothing.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from relbench_harness.errors import InputError

if TYPE_CHECKING:
    from relbench_harness.sweep.carry_out import Listener
    from relbench_harness.sweep.plan import Planned

PROCESSES = "WORLD_SIZE"
"""The variable by which torchrun says how many processes there are."""


def is_together() -> bool:
    """Whether torchrun has started several processes, this one among them."""
    given = os.environ.get(PROCESSES, "1")
    return given.isdigit() and int(given) > 1 and "RANK" in os.environ


def make_together(runs: Sequence[Planned], listener: Listener) -> None:
    """Makes the one run of `runs`, whether or not a result of it is there.

    Raises:
        InputError: It is no single run, or its method would run in a process of its own.
    """
    if len(runs) != 1:
        raise InputError(f"torchrun makes one run, and these are {len(runs)}; start one command for each")
    from relbench_harness.request import RunRequest

    run = replace(runs[0], resume=False)
    request = run.request
    assert isinstance(request, RunRequest)
    if request.isolation != "none":
        raise InputError(
            f"under torchrun a method runs in the processes that it starts, and isolation={request.isolation} starts others; "
            "use isolation=none"
        )
    from relbench_harness.graph.ranks import joined, rank
    from relbench_harness.sweep.carry_out import carry_out, work_on
    from relbench_harness.sweep.scan import scan

    with joined(request.budget.device):
        if rank():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                replace(request, results_dir=None, save=None).execute()
        else:
            found = {run.folder: scan(run.folder, {run.entry.identity})}
            carry_out(work_on([run], found, sweeps=False), listener)
