"""LaTeX tables: the best is bold, the second underlined, and no text is a command."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relbench_harness.board.latex import SIGNS, ScoredRow, board_tables, escaped, table
from relbench_harness.board.leaderboard import leaderboard
from relbench_harness.protocol.result import Result

HOSTILE = r"\input{/etc/passwd} & 100% _a_ $x^2$ #1 ~ }{ --- [1ex] * `' <b> | \\"
READ = {command: sign for sign, command in SIGNS.items()}


def as_read(text: str) -> str:
    """What a reader of the document sees of escaped text."""
    return re.sub("|".join(map(re.escape, sorted(READ, key=len, reverse=True))), lambda found: READ[found.group()], text)


def scores(text: str) -> list[str]:
    """The second cell of each row."""
    return [line.split(" & ")[1].removesuffix(r" \\") for line in text.splitlines() if " & " in line][1:]


@pytest.mark.parametrize("sign", ["&", "%", "_", "\\", "{", "}", "$", "#", "~", "^", "[", "*", "|", "<"])
def test_every_sign_comes_out_as_text(sign: str) -> None:
    assert escaped(f"a{sign}b") == f"a{SIGNS[sign]}b" != f"a{sign}b"
    assert as_read(escaped(f"a{sign}b")) == f"a{sign}b"


@given(st.text(alphabet=st.sampled_from([*SIGNS, *"ab {}textbackslash"]), max_size=30))
def test_escaped_text_is_read_as_it_was(text: str) -> None:
    assert as_read(escaped(text)) == " ".join(text.split())
    # nothing is left that begins a command, a comment, a cell, a formula or a parameter
    assert not re.search(
        r"[\\&%$#_^~]", re.sub("|".join(map(re.escape, sorted(READ, key=len, reverse=True))), "", escaped(text))
    )


def test_hostile_text_stays_inside_its_cell() -> None:
    text = table(HOSTILE, ("Method", "s", HOSTILE), [ScoredRow(HOSTILE, 0.5, others=(HOSTILE,))], True)
    row = next(line for line in text.splitlines() if line.startswith(r"\textbackslash"))
    assert as_read(row.removesuffix(r" \\")) == f"{HOSTILE} & \\textbf{{0.5000}} & {HOSTILE}"
    assert re.search(r"(?<!\\)%", text) is None
    assert escaped("a\nb\tc\x00\x1b[31m") == "a b c\ufffd\ufffd{[}31m"


def test_the_best_is_bold_and_the_second_underlined() -> None:
    rows = [ScoredRow("a", 0.7), ScoredRow("b", 0.9), ScoredRow("c", 0.8), ScoredRow("d", float("nan"))]
    assert scores(table("x", ("m", "s"), rows, True)) == ["0.7000", r"\textbf{0.9000}", r"\underline{0.8000}", "--"]
    assert scores(table("x", ("m", "s"), rows, False)) == [r"\textbf{0.7000}", "0.9000", r"\underline{0.8000}", "--"]


def test_what_is_printed_alike_is_marked_alike() -> None:
    rows = [ScoredRow("a", 0.90001), ScoredRow("b", 0.90002), ScoredRow("c", 0.8)]
    assert scores(table("x", ("m", "s"), rows, True)) == [r"\textbf{0.9000}", r"\textbf{0.9000}", "0.8000"]


def test_methods_tie_by_interval() -> None:
    rows = [
        ScoredRow("a", 0.90, 0.01, 0.85, 0.95),
        ScoredRow("b", 0.88, low=0.84, high=0.92),
        ScoredRow("c", 0.86, low=0.84, high=0.89),
        ScoredRow("d", 0.80),
    ]
    found = scores(table("x", ("m", "s"), rows, True, digits=2))
    assert found == [
        r"\textbf{0.90} $\pm$ 0.01 {[}0.85, 0.95{]}",
        r"\textbf{0.88} {[}0.84, 0.92{]}",
        "0.86 {[}0.84, 0.89{]}",
        "0.80",
    ]


def test_a_leaderboard_is_one_table_for_each_ranking(result: Callable[..., Result]) -> None:
    results = [
        result(method, value, seed=seed) for method, value in (("good_one", 0.8), ("bad&one", 0.6)) for seed in (0, 1)
    ]
    results += [result("good_one", 0.5, "rel-f1/driver-position", task_type="regression"), result("failed", None)]
    board = leaderboard(results)
    text = board_tables(board)
    assert text.count(r"\begin{tabular}{lrrrr}") == text.count(r"\end{table}") == 2
    assert r"good\_one & \textbf{0.8000} $\pm$ 0.0000 & 2.0 & 0 + 10 & 2/2 \\" in text
    assert r"bad\&one & \underline{0.6000}" in text
    assert r"failed & -- & " in text
    assert r"rel{-}f1/driver{-}position, frozen, data aaaaaaaa: nmae, lower is better." in text
    with_ends = board.assign(low=board["test"] - 0.3, high=board["test"] + 0.3)
    assert board_tables(with_ends).count(r"\textbf") == 3
