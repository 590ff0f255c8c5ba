"""Plugins, the hub and original keys: what others brought is found, checked, and answered in its own words."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml

from relbench_harness import plugins
from relbench_harness.authoring.check_plugin import check_plugin
from relbench_harness.authoring.new_dataset import Wanted, new_dataset
from relbench_harness.authoring.original_keys import read_predictions, with_original_keys, write_predictions
from relbench_harness.data.dataset import open_dataset, open_task
from relbench_harness.data.names import dataset_names, hosted
from relbench_harness.errors import InputError

GOOD = '''
from dataclasses import dataclass
import numpy as np
from relbench_harness.data.task import TaskType
from relbench_harness.errors import InputError

@dataclass(frozen=True)
class Recent:
    """How many rows each entity has so far."""
    offset: float = 0.0

    def fit(self, train, valid, budget):
        if train.task.type not in (TaskType.BINARY, TaskType.REGRESSION):
            raise InputError(f"no {train.task.type}")
        return self

    def predict(self, questions):
        total = np.full(len(questions), self.offset)
        for table in questions.database.values():
            for column, parent in table.references.items():
                if parent == questions.task.entity_table and table.times is not None:
                    rows = table.parents(column)
                    for i, (entity, cutoff) in enumerate(zip(questions.entity, questions.cutoff)):
                        total[i] += (rows[: table.visible(LIMIT)[0]] == entity).sum()
        return total
'''


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package `rbh_acme` with a dataset, a method that keeps the contract and two that do not."""
    site = tmp_path / "site"
    package = site / "rbh_acme"
    (package / "datasets" / "acme" / "db").mkdir(parents=True)
    (package / "configs" / "method").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "good.py").write_text(GOOD.replace("LIMIT", "int(cutoff)"))
    (package / "peeking.py").write_text(GOOD.replace("LIMIT", "2**62"))
    (package / "shapeless.py").write_text(GOOD.replace("return total", "return total[:-1]"))
    for name in ("good", "peeking", "shapeless"):
        (package / "configs" / "method" / f"acme_{name}.yaml").write_text(f"_target_: rbh_acme.{name}.Recent\n")
    days = pa.array([np.datetime64("2020-01-01", "ns") + np.timedelta64(i, "D") for i in range(100)])
    import pyarrow.parquet as pq

    pq.write_table(
        pa.table({"id": np.arange(100), "at": days, "v": np.arange(100) % 7}), package / "datasets/acme/db/e.parquet"
    )
    tables = {"e": {"pkey": "id", "time_col": "at", "fkeys": {}}}
    manifest = {"name": "acme", "val_timestamp": "2020-03-01", "test_timestamp": "2020-03-20", "tables": tables}
    (package / "datasets" / "acme" / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    info = site / "rbh_acme-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rbh-acme\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[relbench_harness.plugins]\nacme = rbh_acme\n")
    monkeypatch.syspath_prepend(str(site))
    return package


def test_a_plugin_is_found_without_being_imported(plugin: Path) -> None:
    assert [p.name for p in plugins.plugins()] == ["acme"]
    assert "rbh_acme" not in sys.modules
    assert "acme" in dataset_names()
    assert open_dataset("acme").folder == (plugin / "datasets" / "acme").resolve()
    from relbench_harness.compose import make_method
    from relbench_harness.presets import method_names

    assert "acme_good" in method_names()
    method, config = make_method("acme_good", offset=2.0)
    assert config == {"_target_": "rbh_acme.good.Recent", "offset": 2.0} and type(method).__name__ == "Recent"


