"""The shell's commands about stored results: `rank` prints and writes the leaderboard, `board` writes the page of a published one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relbench_harness.errors import InputError
from relbench_harness.streams import say, show, standard_output

if TYPE_CHECKING:
    from relbench_harness.protocol.result import Result


def add_rankings(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Register the commands; each sets `act`, a function of the parsed arguments that returns an exit code."""
    rank = subparsers.add_parser("rank", help="print the leaderboard of stored results; writes it in every format")
    rank.add_argument("results", type=Path, help="a folder of results")
    rank.add_argument("--out", type=Path, help="folder for leaderboard.md, .csv, .tex and .html (default: the results)")
    rank.add_argument(
        "--format", choices=("md", "csv", "latex", "html"), help="print this instead of the terminal's tables"
    )
    rank.add_argument("--regime", choices=("frozen", "rolling"), help="only results of this regime")
    rank.add_argument("--metric", metavar="NAME", help="rank by this metric instead of the tasks' own")
    rank.add_argument("--against", metavar="METHOD", help="compare every method with this one instead of the best")
    rank.add_argument(
        "--anchor", metavar="METHOD", help="give seconds in multiples of this method's on the same machine, too"
    )
    rank.add_argument(
        "--no-intervals",
        action="store_true",
        help="no intervals and differences, which take seconds where predictions are stored",
    )
    rank.add_argument("--svg", type=Path, metavar="FILE", help="also draw the leaderboard as a picture")
    rank.set_defaults(act=_rank)
    board = subparsers.add_parser("board", help="write README.md, the tables and the picture of a published board")
    board.add_argument("results", type=Path, help="a folder of results, such as results/rel-f1")
    board.set_defaults(act=_board)
    ensemble = subparsers.add_parser(
        "ensemble",
        help="add the mixture of the methods of a board, chosen by their stored validation predictions",
        description="Fits nothing: weights are chosen by greedy selection on stored validation predictions, for each task, "
        "regime, budget and seed. The ensemble costs what all the methods that it chose among cost together.",
    )
    ensemble.add_argument("results", type=Path, help="a folder of results with stored predictions")
    ensemble.add_argument("--methods", metavar="A,B", help="choose among these (default: all that have predictions)")
    ensemble.set_defaults(act=_ensemble)


def _rank(parsed: argparse.Namespace) -> int:
    from relbench_harness.board import render
    from relbench_harness.board.audits import read_reports
    from relbench_harness.board.full import View, full_board
    from relbench_harness.data.writing import write_whole

    results = _results(parsed.results)
    if parsed.regime is not None:
        results = [result for result in results if result.regime == parsed.regime]
        if not results:
            raise InputError(f"no results of regime {parsed.regime} in {parsed.results}")
    if parsed.metric is not None:
        from relbench_harness.board.metric_choice import ranked_by

        results = ranked_by(parsed.metric, results)
    folder = parsed.results if parsed.results.is_dir() else parsed.results.parent
    reports = read_reports(folder, lambda error: say(str(error)))
    view = View(parsed.against, parsed.anchor, not parsed.no_intervals, say)
    table = full_board(folder, results, reports, view=view)
    if parsed.format is None:
        render.show(table, standard_output())
    else:
        show(render.FORMATS[parsed.format][1](table).rstrip("\n"))
    if parsed.format is None and parsed.against is not None:
        for row in table[table["verdict"].notna()].to_dict("records"):
            show(f"{row['task']}, {row['regime']}: {row['method']} against {row['against']}: {row['verdict']}.")
    render.write(table, parsed.out or folder)
    if parsed.svg is not None:
        write_whole(parsed.svg, render.svg(table))
    return 0


def _results(folder: Path) -> list[Result]:
    """The results in `folder`; those that cannot be read are said."""
    from relbench_harness.board import store

    broken: list[InputError] = []
    results = store.read_results(folder, broken.append)
    for error in broken:
        say(str(error))
    if not results:
        raise InputError(f"no results in {folder}" + (" can be read" if broken else ""))
    return results


def _board(parsed: argparse.Namespace) -> int:
    from relbench_harness.board.page import write_board
    from relbench_harness.presets import method_names

    results = _results(parsed.results)
    for path in write_board(parsed.results, results, method_names(), say):
        show(f"wrote {path}")
    return 0


def _ensemble(parsed: argparse.Namespace) -> int:
    from relbench_harness.board import store
    from relbench_harness.board.ensemble import ensembles

    results = _results(parsed.results)
    there = {result.identity for result in results} - {""}
    methods = [name.strip() for name in parsed.methods.split(",")] if parsed.methods else []
    made = [outcome for outcome in ensembles(parsed.results, results, methods, say) if outcome.result.identity not in there]
    for result, _ in (store.write(outcome, parsed.results) for outcome in made):
        weights = ", ".join(f"{name} {weight:.2f}" for name, weight in result.notes["weights"].items())
        show(f"{result.task}  {result.regime}  seed={result.seed}  {result.metric} test {result.score:.4f}  {weights}")
    show(f"{len(made)} ensembles added to {parsed.results}")
    return 0
