"""A sealed method finds no file of data, no other process and no network, and scores are the same however it is isolated."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import bad_methods as bad
import numpy as np
import pytest
from shop_folder import write_shop
from small_methods import small

from relbench_harness.data.cache import cache_home, kernels_home
from relbench_harness.errors import InputError
from relbench_harness.protocol import namespaces, servers
from relbench_harness.protocol.limits import Limits
from relbench_harness.protocol.method import Budget, Method
from relbench_harness.protocol.result import Result
from relbench_harness.protocol.run import Run
from relbench_harness.protocol.sandbox import Sandbox
from relbench_harness.protocol.stages import Stages
from relbench_harness.protocol.work import FitOn, InThisProcess

BUDGET = Budget(seed=3, threads=1, device="cpu")
Isolated = Literal["process", "sealed"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sealed")


@pytest.fixture(scope="module")
def stages(home: Path) -> Stages:
    shop = write_shop(home / "datasets" / "shop")
    return Stages(shop, shop.task("churn"), "rolling")


@pytest.fixture(scope="module", autouse=True)
def needed(stages: Stages) -> Iterator[None]:
    if sys.platform != "linux":
        pytest.skip("isolation needs Linux")
    try:
        assert carried_out(stages, bad.Fine()).ok
    except InputError as error:
        pytest.skip(str(error))
    yield
    servers.close_all()


def carried_out(stages: Stages, method: Method, name: Isolated = "sealed", hidden: tuple[Path, ...] = ()) -> Result:
    sandbox = Sandbox(name, Limits(seconds=120, memory_mb=4000), hidden=hidden)
    result, predictions = Run(stages, method, type(method).__name__, BUDGET, isolation=sandbox).execute()
    assert list((cache_home() / "runs").iterdir()) == []
    if predictions is not None:
        result.notes["answer"] = predictions["prediction"][0].as_py()  # type: ignore[index]
    return result


def finds(stages: Stages, way: str, what: str | Path, name: Isolated = "sealed", hidden: tuple[Path, ...] = ()) -> bool:
    result = carried_out(stages, bad.Finds(way, str(what)), name, hidden)
    assert result.ok, result.error
    return bool(result.notes["answer"])


def test_folders_of_data_are_out_of_reach(stages: Stages, home: Path) -> None:
    data = stages.dataset.folder / "tasks" / "churn" / "manifest.yaml"
    assert finds(stages, "read", data, "process") and finds(stages, "read", cache_home(), "process")
    assert not finds(stages, "read", data)
    assert not finds(stages, "read", cache_home() / "databases") and not finds(stages, "read", cache_home() / "views")
    assert not finds(stages, "read", Path.home()) or str(Path.home()) in f"{sys.path}{sys.base_prefix}"


def test_folders_of_data_inside_folders_of_code_look_empty(
    stages: Stages, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = home / "code"
    (code / "results").mkdir(parents=True)
    (code / "results" / "labels.parquet").write_text("1")
    (code / "module.py").write_text("1")
    monkeypatch.syspath_prepend(str(code))
    assert finds(stages, "read", code / "module.py", hidden=(code / "results",))
    assert not finds(stages, "read", code / "results", hidden=(code / "results",))
    assert finds(stages, "read", code / "results" / "labels.parquet")


def test_code_is_readable_and_nothing_outside_the_own_folder_is_writable(stages: Stages, home: Path) -> None:
    import relbench_harness

    assert finds(stages, "read", Path(relbench_harness.__file__))
    for place in (Path(os.__file__), Path("/etc/added"), Path("/added"), home / "added", Path("../given/early/0.arrow")):
        assert not finds(stages, "write", place), place
    assert finds(stages, "write", "mine") and finds(stages, "write", "/dev/shm/mine")
    # it seems to be written where compiled kernels are kept, and is gone with the run
    place = (kernels_home() or Path(relbench_harness.__file__).parent) / "added.txt"
    assert finds(stages, "write", place) and not place.exists()


def test_neither_network_nor_other_processes_are_there(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = f"127.0.0.1:{server.getsockname()[1]}"
        assert finds(stages, "connect", here, "process") and not finds(stages, "connect", here)
    command = Path(f"/proc/{os.getpid()}/cmdline").read_bytes().decode("utf-8", "replace")
    assert finds(stages, "see_process", command, "process") and not finds(stages, "see_process", command)
    monkeypatch.setenv("SECRET_KEY", "a-secret-of-the-user")
    assert finds(stages, "see_environment", "a-secret-of-the-user", "process")
    assert not finds(stages, "see_environment", "a-secret-of-the-user")


def test_a_process_cannot_undo_it(stages: Stages, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = home / "more code"
    (code / "results").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(code))
    assert not finds(stages, "mount", code / "results", hidden=(code / "results",))
    assert not finds(stages, "mount", "/usr")


@pytest.mark.parametrize(
    ("method", "limits", "status"),
    [
        (bad.LeavesChildren(), Limits(), "ok"),
        (bad.CatchesEverything(), Limits(seconds=1), "timeout"),
        (bad.AllocatesWithoutEnd(), Limits(memory_mb=700), "out_of_memory"),
        (bad.Forks(), Limits(processes=40), "killed"),
        (bad.KillsItself(), Limits(), "killed"),
        (bad.Segfaults(), Limits(), "error"),
        (bad.Exits(), Limits(), "invalid_predictions"),
        (bad.WritesWithoutEnd(), Limits(disk_mb=40), "killed"),
    ],
)
def test_limits_hold_in_a_sealed_process_too(stages: Stages, method: Method, limits: Limits, status: str) -> None:
    result, _ = Run(stages, method, "bad", BUDGET, isolation=Sandbox("sealed", limits)).execute()
    assert result.status == status, result.error
    # processes that share their pages count them each
    assert result.isolation == "sealed" and result.peak_memory_mb < (10_000 if isinstance(method, bad.Forks) else 1500)
    assert [pid for server in servers._idle for pid in server.below()] == []


def test_where_namespaces_are_not_allowed_it_is_one_sentence(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespaces.Seal, "__reduce__", lambda self: (bad.NotAllowed, ()), raising=False)
    with pytest.raises(
        InputError, match=r"needs what this system does not allow: namespaces .* isolation=process does without"
    ):
        carried_out(stages, bad.Fine())


QUICK = [("constant", "channel"), ("lightgbm_simple", "churn")]
COMPARED = [*QUICK, ("label_history", "spend"), ("lightgbm_simple", "basket"), ("gnn", "gift"), ("gnn", "basket")]
FIT_ON: tuple[FitOn, ...] = ("train", "train+val")
CASES = [
    pytest.param(*pair, fit_on, marks=[] if pair in QUICK and fit_on == "train" else [pytest.mark.thorough])
    for pair in COMPARED
    for fit_on in FIT_ON
]


@pytest.mark.parametrize(("name", "task", "fit_on"), CASES)
def test_scores_are_the_same_however_a_method_is_isolated(stages: Stages, name: str, task: str, fit_on: FitOn) -> None:
    ours = Stages(stages.dataset, stages.dataset.task(task), "frozen" if fit_on == "train" else "rolling")
    made = [
        Run(ours, small(name), name, BUDGET, fit_on=fit_on, isolation=isolation).execute()
        for isolation in (InThisProcess(), Sandbox("process"), Sandbox("sealed"))
    ]
    first = made[0]
    for result, predictions in made[1:]:
        assert (result.status, result.error) == (first.result.status, first.result.error)
        assert result.scores == first.result.scores
        assert (predictions is None) == (first.predictions is None)
        if predictions is not None:
            assert predictions.equals(first.predictions)
    assert first.result.ok or "train+val" in str(first.result.error) or "recommendation" in str(first.result.error)
    assert np.isfinite(first.result.score) or not first.result.ok
