"""A submission to RelBench's own leaderboard: one table of predictions for each of its tasks, as `relbench.submit` reads them.

Invariants: what is written gives the stored scores by RelBench's own evaluation, where that can be asked here; one run stands for
a task; nothing is uploaded. Which tasks make a family, and the form of a table, are those of the installed `relbench`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from relbench_harness.authoring.original_keys import with_original_keys
from relbench_harness.board import predictions, store
from relbench_harness.contributions.known_tasks import KnownTasks
from relbench_harness.data.dataset import Dataset
from relbench_harness.data.task import Task, TaskType
from relbench_harness.data.writing import write_whole
from relbench_harness.errors import InputError, nearest
from relbench_harness.protocol.metrics import PRIMARY
from relbench_harness.protocol.result import Result

TOLERANCE = 1e-12
Located = tuple[Path, Result]


@dataclass
class Submission:
    """What was written, and what is lacking.

    Attributes:
        written: Task → a sentence on the run that stands for it and on how its table was checked.
        refused: Task → why its run is not part of it.
        families: Family of tasks → its tasks.
    """

    families: dict[str, list[str]]
    written: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def said(self) -> Iterator[str]:
        """The lines that the shell prints."""
        for task, sentence in self.written.items():
            yield f"{task}: {sentence}"
        for task, sentence in self.refused.items():
            yield f"{task}: left out, {sentence}"
        for family, tasks in self.families.items():
            lacking = [task for task in tasks if task not in self.written]
            yield f"{family}: {len(tasks) - len(lacking)} of {len(tasks)} tasks" + (
                f"; lacking: {', '.join(lacking)}" if lacking else "; complete"
            )
        yield "nothing was uploaded; `python -m relbench.submit FOLDER` checks it and packs each complete family"


def submit(results: Path, method: str, to: Path, regime: str | None, seed: int | None) -> Submission:
    """Writes the tables of `method` to the new folder `to`.

    Args:
        regime: Which runs to take, where there are both kinds.
        seed: Which seed to take; None for the least that has a run.

    Raises:
        InputError: There is no run of the method on a task of RelBench's leaderboard, or it is not clear which to take.
    """
    from relbench.submit import LEADERBOARD_TASKS

    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise InputError(f"{to} is no new or empty folder; a submission is a folder of its own")
    made = Submission({family: list(tasks) for family, tasks in LEADERBOARD_TASKS.items()})
    wanted = [task for tasks in made.families.values() for task in tasks]
    runs = _runs(results, method, wanted, regime)
    known = KnownTasks()
    for task in (task for task in wanted if task in runs):
        csv = to / f"{task.replace('/', '__')}.csv"
        try:
            path, result = _one(runs[task], seed)
            table = _table(path, result, known)
            write_whole(csv, table.to_csv(index=False))
            said = _checked_by_relbench(csv, result, known)
        except InputError as error:
            csv.unlink(missing_ok=True)
            made.refused[task] = str(error)
        else:
            made.written[task] = (
                f"seed {result.seed}, {result.regime}, {len(table):,} rows; the stored scores come again; {said}"
            )
    return made


def _runs(results: Path, method: str, wanted: Sequence[str], regime: str | None) -> dict[str, list[Located]]:
    """Task → the successful runs of the method."""
    located = list(store.located_results(results, lambda error: None))
    names = {result.method for _, result in located}
    if method not in names:
        raise InputError(f"no method {method!r} in {results}; {nearest(method, names)}")
    found: dict[str, list[Located]] = {}
    for path, result in located:
        if result.method == method and result.ok and result.task in wanted and regime in (None, result.regime):
            found.setdefault(result.task, []).append((path, result))
    if not found:
        raise InputError(f"{results} holds no successful run of {method!r} on a task of RelBench's leaderboard")
    regimes = {result.regime for several in found.values() for _, result in several}
    if len(regimes) > 1:
        raise InputError(f"{results} holds runs of {method!r} of both regimes; choose one by --regime frozen or rolling")
    return found


def _one(runs: Sequence[Located], seed: int | None) -> Located:
    """The newest run of one seed."""
    settings = {json.dumps([r.config, {**r.budget, "seed": 0}, r.fitted_on], sort_keys=True, default=str) for _, r in runs}
    if len(settings) > 1:
        raise InputError(f"its runs have {len(settings)} different settings; keep one of them in a folder")
    chosen = min(result.seed for _, result in runs) if seed is None else seed
    fitting = [one for one in runs if one[1].seed == chosen]
    if not fitting:
        raise InputError(f"no run has seed {chosen}; there are {', '.join(map(str, sorted({r.seed for _, r in runs})))}")
    return max(fitting, key=lambda one: one[1].started)


def _table(path: Path, result: Result, known: KnownTasks) -> pd.DataFrame:
    """The prediction table of a run's test split.

    Raises:
        InputError: Its dataset is not here, or its stored scores do not come again.
    """
    opened = known.of(result.task)
    if opened.stages is None:
        raise InputError(opened.fault or f"its dataset is not here: {opened.absent}")
    if result.predictions is None:
        raise InputError("its run stored no predictions")
    file = path.with_name(result.predictions)
    if faults := predictions.faults(result, file, opened.stages):
        raise InputError(faults[0])
    stored = predictions.read_predictions(file)
    test = stored.filter(pc.equal(stored["split"], "test"))
    return prediction_table(opened.stages.dataset, opened.stages.task, test)


def prediction_table(dataset: Dataset, task: Task, test: pa.Table) -> pd.DataFrame:
    """The predictions `test` with RelBench's column names and the keys of the source.

    Raises:
        InputError: A probability lies outside of [0, 1], or a row has a key of several columns.
    """
    shown = with_original_keys(dataset, task, _without_padding(test) if task.item_table else test)
    keys = [name for name in shown.column_names if name not in ("split", "time", "prediction")]
    if len(keys) != 1:
        raise InputError(f"table {task.entity_table!r} has a key of {len(keys)} columns, and RelBench knows one")
    values = shown["prediction"]
    if task.type is TaskType.BINARY:
        numbers = np.asarray(values.to_numpy())
        if len(odd := numbers[(numbers < 0) | (numbers > 1)]):
            raise InputError(f"it has a probability of {odd[0]!r}, which lies outside of [0, 1]")
    listed = [json.dumps(items) for items in values.to_pylist()] if task.item_table else values.to_numpy()
    return pd.DataFrame(
        {task.entity_col: shown[keys[0]].to_pandas(), task.time_col: shown["time"].to_pandas(), task.target: listed}
    )


def _without_padding(test: pa.Table) -> pa.Table:
    """The lists without the −1 at their ends, which name no item."""
    lists = [np.trim_zeros(np.asarray(items) + 1, "b") - 1 for items in test["prediction"].to_pylist()]
    if any((items < 0).any() for items in lists):
        raise InputError("it names no item (−1) before another one, which a list cannot say")
    column = pa.array([items.tolist() for items in lists], pa.list_(pa.int64()))
    return test.set_column(test.column_names.index("prediction"), "prediction", column)


def _checked_by_relbench(csv: Path, result: Result, known: KnownTasks) -> str:
    """What RelBench's own evaluation says of the file.

    Raises:
        InputError: It refuses the file, or gives another score.
    """
    from relbench.submit import evaluate_task

    stages = known.of(result.task).stages
    assert stages is not None
    folder = stages.task.folder
    if folder is None or not (folder / "test.parquet").is_file():
        return "not checked by relbench, whose labels are not here"
    try:
        found = evaluate_task(result.task, csv, dataset=stages.dataset.folder)
    except ValueError as error:
        raise InputError(f"relbench refuses {csv}: {error}") from None
    metric = PRIMARY[stages.task.type].name
    theirs = float(found[metric])
    if abs(theirs - result.score) > TOLERANCE:
        raise InputError(f"relbench gives {metric} {theirs!r} for {csv}, but {result.score!r} is stored")
    return f"relbench gives {metric} {theirs!r}, as stored"