def test_an_unknown_plugin_is_named(plugin: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'acme'"):
        plugins.plugin("acne")


@pytest.mark.slow
def test_check_plugin_tells_who_breaks_the_contract(plugin: Path) -> None:
    said = list(check_plugin("acme"))
    faults = [line for fault, line in said if fault]
    assert any("acme_peeking" in line and "taken away" in line for line in faults)
    assert any("acme_shapeless" in line and "refused" in line for line in faults)
    assert not any("acme_good" in line for line in faults)
    assert any(line.startswith("dataset acme: 1 tables") for fault, line in said if not fault)


# -- the hub ----------------------------------------------------------------------------------------------------------------

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub_cache(tmp_path: Path, shop: Path) -> dict[str, str]:
    """A cache of the hub that holds one repository with the dataset `shop`; the environment that points at it."""
    home = tmp_path / "hf"
    for repository, commit in (("acme/data", COMMIT), ("stanford-star/relbench-v1", hosted()["rel-hm"].revision or "")):
        root = home / "hub" / f"datasets--{repository.replace('/', '--')}"
        (root / "refs").mkdir(parents=True)
        (root / "refs" / "main").write_text(commit)
        name = "shop" if repository == "acme/data" else "rel-hm"
        shutil.copytree(shop, root / "snapshots" / commit / name)
    return {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(home / "hub")}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """An imported dataset with text keys and a task from a predictive query."""
    source = tmp_path / "source"
    source.mkdir()
    rng = np.random.default_rng(3)
    users = [f"u{i:02}" for i in rng.permutation(40)]
    with (source / "users.csv").open("w") as file:
        file.write("user_id,city\n" + "".join(f"{u},x\n" for u in users))
    with (source / "orders.csv").open("w") as file:
        file.write("order_id,user_id,ordered_at\n")
        for i in range(800):
            file.write(f"o{i:04},{rng.choice(users)},2020-{1 + i // 67:02}-{1 + (i % 67) // 3:02} 10:00:00\n")
    imported = new_dataset("shop", str(source), tmp_path / "datasets", Wanted())
    from relbench_harness.authoring.new_task import new_task

    list(new_task(f"{imported.folder}/churn", "PREDICT COUNT(orders.*, 0, 14, days) = 0 FOR EACH users.user_id"))
    return imported.folder


def said(code: str, environment: dict[str, str]) -> str:
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    return done.stdout.strip() or done.stderr.strip().split("\n")[-1]


def test_hub_addresses_and_hosted_names(hub_cache: dict[str, str]) -> None:
    code = (
        "from relbench_harness.data.dataset import open_task\n"
        "import sys\nd, t = open_task({!r})\nprint(d.name, t.id, len(d.labels(t, 'test')) > 0, d.folder.parent.name)"
    )
    assert said(code.format("hub:acme/data/shop/churn"), hub_cache) == f"shop shop/churn True {COMMIT}"
    pinned = f"hub:acme/data/shop@revision={COMMIT}/churn"
    assert said(code.format(pinned), hub_cache).endswith(COMMIT)
    assert said(code.format("rel-hm/churn"), hub_cache) == f"rel-hm rel-hm/churn True {hosted()['rel-hm'].revision}"
    assert "at revision main" in said(code.format("hub:acme/nothing/shop/churn"), hub_cache)
    assert "is no hub address" in said(code.format("hub:acme/churn"), hub_cache)
    assert "takes revision=" in said(code.format("hub:acme/data/shop@size=1/churn"), hub_cache)


def test_hosted_datasets_are_known_by_name() -> None:
    assert {"rel-amazon", "rel-avito", "rel-event", "rel-f1", "rel-hm", "rel-stack", "rel-trial", "rel-arxiv"} <= set(
        hosted()
    )
    assert all(len(h.revision or "0" * 40) == 40 for h in hosted().values())
    manifest = yaml.safe_load((Path(__file__).parents[2] / "datasets" / "rel-f1" / "manifest.yaml").read_text())
    assert hosted()["rel-f1"] == (manifest["hub"]["address"], manifest["hub"]["revision"]), "one pin, said twice"


# -- original keys ----------------------------------------------------------------------------------------------------------


def test_predictions_with_original_keys(shop: Path, tmp_path: Path) -> None:
    dataset, task = open_task(f"{shop}/churn")
    labels = dataset.labels(task, "test")
    predictions = pa.table({"split": ["test"] * len(labels), "entity": labels.entity, "prediction": labels.target})
    out = with_original_keys(dataset, task, predictions)
    assert out.column_names == ["split", "user_id", "prediction"]
    listed = [line.split(",")[0] for line in (tmp_path / "source" / "users.csv").read_text().split("\n")[1:] if line]
    assert out.column("user_id").to_pylist() == [listed[row] for row in labels.entity]
    for suffix in ("csv", "parquet"):
        write_predictions(out, tmp_path / f"p.{suffix}")
        assert read_predictions(tmp_path / f"p.{suffix}").column("user_id").to_pylist() == out.column("user_id").to_pylist()
    with pytest.raises(InputError, match="row 40 of table 'users'"):
        with_original_keys(dataset, task, pa.table({"entity": [40], "prediction": [0.5]}))


def test_recommended_items_get_their_keys(shop: Path) -> None:
    from dataclasses import replace

    dataset, task = open_task(f"{shop}/churn")
    lists = pa.table({"entity": [0, 1], "prediction": pa.array([[2, 0], [1, 1]])})
    out = with_original_keys(dataset, replace(task, item_table="orders"), lists)
    assert out.column("prediction").to_pylist() == [["o0002", "o0000"], ["o0001", "o0001"]]
