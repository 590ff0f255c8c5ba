"""Hydra: composes a task, a method, a budget and a tracker from configs and settings, and runs what comes out.

Configs are composed in one way for the shell and for notebooks, so that a method's `defaults` list counts in both. A method's
configuration is completed with the defaults of its classes (`protocol.configuration`) before anything is made of it.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, make_dataclass, replace
from typing import TYPE_CHECKING, Any, get_type_hints

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

from relbench_harness.errors import InputError, explained, nearest
from relbench_harness.home import home
from relbench_harness.overrides import GUARD, METHOD, key_of, readable, unforced
from relbench_harness.presets import check_method, config_folders
from relbench_harness.presets import method_names as method_names
from relbench_harness.progress import Work, work
from relbench_harness.protocol.budget import Budget

if TYPE_CHECKING:
    from relbench_harness.protocol.method import Method
    from relbench_harness.protocol.result import Result
    from relbench_harness.request import RunRequest
    from relbench_harness.tracking import Tracker


_TYPES = get_type_hints(Budget)
BudgetConfig = make_dataclass(
    "BudgetConfig", [(f.name, _TYPES[f.name], field(default=f.default)) for f in fields(Budget) if f.name != "seed"]
)
"""The schema of a budget as configs give it: its seed stands beside it."""


@dataclass
class RunConfig:
    """The schema of a run: unknown keys and wrong types are refused."""

    task: str = MISSING
    method: dict[str, Any] = field(default_factory=dict)
    guard: dict[str, Any] = field(default_factory=dict)
    tracker: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    regime: str = "frozen"
    fit_on: str = "train"
    results_dir: str = "results/mine"
    budget: BudgetConfig = field(default_factory=BudgetConfig)  # type: ignore[valid-type]


log = logging.getLogger(__name__)

ConfigStore.instance().store(name="schema", node=RunConfig)


class PluginConfigs(SearchPathPlugin):
    """Puts the configs of installed plugins on Hydra's search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in config_folders()[1:]:
            search_path.append("relbench-harness-plugin", f"file://{folder}")


def make_method(name: str, **overrides: Any) -> tuple[Method, dict[str, Any]]:
    """The method of config `name` with fields overridden, and its complete configuration. No guard stands around it.

    Raises:
        InputError: There is no such config, or no such field.
    """
    return build(_composed(name, overrides).method, f"method {name!r}", tuple(overrides))


def make_guarded(name: str, **overrides: Any) -> tuple[Method, dict[str, Any]]:
    """As `make_method`, with the guard that configs put around it."""
    composed = _composed(name, overrides)
    return _guarded(composed.guard, *build(composed.method, f"method {name!r}", tuple(overrides)))


