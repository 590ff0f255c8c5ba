"""Templates: what is filled in, how names are quoted, and that both dialects mean the same."""

from __future__ import annotations

import duckdb
import pandas as pd
import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from relbench_harness.features.dfs.formulas import DATE_PARTS, FORMULAS, TRANSFORMS
from relbench_harness.features.dfs.lifting import lifted
from relbench_harness.features.dfs.sql import SPELLINGS, Sql


@pytest.mark.parametrize(
    ("template", "parts", "made"),
    [
        ("SELECT k, $values FROM $r AS r", {"values": "", "r": "r0"}, 'SELECT "k" FROM r0 AS "r"'),
        ("SELECT $values FROM $r AS r", {"values": "a, b", "r": "SELECT 1"}, 'SELECT a, b FROM (SELECT 1) AS "r"'),
        ("LEFT JOIN $r AS $x ON $x.row = s.t", {"r": "r1", "x": "x1"}, 'LEFT JOIN r1 AS x1 ON x1."row" = "s"."t"'),
        ("WHERE $a IS NOT NULL", {"a": "$b"}, "WHERE NOT $b IS NULL"),
    ],
)
def test_templates_are_filled(template: str, parts: dict[str, str], made: str) -> None:
    """Once: what is filled in may look like a placeholder itself."""
    assert Sql("duckdb")(template, **parts) == made


def test_a_placeholder_without_part_is_an_error() -> None:
    with pytest.raises(KeyError, match="b"):
        Sql("duckdb")("$a + $b", a="1")


@given(name=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_any_name_is_one_column(name: str) -> None:
    for hard in (name, f'{name}"', f"{name}`;--", "select"):
        text = f"SELECT 1 AS {Sql('duckdb').name(hard)}"
        assert duckdb.sql(text).columns == [hard]
        spark = sqlglot.parse_one(f"SELECT 1 AS {Sql('spark').name(hard)}", read="spark")
        assert spark.named_selects == [hard]


def test_parts_of_a_date_are_those_of_pandas() -> None:
    days = pd.date_range("1999-12-20", periods=400, freq="37h")
    moments = ", ".join(f"({day.value})" for day in days)
    for part, template in DATE_PARTS.items():
        found = duckdb.sql(f"SELECT {Sql('duckdb')(template, x='x')} FROM (VALUES {moments}) AS m(x) ORDER BY x").fetchall()
        assert [value for (value,) in found] == getattr(days, part).astype(float).tolist()


def test_every_template_has_both_dialects() -> None:
    """Parsed anew by the dialect it was spelled in, with no name left that only the templates know."""
    for template in (*TRANSFORMS.values(), *(lifted(formula).template for formula in FORMULAS.values())):
        for dialect in ("duckdb", "spark"):
            names = ["x", "row", "codes", "unit", "v", "w"] + [f"call{i}" for i in range(10)]
            text = Sql(dialect)(template, **dict.fromkeys(names, "a"))
            assert sqlglot.parse_one(text, read=dialect)
            assert not any(name in text for name in SPELLINGS)
