"""`relbench-harness published`: files of other benchmarks become rows that boards read again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from relbench_harness.board.published import PublishedRow, read_published, read_published_file
from relbench_harness.cli import main
from relbench_harness.data.dataset import Dataset, open_dataset

ARENA = "model,dataset,task,seed,metric,selected,test_score\n"


def arena(folder: Path, *lines: str) -> Path:
    path = folder / "arena.csv"
    path.write_text(ARENA + "".join(f"{line}\n" for line in lines))
    return path


def test_relarenas_results_become_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = arena(
        tmp_path, "a|b,rel-x,t,0,roc_auc,True,0.75", '"=c, d",rel-x,t,0,roc_auc,True,0.5', "e,rel-x,u,0,mae,True,4"
    )
    to = tmp_path / "published" / "rows.csv"
    to.parent.mkdir()
    assert main(["published", str(given), "--to", str(to), "--source", "RelArena, 2026"]) == 0
    assert read_published(to.parent) == [
        PublishedRow("a|b", "rel-x/t", "roc_auc", 0.75, "frozen", "RelArena, 2026"),
        PublishedRow("=c, d", "rel-x/t", "roc_auc", 0.5, "frozen", "RelArena, 2026"),
        PublishedRow("e", "rel-x/u", "mae", 4.0, "frozen", "RelArena, 2026"),
    ]
    said = capsys.readouterr().out
    assert "rel-x/u stays MAE, which stands beside no NMAE: no dataset 'rel-x'" in said and "wrote 3 published rows" in said


def test_mae_becomes_nmae_where_the_data_are_here(
    tmp_path: Path, shop_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shop_dataset.folder
    monkeypatch.setenv("RELBENCH_HARNESS_DATASETS", str(folder.parent))
    dataset = open_dataset(folder.name)
    labels = dataset.labels(dataset.task("spend"), "train").target.to_numpy(zero_copy_only=False).astype(float)
    to = tmp_path / "rows.csv"
    given = arena(tmp_path, f"a,{folder.name},spend,0,mae,True,3")
    assert main(["published", str(given), "--to", str(to), "--source", "paper"]) == 0
    (row,) = read_published_file(to)
    assert row.metric == "nmae" and row.source == "paper; from MAE 3"
    assert row.value == pytest.approx(3 / np.std(labels, ddof=1), rel=1e-12)


def test_relbenchs_entries_need_their_regimes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given, to = tmp_path / "entries.json", tmp_path / "rows.csv"
    boards = {"binary_classification": {"results": {"d/t": 0.7}}}
    given.write_text(json.dumps([{"name": "GNN", "boards": boards}, {"name": "a = b", "boards": boards}]))
    command = ["published", str(given), "--to", str(to), "--source", "RelBench"]
    for regimes, message in (
        ([], "Entries: GNN, a = b"),
        (["GN=frozen"], "has no entry 'GN'; did you mean 'GNN'?"),
        (["GNN=frosen"], "names no regime; did you mean 'frozen'?"),
    ):
        assert main(command + [word for one in regimes for word in ("--regime", one)]) == 2
        assert message in capsys.readouterr().err and not to.exists()
    assert main([*command, "--regime", "GNN=frozen", "--regime", "a = b=rolling"]) == 0
    assert [(row.method, row.regime) for row in read_published_file(to)] == [("GNN", "frozen"), ("a = b", "rolling")]
    assert main([*command, "--regime", "GNN=frozen"]) == 2
    assert "is there already; name a new file" in capsys.readouterr().err


def test_a_wrong_file_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = arena(tmp_path, "a,d,t,0,roc_auc,True,0.75")
    for words, message in (
        (["--to", str(tmp_path / "rows.txt")], "names a file .csv"),
        (["--to", str(tmp_path / "rows.csv"), "--regime", "a=frozen"], "RelArena's results are all frozen"),
    ):
        assert main(["published", str(given), "--source", "x", *words]) == 2
        assert message in capsys.readouterr().err
    assert main(["published", str(tmp_path / "no.csv"), "--to", str(tmp_path / "rows.csv"), "--source", "x"]) == 2
