"""What an audit looks at: a method on a task in a regime, with the trials that several checks share made once.

Invariant: a check reads the subject and changes nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Protocol

from relbench_harness.protocol.audit.report import Finding
from relbench_harness.protocol.audit.scenes import Cast, Sizes, cast_of, early_scene
from relbench_harness.protocol.audit.trial import Answers, Learner, Scene
from relbench_harness.protocol.method import Predictor
from relbench_harness.protocol.stages import Stages


@dataclass(frozen=True)
class Subject:
    """A method on a task in a regime.

    Attributes:
        queries: Name → SQL that the method brings for this task.
    """

    stages: Stages
    learner: Learner
    queries: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    sizes: Sizes = field(default_factory=Sizes)

    @cached_property
    def cast(self) -> Cast:
        return cast_of(self.stages, self.sizes, self.learner.budget.seed, self.learner.fit_on)

    @property
    def scene(self) -> Scene:
        """Samples of the examples that a run hands over."""
        return self.cast.scene

    @cached_property
    def early(self) -> tuple[int, Scene] | None:
        """An early cut-off and the scene before it; None where training is too short for one."""
        train = self.stages.examples("train")
        return early_scene(train, self.sizes, self.learner.budget.seed, self.learner.fit_on)

    @cached_property
    def predictor(self) -> Predictor:
        """The method fitted to `scene`."""
        return self.learner.fit(self.scene)

    @cached_property
    def answers(self) -> Answers:
        """What the method answers in `scene`."""
        return self.learner.answers(self.predictor, self.scene.answered)


class Check(Protocol):
    """One property of a method that is safe in time."""

    @property
    def name(self) -> str: ...

    def find(self, subject: Subject) -> Finding: ...
