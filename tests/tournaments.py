"""A database of tournaments whose players' rows hold totals over all time, those of the future included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import yaml

YEARS = list(range(1970, 2023, 4))


def cup(folder: Path, timed_entity: bool, seed: int = 0) -> Path:
    """Players with careers of one to five tournaments; their row says in how many, and which, they will have played."""
    rng = np.random.default_rng(seed)
    count = 600
    start, length = rng.integers(0, len(YEARS), count), rng.integers(1, 6, count)
    played = [[YEARS[y] for y in range(s, min(s + n, len(YEARS)))] for s, n in zip(start, length, strict=True)]
    rows = [(year, player, goals) for player, years in enumerate(played) for year, goals in
            zip(years, rng.poisson(1.5, len(years)), strict=True)]  # fmt: skip
    squads = pd.DataFrame(sorted(rows), columns=["year", "player", "goals"])
    squads["date"] = pd.to_datetime(squads.pop("year").astype(str) + "-06-15").astype("datetime64[ns]")
    goals = squads.groupby("player")["goals"].sum().reindex(range(count), fill_value=0)
    players = pd.DataFrame(
        {
            "player": range(count),
            "count_tournaments": [len(p) for p in played],
            "list_tournaments": [", ".join(map(str, p)) for p in played],
            "total_goals": goals.to_numpy(float),
            # what a row may well say: it is older than what it tells of
            "born": [YEARS[s] - 22.0 + rng.integers(-4, 5) for s in start],
            "height": rng.normal(180, 7, count),
            "first_goals": squads.groupby("player")["goals"].first().reindex(range(count)).to_numpy(float),
        }
    )
    if timed_entity:
        players["since"] = pd.to_datetime([f"{YEARS[s] - 1}-01-01" for s in start]).astype("datetime64[ns]")
        # a row that is older than its events, in order of time
        order = players["since"].argsort(kind="stable").to_numpy()
        renumbered = np.empty(count, int)
        renumbered[order] = range(count)
        players = players.iloc[order].reset_index(drop=True)
        players["player"] = range(count)
        squads["player"] = renumbered[squads["player"]]
    (folder / "db").mkdir(parents=True)
    players.to_parquet(folder / "db" / "players.parquet")
    squads.to_parquet(folder / "db" / "squads.parquet")
    manifest = {
        "name": folder.name,
        "val_timestamp": "2010-01-01",
        "test_timestamp": "2016-01-01",
        "tables": {
            "players": {"pkey": "player", "time_col": "since" if timed_entity else None, "fkeys": {}},
            "squads": {"pkey": None, "time_col": "date", "fkeys": {"player": "players"}},
        },
    }
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    return folder
