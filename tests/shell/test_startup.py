"""What each command loads: names and refusals load no package for data or learning. Counted in modules, never in seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from relbench_harness.cli import main

LEARNING = {
    "sklearn",
    "scipy",
    "torch",
    "torch_geometric",
    "xgboost",
    "lightgbm",
    "numba",
    "featuretools",
    "relbench",
    "wandb",
}
DATA = {"numpy", "pandas", "pyarrow", "duckdb", "sqlglot", "sqlalchemy"}
SHELL = {"hydra", "omegaconf", "rich", "pygments"}
TASK = "task=little-shop/churn"

PROBE = """
import json, sys
from relbench_harness.cli import main
try:
    code = main(json.loads(sys.argv[1]))
except SystemExit as ended:
    code = ended.code
print()
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules}), len(sys.modules)]))
"""


def loaded(*command: str) -> tuple[int, set[str], int]:
    """(exit code, top-level modules, number of modules) of a command in a process of its own."""
    done = subprocess.run([sys.executable, "-c", PROBE, json.dumps(command)], capture_output=True, text=True, check=True)
    code, names, count = json.loads(done.stdout.splitlines()[-1])
    return code, set(names), count


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["--help"], 0),
        (["run", "--help"], 0),
        (["list", "methods"], 0),
        (["list", "datasets"], 0),
        (["list", "tasks"], 0),
        (["list", "taks"], 2),
        (["run", TASK, "method=constnt"], 2),
        (["run", TASK, "method=constant", "tracker=wandbb"], 2),
        (["run", "task=little-shop/chrn", "method=gnn"], 2),
        (["run", "task=little-shp/churn", "method=gnn"], 2),
        (["run", "task=churn", "method=gnn"], 2),
    ],
)
def test_names_and_refusals_load_nothing_heavy(shop_path: Path, command: list[str], code: int) -> None:
    ended, names, count = loaded(*command)
    assert ended == code
    assert not names & (LEARNING | DATA | SHELL)
    assert count < 400


def test_a_wrong_key_loads_hydra_alone(shop_path: Path) -> None:
    ended, names, _ = loaded("run", TASK, "method=gnn", "sed=1")
    assert ended == 2 and "hydra" in names
    assert not names & (LEARNING | DATA)


def test_ranking_loads_no_package_for_learning(shop_path: Path, tmp_path: Path) -> None:
    results = str(tmp_path)
    assert main(["run", "-m", TASK, "method=constant,label_history", "seed=0,1", f"results_dir={results}"]) == 0
    ended, names, _ = loaded("rank", results, "--no-intervals")
    assert ended == 0 and "pandas" in names
    assert not names & (LEARNING | {"hydra", "wandb"})


def test_a_simple_method_loads_no_network(shop_path: Path, tmp_path: Path) -> None:
    ended, names, _ = loaded("run", TASK, "method=constant", "isolation=none", f"results_dir={tmp_path}")
    assert ended == 0
    assert not names & {"torch", "torch_geometric", "numba", "xgboost", "lightgbm", "featuretools", "wandb"}


def test_trees_load_their_own_library_alone(shop_path: Path, tmp_path: Path) -> None:
    quick = ["method=lightgbm", "method.n_estimators=3", "isolation=none"]
    ended, names, _ = loaded("run", TASK, *quick, f"results_dir={tmp_path}")
    assert ended == 0 and "lightgbm" in names
    assert not names & {"torch", "torch_geometric", "xgboost", "featuretools", "wandb"}


def test_importing_the_package_is_instant() -> None:
    script = "import sys, relbench_harness; print(sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=dict(os.environ))
    assert not set(eval(done.stdout)) & (LEARNING | DATA | SHELL)
