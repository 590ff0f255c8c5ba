"""What lies outside the program (disks, permissions, damaged files, servers, Ctrl-C) is one sentence; nothing stored is lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from relbench_harness.board.store import read_results
from relbench_harness.cli import main
from relbench_harness.errors import InputError, sentence

TASK = "task=little-shop/churn"
COMMAND = [sys.executable, "-m", "relbench_harness.cli"]


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 64 KB."""
    folder = tmp_path / "full"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this user cannot mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(b"x" * 4096)


def one_sentence(text: str) -> str:
    assert text.count("\n") == 1 and "Traceback" not in text, text
    return text


def test_a_result_outlives_a_full_disk(
    full_disk: Path, shop_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", TASK, "method=constant", f"results_dir={full_disk}"]) == 0
    (stored,) = read_results(full_disk)
    # room for the probe of an empty file, none for a result
    fill(full_disk)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    capsys.readouterr()
    assert main(["run", TASK, "method=constant", "seed=1", f"results_dir={full_disk}"]) == 2
    told = one_sentence(capsys.readouterr().err)
    assert f"cannot be written to {full_disk}" in told and "No space left on device" in told
    lies = re.search(r"it lies in (\S+)", told)
    assert lies is not None and [result.seed for result in read_results(Path(lies[1]))] == [1]
    assert read_results(full_disk) == [stored]
    assert not [path for path in full_disk.rglob("*") if path.name.startswith(".partial-")]


def test_where_no_disk_has_room_the_result_is_said(
    full_disk: Path, shop_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = full_disk / "results"
    results.mkdir()
    fill(full_disk)
    monkeypatch.setattr("tempfile.tempdir", str(full_disk))
    assert main(["run", TASK, "method=constant", f"results_dir={results}"]) == 2
    told = one_sentence(capsys.readouterr().err)
    said = json.loads(told.partition("lost but for this line: ")[2])
    assert said["scores"]["test"]["roc_auc"] == 0.5


def test_a_sweep_goes_on_where_one_result_cannot_be_written(
    tmp_path: Path, shop_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results, elsewhere = tmp_path / "results", tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    # a file where the method's folder ought to be
    (results / "little-shop__churn").mkdir(parents=True)
    (results / "little-shop__churn" / "constant").write_text("")
    assert main(["run", "-m", TASK, "method=constant,label_history", f"results_dir={results}"]) == 2
    told = one_sentence(capsys.readouterr().err)
    assert f"the result of constant on little-shop/churn cannot be written to {results}" in told
    assert [result.method for result in read_results(results)] == ["label_history"]
    assert [result.method for result in read_results(elsewhere)] == ["constant"]


def test_a_cache_without_room_is_named_and_left_clean(
    full_disk: Path, shop_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RELBENCH_HARNESS_CACHE", str(full_disk))
    (full_disk / "databases").mkdir()
    fill(full_disk)
    assert main(["run", TASK, "method=constant", f"results_dir={tmp_path / 'results'}"]) == 2
    told = one_sentence(capsys.readouterr().err)
    assert f"cannot be kept in {full_disk / 'databases'}" in told and "RELBENCH_HARNESS_CACHE" in told
    assert not list((full_disk / "databases").iterdir())


def test_a_folder_that_cannot_be_written_to_is_found_before_the_run(
    tmp_path: Path, shop_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["run", TASK, "method=constant", f"results_dir={tmp_path / 'file' / 'results'}"]) == 2
    told = one_sentence(capsys.readouterr().err)
    assert f"results cannot be written to {tmp_path / 'file' / 'results'}" in told and re.search(
        "Not a directory|File exists", told
    )


def test_a_board_that_cannot_be_written_is_a_sentence(
    tmp_path: Path, shop_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    assert main(["run", TASK, "method=constant", f"results_dir={results}"]) == 0
    (tmp_path / "file").write_text("")
    for option in ("--out", "--svg"):
        capsys.readouterr()
        assert main(["rank", str(results), option, str(tmp_path / "file" / "board")]) == 2
        shown = capsys.readouterr()
        assert re.search("Not a directory|File exists", one_sentence(shown.err)) and "roc_auc" in shown.out


@pytest.fixture
def dataset(little_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the small dataset, to be damaged."""
    home = tmp_path / "datasets"
    shutil.copytree(little_shop, home)
    monkeypatch.setenv("RELBENCH_HARNESS_DATASETS", str(home))
    return home / "little-shop"


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"", "db/orders.parquet"),
        (b"PAR1 no table", "db/orders.parquet"),
        (b"PAR1" + b"\0" * 64 + b"PAR1", "db/orders.parquet"),
    ],
)
def test_a_damaged_table_is_named(
    dataset: Path, content: bytes, where: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (dataset / where).write_bytes(content)
    for command in (
        ["run", TASK, "method=constant", f"results_dir={tmp_path / 'results'}"],
        ["dataset", "export", "little-shop", str(tmp_path / "out")],
        ["task", "new", "little-shop/t", "PREDICT COUNT(orders.*, 0, 20, days) FOR EACH customers.customer"],
    ):
        assert main(command) == 2
        assert "orders.parquet" in one_sentence(capsys.readouterr().err)


def test_errors_of_the_system_and_of_other_packages_are_sentences() -> None:
    import duckdb
    import yaml
    from huggingface_hub.errors import OfflineModeIsEnabled
    from sqlalchemy.exc import OperationalError
    from wandb.errors import CommError

    assert sentence(InputError("so")) == "so"
    assert sentence(PermissionError(13, "Permission denied", "/a/b")) is not None
    assert str(sentence(PermissionError(13, "Permission denied", "/a/b"))).startswith("/a/b: Permission denied; choose")
    for error in (duckdb.Error("x"), yaml.YAMLError("x"), OfflineModeIsEnabled("x"), CommError("x"),
                  OperationalError("s", {}, Exception("x"))):  # fmt: skip
        assert "x" in str(sentence(error)) and "\n" not in str(sentence(error))
    assert sentence(ConnectionRefusedError(111, "Connection refused")) == "Connection refused"
    assert sentence(ModuleNotFoundError("no", name="deltalake")) == "the package 'deltalake' is not installed"
    # faults of the program keep their traceback
    for fault in (
        KeyError("k"),
        ModuleNotFoundError("no", name="relbench_harness.nowhere"),
        AssertionError(),
        ValueError("v"),
    ):
        assert sentence(fault) is None


def test_tracking_without_a_login_is_found_before_the_run(
    tmp_path: Path, shop_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    assert main(["run", TASK, "method=constant", "tracker=wandb", f"results_dir={tmp_path / 'results'}"]) == 2
    assert "Weights & Biases is not logged in" in one_sentence(capsys.readouterr().err)
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_tracker_that_is_down_loses_no_result_and_no_further_run(
    tmp_path: Path, shop_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # a port on which nobody listens
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef0123456789abcdef01234567")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "3")
    results = tmp_path / "results"
    assert main(["run", "-m", TASK, "method=constant", "seed=0,1", "tracker=wandb", f"results_dir={results}"]) == 2
    shown = capsys.readouterr()
    told = [line for line in shown.err.splitlines() if line.startswith("relbench-harness: ")]
    assert len(told) == 2 and all("is stored, but not logged: Weights & Biases" in line for line in told)
    assert len(read_results(results)) == 2 == shown.out.count("roc_auc val")


@pytest.mark.thorough
@pytest.mark.slow
def test_a_hub_that_is_down_is_a_sentence(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_HOME": str(tmp_path),
        "HF_HUB_DOWNLOAD_TIMEOUT": "1",
    }
    done = subprocess.run(
        [*COMMAND, "run", "task=rel-hm/user-churn", "method=constant", f"results_dir={tmp_path / 'r'}"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "relbench-harness: dataset rel-hm could not be fetched from the hub" in done.stderr


def test_ctrl_c_ends_a_sweep_in_one_line_and_keeps_what_is_finished(tmp_path: Path, shop_path: Path) -> None:
    results = tmp_path / "results"
    sweep = [*COMMAND, "run", "-m", TASK, "method=constant", f"seed={','.join(map(str, range(40)))}"]
    with subprocess.Popen(
        [*sweep, f"results_dir={results}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None and run.stderr is not None
        first = run.stdout.readline()
        run.send_signal(signal.SIGINT)
        told = run.stderr.read()
        run.stdout.read()
    assert "roc_auc" in first and run.returncode == 130
    assert re.fullmatch(
        r"relbench-harness: interrupted; \d+ finished runs? (is|are) kept, the one in progress is not\n", told
    )
    kept = int(re.findall(r"\d+", told)[0])
    assert kept >= 1 and len(read_results(results)) in (kept, kept + 1)


# -- one broken result ----------------------------------------------------------------------------------------------------


def test_broken_results_are_named_and_the_rest_is_ranked(
    tmp_path: Path, shop_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    sweep = ["-m", TASK, "method=constant,label_history", "seed=0,1,2,3,4"]
    assert main(["run", *sweep, f"results_dir={results}"]) == 0
    paths = sorted(results.rglob("constant/*.json"))
    whole = json.loads(paths[0].read_text())
    damages = [
        paths[0].read_bytes()[:200],
        b"",
        bytes(range(256)),
        json.dumps({**whole, "schema": 99}).encode(),
    ]
    for path, content in zip(paths, damages, strict=False):
        path.write_bytes(content)
    more = sorted(results.rglob("label_history/*.json"))
    for path, field, value in zip(
        more, ("scores", "config", "seed", "seconds"), ([1], "x", "one", {"total": "long"}), strict=False
    ):
        path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    lost = next(path for path in paths[4:])
    lost.with_suffix(".parquet").unlink()
    capsys.readouterr()
    assert main(["rank", str(results)]) == 0
    shown = capsys.readouterr()
    assert "constant" in shown.out and "label_history" in shown.out and "1/1" in shown.out
    for path in (*paths[:4], *more[:4], lost):
        assert shown.err.count(str(path)) == 1
    assert "names predictions" in shown.err and shown.err.count("\n") == 9


def test_where_nothing_can_be_read_rank_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "frozen-seed0-20260101T000000Z-00000000.json"
    path.write_text("{")
    assert main(["rank", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert str(path) in told and f"no results in {tmp_path} can be read" in told
