"""How true explanations are: rows against rows at random and the most recent ones, and against rows that are known to cause labels.

    python docs/faithfulness.py docs/explain --measure faithfulness
    python docs/faithfulness.py docs/explain --measure causes
    python docs/faithfulness.py docs/explain --into docs/results.md

`--measure` fits methods, explains examples of validation and adds a line of JSON to a file of the folder for each method on each task;
what has a line is passed over, so that a measurement that was stopped goes on. `--into` writes tables of these lines between their
marks in the page; without both they are printed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from page_marks import put_between, row

from relbench_harness.explain.ablation import Ablation
from relbench_harness.explain.candidates import FirstPass, Row, candidates
from relbench_harness.explain.contributions import FeatureContributions
from relbench_harness.explain.explanation import Explanation, Kind
from relbench_harness.explain.faithfulness import found_among, mean_over_entities
from relbench_harness.explain.measures import HIGHER_IS_BETTER, Compared, compared, scored
from relbench_harness.explain.orders import at_random, most_recent, of_explanation, tried
from relbench_harness.explain.outputs import answers, quality, same_again
from relbench_harness.explain.removal import Removal
from relbench_harness.explain.variants import Subject
from relbench_harness.explaining.fitted import Fitted, fitted_by
from relbench_harness.protocol.audit.scenes import sampled
from relbench_harness.protocol.method import Examples, Predictor

Line = dict[str, Any]
Orders = Sequence[Sequence[Row]]
SEED = 0
COUNTS, ROWS = (1, 2, 4, 8), 4
"""After how many rows answers are looked at, and how many first rows are the explanation whose fidelity is measured."""
MOST_K, RECALLED = 5, 20
"""Causing rows are looked for among the first k rows, k their number but at most so many, and among the first twenty."""
REMOVAL, RANDOM, RECENT, OWN, ABLATION = "removal", "at random", "most recent", "own most recent", "ablation"
NETWORK, TREES, SIMPLE, AUTO = "gnn", "lightgbm_dfs", "lightgbm_simple", "auto"
SETTINGS = {
    NETWORK: ("method.epochs=4", "method.steps_per_epoch=30"),
    TREES: ("method.ensemble_size=1",),
    SIMPLE: (),
    AUTO: ("budget.seconds=60",),
}
"""Short fits, by steps where that is possible: seconds depend on what else a machine does."""
WORLD = "rel-shop@scale=2"
DNF, RETAIL, SHOP = "rel-f1/driver-dnf", "retail-uk/customer-churn", f"{WORLD}/customer-churn"
BASEBALL = "baseball/player-allstar"
FAITHFUL = [
    *((task, method) for task in (DNF, RETAIL, SHOP, BASEBALL) for method in (NETWORK, SIMPLE)),
    *((task, method) for task in (DNF, SHOP) for method in (TREES, AUTO)),
]
EXAMPLES, FEW = 30, 4
"""Examples of a line, and at least how many of those that no copy stands for, whose rows are removed from the whole database."""
CAUSED_WORLD, CAUSED_EXAMPLES, CHANGED = "rel-shop@scale=1", {NETWORK: 20, TREES: 12}, 200
"""The world of causes, which is smaller; of how many examples of it the rows are explained, and how many stand at model level."""


@dataclass(frozen=True)
class Cause:
    """A cause of rel-shop: the task it shows in, the tables and columns that a method which found it may rest on."""

    name: str
    task: str
    tables: tuple[str, ...]
    columns: tuple[str, ...]


CAUSES = (
    Cause("recency", "customer-churn", ("transactions", "visits"), ("transactions.customer_id", "visits.customer_id")),
    Cause("night", "customer-churn", ("transactions",), ("transactions.amount",)),
    Cause("rude", "customer-churn", ("employees",), ("employees.courtesy",)),
    Cause("price", "customer-churn", ("lines",), ("lines.price", "products.list_price")),
    Cause("stain", "customer-churn", ("returns",), ("returns.reason", "products.colour")),
    Cause("interaction", "customer-churn", ("transactions", "products"), ("transactions.payment", "products.own_label")),
    Cause("loyalty", "customer-churn", ("visits", "transactions"), ("visits.customer_id", "transactions.customer_id")),
    Cause("store", "customer-churn", ("stores",), ("customers.store_id",)),
    Cause("appetite", "customer-spend", ("transactions",), ("transactions.customer_id",)),
    Cause("rings", "customer-fraud", ("returns",), ("returns.reason",)),
)
CAUSED = [(cause.name, method) for cause in CAUSES for method in (NETWORK, TREES)]


# -- measuring ------------------------------------------------------------------------------------------------------------


def learned(task: str, method: str) -> tuple[Fitted, Line]:
    """A fitted method, and what a line says of it."""
    begin = time.process_time()
    settings = [*SETTINGS[method], "regime=rolling", "budget.threads=1", "budget.device=cpu", f"seed={SEED}"]
    fitted = fitted_by([f"task={task}", f"method={method}", *settings])
    seconds = time.process_time() - begin
    score = quality(fitted.valid, answers(fitted.predictor, fitted.valid))
    return fitted, {
        "date": time.strftime("%Y-%m-%d"),
        "settings": list(SETTINGS[method]),
        "score": score,
        "seconds": {"fit": round(seconds, 1)},
    }


def faithfulness_line(task: str, method: str) -> Line:
    """Each way to order the rows of some examples, compared with the orders that know nothing of the method."""
    fitted, line = learned(task, method)
    begin, predictor = time.process_time(), same_again(fitted.predictor)
    threshold = float(np.median(answers(predictor, fitted.valid)))
    subject = subject_of(predictor, fitted.valid.take(sampled(fitted.valid, EXAMPLES, SEED)))
    examples, first = subject.examples, FirstPass.of(predictor, subject.examples)
    ways = orders_of(subject, first, Removal(rows=2 * max(COUNTS), top=ROWS, groups=False))
    values = {name: scored(subject, tried(subject, one, COUNTS), ROWS, threshold) for name, one in ways.items()}
    line |= described(subject, begin, line)
    line["ways"] = {
        way: {
            other: {name: _plain(one) for name, one in compared(values[way], values[other], examples.entity).items()}
            for other in (RANDOM, RECENT)
        }
        for way in ways
        if way not in (RANDOM, RECENT, OWN)
    }
    return line


def subject_of(predictor: Predictor, examples: Examples) -> Subject:
    """The examples that copies stand for; where there are few of them, some of the others too."""
    subject = Subject.of(predictor, examples)
    kept = np.flatnonzero(subject.exact)
    kept = np.union1d(kept, np.flatnonzero(~subject.exact)[: max(FEW - len(kept), 0)])
    return subject.take(kept)


def orders_of(subject: Subject, first: FirstPass, removal: Removal) -> dict[str, Orders]:
    """Orders of the rows around each example: by explanations, and such that know nothing of the method."""
    ways: dict[str, Orders] = {REMOVAL: [of_explanation(one) for one in removal.of_subject(subject, first)]}
    if any(first.rows) or any(first.paths):
        around = enumerate(subject.around)
        ways[first.name] = [candidates(one, removal.rows, first.rows[i], first.paths[i]) for i, one in around]
    ways[RANDOM] = [at_random(around, seed) for seed, around in enumerate(subject.around)]
    ways[RECENT] = [most_recent(subject, i) for i in range(len(subject.around))]
    ways[OWN] = [most_recent(subject, i, own=True) for i in range(len(subject.around))]
    return ways


def described(subject: Subject, begin: float, line: Line) -> Line:
    """What was explained, and the processor seconds since `begin`."""
    return {
        "examples": len(subject.around),
        "rows around": float(np.mean([len(around) for around in subject.around])),
        "copied": int(subject.exact.sum()),
        "seconds": {**line["seconds"], "explain": round(time.process_time() - begin, 1)},
    }


def cause_line(name: str, method: str) -> Line:
    """How many of the causing rows come first, and at which rank the cause's table and column stand."""
    (cause,) = [one for one in CAUSES if one.name == name]
    fitted, line = learned(f"{CAUSED_WORLD},causes={name}/{cause.task}", method)
    begin, predictor, valid = time.process_time(), same_again(fitted.predictor), fitted.valid
    task = fitted.dataset.task(cause.task)
    truth, reasons = fitted.dataset.truth(task, "val"), fitted.dataset.reasons(task, "val")
    assert truth is not None and reasons is not None
    causing: dict[int, set[Row]] = {}
    for one in reasons.to_pylist():
        causing.setdefault(one["question"], set()).add((one["table"], one["row"]))
    some = np.sort(np.random.default_rng(SEED).permutation(sorted(causing))[: CAUSED_EXAMPLES[method]])
    subject = subject_of(predictor, valid.take(some))
    caused, first = subject.examples, FirstPass.of(predictor, subject.examples)
    at = {(int(e), int(t)): int(i) for i, e, t in zip(some, valid.entity[some], valid.time[some], strict=True)}
    sets = [causing[at[int(e), int(t)]] for e, t in zip(caused.entity, caused.time, strict=True)]
    rows, removal = {}, Removal(rows=24, top=ROWS, groups=False)
    for way, orders in orders_of(subject, first, removal).items():
        found = [found_among(order, right, min(MOST_K, len(right))) for order, right in zip(orders, sets, strict=True)]
        later = [found_among(order, right, RECALLED) for order, right in zip(orders, sets, strict=True)]
        values = {"precision": [one.precision for one in found], "recall": [one.recall for one in later]}
        rows[way] = {k: mean_over_entities(np.nan_to_num(v), caused.entity)._asdict() for k, v in values.items()}
    line |= described(subject, begin, line) | {"true score": quality(valid, truth.answers), "rows": rows}
    begin = time.process_time()
    by_table, by_column = at_model_level(predictor, valid, method)
    line["seconds"]["model"] = round(time.process_time() - begin, 1)
    right = cause.columns if by_column.algorithm == ABLATION else (*cause.columns, *rests_of(valid, cause.columns))
    ranks = {"table": ranked(by_table, "table", cause.tables), "column": ranked(by_column, "column", right)}
    return line | ranks | {"columns by": by_column.algorithm}


