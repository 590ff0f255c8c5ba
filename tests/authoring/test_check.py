"""The check of a dataset: a clean one has no findings, and every planted fault is found with its place and number."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import yaml

from relbench_harness.authoring.check import check_dataset
from relbench_harness.authoring.check_page import page
from relbench_harness.authoring.check_report import Report
from relbench_harness.authoring.commands import add_commands
from relbench_harness.authoring.leakage import auroc
from relbench_harness.data.dataset import open_dataset
from relbench_harness.errors import InputError

DAYS = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(400), unit="D")
CHURN = """\
SELECT s.timestamp AS date, u.id AS id, CAST(NOT EXISTS (SELECT 1 FROM orders o WHERE o."user" = u.id
  AND o.at > s.timestamp AND o.at <= s.timestamp + INTERVAL '{timedelta}') AS BIGINT) AS churn
FROM timestamps s JOIN users u ON u.joined <= s.timestamp
WHERE EXISTS (SELECT 1 FROM orders o WHERE o."user" = u.id AND o.at <= s.timestamp
  AND o.at > s.timestamp - INTERVAL '120 days')
"""


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset without faults: users that join over time, their orders and reviews of orders, a churn task."""
    folder = tmp_path_factory.mktemp("clean") / "shop"
    (folder / "db").mkdir(parents=True)
    (folder / "tasks" / "churn").mkdir(parents=True)
    rng = np.random.default_rng(7)
    joined = np.sort(rng.integers(0, 200, 300))
    users = pd.DataFrame({"id": np.arange(300), "joined": DAYS[joined], "city": rng.choice(list("abcd"), 300)})
    users["age"] = rng.integers(18, 80, 300).astype(float)
    users.loc[rng.random(300) < 0.2, "age"] = np.nan
    buyer = rng.integers(0, 300, 3000)
    at = np.minimum(joined[buyer] + rng.gamma(2.0, 60.0, 3000), 399.4)
    orders = pd.DataFrame({"user": buyer, "at": DAYS[0] + pd.to_timedelta(at, unit="D"), "total": rng.gamma(2, 10, 3000)})
    orders = orders.sort_values("at", ignore_index=True)
    orders.insert(0, "id", np.arange(3000))
    reviews = pd.DataFrame({"order": np.arange(0, 3000, 3), "stars": rng.integers(1, 6, 1000)})
    reviews["at"] = orders["at"].to_numpy()[::3] + pd.Timedelta(hours=5)
    for name, frame in (("users", users), ("orders", orders), ("reviews", reviews)):
        frame.to_parquet(folder / "db" / f"{name}.parquet", index=False)
    manifest = {
        "name": "shop",
        "val_timestamp": "2020-10-01",
        "test_timestamp": "2020-12-01",
        "tables": {
            "users": {"pkey": "id", "time_col": "joined", "fkeys": {}},
            "orders": {"pkey": "id", "time_col": "at", "fkeys": {"user": "users"}},
            "reviews": {"pkey": None, "time_col": "at", "fkeys": {"order": "orders"}},
        },
    }
    task = {
        "name": "churn", "kind": "forecast", "task_type": "binary_classification", "entity_table": "users",
        "entity_col": "id", "target_col": "churn", "time_col": "date", "timedelta": "30 days", "sql": CHURN,
    }  # fmt: skip
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    (folder / "tasks" / "churn" / "manifest.yaml").write_text(yaml.safe_dump(task))
    return folder


def test_a_clean_dataset_has_no_findings(clean: Path) -> None:
    report = check_dataset(str(clean))
    assert report.findings == []
    assert {t.name: t.rows for t in report.tables} == {"users": 300, "orders": 3000, "reviews": 1000}
    assert report.tasks[0].rows.keys() == {"train", "val", "test"}


# -- faults, each planted by one edit ---------------------------------------------------------------------------------------


def table(folder: Path, name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    path = folder / "db" / f"{name}.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)


def manifest(folder: Path, change: Callable[[dict], None], task: bool = False) -> None:  # type: ignore[type-arg]
    path = folder / "tasks" / "churn" / "manifest.yaml" if task else folder / "manifest.yaml"
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))


def repeated_key(folder: Path) -> None:
    table(folder, "orders", lambda f: f.assign(id=f["id"].where(f["id"] > 3, 0)))


def missing_parent(folder: Path) -> None:
    table(folder, "orders", lambda f: f.assign(user=f["user"].where(f.index >= 7, 9999)))


def missing_time(folder: Path) -> None:
    table(folder, "orders", lambda f: f.assign(at=f["at"].where(f.index >= 11)))


def impossible_time(folder: Path) -> None:
    table(folder, "orders", lambda f: f.assign(at=f["at"].where(f.index < 2998, pd.Timestamp("2199-12-31"))))


def unknown_column(folder: Path) -> None:
    manifest(folder, lambda m: m["tables"]["orders"].update(fkeys={"usr": "users"}))


def cut_outside(folder: Path) -> None:
    manifest(folder, lambda m: m.update(test_timestamp="2031-01-01"))


