"""Hydra: composes a task, a method, a budget and a tracker from configs and settings. It runs nothing and writes nothing.

Configs are composed in one way for the shell and for notebooks, so that a method's `defaults` list counts in both. A method's
configuration is completed with the defaults of its classes (`protocol.configuration`) before anything is made of it.
"""

from __future__ import annotations

import copy
import itertools
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, make_dataclass, replace
from typing import TYPE_CHECKING, Any, get_type_hints

import hydra
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import MISSING, DictConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from relbench_harness.errors import InputError, nearest
from relbench_harness.home import home
from relbench_harness.overrides import METHOD, MULTIRUN, key_of, readable, unforced
from relbench_harness.presets import AROUND, check_choices, check_method, config_folders, names_class
from relbench_harness.presets import method_names as method_names
from relbench_harness.protocol.budget import Budget
from relbench_harness.protocol.limits import Limits

if TYPE_CHECKING:
    from relbench_harness.protocol.method import Method
    from relbench_harness.request import RunRequest
    from relbench_harness.tracking import Tracker


def _schema(name: str, of: type[Any], without: str = "") -> type[Any]:
    """The schema of a group of settings, with the fields and defaults of a dataclass."""
    types = get_type_hints(of)
    return make_dataclass(
        name, [(f.name, types[f.name], field(default=f.default)) for f in fields(of) if f.name != without]
    )


BudgetConfig = _schema("BudgetConfig", Budget, without="seed")
"""The schema of a budget as configs give it: its seed stands beside it."""
LimitsConfig = _schema("LimitsConfig", Limits)


@dataclass
class RunConfig:
    """The schema of a run: unknown keys and wrong types are refused."""

    task: str = MISSING
    method: dict[str, Any] = field(default_factory=dict)
    guard: dict[str, Any] = field(default_factory=dict)
    objective: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    tracker: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    regime: str = "frozen"
    fit_on: str = "train"
    results_dir: str = "results/mine"
    save: str = ""
    resume: bool = True
    retry: str = ""
    jobs: int = 1
    launcher: dict[str, Any] = field(default_factory=dict)
    budget: BudgetConfig = field(default_factory=BudgetConfig)  # type: ignore[valid-type]
    isolation: str = "process" if sys.platform == "linux" else "none"
    limits: LimitsConfig = field(default_factory=LimitsConfig)  # type: ignore[valid-type]


ConfigStore.instance().store(name="schema", node=RunConfig)