def at_model_level(predictor: Predictor, valid: Examples, method: str) -> tuple[Explanation, Explanation]:
    """What tells the rank of tables, and what tells that of columns: by ablation, for trees columns by what they say themselves."""
    if method == TREES:
        (model,) = Ablation(kinds=("table",), repeats=1, most=CHANGED, seed=SEED).explain(predictor, valid)
        (said,) = FeatureContributions(kinds=("column",), most=CHANGED).explain(predictor, valid)
        return model, said
    (model,) = Ablation(kinds=("table", "column"), repeats=1, most=CHANGED, seed=SEED).explain(predictor, valid)
    return model, model


def rests_of(examples: Examples, columns: Sequence[str]) -> Iterator[str]:
    """What features rest on that tell whose rows came, how many and when, since none rests on a foreign key of `columns`."""
    for table, column in (name.split(".") for name in columns):
        if column in examples.database[table].references:
            yield f"rows of {table}"
            if examples.database[table].time is not None:
                yield f"{table}.{examples.database[table].time}"


def ranked(model: Explanation, kind: Kind, right: Sequence[str]) -> Line:
    """The best rank of the right parts by how far predictions change and by what the score loses, and the first parts."""
    amounts = model.of(kind)
    if model.algorithm == ABLATION:
        amounts = tuple(sorted(amounts, key=lambda amount: -amount.effect))
    by_effect = [amount.part.label for amount in amounts]
    by_loss = [amount.part.label for amount in sorted(amounts, key=lambda amount: -amount.value)]
    return {
        "effect": min((by_effect.index(label) + 1 for label in right if label in by_effect), default=len(by_effect) + 1),
        "loss": min((by_loss.index(label) + 1 for label in right if label in by_loss), default=len(by_loss) + 1),
        "first": by_effect[0],
        "parts": len(by_effect),
    }