def _composed(name: str, overrides: dict[str, Any]) -> DictConfig:
    check_method(name)
    Plugins.instance().register(PluginConfigs)
    try:
        with hydra.initialize_config_dir(version_base="1.3", config_dir=str(home("configs").resolve())):
            composed = hydra.compose("config", [f"method={name}"])
        OmegaConf.set_struct(composed, False)
        composed.method = OmegaConf.merge(composed.method, overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(_sentence(error)) from None
    return composed


def _guarded(guard: Any, method: Method, config: dict[str, Any]) -> tuple[Method, dict[str, Any]]:
    """`method` with the guard that the config `guard` describes, which then stands in its configuration."""
    made, described = build(guard, "guard")
    around: Method = made.around(method)
    return around, config if around is method else {**config, GUARD: described}


def build(config: Any, what: str, set_by_hand: Sequence[str] = ()) -> tuple[Any, dict[str, Any]]:
    """What `config` describes by `_target_`, and its complete configuration.

    Args:
        set_by_hand: Dotted keys in it; one that does not exist is refused.
    """
    from relbench_harness.protocol.configuration import check_key, completed, with_targets

    plain = OmegaConf.to_container(config, resolve=True)
    if not isinstance(plain, dict) or "_target_" not in plain:
        raise InputError(f"{what} has no _target_")
    try:
        given = {str(key): value for key, value in plain.items()}
        whole, parts = completed(given), with_targets(given)
    except InputError as error:
        raise InputError(f"{what} cannot be made: {error}") from None
    for key in set_by_hand:
        check_key(whole, key)
    try:
        return hydra.utils.instantiate(parts, _convert_="all"), whole
    except HydraException as error:
        cause = error.__cause__ or error
        raise InputError(f"{what} cannot be made: {' '.join(str(cause).split())}") from None


def run_composed(config: DictConfig, method_name: str, overrides: Sequence[str], report: Callable[[Result], None]) -> None:
    """The run that a composed config describes; its result goes to `report`, then to the tracker.

    Args:
        overrides: Those given on the command line.
    """
    log.info("run: %s", " ".join(overrides))
    request = _requested(config, method_name, overrides)
    method, whole = _guarded(config.guard, request.method, dict(request.config))
    tracker: Tracker = build(config.tracker, "tracker")[0]
    result = replace(request, method=method, config=whole).execute().result
    report(result)
    tracker.log(result)


def _requested(config: DictConfig, method_name: str, overrides: Sequence[str]) -> RunRequest:
    """The run that a composed config describes, without its guard."""
    from relbench_harness.request import RunRequest

    given = [key_of(one).removeprefix(METHOD) for one in overrides if one.startswith(METHOD)]
    method, whole = build(config.method, f"method {method_name!r}", given)
    if OmegaConf.is_missing(config, "task"):
        raise InputError("no task given; name one as task=DATASET/TASK, such as task=rel-f1/driver-top3")
    return RunRequest(
        task=config.task,
        method=method,
        name=method_name,
        config=whole,
        regime=config.regime,
        fit_on=config.fit_on,
        budget=Budget(seed=config.seed, **OmegaConf.to_container(config.budget)),  # type: ignore[arg-type]
        results_dir=config.results_dir,
        overrides=tuple(o.lstrip("+~") for o in overrides if o.lstrip("+~").startswith(METHOD)),
    )


def composed_request(overrides: Sequence[str]) -> RunRequest:
    """The run that Hydra composes from `overrides`, without the guard that configs put around its method.

    Raises:
        InputError: A key that does not exist, or a method that cannot be made.
    """
    Plugins.instance().register(PluginConfigs)
    try:
        with hydra.initialize_config_dir(version_base="1.3", config_dir=str(home("configs").resolve())):
            config = hydra.compose("config", readable(overrides), return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(_sentence(error)) from None
    return _requested(config, config.hydra.runtime.choices["method"], [unforced(one) for one in overrides])


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
            given = [unforced(one) for one in composed.overrides.task]
            sweep.begin(composed)
            shown = [one for one in given if key_of(one) in sweep.keys - NAMED]
            run_composed(config, composed.runtime.choices["method"], given, lambda result: report(result, shown))
        except Exception as error:
            fail(explained(error))
        sweep.runs.advance()

    before = sys.argv
    sys.argv = ["relbench-harness", *readable(overrides)]
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
            one for one in readable(self.overrides) if not one.startswith("-")
        ]
        total = 1
        for one in OverridesParser.create().parse_overrides(given) if composed.mode == RunMode.MULTIRUN else []:
            if one.is_sweep_override():
                self.keys.add(key_of(str(one.input_line)))
                total *= sum(1 for _ in one.sweep_string_iterator())
        self.runs.total = total
        self.runs.at(0)


def _sentence(error: Exception) -> str:
    """What Hydra or OmegaConf found wrong with the overrides, in one sentence with the nearest valid key."""
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    if not isinstance(cause, OmegaConfBaseException):
        return " ".join(str(cause).split())
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and cause.full_key and cause.parent_node is not None:
        parent = OmegaConf.to_container(cause.parent_node) if OmegaConf.is_dict(cause.parent_node) else {}
        known = [str(key) for key in parent] if isinstance(parent, dict) else []
        return f"no key {cause.full_key!r}; {nearest(str(cause.key), known)}"
    what = f"{cause.full_key}: " if cause.full_key else ""
    return what + " ".join(str(cause).split("full_key:")[0].split())