class PluginConfigs(SearchPathPlugin):
    """Puts the configs of installed plugins on Hydra's search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in config_folders()[1:]:
            search_path.append("relbench-harness-plugin", f"file://{folder}")


def make_method(name: str, **overrides: Any) -> tuple[Method, dict[str, Any]]:
    """The method of config `name` with fields overridden, and its complete configuration. Nothing stands around it.

    Raises:
        InputError: There is no such config, or no such field.
    """
    return build(_composed(name, overrides).method, f"method {name!r}", tuple(overrides))


def make_guarded(name: str, around: Mapping[str, str] | None = None, **overrides: Any) -> tuple[Method, dict[str, Any]]:
    """As `make_method`, with what configs put around it.

    Args:
        around: Group → choice, such as `{"answers": "calibrated"}`, where it is not the one of runs.
    """
    choices = [f"{group}={choice}" for group, choice in (around or {}).items()]
    check_choices(choices)
    composed = _composed(name, overrides, choices)
    return _with_all_around(composed, *build(composed.method, f"method {name!r}", tuple(overrides)))


def _composed(name: str, overrides: dict[str, Any], around: Sequence[str] = ()) -> DictConfig:
    check_method(name)
    _make_known([name])
    Plugins.instance().register(PluginConfigs)
    try:
        with hydra.initialize_config_dir(version_base="1.3", config_dir=str(home("configs").resolve())):
            composed = hydra.compose("config", [f"method={name}", *around])
        OmegaConf.set_struct(composed, False)
        composed.method = OmegaConf.merge(composed.method, overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(_sentence(error)) from None
    return composed


def _make_known(names: Iterable[str]) -> None:
    """Gives a config to every class among `names` of methods: a group takes a name alone."""
    for name in names:
        if names_class(name):
            ConfigStore.instance().store(group="method", name=name, node={"_target_": name})


def _with_all_around(composed: DictConfig, method: Method, config: dict[str, Any]) -> tuple[Method, dict[str, Any]]:
    """`method` with what the configs of `AROUND` describe, which then stands in its configuration."""
    for group in AROUND:
        made, described = build(composed[group], group)
        around: Method = made.around(method)
        if around is not method:
            method, config = around, {**config, group: described}
    return method, config


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


@dataclass(frozen=True)
class Composed:
    """One run as settings and configs describe it.

    Attributes:
        given: The settings it was composed of, those of studies among them.
        swept: Those of them that the sweep varies.
    """

    config: DictConfig
    method_name: str
    given: tuple[str, ...]
    swept: tuple[str, ...]

    def request(self) -> tuple[RunRequest, Tracker]:
        """The run, and where its result is logged.

        Raises:
            InputError: Its method, what stands around it or its tracker cannot be made, or it has no task.
        """
        bare = self.unguarded()
        method, whole = _with_all_around(self.config, bare.method, dict(bare.config))
        tracker: Tracker = build(self.config.tracker, "tracker")[0]
        return replace(bare, method=method, config=whole), tracker

    def unguarded(self) -> RunRequest:
        """The run without what configs put around its method.

        Raises:
            InputError: Its method cannot be made, or it has no task.
        """
        config = self.config
        of_method = [one.lstrip("+~") for one in self.given if key_of(one).startswith(METHOD)]
        by_hand = [key_of(one).removeprefix(METHOD) for one in self.given if one.startswith(METHOD)]
        method, whole = build(config.method, f"method {self.method_name!r}", by_hand)
        if OmegaConf.is_missing(config, "task"):
            raise InputError("no task given; name one as task=DATASET/TASK, such as task=rel-f1/driver-top3")
        from relbench_harness.request import RunRequest

        return RunRequest(
            task=config.task,
            method=method,
            name=self.method_name,
            config=whole,
            regime=config.regime,
            fit_on=config.fit_on,
            budget=Budget(seed=config.seed, **OmegaConf.to_container(config.budget)),  # type: ignore[arg-type]
            results_dir=config.results_dir,
            isolation=config.isolation,
            limits=Limits(**OmegaConf.to_container(config.limits)),  # type: ignore[arg-type]
            overrides=tuple(of_method),
            save=config.save or None,
        )


def composed(overrides: Sequence[str]) -> Iterator[Composed | InputError]:
    """What `overrides` describe, run by run; with `-m` among them, every combination of the comma lists, in order.

    A combination that cannot be composed is an error in its place; the next one may be whole.

    Raises:
        InputError: No combination can be composed.
    """
    Plugins.instance().register(PluginConfigs)
    given = [one for one in readable(overrides) if one not in MULTIRUN]
    _make_known(name for one in given if key_of(one) == "method" for name in one.partition("=")[2].split(","))
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(home("configs").resolve())):
        combinations, swept = _combinations(given) if MULTIRUN & set(overrides) else ([given], set[str]())
        bases = _Bases()
        for combination in combinations:
            try:
                config, method_name = bases.with_settings(combination)
                shown = [unforced(one) for one in combination if key_of(one) in swept]
                yield Composed(config, method_name, tuple(map(unforced, combination)), tuple(shown))
            except (HydraException, OmegaConfBaseException) as error:
                yield InputError(_sentence(error))


def _combinations(given: Sequence[str]) -> tuple[list[list[str]], set[str]]:
    """Every combination of a sweep, the last setting varying fastest, and the keys that vary: the study's come first."""
    parser = OverridesParser.create()
    try:
        parsed = parser.parse_overrides(list(given))
        whole = hydra.compose("config", [str(one.input_line) for one in parsed if not one.is_sweep_override()], True)
        params = OmegaConf.to_container(whole.hydra.sweeper.get("params") or OmegaConf.create({}), resolve=True)
        assert isinstance(params, dict)
        parsed = parser.parse_overrides([f"{key!s}={value}" for key, value in params.items()]) + parsed
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(_sentence(error)) from None
    values: dict[str, list[str]] = {}
    own = {key_of(one) for one in given}
    for one in parsed:
        key = one.get_key_element()
        if "budget" in own and key in OF_NAMED_BUDGETS - own:
            # the study's own, in whose place a named budget stands
            continue
        if not one.is_sweep_override():
            values[key] = [str(one.input_line)]
        elif one.is_discrete_sweep():
            values[key] = [f"{key}={value}" for value in one.sweep_string_iterator()]
        else:
            raise InputError(f"{one.input_line!r} names no values to run; a list with commas, choice() or range() does")
    swept = {key_of(one.get_key_element()) for one in parsed if one.is_sweep_override()}
    return [list(one) for one in itertools.product(*values.values())], swept


@dataclass
class _Bases:
    """Configs that many runs of a sweep share: composed once, since that takes longer than setting a value in them."""

    known: dict[tuple[str, ...], tuple[DictConfig, str]] = field(default_factory=dict)

    def with_settings(self, combination: Sequence[str]) -> tuple[DictConfig, str]:
        """The config of `combination`, and the name of its method."""
        plain = [one for one in combination if PLAIN.fullmatch(one.partition("=")[0])]
        rest = tuple(one for one in combination if one not in plain)
        if rest not in self.known:
            if len(self.known) >= MOST_BASES:
                self.known.clear()
            base = hydra.compose("config", list(rest), return_hydra_config=True)
            name = str(base.hydra.runtime.choices["method"])
            with open_dict(base):
                del base["hydra"]
            self.known[rest] = base, name
        base, name = self.known[rest]
        config = copy.deepcopy(base)
        for one in OverridesParser.create().parse_overrides(plain):
            OmegaConf.update(config, one.key_or_group, one.value())
        return config, name


MOST_BASES = 64
OF_NAMED_BUDGETS = {"budget.seconds", "budget.trials"}
"""What the configs of budgets set."""
PLAIN = re.compile(r"task|seed|regime|fit_on|results_dir|resume|retry|jobs|budget\.\w+")
"""Keys that hold one value and name no group of configs."""


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
