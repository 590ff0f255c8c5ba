"""Rows of the literature: read with clear errors, imported with names and units of ours, never a result."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from relbench_harness.board.imports import relarena_rows, relbench_rows
from relbench_harness.board.published import PublishedRow, as_nmae, read_published, read_published_file
from relbench_harness.board.store import read_results
from relbench_harness.data.dataset import open_task
from relbench_harness.errors import InputError
from relbench_harness.protocol.metrics import regression
from relbench_harness.protocol.stages import Stages

FOLDER = Path(__file__).parents[2] / "results" / "published"
HEAD = "method,task,metric,value,regime,source\n"
ARENA = "model,kind,dataset,task,task_type,seed,metric,selected,config,test_score\n"


def test_the_shipped_rows_are_read() -> None:
    rows = read_published(FOLDER)
    assert len(rows) == 72 and {row.task.partition("/")[0] for row in rows} == {"rel-f1"}
    assert PublishedRow("Kapso (agent search)", "rel-f1/driver-dnf", "roc_auc", 0.8327, "rolling",
                        "RelBench v3 leaderboard (2026-10)") in rows  # fmt: skip
    assert Counter(row.metric for row in rows).keys() == {"roc_auc", "nmae", "map"}
    # what was published as MAE stands in the units of the board
    assert {
        (row.value, row.source) for row in rows if row.method.startswith("LightGBM (RelBench v1") and row.metric == "nmae"
    } == {(0.5935, "arXiv:2407.20060; from MAE 4.17")}


def test_published_rows_are_no_results() -> None:
    assert read_results(FOLDER) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,d/t,roc_auc,0.7,frozen", "has 5 cells, but there are 6 columns"),
        ("a,d/t,roc_auc,0.7,frozen,", "has no source"),
        (",d/t,roc_auc,0.7,frozen,s", "has no method"),
        ("a,t,roc_auc,0.7,frozen,s", "has task 't', which is not of the form dataset/task"),
        ("a,d/t,rocauc,0.7,frozen,s", "has metric 'rocauc'; did you mean 'roc_auc'"),
        ("a,d/t,roc_auc,much,frozen,s", "has value 'much', which is no number"),
        ("a,d/t,roc_auc,nan,frozen,s", "has value 'nan', which is no number"),
        ("a,d/t,roc_auc,72.62,frozen,s", "has roc_auc 72.62, which lies outside 0 to 1; a percentage is written as a share"),
        ("a,d/t,mae,-1,frozen,s", "has mae -1, which lies outside 0 to inf$"),
        ("a,d/t,r2,1.5,frozen,s", "has r2 1.5, which lies outside -inf to 1$"),
        ("a,d/t,roc_auc,0.7,rollin,s", "has regime 'rollin'; did you mean 'rolling'"),
        ("a,d/t,roc_auc,0.7,frozen,s\na,d/t,roc_auc,0.8,frozen,s", "a second time, after .*:2$"),
    ],
)  # fmt: skip
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(HEAD + line + "\n")
    with pytest.raises(InputError, match=message) as caught:
        read_published(tmp_path)
    assert str(caught.value).startswith(f"{path}:{2 + line.count(chr(10))} ")


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder of published rows"):
        read_published(tmp_path / "absent")
    path = tmp_path / "rows.csv"
    for content, message in {
        b"method,task\n": "lacks column 'metric'",
        b"": "lacks column 'method'",
        b"\xff\xfe": "cannot be read: text that is not utf-8",
        (HEAD + 'a,"never closed').encode(): "is no line of CSV",
    }.items():
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_published_file(path)


def test_cells_may_be_quoted_and_values_may_be_negative(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("\ufeff" + HEAD + '"a, ""b""\nc",d/e/t,r2,-0.5,rolling, s \n\n', encoding="utf-8")
    assert read_published_file(path) == [PublishedRow('a, "b"\nc', "d/e/t", "r2", -0.5, "rolling", "s")]


# -- RelArena --------------------------------------------------------------------------------------------------------------


def arena(folder: Path, *lines: str) -> Path:
    path = folder / "results.csv"
    path.write_text(ARENA + "".join(line + "\n" for line in lines))
    return path


def test_relarenas_selected_configurations_are_imported(tmp_path: Path) -> None:
    path = arena(
        tmp_path,
        'lightgbm,model,rel-f1,driver-dnf,BINARY_CLASSIFICATION,0,roc_auc,False,{},0.6',
        'lightgbm,model,rel-f1,driver-dnf,BINARY_CLASSIFICATION,0,roc_auc,True,"{""a"": 1, ""b"": 2}",0.75',
        'lightgbm,model,rel-f1,driver-dnf,BINARY_CLASSIFICATION,1,roc_auc,True,{},0.25',
        'lightgbm,model,rel-f1,driver-position,REGRESSION,0,mae,True,{},4.17',
        'broken,model,rel-f1,driver-position,REGRESSION,0,mae,True,{},',
    )  # fmt: skip
    assert relarena_rows(path, "RelArena") == [
        PublishedRow("lightgbm", "rel-f1/driver-dnf", "roc_auc", 0.5, "frozen", "RelArena"),
        PublishedRow("lightgbm", "rel-f1/driver-position", "mae", 4.17, "frozen", "RelArena"),
    ]


def test_what_is_none_of_relarenas_is_named(tmp_path: Path) -> None:
    line = "a,model,rel-f1,driver-dnf,BINARY_CLASSIFICATION,0,{},True,{{}},{}"
    with pytest.raises(
        InputError, match=r"results\.csv:3 is a second selected run of 'a' on rel-f1/driver-dnf, after .*:2"
    ):
        relarena_rows(arena(tmp_path, line.format("roc_auc", 0.5), line.format("roc_auc", 0.5)), "RelArena")
    with pytest.raises(InputError, match="has metric 'auc'"):
        relarena_rows(arena(tmp_path, line.format("auc", 0.5)), "RelArena")
    with pytest.raises(InputError, match="lacks column 'model'"):
        relarena_rows(FOLDER / "rel-f1.csv", "RelArena")


def test_mae_becomes_nmae() -> None:
    row = PublishedRow("a", "d/t", "mae", 4.0, "frozen", "paper")
    assert as_nmae(row, 8.0) == PublishedRow("a", "d/t", "nmae", 0.5, "frozen", "paper; from MAE 4")
    with pytest.raises(InputError, match="no scale of NMAE"):
        as_nmae(row, float("nan"))
    with pytest.raises(InputError, match="nmae of 'a' on d/t is no MAE"):
        as_nmae(as_nmae(row, 8.0), 8.0)


@pytest.mark.slow
def test_the_scale_of_nmae_is_that_of_relbenchs_leaderboard(real_data: Path) -> None:
    """RelBench's leaderboard has 1.69750 for answers of zero on driver-position, whose MAE is the mean of the labels."""
    stages = Stages(*open_task("rel-f1/driver-position"), "frozen")
    labels = stages.labels("test").target.to_numpy(zero_copy_only=False).astype(float)
    mae = regression(labels, 0 * labels, stages.scale)["mae"]
    row = as_nmae(PublishedRow("zero", "rel-f1/driver-position", "mae", mae, "frozen", "here"), stages.scale)
    assert row.value == pytest.approx(1.6975032510530375, rel=1e-9)


