"""A folder of results as a dataset for the Hugging Face hub: two tables in Parquet and the card that describes them.

Invariant: the tables hold what the result lines and predictions hold, each line once; the card's YAML names their files, so that
`datasets.load_dataset` finds them. Nothing is uploaded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from relbench_harness.board import audits, predictions, render, store
from relbench_harness.board.leaderboard import leaderboard
from relbench_harness.data.names import split_address
from relbench_harness.data.provenance import provenance
from relbench_harness.data.task import TaskType
from relbench_harness.data.writing import whole, write_whole
from relbench_harness.errors import InputError
from relbench_harness.protocol.result import Result

RESULTS, PREDICTIONS, CARD = "results.parquet", "predictions.parquet", "README.md"
CATEGORIES: Mapping[str, str] = {
    TaskType.REGRESSION: "tabular-regression",
    TaskType.BINARY: "tabular-classification",
    TaskType.MULTICLASS: "tabular-classification",
    TaskType.MULTILABEL: "tabular-classification",
}
"""Types of tasks that the hub has a name for."""
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"))
Located = tuple[Path, Result]


def write_dataset(results: Path, to: Path, title: str) -> int:
    """Writes the dataset of a folder of results to the new folder `to`; returns how many result lines it holds.

    Raises:
        InputError: There are no results, one cannot be read, or `to` is not new.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise InputError(f"{to} is no new or empty folder")
    lines = list(store.located_results(results)) if results.exists() else []
    if not lines:
        raise InputError(f"no results in {results}")
    reports = audits.read_reports(results, _raise)
    parts = [table for path, result in lines if (table := _predictions(path, result)) is not None]
    answers = pa.concat_tables(parts) if parts else None
    for name, table in ((RESULTS, pa.Table.from_pylist([_row(*line) for line in lines])), (PREDICTIONS, answers)):
        if table is not None:
            with whole(to / name) as file:
                pq.write_table(table, file, compression="zstd")
    board = render.markdown(leaderboard([result for _, result in lines], reports))
    write_whole(to / CARD, _card(title, [result for _, result in lines], answers, board))
    return len(lines)


def _raise(error: InputError) -> None:
    raise error


def _row(path: Path, result: Result) -> dict[str, Any]:
    """A result line as a row: what is nested is JSON text, and scores and seconds stand beside it as numbers."""
    row: dict[str, Any] = {"run": path.stem}
    for entry in fields(Result):
        value = getattr(result, entry.name)
        row[entry.name] = json.dumps(value, sort_keys=True, default=str) if isinstance(value, Mapping) else value
    numbers = {
        "val": result.scores.get("val", {}).get(result.metric),
        "test": result.scores.get("test", {}).get(result.metric),
    }
    return {**row, **numbers, "total_seconds": result.seconds.get("total")}


def _predictions(path: Path, result: Result) -> pa.Table | None:
    """The predictions of a run with what they belong to; every prediction is a list, so that all tasks have one form."""
    if not result.predictions:
        return None
    table = predictions.read_predictions(path.with_name(result.predictions))
    given = table["prediction"].combine_chunks()
    if not pa.types.is_list(given.type):
        given = pa.FixedSizeListArray.from_arrays(given.cast(pa.float64()), 1)
    lists = given.cast(pa.list_(pa.float64()))
    table = table.set_column(table.column_names.index("prediction"), "prediction", lists)
    named = {"run": path.stem, "task": result.task, "method": result.method, "regime": result.regime}
    for name, value in {**named, "seed": result.seed}.items():
        column = pa.array([value], pa.int64() if name == "seed" else pa.string())
        table = table.append_column(name, pc.take(column, pa.array([0] * len(table), pa.int64())))
    return table


def _card(title: str, results: Sequence[Result], answers: pa.Table | None, board: str) -> str:
    from huggingface_hub import DatasetCardData

    rows = len(results) if answers is None else len(answers)
    files = {"results": RESULTS, **({} if answers is None else {"predictions": PREDICTIONS})}
    data = DatasetCardData(
        license="mit",
        pretty_name=title,
        task_categories=sorted({CATEGORIES[r.task_type] for r in results if r.task_type in CATEGORIES}),
        size_categories=next((name for most, name in SIZES if rows < most), "n>10M"),
        tags=["relational-databases", "relational-deep-learning", "relbench", "benchmark"],
        configs=[
            {"config_name": name, "data_files": file, **({"default": True} if name == "results" else {})}
            for name, file in files.items()
        ],
    )
    return "\n".join(["---", data.to_yaml().strip(), "---", "", *_body(title, results, files, board)])


def _body(title: str, results: Sequence[Result], files: Mapping[str, str], board: str) -> Iterator[str]:
    yield from (f"# {_line(title)}", "")
    yield from (
        f"Results of RelBench Harness: {len(results)} runs of methods for relational databases, with what each costs.",
        "",
    )
    yield from (
        "| file | one row is |",
        "|---|---|",
        f"| `{RESULTS}` | a run: scores, seconds, memory, lines of code, machine |",
    )
    if "predictions" in files:
        yield f"| `{PREDICTIONS}` | a prediction of a run, whose name stands in `run` |"
    yield ""
    yield "`entity` and recommended items are row numbers of the canonical order: rows by time, ties as the dataset lists them."
    yield from ("A prediction is a list: one value, one for each class, or the items recommended, best first.", "")
    yield from ("## Datasets", "", "| dataset | version of the data | description |", "|---|---|---|")
    versions: dict[str, set[str]] = {}
    for result in results:
        versions.setdefault(split_address(result.task)[0], set()).add(result.dataset_fingerprint[:12])
    for name, known in sorted(versions.items()):
        yield f"| {_line(name)} | {', '.join(sorted(known - {''}))} | {_line(_description(name))} |"
    yield from ("", "## Leaderboard", "", board)


def _description(dataset: str) -> str:
    """What the dataset's manifest says of it, its source and licence among that; empty where it is not here."""
    try:
        known = provenance(dataset)
    except InputError:
        return ""
    return " ".join(filter(None, (known.description, known.source, known.licence)))


def _line(text: str) -> str:
    """`text` as a cell of a table, as text whatever it holds."""
    return re.sub(r"([\\|`*_<>\[\]])", r"\\\1", " ".join(text.split()))
