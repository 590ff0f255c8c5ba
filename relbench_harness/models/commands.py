"""The command `predict`: predictions of a kept model, written to a file or to a table of a database."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relbench_harness.errors import InputError
from relbench_harness.streams import show

if TYPE_CHECKING:
    import pandas as pd

    from relbench_harness.models.model import Model, Serving, Who

OVERLAP = "7d"
"""Rows of the last week are often still written or corrected, and a week is little to read."""


def add_predict(commands: Any) -> None:
    """Adds the command to the shell."""
    predict = commands.add_parser(
        "predict",
        help="predict with a kept model on the database as it is",
        description="No label is needed: entities are those that the task's SQL names on rows older than the time, "
        "or those given. Predictions carry the keys of the source.",
    )
    predict.add_argument("model", type=Path, help="the folder of a model that run … save=FOLDER has kept")
    predict.add_argument("--at", default="now", help="a time, or now: the end of the data (the default)")
    predict.add_argument(
        "--entities", help="a CSV or Parquet file with the entities' keys, or SQL that yields the entities"
    )
    predict.add_argument(
        "--from", dest="dataset", metavar="NAME|URI",
        help="the dataset to read (default: the one that the model was fitted on), or its source, whose rows of now are imported",
    )  # fmt: skip
    predict.add_argument(
        "--append", action="store_true",
        help="of the source that --from names, read only what came since the last --append; older rows are as they were then",
    )  # fmt: skip
    predict.add_argument(
        "--overlap", metavar="SPAN",
        help=f"with --append: how long before the latest row known rows are read again (default: {OVERLAP})",
    )  # fmt: skip
    predict.add_argument(
        "--out", required=True, metavar="FILE|URI",
        help="scores.parquet, scores.csv, or postgresql://user@host/database?table=scores[&mode=replace|append]",
    )  # fmt: skip
    predict.set_defaults(act=_predict)


def _predict(parsed: argparse.Namespace) -> int:
    from relbench_harness.models.destination_choice import destination
    from relbench_harness.models.destinations import Stamp
    from relbench_harness.models.model import load_model

    if parsed.overlap is not None and not parsed.append:
        raise InputError("--overlap says how much of what is known --append reads again; give --append, too")
    to = destination(parsed.out)
    to.check()
    model = load_model(parsed.model)
    serving = model.serving(parsed.dataset, (parsed.overlap or OVERLAP) if parsed.append else None)
    t = model.time(serving, parsed.at)
    who = _who(model, serving, t, parsed.entities)
    stamp = Stamp(model.run_id(serving, who), model.fingerprint)
    rows = to.write(model.answers(serving, who), stamp)
    show(f"{rows:,} predictions of {model.manifest['method']['name']} for {model.task.id} at {t}; wrote {to.label}")
    return 0


def _who(model: Model, serving: Serving, t: pd.Timestamp, given: str | None) -> Who:
    from relbench_harness.authoring.original_keys import read_predictions
    from relbench_harness.models.answers import ENDINGS

    if given is not None and given.endswith(ENDINGS):
        return model.named(serving, read_predictions(Path(given), "entities"), t, given)
    return model.who(serving, t, given)
