"""The identity of a run: everything that changes a score is in it, and nothing else is."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import relbench_harness
from relbench_harness.compose import make_guarded
from relbench_harness.errors import InputError
from relbench_harness.protocol.configuration import described_method
from relbench_harness.protocol.method import Budget, Examples
from relbench_harness.protocol.result import Result
from relbench_harness.request import RunRequest
from relbench_harness.sweep.identity import Identities, Ingredients, code_digest, identity

BASE = Ingredients(
    data={"fingerprint": "a", "cuts": ["2024-01-01", "2024-02-01"], "backtest": 0},
    task={"sql": "SELECT 1", "labels": {}},
    method="m",
    config={"_target_": "a.B", "lr": 0.1, "part": {"depth": 2, "names": ["x", "y"]}},
    code="c",
    regime="frozen",
    fit_on="train",
    budget={"seed": 0, "seconds": 60.0},
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
CONFIGS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def turned(value: Any) -> Any:
    """`value` with the keys of every mapping in the opposite order."""
    if isinstance(value, dict):
        return {key: turned(inner) for key, inner in reversed(list(value.items()))}
    return [turned(inner) for inner in value] if isinstance(value, list) else value


@given(st.dictionaries(st.text(max_size=4), CONFIGS, max_size=5))
def test_the_order_of_keys_does_not_matter(config: dict[str, Any]) -> None:
    assert identity(replace(BASE, config=config)) == identity(replace(BASE, config=turned(config)))


@given(st.dictionaries(st.text(max_size=4), CONFIGS, max_size=5), st.dictionaries(st.text(max_size=4), CONFIGS, max_size=5))
def test_different_configs_have_different_identities(one: dict[str, Any], other: dict[str, Any]) -> None:
    # repr tells True from 1, which Python holds for equal
    same = one == other and repr(sorted(one.items())) == repr(sorted(other.items()))
    assert not same or identity(replace(BASE, config=one)) == identity(replace(BASE, config=other))
    if one != other:
        assert identity(replace(BASE, config=one)) != identity(replace(BASE, config=other))


@pytest.mark.parametrize(
    "changed",
    [
        {"data": {**BASE.data, "fingerprint": "b"}},
        {"data": {**BASE.data, "cuts": ["2024-01-01", "2024-02-02"]}},
        {"data": {**BASE.data, "backtest": 1}},
        {"task": {**BASE.task, "sql": "SELECT 2"}},
        {"task": {**BASE.task, "labels": {"train": "d"}}},
        {"method": "n"},
        {"config": {**BASE.config, "lr": 0.2}},
        {"config": {**BASE.config, "part": {"depth": 2, "names": ["y", "x"]}}},
        {"config": {**BASE.config, "guard": {"noise": 1.0}}},
        {"code": "d"},
        {"regime": "rolling"},
        {"fit_on": "train+val"},
        {"budget": {**BASE.budget, "seed": 1}},
        {"budget": {**BASE.budget, "seconds": 61.0}},
        {"metrics": BASE.metrics + 1},
    ],
)
def test_each_ingredient_matters(changed: dict[str, Any]) -> None:
    assert identity(replace(BASE, **changed)) != identity(BASE)


def test_an_identity_is_stable() -> None:
    assert identity(BASE) == identity(replace(BASE)) and len(identity(BASE)) == 32
    assert identity(replace(BASE, budget={"seconds": 60, "seed": 0})) == identity(BASE)


def test_code_is_its_content(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.py").write_text("x = 1\n")
    one = code_digest([tmp_path / "a" / "m.py"])
    assert one == code_digest([tmp_path / "b" / "m.py"])
    (tmp_path / "a" / "m.py").write_text("x = 22\n")
    assert one != code_digest([tmp_path / "a" / "m.py"])


# -- of real runs ---------------------------------------------------------------------------------------------------------


def request(task: str = "shop/churn", name: str = "constant", **changed: Any) -> RunRequest:
    method, config = make_guarded(name)
    return RunRequest(**{"task": task, "method": method, "name": name, "config": config, **changed})


def of(one: RunRequest) -> str:
    return one.identified(Identities()).identity


def test_what_is_requested_matters(shop: Path) -> None:
    requests = [
        request(),
        request(task="shop/spend"),
        request(task="shop@backtest=1/churn"),
        request(name="label_history"),
        request(regime="rolling"),
        request(fit_on="train+val"),
        request(budget=Budget(seed=1)),
        request(budget=Budget(seconds=5)),
        request(budget=Budget(threads=1)),
        request(config=make_guarded("constant")[1] | {"guard": None}),
    ]
    assert len({of(one) for one in requests}) == len(requests)
    assert of(request()) == of(request(results_dir="elsewhere", overrides=("method.x=1",)))


@pytest.fixture
def own_shop(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(shop / "shop", tmp_path / "home" / "shop")
    monkeypatch.setenv("RELBENCH_HARNESS_DATASETS", str(tmp_path / "home"))
    return tmp_path / "home" / "shop"


def test_a_copy_of_a_dataset_is_the_same_data(shop: Path, own_shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = of(request())
    monkeypatch.setenv("RELBENCH_HARNESS_DATASETS", str(shop))
    assert of(request()) == copied


def test_what_a_manifest_says_matters(own_shop: Path) -> None:
    before = of(request())
    manifest = own_shop / "tasks" / "churn" / "manifest.yaml"
    declared = yaml.safe_load(manifest.read_text())
    manifest.write_text("# a comment\n" + yaml.safe_dump({**declared, "description": "other words"}))
    assert of(request()) == before
    manifest.write_text(yaml.safe_dump({**declared, "sql": declared["sql"] + " -- more"}))
    assert of(request()) != before
    manifest.write_text(yaml.safe_dump(declared))
    whole = own_shop / "manifest.yaml"
    dataset = yaml.safe_load(whole.read_text())
    whole.write_text(yaml.safe_dump({**dataset, "test_timestamp": "2024-04-12"}))
    assert of(request()) != before


def test_hosted_labels_matter(own_shop: Path) -> None:
    before = of(request())
    (own_shop / "tasks" / "churn" / "train.parquet").write_bytes(b"labels")
    assert of(request()) != before


def test_the_code_of_a_method_matters(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "__init__.py").write_text("")
    (tmp_path / "own_package" / "part.py").write_text("VALUE = 1\n")
    (tmp_path / "own_package" / "model.py").write_text("from .part import VALUE\n\n\nclass Model: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    config = {"_target_": "own_package.model.Model"}
    before = of(request(config=config))
    (tmp_path / "own_package" / "part.py").write_text("VALUE = 23\n")
    assert of(request(config=config)) != before


@dataclass(frozen=True)
class Fixed:
    """A method of a notebook."""

    value: float = 0.3

    def fit(self, train: Examples, valid: Examples, budget: Budget) -> Fixed:
        return self

    def predict(self, examples: Examples) -> NDArray[np.float64]:
        return np.full(len(examples), self.value)


def test_a_method_given_as_an_object_has_an_identity(shop: Path, tmp_path: Path) -> None:
    first = relbench_harness.run("shop/churn", Fixed(), results_dir=tmp_path)
    again = relbench_harness.run("shop/churn", Fixed(), results_dir=tmp_path)
    other = relbench_harness.run("shop/churn", Fixed(0.4))
    assert first.identity == again.identity != other.identity
    assert len(list(tmp_path.rglob(f"*{first.identity}*.json"))) == 2
    asked = RunRequest("shop/churn", Fixed(), "Fixed", described_method(Fixed()))
    assert of(asked) == first.identity


def test_results_without_an_identity_are_read(shop: Path) -> None:
    result = relbench_harness.run("shop/churn", "constant").result
    line = result.to_json().replace(f'"identity": "{result.identity}", ', "")
    assert "identity" not in line and Result.from_json(line).identity == ""


def test_a_dataset_that_is_not_there_is_a_sentence(shop: Path) -> None:
    with pytest.raises(InputError, match="no task 'chrn' in dataset shop; did you mean 'churn'"):
        of(request(task="shop/chrn"))
