"""Results of schema 1 are read in the words of schema 2, and nothing else in them changes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from relbench_harness.errors import InputError
from relbench_harness.protocol.result import Result
from relbench_harness.protocol.result_versions import SCHEMA, renamed_key, upgraded

OLD = "relbench_harness.baselines."


def stored(config: Any, **more: Any) -> dict[str, Any]:
    return {
        "task": "a/b", "task_type": "regression", "method": "m", "config": config, "seed": 0, "regime": "frozen",
        "fitted_on": "train", "status": "ok", "metric": "nmae", "higher_is_better": False, "schema": 1,
        "budget": {"seconds": 5, "rounds": 1}, "versions": {"fans": "1"}, **more,
    }  # fmt: skip


NETWORK = {
    "layer": "gat", "parts": "hybrid", "channels": 64, "fans": [16, 8], "generations": 2, "strategy": "recent",
    "dropout": 0.2, "networks": 3, "leveled": None, "stale": True, "epochs": 12, "steps": 400, "batch": 512,
    "rate": 0.002, "decay": 0.01, "patience": 4, "compiled": False, "checkpoint": None,
}  # fmt: skip
NETWORK_NOW = {
    "backbone": "gat", "item_scores": "both", "channels": 64, "num_neighbors": [16, 8], "ancestor_depth": 2,
    "strategy": "recent", "dropout": 0.2, "ensemble_size": 3, "recent_label_mean": None, "simulate_staleness": True,
    "epochs": 12, "steps_per_epoch": 400, "batch_size": 512, "lr": 0.002, "weight_decay": 0.01, "patience": 4,
    "compile": False, "checkpoint": None,
}  # fmt: skip
TREES = {
    "library": "xgboost", "rounds": 1000, "learning_rate": 0.05, "leaves": 8, "row_fraction": 0.7, "l2": 5, "bags": 3,
    "patience": 50, "features": [{"_target_": "relbench_harness.features.synthesis.DeepFeatureSynthesis", "depth": 2}],
}  # fmt: skip
TREES_NOW = {
    "library": "xgboost", "n_estimators": 1000, "learning_rate": 0.05, "num_leaves": 8, "subsample": 0.7, "l2": 5,
    "ensemble_size": 3, "early_stopping_rounds": 50,
    "features": [{"_target_": "relbench_harness.features.dfs.synthesis.DeepFeatureSynthesis", "depth": 2}],
}  # fmt: skip


def old(module: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {"_target_": f"{OLD}{module}", **fields}


TREES_TARGET, GNN_TARGET = "trees.method.BoostedTrees", "gnn.method.RelationalGNN"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (old("relational_gnn.RelationalGNN", NETWORK), old(GNN_TARGET, NETWORK_NOW)),
        (old("recommender.Recommender", NETWORK), old(GNN_TARGET, NETWORK_NOW)),
        (
            old("relational_transformer.RelationalTransformer", {"tokens": 48, "fans": [16, 4]}),
            old(GNN_TARGET, {"max_tokens": 48, "num_neighbors": [16, 4], "backbone": "transformer"}),
        ),
        (old("boosted_trees.BoostedTrees", TREES), old(TREES_TARGET, TREES_NOW)),
        (
            old("boosted_trees.BoostedTrees", {"ranker": old("ranker.Ranker", {"bags": 1, "patience": 40})}),
            old(
                TREES_TARGET,
                {"ranker": old("recommendation.ranker.Ranker", {"ensemble_size": 1, "early_stopping_rounds": 40})},
            ),
        ),
        (
            old(
                "tuned.Tuned",
                {"method": old("boosted_trees.BoostedTrees", {"leaves": 8}), "space": {"leaves": [4, 8], "l2": [1]}},
            ),
            old(
                "tuned.Tuned", {"method": old(TREES_TARGET, {"num_leaves": 8}), "space": {"num_leaves": [4, 8], "l2": [1]}}
            ),
        ),
        (
            old("hybrid.Hybrid", {"network": old("relational_gnn.RelationalGNN", {"rate": 0.1}), "earlier": 0.6}),
            old("hybrid.Hybrid", {"network": old(GNN_TARGET, {"lr": 0.1}), "earlier": 0.6}),
        ),
        # other packages' methods keep their own words
        ({"_target_": "mine.Model", "rate": 1, "rounds": 2}, {"_target_": "mine.Model", "rate": 1, "rounds": 2}),
        ({"rounds": 2}, {"rounds": 2}),
    ],
)
def test_names_of_schema_1_are_read_as_those_of_schema_2(before: dict[str, Any], after: dict[str, Any]) -> None:
    line = stored(before, scores={"test": {"nmae": 0.25}})
    result = Result.from_json(json.dumps(line))
    assert dict(result.config) == after and result.schema == SCHEMA == 2
    assert result.scores == line["scores"] and result.budget == line["budget"] and result.versions == line["versions"]
    assert Result.from_json(result.to_json()) == Result.from_json(json.dumps(line))


def test_results_of_this_schema_stay_as_they_are() -> None:
    """A key of schema 2 may be called what another was called in schema 1."""
    line = stored(old("boosted_trees.BoostedTrees", {"rounds": 3}), schema=2)
    assert upgraded(line) == line
    assert dict(Result.from_json(json.dumps(line)).config) == line["config"]


def test_a_config_that_is_none_is_refused_as_before() -> None:
    with pytest.raises(InputError, match="config is 3, not a Mapping"):
        Result.from_json(json.dumps(stored(3)))


def test_old_keys_are_known_by_the_old_and_by_the_new_name_of_their_class() -> None:
    assert (
        renamed_key(f"{OLD}{GNN_TARGET}", "fans") == "num_neighbors" == renamed_key(f"{OLD}recommender.Recommender", "fans")
    )
    assert renamed_key(f"{OLD}{TREES_TARGET}", "patience") == "early_stopping_rounds"
    assert renamed_key(f"{OLD}{GNN_TARGET}", "patience") is None and renamed_key("mine.Model", "fans") is None
