"""Names keep to the glossary: one thing, one word, and the words of the field.

The left column of the glossary is kept out of the names of functions, classes, arguments, attributes, variables and modules. Names are
read from the source and split at underscores and capitals, so that `asked_of` and `AskedRows` hold the word `asked`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

INSTEAD: Mapping[str, str] = {
    "question": "example",
    "questions": "examples",
    "asked": "example, or seed in SQL",
    "told": "message",
    "heard": "aggregate",
    "hearing": "updated tables",
    "deaf": "leaf tables",
    "silent": "zero-initialised",
    "quiet": "small initial scale",
    "loud": "scale",
    "everyone": "all entities",
    "newcomers": "entities without history",
    "levelled": "demeaned by time",
    "departs": "residual",
    "usual": "trailing mean",
    "unrooted": "squared with the sign",
    "rehearsal": "backtest",
    "rehearsals": "backtests",
    "growth": "TreeParameters",
    "forest": "booster",
    "forests": "boosters",
    "bag": "ensemble",
    "bags": "ensemble size",
    "trail": "InteractionPath",
    "trails": "InteractionPath",
    "exchanges": "item features",
    "trunk": "backbone",
    "headed": "predictor",
    "fans": "num_neighbors",
    "generations": "ancestor_depth",
}
"""Word → what to say. Words of the glossary that mean something else as well (`met`, `steps`, `rate`, `opened`) are left out."""


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, name) of everything that a module names itself; names of other packages that it uses are theirs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.alias) and node.asname is not None:
            yield node.lineno, node.asname


def words(name: str) -> list[str]:
    """The words of a name, in lower case."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def faults(path: Path, text: str) -> list[str]:
    """Names in a module that hold a word of the left column, one sentence each; the module's own name among them."""
    found = [(0, path.stem), *names(ast.parse(text))]
    return [
        f"{path}:{line}: {name} holds {word!r}; say {INSTEAD[word]}"
        for line, name in dict.fromkeys(found)
        for word in words(name)
        if word in INSTEAD
    ]


def modules() -> dict[str, list[str]]:
    """File below the root → its faults."""
    files = [path for folder in ("relbench_harness", "baselines") for path in sorted((ROOT / folder).rglob("*.py"))]
    return {str(path.relative_to(ROOT)): faults(path.relative_to(ROOT), path.read_text(encoding="utf-8")) for path in files}


def test_names_keep_to_the_glossary() -> None:
    assert [fault for found in modules().values() for fault in found] == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("def asked_of(x): ...", "asked_of holds 'asked'"),
        ("class SilentLayer: ...", "SilentLayer holds 'silent'"),
        ("class Model:\n    bags: int = 3", "Model.py:2: bags holds 'bags'; say ensemble size"),
        ("def f(*, questions=1): ...", "questions holds 'questions'"),
        ("x.trunk = 1", "trunk holds 'trunk'"),
        ("from .a import quiet as q\nimport b as loud", "loud holds 'loud'"),
        ("MOST_FANS = 1", "MOST_FANS holds 'fans'"),
    ],
)
def test_a_word_of_the_left_column_is_seen(text: str, fault: str) -> None:
    found = faults(Path("Model.py"), text)
    assert len(found) == 1 and fault in found[0]


def test_other_words_are_let_through() -> None:
    text = "def outgrowth(task, echoes, baggage, unasked): return task.bags + f(silent=True)\n# asked questions\n'told'"
    assert faults(Path("module.py"), text) == []
    assert len(faults(Path("trunk.py"), "")) == 1