def broken_sql(folder: Path) -> None:
    manifest(folder, lambda m: m.update(sql="SELECT nothing FROM nowhere"), task=True)


def one_class(folder: Path) -> None:
    manifest(folder, lambda m: m.update(sql=m["sql"].replace("NOT EXISTS", "NOT NOT EXISTS").replace("o.at > s", "o.at < s")
                                        .replace("AND o.at <= s.timestamp + INTERVAL '{timedelta}'", "")), task=True)  # fmt: skip


def long_window(folder: Path) -> None:
    manifest(folder, lambda m: m.update(sql=m["sql"].replace("INTERVAL '{timedelta}'", "INTERVAL '75 days'")), task=True)


def crossing_window(folder: Path) -> None:
    """Hosted training questions whose windows end after the validation cut."""
    host(folder)
    path = folder / "tasks" / "churn" / "train.parquet"
    rows = pd.read_parquet(path)
    rows["date"] = rows["date"].where(rows.index < len(rows) - 13, pd.Timestamp("2020-09-20"))
    rows.to_parquet(path, index=False)


def host(folder: Path) -> None:
    dataset = open_dataset(str(folder))
    task = dataset.task("churn")
    for split in ("train", "val", "test"):
        dataset.labels(task, split).frame(task).to_parquet(folder / "tasks" / "churn" / f"{split}.parquet", index=False)


def other_labels(folder: Path) -> None:
    host(folder)
    path = folder / "tasks" / "churn" / "test.parquet"
    rows = pd.read_parquet(path)
    rows.loc[:4, "churn"] = 1 - rows.loc[:4, "churn"]
    rows.to_parquet(path, index=False)


def outcome(folder: Path) -> pd.Series:
    """For each user the share of his churn labels, in training."""
    dataset = open_dataset(str(folder))
    labels = dataset.labels(dataset.task("churn"), "train").frame(dataset.task("churn"))
    return labels.groupby("id")["churn"].mean().reindex(range(300))


def given_away(folder: Path) -> None:
    """One row per user in training: the first horizon only, and a column that says how it went."""
    manifest(
        folder,
        lambda m: m.update(sql=m["sql"].replace("WHERE EXISTS", "WHERE s.timestamp > '2020-08-20' AND EXISTS")),
        True,
    )
    share = outcome(folder)
    noise = np.random.default_rng(0).random(300) * 0.9
    table(folder, "users", lambda f: f.assign(score=share.fillna(0.5).to_numpy() + noise))


def given_away_by_missingness(folder: Path) -> None:
    manifest(
        folder,
        lambda m: m.update(sql=m["sql"].replace("WHERE EXISTS", "WHERE s.timestamp > '2020-08-20' AND EXISTS")),
        True,
    )
    share = outcome(folder)
    table(folder, "users", lambda f: f.assign(reason=np.where(share == 1, "left", None)))


def written_after(folder: Path) -> None:
    """A column filled for users that are asked about; half of the users never are."""
    manifest(folder, lambda m: m.update(sql=m["sql"].replace("WHERE EXISTS", "WHERE u.id % 2 = 0 AND EXISTS")), task=True)
    asked = outcome(folder).notna().to_numpy()
    table(folder, "users", lambda f: f.assign(closed=np.where(asked & (f["id"] % 3 > 0), "2020-11-01", None)))


def older_child(folder: Path) -> None:
    table(folder, "reviews", lambda f: f.assign(at=f["at"].where(f.index >= 40, pd.Timestamp("2020-01-01"))))


def future_member(folder: Path) -> None:
    """Asks about whoever orders in the window, and some come back after more than a year."""

    def come_back(orders: pd.DataFrame) -> pd.DataFrame:
        gone = orders[(orders["user"] >= 6) | (orders["at"] < "2019-01-01")]
        back = pd.DataFrame({"user": np.arange(6), "at": pd.Timestamp("2020-12-05"), "total": 1.0})
        both = pd.concat([gone, back]).sort_values("at", ignore_index=True)
        return both.assign(id=np.arange(len(both)))

    table(folder, "orders", come_back)
    table(folder, "reviews", lambda f: f.assign(order=None))
    sql = """SELECT s.timestamp AS date, o."user" AS id, MAX(CASE WHEN o.total > 15 THEN 1 ELSE 0 END) AS churn
      FROM timestamps s JOIN orders o ON o.at > s.timestamp AND o.at <= s.timestamp + INTERVAL '{timedelta}' GROUP BY ALL"""
    manifest(folder, lambda m: m.update(sql=sql), task=True)


def static_child(folder: Path) -> None:
    manifest(folder, lambda m: m["tables"]["reviews"].update(time_col=None))


def static_parent(folder: Path) -> None:
    manifest(folder, lambda m: m["tables"]["users"].update(time_col=None))
    table(folder, "orders", lambda f: f.assign(at=f["at"].where(f["user"] < 270, f["at"].clip(lower=pd.Timestamp("2020-11-01"))))
          .sort_values("at", ignore_index=True).assign(id=np.arange(3000)))  # fmt: skip
    table(folder, "reviews", lambda f: f.assign(order=None))


