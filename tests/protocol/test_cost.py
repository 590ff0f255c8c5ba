"""What a run costs: processors of the whole tree by phase, the GPU's energy, and whether it had the machine to itself."""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import costly_methods as costly
import pytest
from shop_folder import write_shop

from relbench_harness.errors import InputError
from relbench_harness.protocol import energy, servers
from relbench_harness.protocol.method import Budget
from relbench_harness.protocol.result import Result
from relbench_harness.protocol.run import Run
from relbench_harness.protocol.sandbox import OVERHEAD, Sandbox
from relbench_harness.protocol.sharing import Instant, instant, sharing
from relbench_harness.protocol.stages import Stages
from relbench_harness.protocol.work import InThisProcess, Isolation

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
ISOLATIONS = {"none": InThisProcess(), "process": Sandbox("process")}


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    shop = write_shop(tmp_path_factory.mktemp("costs") / "shop")
    return Stages(shop, shop.task("churn"), "rolling")


@pytest.fixture(scope="module", autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    servers.close_all()
    for process in costly.LEFT:
        process.kill()
        process.wait()


def made(stages: Stages, isolation: Isolation, method: costly.Starts, jobs: int = 1) -> Result:
    budget = Budget(threads=1, device="cpu")
    return Run(stages, method, "starts", budget, isolation=isolation, jobs=jobs).execute().result


@linux
@pytest.mark.parametrize("name", list(ISOLATIONS))
def test_processors_of_processes_count_in_the_phase_that_uses_them(stages: Stages, name: str) -> None:
    result = made(stages, ISOLATIONS[name], costly.Starts(0.6))
    assert result.ok, result.error
    # one process that was waited for, and two that still run when they are counted
    assert 0.55 <= result.cpu_seconds["fit"] < 1.1
    assert 1.1 <= result.cpu_seconds["predict"] < 1.9
    assert result.cpu_seconds.get(OVERHEAD, 0.0) < 0.6


@linux
def test_a_process_that_ends_early_has_its_seconds_in_the_phase_that_it_was_in(stages: Stages) -> None:
    result = made(stages, ISOLATIONS["process"], costly.Starts(0.6, fails=True))
    assert result.status == "error"
    assert result.cpu_seconds["fit"] >= 0.55


def test_a_result_says_whether_the_machine_was_shared(stages: Stages) -> None:
    result = made(stages, ISOLATIONS["none"], costly.Starts(0.1), jobs=3)
    assert result.shared["is_shared"] is True and result.shared["jobs"] == 3
    again = Result.from_json(result.to_json())
    assert again.shared == json.loads(json.dumps(result.shared)) and again.energy_joules is None


IDLE = Instant(at=0.0, own=5.0, cores=4, busy=100.0, load=0.5)


@pytest.mark.parametrize(
    ("end", "jobs", "is_shared", "others"),
    [
        (Instant(10.0, 25.0, 4, 120.5, 2.2), 1, False, 0.05),
        (Instant(10.0, 25.0, 4, 120.5, 2.2), 2, True, 0.05),
        (Instant(10.0, 25.0, 4, 130.0, 2.2), 1, True, 1.0),
        (Instant(10.0, 25.0, 4, 119.0, 2.2), 1, False, 0.0),
        # a system that does not say what its cores did
        (Instant(10.0, 25.0, 4, None, 3.5), 1, True, 1.5),
        (Instant(10.0, 25.0, 4, None, None), 1, False, None),
    ],
)
def test_other_work_is_what_the_cores_did_less_the_runs_own(
    end: Instant, jobs: int, is_shared: bool, others: float | None
) -> None:
    found = sharing(IDLE, end, jobs)
    assert (found["is_shared"], found["others"], found["jobs"], found["cores"]) == (is_shared, others, jobs, 4)
    assert found["load"] == [0.5, None if end.load is None else pytest.approx(end.load - 2.0)]


def test_looking_at_this_machine_never_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    assert instant().cores >= 1
    monkeypatch.setattr("os.getloadavg", lambda: (_ for _ in ()).throw(OSError()))
    monkeypatch.setattr("psutil.cpu_times", lambda **_: (_ for _ in ()).throw(RuntimeError()))
    assert (instant().load, instant().busy) == (None, None)


# -- energy ---------------------------------------------------------------------------------------------------------------


class Driver:
    """NVIDIA's library as far as it is asked, with two GPUs."""

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> int:
        handle._obj.value = 100 + index.value
        return 0 if index.value < 2 else 6

    def nvmlDeviceGetHandleByUUID(self, name: bytes, handle: Any) -> int:
        handle._obj.value = 101
        return 0 if name == b"GPU-b" else 6

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: ctypes.c_void_p, counted: Any) -> int:
        counted._obj.value = {100: 5_000, 101: 7_500}[handle.value or 0]
        return 0


@pytest.mark.parametrize(
    ("device", "visible", "joules"),
    [
        ("auto", None, 5.0), ("cuda:1", None, 7.5), ("cuda:2", None, None), ("cpu", None, None), ("cuda", "1", 7.5),
        ("cuda:1", "1,0", 5.0), ("cuda", "GPU-b", 7.5), ("cuda", "GPU-x", None), ("cuda", "", None), ("cuda:5", "0", None),
    ],
)  # fmt: skip
def test_energy_is_that_of_the_gpu_of_the_budget(
    device: str, visible: str | None, joules: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(energy, "_driver", Driver)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert energy.energy(device) == joules


def test_without_a_driver_there_is_no_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "LIBRARY", "libno-such-driver.so")
    energy._driver.cache_clear()
    assert energy.energy("auto") is None
    energy._driver.cache_clear()
    assert (energy.drawn(None, 1.0), energy.drawn(2.0, 1.0), energy.drawn(1.0, 3.5)) == (None, None, 2.5)


def test_results_with_energy_are_read_and_checked(stages: Stages) -> None:
    result = replace(made(stages, ISOLATIONS["none"], costly.Starts(0.0)), energy_joules=12.5)
    assert Result.from_json(result.to_json()).energy_joules == 12.5
    line = json.loads(result.to_json())
    with pytest.raises(InputError, match="energy_joules"):
        Result.from_json(json.dumps({**line, "energy_joules": "much"}))
    del line["energy_joules"], line["shared"]
    old = Result.from_json(json.dumps(line))
    assert old.energy_joules is None and old.shared == {}
