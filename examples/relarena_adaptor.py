"""Any method of RelBench Harness as a system of RelArena, which pins another relbench: a run is a process of its own.

In RelArena's environment, with the harness installed in another one:

    RELBENCH_HARNESS=/path/to/relbench-harness METHODS=xgboost_dfs,gnn SETTINGS="fit_on=train+val budget.threads=1" \\
        python examples/relarena_adaptor.py --model harness-gnn --datasets rel-f1 --tasks driver-dnf

The harness is given what RelArena gives: tables that end at the test timestamp, labels of training and validation, and test examples
whose labels are zeros. Its own scores on test therefore mean nothing; RelArena's do.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from relarena_core.registry import register_system
from relarena_core.system import RelArenaSystem

HARNESS = os.environ.get("RELBENCH_HARNESS", "relbench-harness")
SETTINGS = os.environ.get("SETTINGS", "").split()


def system_of(method: str) -> type[RelArenaSystem]:
    """The system `harness-METHOD`, registered."""

    def run(self, task, *, inner_split, outer_split, seed, time_limit=None):
        with tempfile.TemporaryDirectory() as folder:
            write_dataset(Path(folder) / "data" / "arena", task, inner_split, outer_split)
            settings = ["task=arena/task", f"method={method}", f"seed={seed}", "regime=frozen", *SETTINGS]
            settings += [f"results_dir={folder}/results"] + ([] if time_limit is None else [f"budget.seconds={time_limit}"])
            where = {**os.environ, "RELBENCH_HARNESS_DATASETS": f"{folder}/data"}
            subprocess.run([HARNESS, "run", *settings], check=True, env=where)
            (file,) = Path(folder).glob("results/*/*/*.parquet")
            answers = pd.read_parquet(file)
        return answers.loc[answers["split"] == "test", "prediction"].to_numpy(dtype=float)

    return register_system(type(f"Harness_{method}", (RelArenaSystem,), {"name": f"harness-{method}", "run": run}))


def write_dataset(folder: Path, task, inner, outer) -> None:
    """A RelBench 3 folder with the tables that `outer` shows, and a task whose labels lie beside it."""
    (folder / "db").mkdir(parents=True)
    tables = {}
    for name, table in outer.db_state.table_dict.items():
        table.df.to_parquet(folder / "db" / f"{name}.parquet", index=False)
        tables[name] = {"pkey": table.pkey_col, "time_col": table.time_col, "fkeys": dict(table.fkey_col_to_pkey_table)}
    ends = {"val_timestamp": str(inner.cutoff), "test_timestamp": str(outer.cutoff)}
    (folder / "manifest.yaml").write_text(yaml.safe_dump({"name": "arena", **ends, "tables": tables}))
    beside = folder / "tasks" / "task"
    beside.mkdir(parents=True)
    declared = {"name": "task", "kind": "external", "task_type": task.task_type.value, "target_col": task.target_col}
    declared |= {"entity_table": task.entity_table, "entity_col": task.entity_col, "time_col": task.time_col}
    declared["timedelta"] = str(task.timedelta)
    (beside / "manifest.yaml").write_text(yaml.safe_dump(declared))
    test = outer.eval_table.df.assign(**{task.target_col: np.zeros(len(outer.eval_table.df))})
    for split, frame in {"train": outer.train_table.df, "val": inner.eval_table.df, "test": test}.items():
        frame[[task.time_col, task.entity_col, task.target_col]].to_parquet(beside / f"{split}.parquet", index=False)


for one in os.environ.get("METHODS", "xgboost_dfs").split(","):
    system_of(one)

if __name__ == "__main__":
    from relarena.cli import main

    sys.exit(main())
