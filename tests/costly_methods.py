"""Methods whose cost is known, for tests of what is measured."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relbench_harness.protocol.method import Budget, Examples

BURN = "import time\nwhile time.process_time() < {seconds}: pass"


@dataclass(frozen=True)
class Starts:
    """Lets processes of its own work, in `fit` one that it waits for and in `predict` one that it leaves running.

    Attributes:
        seconds: Of a processor that each of them takes.
        fails: Whether `fit` then ends its own process.
    """

    seconds: float = 0.6
    fails: bool = False

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Starts:
        subprocess.run([sys.executable, "-S", "-c", BURN.format(seconds=self.seconds)], check=True)
        if self.fails:
            import os

            os._exit(3)
        return self

    def predict(self, examples: Examples) -> NDArray[np.float64]:
        script = BURN.format(seconds=self.seconds) + "\nprint(flush=True)\ntime.sleep(60)"
        process = subprocess.Popen([sys.executable, "-S", "-c", script], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.05)
        if examples.time.max() < 0:
            process.wait()
        LEFT.append(process)
        return np.zeros(len(examples))


LEFT: list[subprocess.Popen[bytes]] = []
