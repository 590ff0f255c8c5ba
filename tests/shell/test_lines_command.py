"""`relbench-harness lines`: what it prints adds up to what a run stores."""

from __future__ import annotations

import re

import pytest

from relbench_harness.board import lines
from relbench_harness.cli import main
from relbench_harness.compose import make_method
from relbench_harness.request import written_for

ROW = re.compile(r"^ *([\d,]+) +([\d,]+) +([\d,]+)  (.+)$", re.MULTILINE)


@pytest.mark.parametrize(
    ("method", "task"), [("sql_xgboost", "rel-f1/driver-dnf"), ("gnn", "rel-shop@scale=1/customer-churn")]
)
def test_the_totals_are_what_a_run_stores(method: str, task: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lines", method, task]) == 0
    shown = capsys.readouterr().out
    made, config = make_method(method)
    stored = lines.count(config, written_for(made, task))
    for part in ("task", "method", "harness"):
        section = shown.partition(f"\n{part}: ")[2].partition("\n\n")[0]
        *files, total = [([int(number.replace(",", "")) for number in row[:3]], row[3]) for row in ROW.findall(section)]
        assert total[0] == [stored[part], stored["tokens"][part], stored["gzip"][part]]
        assert total[0] == [sum(column) for column in zip(*(numbers for numbers, _ in files), strict=True)] or not files
        if part != "harness":
            assert [name for _, name in files] == stored["files"][part]
    assert "Not counted: blank lines" in shown


def test_every_file_of_the_harness_can_be_seen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lines", "constant", "rel-f1/driver-dnf", "--every-file"]) == 0
    assert "relbench_harness/board/plain_code.py" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["gn", "rel-f1/driver-dnf"], "no method 'gn'; did you mean 'gnn'?"),
        (["gnn", "rel-f1/driver-dn"], "no task 'driver-dn' in dataset rel-f1"),
        (["gnn", "driver-dnf"], "is no task address"),
        (["sql_xgboost", "little-shop/churn"], "has no hand-written features"),
    ],
)
@pytest.mark.usefixtures("shop_path")
def test_bad_input_is_one_sentence(given: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lines", *given]) == 2
    assert message in capsys.readouterr().err
