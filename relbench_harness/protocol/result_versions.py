"""Results of older versions in the words of this one: hyperparameters and classes that were renamed.

Invariant: only names inside `config` change. Values, scores and everything else that was measured stay as they are stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SCHEMA = 2
"""The version of results that are written now."""

BASELINES = "relbench_harness.baselines."
TARGET = "_target_"

TARGETS: Mapping[str, str] = {
    f"{BASELINES}relational_gnn.RelationalGNN": f"{BASELINES}gnn.method.RelationalGNN",
    f"{BASELINES}relational_transformer.RelationalTransformer": f"{BASELINES}gnn.method.RelationalGNN",
    f"{BASELINES}recommender.Recommender": f"{BASELINES}gnn.method.RelationalGNN",
    f"{BASELINES}boosted_trees.BoostedTrees": f"{BASELINES}trees.method.BoostedTrees",
}
"""Old `_target_` → new one."""

MODULES: Mapping[str, str] = {
    f"{BASELINES}ranker.": f"{BASELINES}recommendation.ranker.",
    "relbench_harness.features.synthesis.": "relbench_harness.features.dfs.synthesis.",
}
"""How the `_target_`s of a moved module began → how they begin now."""

GIVEN: Mapping[str, Mapping[str, Any]] = {
    f"{BASELINES}relational_transformer.RelationalTransformer": {"backbone": "transformer"},
}
"""Old `_target_` → fields that say now what the old class said."""

_NETWORK = {
    "fans": "num_neighbors",
    "generations": "ancestor_depth",
    "rate": "lr",
    "decay": "weight_decay",
    "steps": "steps_per_epoch",
    "batch": "batch_size",
    "networks": "ensemble_size",
    "compiled": "compile",
    "layer": "backbone",
    "parts": "item_scores",
    "tokens": "max_tokens",
    "layers": "attention_layers",
    "heads": "attention_heads",
    "leveled": "recent_label_mean",
    "stale": "simulate_staleness",
}
_TREES = {
    "rounds": "n_estimators",
    "row_fraction": "subsample",
    "leaves": "num_leaves",
    "patience": "early_stopping_rounds",
    "bags": "ensemble_size",
    "most_features": "max_features",
    "most_rows": "max_rows",
}

KEYS: Mapping[str, Mapping[str, str]] = {
    f"{BASELINES}relational_gnn.RelationalGNN": _NETWORK,
    f"{BASELINES}relational_transformer.RelationalTransformer": _NETWORK,
    f"{BASELINES}recommender.Recommender": _NETWORK,
    f"{BASELINES}boosted_trees.BoostedTrees": _TREES,
    f"{BASELINES}ranker.Ranker": _TREES,
}
"""Old `_target_` → old key → new key. A key means what its part's class says, so the same name may differ between classes."""

VALUES: Mapping[str, Mapping[str, str]] = {"item_scores": {"hybrid": "both", "id_aware": "id_gnn"}}
"""New key → old value → new value."""

SPACES = "space"
"""Where a tuned method lists hyperparameters of its `method` by name."""


def upgraded(line: Mapping[str, Any]) -> dict[str, Any]:
    """A stored result of schema 1, as loaded from JSON, with the names of schema 2; one of a later schema as it is."""
    config = line.get("config")
    if line.get("schema", 1) != 1 or not isinstance(config, Mapping):
        return dict(line)
    return {**line, "config": _renamed(config), "schema": SCHEMA}


def renamed_key(target: str, key: str) -> str | None:
    """What the hyperparameter `key` of a class is called now; None where it never had another name.

    Args:
        target: The class by its present or its old name.
    """
    for old, keys in KEYS.items():
        if target in (old, _target(old)) and key in keys:
            return keys[key]
    return None


def _renamed(value: Any) -> Any:
    if isinstance(value, list):
        return [_renamed(inner) for inner in value]
    if not isinstance(value, Mapping):
        return value
    target = str(value.get(TARGET, ""))
    keys = KEYS.get(target, {})
    found = {keys.get(key, key): _renamed(inner) for key, inner in value.items()}
    found |= {key: new[found[key]] for key, new in VALUES.items() if keys and found.get(key) in new}
    if target:
        found[TARGET] = _target(target)
    tuned = value.get("method")
    if isinstance(tuned, Mapping) and isinstance(value.get(SPACES), Mapping):
        inner_keys = KEYS.get(str(tuned.get(TARGET)), {})
        found[SPACES] = {inner_keys.get(key, key): choice for key, choice in value[SPACES].items()}
    return {**found, **GIVEN.get(target, {})}


def _target(old: str) -> str:
    """What the class of the old name `old` is called now."""
    for before, now in MODULES.items():
        if old.startswith(before):
            return now + old.removeprefix(before)
    return TARGETS.get(old, old)
