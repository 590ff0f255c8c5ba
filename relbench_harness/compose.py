"""Hydra: composes a task, a method, a budget and a tracker from configs and the command line, and runs what comes out.

What a run needs is loaded when a run begins, so that a wrong key is refused at once.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import hydra
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from relbench_harness.errors import InputError, ResultWarning, explained, nearest
from relbench_harness.home import home
from relbench_harness.presets import config_folders, method_config
from relbench_harness.presets import method_names as method_names
from relbench_harness.progress import Work, work

if TYPE_CHECKING:
    from relbench_harness.protocol.method import Budget, Method
    from relbench_harness.protocol.result import Outcome, Result


@dataclass
class BudgetConfig:
    seconds: float | None = None
    memory_mb: int | None = None
    threads: int = 2
    trials: int = 20
    device: str = "auto"


@dataclass
class RunConfig:
    """The schema of a run: unknown keys and wrong types are refused."""

    task: str = MISSING
    method: dict[str, Any] = field(default_factory=dict)
    tracker: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    regime: str = "frozen"
    fit_on: str = "train"
    results_dir: str = "results/mine"
    budget: BudgetConfig = field(default_factory=BudgetConfig)


Choice = TypeVar("Choice", bound=str)
log = logging.getLogger(__name__)

ConfigStore.instance().store(name="schema", node=RunConfig)


class PluginConfigs(SearchPathPlugin):
    """Puts the configs of installed plugins on Hydra's search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in config_folders()[1:]:
            search_path.append("relbench-harness-plugin", f"file://{folder}")


def make_method(name: str, **overrides: Any) -> tuple[Method, dict[str, Any]]:
    """The method of config `name` with fields overridden, and its config as it will stand in a result."""
    config = OmegaConf.load(method_config(name))
    return build(OmegaConf.merge(config, overrides), f"method {name!r}")


def build(config: Any, what: str) -> tuple[Any, dict[str, Any]]:
    """What `config` describes by `_target_`, and the plain config."""
    plain = OmegaConf.to_container(config, resolve=True)
    if not isinstance(plain, dict) or "_target_" not in plain:
        raise InputError(f"{what} has no _target_")
    try:
        return hydra.utils.instantiate(config, _convert_="all"), {str(k): v for k, v in plain.items()}
    except HydraException as error:
        cause = error.__cause__ or error
        raise InputError(f"{what} cannot be made: {' '.join(str(cause).split())}") from None


def run_task(
    task: str,
    method: Method,
    name: str,
    config: Mapping[str, Any],
    regime: str,
    fit_on: str,
    budget: Budget,
    results_dir: str | Path | None = None,
    overrides: Sequence[str] = (),
) -> Outcome:
    """One run, stored in `results_dir` if that is given.

    Args:
        config: The method's hyperparameters with `_target_`, as they will stand in the result.
        overrides: Those of them that were set for this task, `key=value`: they count as lines written for it.
    """
    from relbench_harness.board import lines, store
    from relbench_harness.data.dataset import open_task
    from relbench_harness.plausibility import implausible
    from relbench_harness.protocol.method import REGIMES
    from relbench_harness.protocol.run import FIT_ON, Run
    from relbench_harness.protocol.stages import Stages

    budget.check()
    if results_dir is not None and not str(results_dir).strip():
        raise InputError("results_dir is empty; name a folder, such as results/mine")
    dataset, opened = open_task(task)
    stages = Stages(dataset, opened, _choice(regime, REGIMES, "regime"))
    counted = lines.count(config, _written_for(method, opened.id), overrides)
    run = Run(stages, method, name, budget, config, _choice(fit_on, FIT_ON, "fit_on"), counted)
    if results_dir is not None:
        store.ready(Path(results_dir))
    outcome = run.execute()
    if results_dir is not None:
        outcome = store.write(outcome, Path(results_dir))
    doubt = implausible(stages, outcome.result)
    if doubt is not None:
        warnings.warn(doubt, ResultWarning, stacklevel=2)
    return outcome


def _written_for(part: Any, task: str) -> Iterator[Path]:
    """The files that somebody wrote for `task` alone, such as its feature query: what parts of a method name as such."""
    if hasattr(part, "written_for"):
        yield part.written_for(task)
    elif isinstance(part, list | tuple):
        for inner in part:
            yield from _written_for(inner, task)
    elif is_dataclass(part) and not isinstance(part, type):
        for entry in fields(part):
            yield from _written_for(getattr(part, entry.name), task)


def _choice(given: str, choices: tuple[Choice, ...], what: str) -> Choice:
    """`given` if it is one of `choices`."""
    for choice in choices:
        if choice == given:
            return choice
    raise InputError(f"no {what} {given!r}; {nearest(given, map(str, choices))}")


def run_composed(config: DictConfig, method_name: str, overrides: Sequence[str], report: Callable[[Result], None]) -> None:
    """The run that a composed config describes; its result goes to `report`, then to the tracker.

    Args:
        overrides: Those given on the command line.
    """
    log.info("run: %s", " ".join(overrides))
    method, plain = build(config.method, f"method {method_name!r}")
    tracker, _ = build(config.tracker, "tracker")
    if OmegaConf.is_missing(config, "task"):
        raise InputError("no task given; name one as task=DATASET/TASK, such as task=rel-f1/driver-top3")
    from relbench_harness.protocol.method import Budget

    budget = Budget(seed=config.seed, **OmegaConf.to_container(config.budget))  # type: ignore[arg-type]
    given = [o.lstrip("+~") for o in overrides if o.lstrip("+~").startswith("method.")]
    result = run_task(
        task=config.task,
        method=method,
        name=method_name,
        config=plain,
        regime=config.regime,
        fit_on=config.fit_on,
        budget=budget,
        results_dir=config.results_dir,
        overrides=given,
    ).result
    report(result)
    tracker.log(result)


