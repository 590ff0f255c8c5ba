"""Check: the same run from the same seed gives the same answers, in this process and in another.

The other process hashes texts from another seed and begins without any state, so an order of a set, or what an earlier fit left
behind, shows. Both are of the same machine: answers of another one are not compared.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relbench_harness.protocol.audit.report import Figure, Finding
from relbench_harness.protocol.audit.subject import Subject
from relbench_harness.protocol.audit.trial import Answers, Learner, Scene, concerned, difference, same

MOST_BYTES = 2**31
"""A larger database is not handed to another process."""
CHILD = "import sys; from relbench_harness.protocol.audit.determinism import answer_here; answer_here(sys.argv[1])"


@dataclass(frozen=True)
class Determinism:
    """
    Attributes:
        elsewhere: Whether to run the method in another process, too.
    """

    elsewhere: bool = True
    name: str = "determinism"

    def find(self, subject: Subject) -> Finding:
        first, again = subject.answers, subject.learner.run(subject.scene)
        figures: dict[str, Figure] = {"answers": len(first), "difference": difference(first, again)}
        if not same(first, again):
            evidence = f"A second run from the same seed changes {concerned(first, again):,} of {len(first):,} answers."
            return Finding(self.name, "failed", evidence, figures)
        if not self.elsewhere:
            return Finding(self.name, "passed", "Two runs from the same seed give the same answers.", figures)
        other = _elsewhere(subject.learner, subject.scene)
        if isinstance(other, str):
            evidence = (
                f"Two runs from the same seed give the same answers; a third in another process is left out: {other}."
            )
            return Finding(self.name, "passed", evidence, figures)
        figures["difference_elsewhere"] = difference(first, other)
        if not same(first, other):
            evidence = (
                f"A run from the same seed in another process, which hashes texts otherwise, changes "
                f"{concerned(first, other):,} of {len(first):,} answers."
            )
            return Finding(self.name, "failed", evidence, figures)
        evidence = "Two runs from the same seed and a third in another process give the same answers."
        return Finding(self.name, "passed", evidence, figures)


def _elsewhere(learner: Learner, scene: Scene) -> Answers | str:
    """What the method answers in another process, or why it cannot be run there."""
    if sum(table.rows.nbytes for table in scene.train.database.values()) > MOST_BYTES:
        return "the database is too large to be handed over"
    with tempfile.TemporaryDirectory(prefix="relbench-harness-audit-") as folder:
        given = Path(folder) / "given.pickle"
        try:
            given.write_bytes(pickle.dumps((learner, scene), protocol=5))
        except Exception as error:
            return f"the method cannot be handed over ({type(error).__name__})"
        seed = "1" if os.environ.get("PYTHONHASHSEED") == "2" else "2"
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(
            [sys.executable, "-c", CHILD, folder], env=environment, capture_output=True, text=True, errors="replace"
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no reason is given"]
            return f"it fails there ({lines[-1]})"
        return np.asarray(np.load(Path(folder) / "answers.npy"))


def answer_here(folder: str) -> None:
    """The other process: fits and answers what lies in `folder`, and leaves the answers there."""
    learner, scene = pickle.loads((Path(folder) / "given.pickle").read_bytes())
    np.save(Path(folder) / "answers.npy", learner.run(scene))