# -- RelBench --------------------------------------------------------------------------------------------------------------


def entry(name: str = "GNN", **boards: Any) -> dict[str, Any]:
    return {"name": name, "boards": {family: {"results": results, "mean": 0.5} for family, results in boards.items()}}


def test_relbenchs_entries_are_imported(tmp_path: Path) -> None:
    path = tmp_path / "leaderboard.json"
    kapso = entry("Kapso", binary_classification={"rel-f1/driver-dnf": 0.8})
    gnn = entry(
        binary_classification={"rel-f1/driver-dnf": 0.7},
        regression={"rel-f1/driver-position": 1.2},
        recommendation={"rel-f1/driver-circuit-compete": 0.2},
    )
    path.write_text(json.dumps([gnn, kapso, entry("unknown regime", regression={"d/t": 1})]))
    found = relbench_rows(path, {"GNN": "frozen", "Kapso": "rolling"}, "RelBench")
    assert [(row.method, row.metric, row.value, row.regime) for row in found] == [
        ("GNN", "roc_auc", 0.7, "frozen"),
        ("GNN", "nmae", 1.2, "frozen"),
        ("GNN", "map", 0.2, "frozen"),
        ("Kapso", "roc_auc", 0.8, "rolling"),
    ]
    path.write_text(json.dumps(gnn))
    assert relbench_rows(path, {"GNN": "frozen"}, "RelBench") == found[:3]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON file"),
        ("3", "entry 1 is no entry of RelBench's leaderboard: it has no name"),
        (json.dumps({"name": "GNN"}), "entry 1 has no boards"),
        (json.dumps(entry(ranking={})), "has a board 'ranking'; known are binary_classification"),
        (json.dumps(entry(regression=[])), "board 'regression' has no results"),
        (json.dumps(entry(regression={"d/t": None})), "d/t has value None, which is no number"),
        (json.dumps(entry(regression={"t": 0.5})), "has task 't', which is not of the form"),
        (json.dumps(entry(recommendation={"d/t": 20.0})), "has map 20.0, which lies outside"),
        (json.dumps([entry(regression={"d/t": 1.0})] * 2), "entry 2, d/t gives nmae of 'GNN' on d/t a second time"),
    ],
)  # fmt: skip
def test_what_is_no_entry_of_relbenchs_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "entries.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        relbench_rows(path, {"GNN": "frozen"}, "RelBench")