def _plain(one: Compared) -> Line:
    return {"one": one.one, "other": one.other, "low": one.difference.low, "high": one.difference.high}


STUDIES: dict[str, tuple[Sequence[tuple[str, str]], Callable[[str, str], Line]]] = {
    "faithfulness": (FAITHFUL, faithfulness_line),
    "causes": (CAUSED, cause_line),
}


def lines(folder: Path, study: str) -> list[Line]:
    """The lines of a study, in its order."""
    file, order = folder / f"{study}.jsonl", STUDIES[study][0]
    known = [json.loads(text) for text in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []
    return sorted((one for one in known if tuple(one["run"]) in order), key=lambda one: order.index(tuple(one["run"])))


def measure(folder: Path, study: str) -> None:
    """Adds the lines that are missing."""
    wanted, measured = STUDIES[study]
    folder.mkdir(parents=True, exist_ok=True)
    for run in wanted:
        if run in [tuple(one["run"]) for one in lines(folder, study)]:
            continue
        text = json.dumps({"run": list(run), **measured(*run)}, allow_nan=True)
        with (folder / f"{study}.jsonl").open("a", encoding="utf-8") as file:
            file.write(text + "\n")
        print(text[:200], flush=True)


# -- tables ---------------------------------------------------------------------------------------------------------------


def head(*cells: str) -> Iterator[str]:
    yield row(*cells)
    yield "|" + "---|" * len(cells)


def number(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def faithfulness_table(known: Sequence[Line]) -> Iterator[str]:
    """A row for each task, method and way; beside each figure those at random and of the most recent rows."""
    yield from head("task", "method", "rows by", *HIGHER_IS_BETTER)
    for one in known:
        for way, others in one["ways"].items():
            cells = []
            for measure in HIGHER_IS_BETTER:
                pairs = [others[other][measure] for other in (RANDOM, RECENT)]
                figures = [f"{number(pair['other'])} {sign(measure, pair)}".strip() for pair in pairs]
                cells.append(" / ".join([number(pairs[0]["one"]), *figures]))
            yield row(one["run"][0], f"`{one['run'][1]}`", way, *cells)


def sign(measure: str, figures: Line) -> str:
    """`+` where the explanation is surely more faithful than the other order, `−` where it is surely less, else nothing."""
    low, high = (figures["low"], figures["high"]) if HIGHER_IS_BETTER[measure] else (-figures["high"], -figures["low"])
    return "+" if low > 0 else "−" if high < 0 else ""


def difference_tables(known: Sequence[Line]) -> Iterator[str]:
    """Differences with their intervals."""
    for other in (RANDOM, RECENT):
        yield from head("task", "method", "rows by", *(f"{measure}, less {other}" for measure in HIGHER_IS_BETTER))
        for one in known:
            for way, others in one["ways"].items():
                cells = [interval(others[other][measure]) for measure in HIGHER_IS_BETTER]
                yield row(one["run"][0], f"`{one['run'][1]}`", way, *cells)
        yield ""


def interval(figures: Line) -> str:
    return f"{number(figures['one'] - figures['other'])} ({number(figures['low'])} to {number(figures['high'])})"


def counts_table(known: Sequence[Line]) -> Iterator[str]:
    """For each measure, how often explanations are surely better and surely worse."""
    ways = list(dict.fromkeys(way for one in known for way in one["ways"]))
    pairs = [(way, other) for other in (RANDOM, RECENT) for way in ways]
    yield from head("measure", *(f"{way}, against {other}" for way, other in pairs))
    for measure in HIGHER_IS_BETTER:
        cells = []
        for way, other in pairs:
            signs = [sign(measure, one["ways"][way][other][measure]) for one in known if way in one["ways"]]
            cells.append(f"{signs.count('+')} better, {signs.count('−')} worse of {len(signs)}")
        yield row(measure, *cells)


def causes_tables(known: Sequence[Line]) -> Iterator[str]:
    """Causing rows among the first, and the ranks of the cause's table and column."""
    ways = [REMOVAL, "gradients", "contributions", RANDOM, RECENT, OWN]
    for k, what in (("precision", "precision at k"), ("recall", f"recall at {RECALLED}")):
        yield from head("cause", "method", "examples", *(f"{what}, {way}" for way in ways))
        for one in known:
            cells = [mean(one["rows"][way][k]) if way in one["rows"] else "" for way in ways]
            yield row(f"`{one['run'][0]}`", f"`{one['run'][1]}`", one["examples"], *cells)
        yield ""
    ranked_parts = ("rank of its table", "rank of its column", "first table", "first column")
    yield from head("cause", "method", "score", "of the true answers", *ranked_parts)
    for one in known:
        ranks = [f"{one[kind]['effect']} ({one[kind]['loss']}) of {one[kind]['parts']}" for kind in ("table", "column")]
        if one.get("columns by", ABLATION) != ABLATION:
            rank, parts = one["column"]["loss"], one["column"]["parts"]
            ranks[1] = f"{rank if rank <= parts else 'none'} of {parts}, {one['columns by']}"
        scores = [number(abs(one[name])) for name in ("score", "true score")]
        yield row(
            f"`{one['run'][0]}`", f"`{one['run'][1]}`", *scores, *ranks, one["table"]["first"], one["column"]["first"]
        )


def mean(figures: Line) -> str:
    return f"{figures['value']:.2f} ({figures['low']:.2f} to {figures['high']:.2f})"


def cost(known: Sequence[Line]) -> str:
    """When and at what cost lines were made."""
    dates = sorted({one["date"] for one in known})
    fit, explain, model = (sum(one["seconds"].get(part, 0.0) for one in known) for part in ("fit", "explain", "model"))
    examples, copied = (sum(one[part] for one in known) for part in ("examples", "copied"))
    return (
        f"{examples} examples; copies stood for the database for {copied} of them. Processor seconds: fits "
        f"{fit:.0f}, row level {explain:.0f}{f', model level {model:.0f}' if model else ''}. {' to '.join(dict.fromkeys([dates[0], dates[-1]]))}."
    )


TABLES: dict[str, Sequence[Callable[[Sequence[Line]], Iterator[str]]]] = {
    "faithfulness": (counts_table, faithfulness_table, difference_tables),
    "causes": (causes_tables,),
}


def tables(folder: Path, study: str) -> str:
    """What stands between the marks of a study."""
    known = lines(folder, study)
    if not known:
        return "Nothing is measured yet."
    return "\n\n".join([*("\n".join(made(known)).strip() for made in TABLES[study]), cost(known)])


def marks(study: str) -> tuple[str, str]:
    return f"<!-- {study}, made by docs/faithfulness.py -->", f"<!-- end of {study} -->"


def put(page: Path, folder: Path) -> None:
    """Writes the tables of both studies between their marks."""
    for study in STUDIES:
        put_between(page, *marks(study), tables(folder, study))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder of lines")
    parser.add_argument("--measure", choices=STUDIES, help="the study whose missing lines are made")
    parser.add_argument("--into", type=Path, help="the page that holds the marks")
    given = parser.parse_args()
    if given.measure is not None:
        measure(given.folder, given.measure)
    elif given.into is not None:
        put(given.into, given.folder)
    else:
        print("\n\n".join(tables(given.folder, study) for study in STUDIES))


if __name__ == "__main__":
    main()
