"""Runs in fastdfs' own environment: `python features_fastdfs.py FOLDER ENTITY KEY` → one JSON line of seconds and features.

FOLDER holds a parquet file per table, seeds.parquet (row, time) and tables.json (key, time and references of each table).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import fastdfs
import pandas as pd
from loguru import logger


def main() -> None:
    folder, entity, key = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    logger.remove()
    described = json.loads((folder / "tables.json").read_text())
    database = fastdfs.create_rdb(
        tables={name: pd.read_parquet(folder / f"{name}.parquet") for name in described},
        primary_keys={name: table["key"] for name, table in described.items() if table["key"]},
        foreign_keys=[
            (name, column, parent, described[parent]["key"])
            for name, table in described.items()
            for column, parent in table["references"].items()
        ],
        time_columns={name: table["time"] for name, table in described.items() if table["time"]},
    )
    seeds = pd.read_parquet(folder / "seeds.parquet")
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        found = fastdfs.compute_dfs_features(
            database,
            seeds.copy(),
            key_mappings={"row": f"{entity}.{key}"},
            cutoff_time_column="time",
            config_overrides={"max_depth": 2, "engine": "dfs2sql"},
        )
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": sorted(seconds)[1], "features": len(found.columns) - len(seeds.columns)}))


if __name__ == "__main__":
    main()
