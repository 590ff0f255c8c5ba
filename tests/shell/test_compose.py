"""How configs become methods: defaults lists, complete configurations, and keys that do not exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import relbench_harness
from relbench_harness.cli import main
from relbench_harness.compose import Composed, composed, make_method
from relbench_harness.errors import InputError
from relbench_harness.protocol import configuration, result_versions

TASK = "little-shop/churn"

MODEL = """
from __future__ import annotations
from dataclasses import dataclass, field
from pathlib import Path
import numpy as np


@dataclass(frozen=True)
class Part:
    depth: int = 2
    names: tuple = ("a", "b")


@dataclass(frozen=True)
class Model:
    lr: float = 0.1
    num_neighbors: tuple = (16, 8)
    part: Part = field(default_factory=lambda: Part(depth=3))
    parts: tuple = ()
    folder: Path = Path("here")

    def fit(self, train, valid, budget):
        assert isinstance(self.part, Part) and isinstance(self.folder, Path)
        return self

    def predict(self, examples):
        return np.full(len(examples), self.lr)
"""
GUARD = {"_target_": "relbench_harness.baselines.guarded.Guard", "noise": 1.0}
PART = {"_target_": "own_methods.model.Part", "depth": 3, "names": ["a", "b"]}
BASE = {
    "_target_": "own_methods.model.Model",
    "lr": 0.1,
    "num_neighbors": [16, 8],
    "part": PART,
    "parts": [],
    "folder": "here",
}


@pytest.fixture(autouse=True)
def own_configs(tmp_path: Path, shop_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with methods and its folder of configs, as a plugin brings them."""
    package = tmp_path / "site" / "own_methods"
    (package / "configs" / "method").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "model.py").write_text(MODEL)
    configs = {
        "own": "_target_: own_methods.model.Model\n",
        "own_slow": "defaults: [own]\nlr: 0.3\n",
        "own_deep": "defaults: [own_slow]\npart:\n  names: [c]\nparts:\n  - _target_: own_methods.model.Part\n    depth: 7\n",
        "own_broken": "defaults: [own_nothing]\n",
    }
    for name, text in configs.items():
        (package / "configs" / "method" / f"{name}.yaml").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr("relbench_harness.presets.plugin_folders", lambda what: [package / what])
    monkeypatch.setitem(result_versions.KEYS, "own_methods.old.Model", {"fans": "num_neighbors"})  # type: ignore[arg-type]
    monkeypatch.setitem(result_versions.TARGETS, "own_methods.old.Model", "own_methods.model.Model")  # type: ignore[arg-type]


DEEP = {**BASE, "lr": 0.3, "part": {**PART, "names": ["c"]}, "parts": [{**PART, "depth": 7}]}


@pytest.mark.parametrize(("name", "config"), [("own", BASE), ("own_slow", {**BASE, "lr": 0.3}), ("own_deep", DEEP)])
def test_a_config_names_what_differs_and_a_result_holds_all(name: str, config: dict[str, Any], tmp_path: Path) -> None:
    """In a notebook and on the command line alike, through lists of defaults of any length."""
    assert make_method(name)[1] == config
    config = {**config, "guard": GUARD}
    assert relbench_harness.run(TASK, name).config == config
    assert main(["run", f"task={TASK}", f"method={name}", f"results_dir={tmp_path / 'results'}"]) == 0
    (stored,) = (tmp_path / "results").rglob("*.json")
    assert json.loads(stored.read_text())["config"] == config and json.loads(stored.read_text())["schema"] == 2


def test_an_object_has_the_configuration_of_its_config() -> None:
    method, config = make_method("own_deep")
    assert relbench_harness.run(TASK, method).config == config


def test_shipped_methods_are_made_from_what_their_results_hold() -> None:
    method, config = make_method("gnn_gat")
    assert configuration.described_method(method) == config
    assert make_method("hybrid")[1]["network"] == make_method("gnn")[1]


def test_a_field_is_set_whether_the_config_names_it_or_not(tmp_path: Path) -> None:
    assert make_method("own", part={"depth": 9})[1]["part"] == {**PART, "depth": 9}
    given = ["method.num_neighbors=[4]", "method.part.depth=5"]
    assert main(["run", f"task={TASK}", "method=own", *given, f"results_dir={tmp_path / 'results'}"]) == 0
    (stored,) = (tmp_path / "results").rglob("*.json")
    line = json.loads(stored.read_text())
    assert line["config"] == {**BASE, "num_neighbors": [4], "part": {**PART, "depth": 5}, "guard": GUARD}
    assert line["lines"]["files"]["task"] == given