FAULTS: list[tuple[Callable[[Path], None], str, str, float | None]] = [
    (repeated_key, "key", "orders.id", 3),
    (missing_parent, "key", "orders.user", 7),
    (missing_time, "time", "orders.at", 11),
    (impossible_time, "time", "orders.at", 2),
    (unknown_column, "manifest", "orders.usr", None),
    (cut_outside, "manifest", "test_timestamp", None),
    (broken_sql, "sql", "churn", None),
    (one_class, "split", "churn", 1),
    (long_window, "window", "churn", None),
    (crossing_window, "window", "churn", 13),
    (other_labels, "hosted", "churn", 5),
    (given_away, "giveaway", "churn users.score", None),
    (given_away_by_missingness, "giveaway", "churn whether users.reason is missing", 1.0),
    (written_after, "afterwards", "churn users.closed", None),
    (older_child, "older-child", "reviews.order", None),
    (future_member, "future-member", "churn", None),
    (static_child, "growing", "reviews", None),
    (static_parent, "growing", "users", None),
]


@pytest.mark.parametrize(("plant", "kind", "where", "number"), FAULTS, ids=[f[0].__name__ for f in FAULTS])
def test_a_planted_fault_is_found(
    plant: Callable[[Path], None], kind: str, where: str, number: float | None, clean: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(clean, folder)
    plant(folder)
    report = check_dataset(str(folder))
    found = [f for f in report.findings if (f.kind, f.where) == (kind, where)]
    assert found, [str(f) for f in report.findings]
    if number is not None:
        assert found[0].number == pytest.approx(number)
    assert "<svg" in report.diagram or kind in ("key", "manifest")
    assert bool(report.open()) == any(f.level == "error" for f in report.findings)


def test_future_members_are_counted(clean: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(clean, folder)
    future_member(folder)
    (found,) = (f for f in check_dataset(str(folder)).findings if f.kind == "future-member")
    dataset = open_dataset(str(folder))
    assert found.number == pytest.approx(6 / len(dataset.labels(dataset.task("churn"), "test")))


def test_known_findings_do_not_fail(clean: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(clean, folder)
    missing_parent(folder)
    entry = {"kind": "key", "where": "orders.user", "why": "guests have no account"}
    manifest(folder, lambda m: m.update(known=[entry]))
    report = check_dataset(str(folder))
    assert [f.known for f in report.findings] == ["guests have no account"]
    assert not report.open(strict=True)
    manifest(folder, lambda m: m.update(known=[{**entry, "kind": "keys"}]))
    with pytest.raises(InputError, match="did you mean 'key'"):
        check_dataset(str(folder))


def shell(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers(required=True))
    parsed = parser.parse_args(arguments)
    return int(parsed.act(parsed))


def test_the_shell_exits_by_what_was_found(clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, path = tmp_path / "shop", tmp_path / "page.html"
    shutil.copytree(clean, folder)
    assert shell("dataset", "check", str(folder), "--page", str(path), "--strict") == 0
    assert "0 errors, 0 leaks" in capsys.readouterr().out
    static_child(folder)
    assert shell("dataset", "check", str(folder), "--page", str(path)) == 0
    assert shell("dataset", "check", str(folder), "--page", str(path), "--strict") == 1
    repeated_key(folder)
    assert shell("dataset", "check", str(folder), "--page", str(path)) == 1
    assert "repeats in 3 rows" in path.read_text()


def test_the_page_needs_nothing_else(clean: Path) -> None:
    report = check_dataset(str(clean))
    text = page(report)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    drawing = ElementTree.fromstring(report.diagram)
    titles = [t.text for t in drawing.iter("{http://www.w3.org/2000/svg}title")]
    assert sorted(filter(None, titles)) == ["orders.user → users", "reviews.order → orders"]


def test_names_in_the_page_are_text() -> None:
    report = Report(name="<script>alert(1)</script>", description="<b>")
    assert "<script>" not in page(report) and "<b>" not in page(report)


def test_auroc_counts_ties_half() -> None:
    assert auroc(np.array([1.0, 2, 2, 3]), np.array([False, True, False, True])) == pytest.approx(3.5 / 4)


def documented(name: str) -> set[tuple[str, str]]:
    path = Path(__file__).parents[2] / "datasets" / name / "manifest.yaml"
    return {(e["kind"], e["where"]) for e in yaml.safe_load(path.read_text()).get("known") or []}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rel-f1", "rel-nycflights", "rel-shop"])
def test_shipped_datasets_have_only_documented_findings(name: str) -> None:
    if name == "rel-f1":
        shared = Path(os.environ.get("RELBENCH_HARNESS_DATASETS") or Path(__file__).parents[3] / "shared" / "data")
        if not (shared / name / "db").is_dir():
            pytest.skip(f"no tables of rel-f1 in {shared}")
        report = check_dataset(str(shared / name))
    else:
        report = check_dataset(name)
    assert {(f.kind, f.where) for f in report.findings} == documented(name)
    if name == "rel-f1":
        (found,) = (f for f in report.findings if (f.kind, f.where) == ("future-member", "driver-dnf"))
        assert found.what.startswith("26 of 702 test questions")
