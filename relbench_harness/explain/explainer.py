"""One way to explain every predictor: what is explained, by which algorithm, in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, get_args

from relbench_harness.errors import InputError, nearest
from relbench_harness.explain.ablation import Ablation
from relbench_harness.explain.contributions import Contributing, FeatureContributions
from relbench_harness.explain.explanation import Explanation, Level
from relbench_harness.explain.gradients import Differentiable, Gradients
from relbench_harness.explain.outputs import same_again
from relbench_harness.explain.removal import Removal
from relbench_harness.protocol.method import Examples, Predictor

Way = Literal["ablation", "contributions", "gradients", "removal"]
ALWAYS: Mapping[Level, Way] = {"model": "ablation", "rows": "removal"}
"""What explains any predictor at a level."""


class Algorithm(Protocol):
    """Makes explanations; its fields are its settings."""

    def explain(self, predictor: Predictor, examples: Examples) -> tuple[Explanation, ...]: ...


def explain(
    predictor: Predictor, examples: Examples, level: Level = "model", by: Way | Algorithm | None = None
) -> tuple[Explanation, ...]:
    """What `predictor` looks at when it answers `examples`.

    Args:
        level: `model` for one explanation of all answers, `rows` for one of each answer.
        by: The name of an algorithm, or one with settings of its own. None takes one that needs nothing of the predictor:
            ablation through the data, or the removal of rows.

    Raises:
        InputError: The level or the algorithm is unknown, the predictor does not offer what the algorithm reads, there is no
            example, or the task recommends items.
    """
    if level not in get_args(Level):
        raise InputError(f"no level {level!r} of explanations; {nearest(str(level), get_args(Level))}")
    chosen = ALWAYS[level] if by is None else by
    if not isinstance(chosen, str):
        return chosen.explain(predictor, examples)
    if chosen == "contributions":
        return FeatureContributions().explain(predictor, examples, level)
    if chosen == "gradients":
        return Gradients().explain(predictor, examples, level)
    for_level: Mapping[Way, tuple[Level, Algorithm]] = {"ablation": ("model", Ablation()), "removal": ("rows", Removal())}
    if chosen not in for_level:
        raise InputError(f"no explanation by {chosen!r}; {nearest(chosen, get_args(Way))}")
    needed, algorithm = for_level[chosen]
    if needed != level:
        raise InputError(f"{chosen} explains at level {needed!r}, not {level!r}; {ALWAYS[level]} does")
    return algorithm.explain(predictor, examples)


def ways(predictor: Predictor, level: Level) -> Sequence[Way]:
    """The algorithms that explain `predictor` at a level, the one that explains any predictor first."""
    inner = same_again(predictor)
    found: list[Way] = [ALWAYS[level]]
    found += ["contributions"] if isinstance(inner, Contributing) else []
    found += ["gradients"] if isinstance(inner, Differentiable) else []
    return tuple(found)