Report = Callable[["Result", Sequence[str]], None]


def run_overrides(overrides: Sequence[str], report: Report, fail: Callable[[str], None]) -> None:
    """Runs what Hydra composes from `overrides`; with `-m` among them, every combination of the comma lists.

    Each finished run goes to `report`, with those of its settings that are swept and that a result's line does not name.
    Why a run cannot begin, or its result not be stored, goes to `fail` as a sentence, and the sweep goes on.
    """
    Plugins.instance().register(PluginConfigs)
    os.environ["HYDRA_FULL_ERROR"] = "1"

    @hydra.main(version_base="1.3", config_path=str(home("configs")), config_name="config")
    def job(config: DictConfig) -> None:
        from hydra.core.hydra_config import HydraConfig

        try:
            composed = HydraConfig.get()
            given = list(composed.overrides.task)
            sweep.begin(composed)
            shown = [one for one in given if _key(one) in sweep.keys - NAMED]
            run_composed(config, composed.runtime.choices["method"], given, lambda result: report(result, shown))
        except Exception as error:
            fail(explained(error))
        sweep.runs.advance()

    before = sys.argv
    sys.argv = ["relbench-harness", *_readable(overrides)]
    try:
        with work("runs") as runs:
            sweep = _Sweep(overrides, runs)
            job()
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(_sentence(error)) from None
    finally:
        sys.argv = before


NAMED = {"task", "method", "seed", "regime"}
"""Settings that the line of a result names in any case."""


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


@dataclass
class _Sweep:
    """Which settings a sweep varies, and how many runs that makes."""

    overrides: Sequence[str]
    runs: Work
    keys: set[str] = field(default_factory=set)

    def begin(self, composed: Any) -> None:
        """Reads what is swept from the first run's config: from the command line and from a study."""
        if self.runs.total is not None:
            return
        params = (composed.sweeper or {}).get("params") or {}
        given = [f"{key}={value}" for key, value in params.items()] + [
            one for one in _readable(self.overrides) if not one.startswith("-")
        ]
        total = 1
        for one in OverridesParser.create().parse_overrides(given) if composed.mode == RunMode.MULTIRUN else []:
            if one.is_sweep_override():
                self.keys.add(_key(str(one.input_line)))
                total *= sum(1 for _ in one.sweep_string_iterator())
        self.runs.total = total
        self.runs.at(0)


def _readable(overrides: Sequence[str]) -> list[str]:
    """The overrides as Hydra reads them: a value that is not of its grammar, such as a path with an umlaut, in quotes.

    Raises:
        InputError: One that has no value, or several outside a sweep.
    """
    parser, sweeps = OverridesParser.create(), bool({"-m", "--multirun"} & set(overrides))
    found = []
    for given in overrides:
        one = given if given.startswith("-") else _quoted(given)
        if not one.startswith(("-", "~")):
            key, equals, value = one.partition("=")
            if not equals or not key:
                raise InputError(f"{given!r} sets nothing; a setting is KEY=VALUE, such as seed=1")
            try:
                parsed = parser.parse_override(one)
            except HydraException:
                # in quotes a backslash is itself, but before a quote
                escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + found[2].replace("'", "\\'"), value)
                one = f"{key}='{escaped}'"
                parsed = None
            if parsed is not None and parsed.is_sweep_override() and not sweeps:
                raise InputError(f"{given!r} gives several values; run -m runs each of them")
        found.append(one)
    return found


def _quoted(override: str) -> str:
    """A `task=` override with each address in quotes, for Hydra takes no bare `=`, and a comma for the next address.

    An address ends in `/task`, so a piece without a slash is continued by the next: `shop@scale=10,seed=1/churn` is one.
    """
    key, _, value = override.partition("=")
    if key != "task" or "@" not in value or value[:1] in "'\"[":
        return override
    addresses: list[str] = []
    pending = ""
    for piece in value.split(","):
        pending = f"{pending},{piece}" if pending else piece
        if "/" in piece:
            addresses.append(pending)
            pending = ""
    return "task=" + ",".join(f"'{address}'" for address in [*addresses, *filter(None, [pending])])


def _sentence(error: Exception) -> str:
    """What Hydra or OmegaConf found wrong with the overrides, in one sentence with the nearest valid key."""
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    if not isinstance(cause, OmegaConfBaseException):
        return " ".join(str(cause).split())
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and cause.full_key and cause.parent_node is not None:
        parent = OmegaConf.to_container(cause.parent_node) if OmegaConf.is_dict(cause.parent_node) else {}
        known = [str(key) for key in parent] if isinstance(parent, dict) else []
        hint = "; a field that the method's config does not list is set with +method.FIELD=VALUE"
        return f"no key {cause.full_key!r}; {nearest(str(cause.key), known)}" + (
            hint if str(cause.full_key).startswith("method.") else ""
        )
    what = f"{cause.full_key}: " if cause.full_key else ""
    return what + " ".join(str(cause).split("full_key:")[0].split())