def test_a_swept_field_is_named_as_it_was_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["run", "-m", f"task={TASK}", "method=own", "method.lr=0.2,0.4", f"results_dir={tmp_path / 'results'}"]) == 0
    )
    shown = capsys.readouterr().out
    assert "own  seed=0 method.lr=0.2  frozen" in shown and "own  seed=0 method.lr=0.4  frozen" in shown


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("method.fans=[4]", "no key 'method.fans'; it is called 'num_neighbors' now\n"),
        ("method.num_neighbor=[4]", "no key 'method.num_neighbor'; did you mean 'num_neighbors'?\n"),
        ("method.part.dept=4", "no key 'method.part.dept'; did you mean 'depth'?\n"),
        ("method.parts.0.depth=4", "'parts' is a list that the config leaves at its default; give it as a whole\n"),
    ],
)
def test_a_key_that_does_not_exist_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, sentence: str
) -> None:
    assert main(["run", f"task={TASK}", "method=own", override, f"results_dir={tmp_path / 'results'}"]) == 2
    shown = capsys.readouterr().err
    assert sentence in shown and shown.count("\n") == 1
    assert not list(tmp_path.rglob("*.json"))


def test_a_key_that_does_not_exist_is_refused_in_a_notebook() -> None:
    for key, sentence in (("fans", "it is called 'num_neighbors' now"), ("lrr", "did you mean 'lr'")):
        with pytest.raises(InputError, match=f"no key 'method.{key}'; {sentence}"):
            make_method("own", **{key: 1})


def test_a_default_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="In 'method/own_broken': Could not load 'method/own_nothing'"):
        make_method("own_broken")


@pytest.mark.parametrize(
    ("given", "seconds", "trials"),
    [
        ([], None, 20),
        (["budget=none"], None, 20),
        (["budget=quick"], 60, 20),
        (["budget=standard"], 120, 30),
        (["budget=long"], 600, 100),
        (["budget.seconds=7"], 7, 20),
        (["budget.seconds=7", "budget=long"], 7, 100),
        (["budget=quick", "budget.trials=3"], 60, 3),
    ],
)
def test_a_budget_has_a_name_or_values_or_both(given: list[str], seconds: float | None, trials: int) -> None:
    for multirun in ([], ["-m"]):
        (one,) = composed([*multirun, f"task={TASK}", *given])
        assert isinstance(one, Composed)
        assert (one.config.budget.seconds, one.config.budget.trials) == (seconds, trials)


def test_budgets_are_swept_and_take_the_place_of_a_studys() -> None:
    swept = [one for one in composed(["-m", f"task={TASK}", "budget=quick,long"]) if isinstance(one, Composed)]
    assert [one.config.budget.seconds for one in swept] == [60, 600]
    study = ["-m", "study=rel-f1", f"task={TASK}", "regime=frozen", "seed=0", "method=constant"]
    for given, seconds in (([], 60), (["budget=long"], 600), (["budget=long", "budget.seconds=5"], 5)):
        (one,) = composed([*study, *given])
        assert isinstance(one, Composed)
        assert (one.config.budget.seconds, one.config.budget.threads) == (seconds, 1)


def test_a_wrong_budget_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", f"task={TASK}", "budget=quik"]) == 2
    assert "no budget 'quik'" in (said := capsys.readouterr().err) and "'quick'" in said


def test_a_class_without_a_config_is_named_by_its_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "own_methods.model.Model"
    assert make_method(name, lr=0.3)[1] == {**BASE, "lr": 0.3}
    settings = [f"task={TASK}", "isolation=none", "guard=none", f"results_dir={tmp_path}"]
    assert main(["run", "-m", *settings, f"method=constant,{name}", "seed=0,1"]) == 0
    folder = tmp_path / "little-shop__churn" / name
    lines = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    assert [(line["method"], line["config"]) for line in lines] == [(name, BASE)] * 2
    assert main(["audit", "--short", f"task={TASK}", f"method={name}", "method.lr=0.2", f"results_dir={tmp_path}"]) == 0
    capsys.readouterr()
    for wrong, message in (
        ("own_methods.model.Modle", "no 'own_methods.model.Modle'"),
        ("own_metods.model.Model", "No module named 'own_metods'"),
        ("constnt", "no method 'constnt'; did you mean 'constant'?"),
        ("own_methods..Model", "no method 'own_methods..Model'"),
    ):
        assert main(["run", *settings, f"method={wrong}"]) == 2
        assert message in capsys.readouterr().err
