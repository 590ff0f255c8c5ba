"""rel-shop: the rows are those of a shop, the same wherever drawn, and what is said to be true of its labels is true."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from numpy.typing import NDArray
from scramble import own_rows, scrambled
from shop_worlds import drawn, part, scored, shop, stages_and_truth, world
from sklearn.metrics import roc_auc_score

from relbench_harness.authoring import leakage
from relbench_harness.data.canonical import canonical
from relbench_harness.data.dataset import open_dataset
from relbench_harness.data.labels import SPLITS, Split, split_labels
from relbench_harness.data.table import nanoseconds
from relbench_harness.errors import InputError
from relbench_harness.protocol.method import label_values

TASKS = ("customer-churn", "customer-fraud", "customer-products", "customer-spend", "product-category")
ALL = "rel-shop@scale=1"
NONE = "rel-shop@scale=1,causes=none"
PRIMARY = {
    "customer-churn": ("roc_auc", "log_loss"),
    "customer-fraud": ("roc_auc", "log_loss"),
    "customer-products": ("map", "recall"),
    "customer-spend": ("nmae", "r2"),
    "product-category": ("macro_f1", "accuracy"),
}


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    shop()


# -- the rows ---------------------------------------------------------------------------------------------------------


def written(tmp_path: Path, seed: int = 0, workers: int = 1, scale: float = 0.3) -> dict[str, pa.Table]:
    made = part("world").World(scale, seed, part("settings").chosen("all"), workers).write(tmp_path)
    return {name: pa.ipc.open_file(pa.memory_map(str(path))).read_all() for name, path in made.items()}


def test_rows_depend_on_the_seed_and_not_on_who_draws_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part("settings"), "BLOCK", 64)
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    alone, together, other = (
        written(folder, seed, workers) for folder, seed, workers in zip(folders, (0, 0, 1), (1, 4, 1), strict=True)
    )
    assert all(alone[name].equals(together[name]) for name in alone)
    assert not alone["visits"].equals(other["visits"])
    for first, second in zip(
        sorted((folders[0] / "truth").iterdir()), sorted((folders[1] / "truth").iterdir()), strict=True
    ):
        assert first.read_bytes() == second.read_bytes()


def test_scale_one_is_about_a_hundred_thousand_rows() -> None:
    assert 80_000 < sum(len(table) for table in world(ALL).database.values()) < 125_000


def test_no_row_lies_where_questions_are_asked() -> None:
    settings = part("settings")
    for name in ("visits", "transactions", "lines", "shifts", "returns", "customers", "products"):
        times = world(ALL).database[name].times
        assert times is not None
        assert not ((times - settings.START) % settings.EPOCH == 0).any()


def test_cuts_lie_between_seasons() -> None:
    settings = part("settings")
    for cut in world(ALL).cuts:
        assert (nanoseconds(cut) - settings.START) % (settings.SEASON * settings.EPOCH) == 0


def test_children_are_never_older_than_their_parents() -> None:
    database = world(ALL).database
    for name, table in database.items():
        for column, parent in table.references.items():
            if table.times is None or database[parent].times is None:
                continue
            rows = table.parents(column)
            named = rows >= 0
            assert (table.times[named] >= database[parent].times[rows[named]]).all(), (name, column)


def test_amounts_are_sums_of_lines_at_announced_prices() -> None:
    database = world(ALL).database
    lines, sales = database["lines"].rows, database["transactions"].rows
    paid = np.asarray(lines["price"]) * np.asarray(lines["quantity"])
    total = np.bincount(np.asarray(lines["transaction_id"]), weights=paid, minlength=sales.num_rows)
    assert np.allclose(total, np.asarray(sales["amount"]))
    promotions = database["promotions"].rows.to_pandas()
    for row in promotions[promotions["kind"] == "sale"].sample(20, random_state=0).itertuples():
        sold = pc.and_(
            pc.equal(lines["product_id"], row.product_id),
            pc.and_(pc.greater(lines["time"], row.starts), pc.less(lines["time"], row.ends)),
        )
        assert set(lines.filter(sold)["price"].to_pylist()) <= {row.price}
        assert row.announced < row.starts


def test_a_shop_like_others() -> None:
    """Long-tailed products, a daily and weekly rhythm, customers who come again, small and large baskets."""
    database = world(ALL).database
    sold = np.sort(np.bincount(np.asarray(database["lines"].rows["product_id"])))[::-1]
    assert sold[: len(sold) // 5].sum() > 0.5 * sold.sum()
    visits = database["visits"].rows["time"]
    weekday = np.bincount(np.asarray(pc.day_of_week(visits)), minlength=7)
    assert weekday[5] > 1.5 * weekday[6]
    hour = np.bincount(np.asarray(pc.hour(visits)), minlength=24)
    assert hour[18] > 1.5 * hour[13] and 0 < hour[3] < hour[18] / 3
    basket = np.bincount(np.asarray(database["lines"].rows["transaction_id"]))
    assert 1.8 < basket.mean() < 2.6 and basket.max() >= 7
    often = np.bincount(np.asarray(database["transactions"].rows["customer_id"]))
    assert np.median(often) >= 4


# -- the truth --------------------------------------------------------------------------------------------------------


def within(reached: float, drawn: list[float], most: float = 4.0) -> bool:
    """Whether a score is no further from the mean of others than `most` of their standard deviations."""
    spread = float(np.std(drawn, ddof=1))
    return abs(reached - float(np.mean(drawn))) <= most * spread + 1e-9


def truth_holds(address: str, task: str, split: Split = "test") -> None:
    stages, truth = stages_and_truth(address, task, split)
    labels = label_values(stages.task, stages.labels(split).target, stages.classes)
    reached = scored(stages, labels, truth.answers, truth.classes)
    others = drawn(stages, truth, 40)
    for metric in PRIMARY[task]:
        assert within(reached[metric], [other[metric] for other in others]), (task, metric, reached[metric])


@pytest.mark.parametrize("task", TASKS)
def test_true_answers_score_what_they_should(task: str) -> None:
    truth_holds(ALL, task)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("split", ["val", "test"])
def test_true_answers_score_what_they_should_at_scale_ten(task: str, split: Split) -> None:
    truth_holds("rel-shop@scale=10", task, split)


def calibrated(chance: NDArray[np.float64], labels: NDArray[np.float64], bins: int = 8) -> bool:
    """Whether in each of equal `bins` by chance as many labels are 1 as there should be."""
    for rows in np.array_split(np.argsort(chance), bins):
        spread = np.sqrt((chance[rows] * (1 - chance[rows])).sum())
        if abs(labels[rows].sum() - chance[rows].sum()) > 4 * spread + 1:
            return False
    return True


@pytest.mark.parametrize("task", ["customer-churn", "customer-fraud"])
@pytest.mark.parametrize("causes", ["all", "none", "loyalty+store", "recency+drift+night", "rude+stain+price+rings"])
def test_probabilities_are_calibrated(task: str, causes: str) -> None:
    stages, truth = stages_and_truth(f"rel-shop@scale=1,causes={causes}", task, "train")
    labels = label_values(stages.task, stages.labels("train").target, stages.classes)
    assert calibrated(np.asarray(truth.answers, dtype=np.float64), np.asarray(labels))


def test_expected_spending_is_what_is_spent() -> None:
    stages, truth = stages_and_truth(ALL, "customer-spend", "train")
    spent = np.asarray(label_values(stages.task, stages.labels("train").target, ()))
    assert truth.expectation is not None
    for rows in np.array_split(np.argsort(truth.expectation), 6):
        apart = spent[rows].mean() - truth.expectation[rows].mean()
        assert abs(apart) < 4 * spent[rows].std() / np.sqrt(len(rows))


def test_half_spend_more_than_the_median_and_half_less() -> None:
    stages, truth = stages_and_truth(ALL, "customer-spend", "train")
    spent, median = np.asarray(label_values(stages.task, stages.labels("train").target, ())), truth.answers
    above = median > 0
    assert above.sum() > 1000
    below = (spent[above] < median[above]).mean()
    upto = (spent[above] <= median[above]).mean()
    slack = 4 * 0.5 / np.sqrt(above.sum())
    assert below - slack < 0.5 < upto + slack


def test_without_causes_the_best_answer_is_a_constant() -> None:
    for task in ("customer-churn", "customer-fraud"):
        assert np.ptp(stages_and_truth(NONE, task)[1].answers) < 1e-12
    assert np.ptp(stages_and_truth(NONE, "customer-spend")[1].answers) == 0
    lists = stages_and_truth(NONE, "customer-products")[1].answers
    assert (lists == lists[0]).all()
    assert np.allclose(stages_and_truth(NONE, "product-category")[1].expectation, 1 / 8)


def test_causes_lift_the_ceiling_above_a_constant() -> None:
    for task, least in (("customer-churn", 0.75), ("customer-fraud", 0.65)):
        stages, truth = stages_and_truth(ALL, task)
        labels = label_values(stages.task, stages.labels("test").target, ())
        assert scored(stages, labels, truth.answers, ())["roc_auc"] > least


# -- the causes, found again in the visible rows ----------------------------------------------------------------------


def questioned(address: str, epoch: int) -> tuple[pa.Table, NDArray[np.int64], int]:
    table = pa.ipc.open_file(pa.memory_map(str(world(address).stored / "truth" / f"{epoch:02d}.arrow"))).read_all()
    return table, np.asarray(table["customer_id"]), part("settings").instant(epoch)


@pytest.mark.parametrize("epoch", [2, 11, 12, 21])
def test_visible_causes_can_be_read_off_the_rows_before(epoch: int) -> None:
    table, who, now = questioned(ALL, epoch)
    causes = part("settings").chosen("all")
    time = np.full(len(who), now)
    whole = part("reasons").effects(world(ALL).database, who, time, causes)
    before = part("reasons").effects(world(ALL).database.upto(now), who, time, causes)
    for cause, effect in whole.items():
        assert np.allclose(effect, before[cause]), cause
        assert np.allclose(effect, np.asarray(table[f"by_{cause}"]), atol=1e-5), cause
        assert np.ptp(effect) > 0, cause


def test_hidden_traits_are_judged_exactly() -> None:
    """Bayes' rule by enumeration, on visible rows alone, gives the probability of churn that was written."""
    settings, address = part("settings"), "rel-shop@scale=0.3,seed=3"
    database = world(address).database
    joined = np.asarray(database["customers"].times)
    store = database["customers"].parents("store_id")
    visits = database["visits"]
    kinds, levels = np.array([-1.0, 1.0]) * settings.STRENGTH.loyalty, settings.STORE_LEVELS * settings.STRENGTH.store
    log = np.zeros((len(joined), 3, 2))
    epochs = 9
    for epoch in range(epochs + 1):
        now = settings.instant(epoch)
        who = np.flatnonzero(joined < now)
        effects = part("reasons").effects(database, who, np.full(len(who), now), settings.chosen("all"))
        seen = settings.STRENGTH.base + sum(effects.values())
        chance = 1 / (1 + np.exp(-(seen[:, None, None] + levels[None, :, None] + kinds[None, None, :])))
        if epoch == epochs:
            break
        assert visits.times is not None
        during = (visits.times > now) & (visits.times <= now + settings.EPOCH)
        came = np.isin(who, visits.parents("customer_id")[during])
        log[who] += np.log(np.where(came[:, None, None], chance, 1 - chance))
    table, asked_of, _ = questioned(address, epochs)
    by_level = np.logaddexp(log[:, :, 0], log[:, :, 1]) - np.log(2)
    for place, customer in enumerate(asked_of):
        level = by_level[store == store[customer]].sum(axis=0)
        joint = np.exp(level - level.max())[:, None] * np.exp(log[customer] - log[customer].max(axis=1, keepdims=True))
        joint = np.exp(level - level.max())[:, None] * (joint / joint.sum(axis=1, keepdims=True))
        come = (joint * chance[np.searchsorted(who, customer)]).sum() / joint.sum()
        assert np.isclose(1 - come, table["churn"][place].as_py(), atol=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_every_causing_row_is_visible_to_its_example(task: str) -> None:
    dataset = world(ALL)
    found = dataset.reasons(dataset.task(task), "test")
    assert found is not None and found.num_rows
    labels = dataset.labels(dataset.task(task), "test")
    for name in set(found["table"].to_pylist()):
        rows = found.filter(pc.equal(found["table"], name))
        at = labels.time[np.asarray(rows["question"])]
        number, table = np.asarray(rows["row"]), dataset.database[name]
        assert (number < len(table)).all()
        own = (rows["cause"].to_numpy() == "look") | (name == dataset.task(task).entity_table)
        if table.times is not None:
            assert ((table.times[number] < at) | own).all()


# -- no leak ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["rel-shop@scale=10", "rel-shop@scale=10,causes=brand"])
def test_no_single_column_tells_the_label(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row number, every column of the entity's table and whether it is missing: none ranks better than 0.6."""
    monkeypatch.setattr(leakage, "GIVEAWAY", 0.6)
    found = set()
    for name in TASKS:
        task = world(address).task(name)
        table = task.visible_columns(world(address).database)[task.entity_table]
        found |= {finding.where for finding in leakage.giveaways(task, table, world(address).labels(task, "train"))}
    # the look of a product is a cause of its category
    look = {f"product-category products.{column}" for column in ("colour", "material", "list_price")}
    assert found <= (set() if "brand" in address else look)


@pytest.mark.parametrize("task", ["customer-churn", "customer-fraud"])
def test_neither_store_nor_time_of_joining_tell_the_label(task: str) -> None:
    stages, _ = stages_and_truth("rel-shop@scale=10", task)
    labels, history = stages.labels("test"), stages.labels("train")
    truth, past = (np.asarray(label_values(stages.task, part.target, ())) for part in (labels, history))
    table = stages.dataset.database["customers"]
    joined = np.asarray(table.times)[labels.entity].astype(float)
    area = roc_auc_score(truth, joined)
    assert max(area, 1 - area) <= 0.6
    store = table.parents("store_id")
    rate = np.bincount(store[history.entity], weights=past) / np.maximum(np.bincount(store[history.entity]), 1)
    assert roc_auc_score(truth, rate[store[labels.entity]]) <= 0.6


def test_neither_row_order_nor_keys_tell_anything() -> None:
    """With every row in a new place and every key renamed, causes and labels are those of the same customers."""
    dataset, random, settings = world(ALL), np.random.default_rng(0), part("settings")
    names = {name: random.permutation(len(table)) * 7 + 5 for name, table in dataset.database.items()}
    raw = {}
    for name, table in dataset.database.items():
        rows = table.rows.set_column(0, str(table.key), pa.array(names[name]))
        for column, parent in table.references.items():
            old = table.parents(column)
            rows = rows.set_column(
                rows.column_names.index(column), column, pa.array(names[parent][old.clip(min=0)], mask=old < 0)
            )
        raw[name] = rows.take(pa.array(random.permutation(len(table))))
    renamed = canonical(raw, dataset.manifest.tables, "renamed rel-shop")
    # rows of one instant may change places: each is known again by the key it had at the source
    numbers = {}
    for name, table in renamed.items():
        assert table.origin is not None
        back = np.empty(7 * len(table) + 5, np.int64)
        back[names[name]] = np.arange(len(table))
        numbers[name] = back[np.asarray(table.origin)]
    _, who, now = questioned(ALL, 21)
    time, causes = np.full(len(who), now), settings.chosen("all")
    ours = part("reasons").effects(dataset.database, who, time, causes)
    theirs = part("reasons").effects(renamed, np.argsort(numbers["customers"])[who], time, causes)
    for cause, effect in ours.items():
        assert np.allclose(effect, theirs[cause]), cause
    for name in TASKS:
        task = dataset.task(name)
        pair = []
        for database, known in ((dataset.database, None), (renamed, numbers)):
            labels = split_labels(task, database, dataset.cuts, "test")
            entity = labels.entity if known is None else known[task.entity_table][labels.entity]
            said = labels.target.to_pylist()
            if task.item_table is not None:
                said = [sorted(items if known is None else known[task.item_table][items]) for items in said]
            pair.append(sorted(zip(labels.time.tolist(), entity.tolist(), said, strict=True)))
        for (at, mine, ours_), (then, other, theirs_) in zip(*pair, strict=True):
            assert (at, mine) == (then, other)
            assert ours_ == (pytest.approx(theirs_) if isinstance(ours_, float) else theirs_), name


@pytest.mark.parametrize("name", TASKS)
def test_what_comes_later_causes_nothing(name: str) -> None:
    """With all rows from the cut on scrambled, the examples of the cut have the same causing rows."""
    dataset = world(ALL)
    task, labels = dataset.task(name), dataset.labels(dataset.task(name), "test")
    asked_now = labels.take(np.flatnonzero(labels.time == labels.time.min()))
    at = int(asked_now.time[0])
    own = own_rows(dataset.database, task.entity_table, asked_now.entity, task.own_row_visible)
    causes = part("settings").chosen("all")
    found = [
        part("reasons").causing_rows(database, name, asked_now.entity, asked_now.time, causes)
        for database in (dataset.database, scrambled(dataset.database, at, own))
    ]
    assert found[0].num_rows and found[0].equals(found[1])


@pytest.mark.parametrize("name", [task for task in TASKS if task.startswith("customer")])
def test_what_comes_after_its_window_changes_no_label(name: str) -> None:
    dataset = world(ALL)
    task = dataset.task(name)
    labels = dataset.labels(task, "test")
    end = int(labels.time.max()) + int(task.horizon.value) + 1
    again = split_labels(task, scrambled(dataset.database, end), dataset.cuts, "test")
    kept = again.time <= labels.time.max()
    assert (again.entity[kept] == labels.entity).all() and (again.time[kept] == labels.time).all()
    assert again.target.filter(pa.array(kept)).equals(labels.target)


def test_wrong_causes_are_named() -> None:
    with pytest.raises(InputError, match=r"knows no cause 'rood'.*rude"):
        _ = open_dataset("rel-shop@causes=rood+stain").database


@pytest.mark.parametrize("split", SPLITS)
def test_fraud_is_rare(split: Split) -> None:
    stages, _ = stages_and_truth("rel-shop@scale=10", "customer-fraud", split)
    rate = np.mean(stages.labels(split).target.to_numpy())
    assert 0.002 < rate < 0.01
