"""CSV files are read strictly: what is wrong is named with its file and line, what is right has the right type."""

from __future__ import annotations

import datetime
import gzip
from pathlib import Path

import pyarrow as pa
import pytest

from relbench_harness.authoring.csv_files import csv_batches
from relbench_harness.authoring.new_dataset import new_dataset
from relbench_harness.authoring.wanted import Wanted
from relbench_harness.errors import InputError


def read(content: str | bytes, where: Path, name: str = "x.csv") -> tuple[pa.Table, list[str]]:
    raw = content.encode() if isinstance(content, str) else content
    path = where / name
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    notes: list[str] = []
    return pa.Table.from_batches(list(csv_batches([path], notes))), notes


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("id,b,c\n1,2,3\n1,2,3,4\n1,2,3\n", "line 3 of .*x.csv has 4 fields separated by ',', its header 3: '1,2,3,4'"),
        ("id,b\n1,2\n3,4,\n", "line 3 of .* has 3 fields"),
        ("id,b,c\n" + "1,2,3,4\n" * 9, "line 2 of .* has 4 fields"),
        ("id,b,c\n1,2\n1,2,3\n", "line 2 of .* has 2 fields"),
        ("id\n1\n2,3\n", "line 3 of .* has 2 fields"),
        ("id;b\n1;2\n1;2;3\n", "line 3 of .* has 3 fields separated by ';'"),
        ('id,b\n1,"x\ny"\n1,2,3\n', "line 4 of .* has 3 fields"),
        ('id,b\n1,2\n1,"2\n3,4\n', "line 3 of .*: the quotation that begins there is never closed"),
        ('id,b\n1,"2\n3,"4"\n', "line 2 of .*: a quotation ends within a field"),
        ('"id,b\n1,2\n', "line 1 of .*: a quotation mark is never closed"),
        ("id,b,ID\n1,2,3\n", "line 1 of .* names 'ID' twice: columns 1 and 3"),
        ("id,,b\n1,x,2\n", "line 1 of .* gives column 2 no name"),
        ("1,2,3\n4,5,6\n", "line 1 of .* holds values"),
        ("", "is empty"),
        ("id,b\n1,x\n2,Müller\n".encode("latin-1"), "line 3 of .* is not UTF-8"),
        ("id,b\n1,2\n".encode("utf-16"), "is UTF-16"),
    ],
)
def test_a_file_at_fault_is_named_with_its_line(content: str | bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says):
        read(content, tmp_path)


def test_an_import_of_a_file_at_fault_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    rows = "".join(f"{i},2020-01-{1 + i % 28:02}\n" for i in range(5_000))
    (tmp_path / "in" / "orders.csv").write_text("id,at\n" + rows + "5000,2020-01-01,extra\n" + rows)
    with pytest.raises(InputError, match=r"line 5002 of .*orders.csv has 3 fields"):
        new_dataset("x", str(tmp_path / "in"), tmp_path / "out", Wanted())
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("content", "name", "names"),
    [
        ("a;b,c;d\n1;2;3\n", "x.csv", ["a", "b,c", "d"]),
        ("id,name;alias\n1,a;b\n2,c\n", "x.csv", ["id", "name;alias"]),
        ("a\tb,c\n1\t2\n", "x.tsv", ["a", "b,c"]),
        ("a|b\n1|2\n", "x.csv", ["a", "b"]),
        ("a, b\n1,2\n", "x.csv.gz", ["a", "b"]),
        ("\ufeffa,b\n1,2\n", "x.csv", ["a", "b"]),
        ("a,b\r\n1,2\r\n", "x.csv", ["a", "b"]),
        ("a,b\n1,2\r\n3,4\n", "x.csv", ["a", "b"]),
        ('a,"b\nc"\n1,2\n', "x.csv", ["a", "b\nc"]),
        (",a\n0,5\n1,6\n", "x.csv", ["a"]),
        ("a,b,\n1,2,\n3,4,\n", "x.csv", ["a", "b"]),
    ],
)
def test_the_header_says_how_a_file_is_laid_out(content: str, name: str, names: list[str], tmp_path: Path) -> None:
    rows, _ = read(content, tmp_path, name)
    assert rows.column_names == names
    assert rows.num_rows == content.replace("b\nc", "").count("\n") - 1


@pytest.mark.parametrize(
    ("values", "kind", "first"),
    [
        (["1", " 2"], pa.int64(), 1),
        (["1", ""], pa.int64(), 1),
        (["007", "8"], pa.string(), "007"),
        (["1", "several"], pa.string(), "1"),
        (["1_000", "2"], pa.string(), "1_000"),
        (["12345678901234567890", "1"], pa.decimal128(38, 0), 12345678901234567890),
        (["1" * 40, "2"], pa.string(), "1" * 40),
        (["1.5", "2e3"], pa.float64(), 1.5),
        (["nan", "1"], pa.float64(), None),
        (["true", "FALSE"], pa.bool_(), True),
        (["2020-02-29", "9999-12-31"], pa.date32(), datetime.date(2020, 2, 29)),
        (["2021-02-28", "2021-02-30"], pa.string(), "2021-02-28"),
        (["2020-01-01", "2020-01-01 10:00"], pa.timestamp("us"), datetime.datetime(2020, 1, 1)),
        (["31.12.2020", "01.02.2020"], pa.timestamp("us"), datetime.datetime(2020, 12, 31)),
        (["03/04/2020", "14/03/2020"], pa.timestamp("us"), datetime.datetime(2020, 4, 3)),
        (["03/04/2020", "03/14/2020"], pa.timestamp("us"), datetime.datetime(2020, 3, 4)),
        (["03/04/2020", "05/06/2020"], pa.string(), "03/04/2020"),
        (["", ""], pa.string(), None),
    ],
)
def test_types_are_decided_on_all_rows(values: list[str], kind: pa.DataType, first: object, tmp_path: Path) -> None:
    """The value that settles it stands in the last of 10,000 rows."""
    many = [values[0]] * 9_999 + [values[1]]
    rows, _ = read("id,v\n" + "".join(f"{i},{v}\n" for i, v in enumerate(many)), tmp_path)
    assert rows.schema.field("v").type == kind
    got = rows.column("v")[0].as_py()
    assert got == first or (first is None and got != got)


def test_a_wide_file_has_types_in_every_column(tmp_path: Path) -> None:
    count = 100
    lines = [",".join(f"w{i}" if i % 3 else str(i + row) for i in range(count)) for row in range(50)]
    rows, _ = read(",".join(f"c{i}" for i in range(count)) + "\n" + "\n".join(lines) + "\n", tmp_path)
    assert [f.type for f in rows.schema] == [pa.string() if i % 3 else pa.int64() for i in range(count)]
    assert rows.column("c99").to_pylist() == [99 + row for row in range(50)]


def test_dates_that_may_be_read_in_two_ways_are_told_of(tmp_path: Path) -> None:
    where = tmp_path / "in"
    where.mkdir()
    days = [f"{1 + i % 12:02}/{1 + i // 12:02}/2020" for i in range(140)]
    (where / "sales.csv").write_text("sale_id,day\n" + "".join(f"{i},{d}\n" for i, d in enumerate(days)))
    with pytest.raises(InputError, match="no table has a column that is surely its time"):
        new_dataset("x", str(where), tmp_path, Wanted())
    imported = new_dataset("x", str(where), tmp_path, Wanted(times={"sales": "day:%d/%m/%Y"}))
    assert any("day first and with the month first" in note for note in imported.notes)
    assert imported.written["sales"].spec.time_col == "day"


def test_a_semicolon_file_has_decimal_commas(tmp_path: Path) -> None:
    rows, _ = read("id;price;code\n1;3,5;1,2,3\n2;4;x\n", tmp_path)
    assert rows.to_pylist() == [{"id": 1, "price": 3.5, "code": "1,2,3"}, {"id": 2, "price": 4.0, "code": "x"}]
    rows, _ = read('id,price\n1,"3,5"\n', tmp_path)
    assert rows.column("price").to_pylist() == ["3,5"], "where commas separate, a comma in a field is text"


def test_a_file_of_a_header_is_an_empty_table(tmp_path: Path) -> None:
    where = tmp_path / "in"
    where.mkdir()
    (where / "returns.csv").write_text("order_id,reason\n")
    (where / "orders.csv").write_text("order_id,at\n" + "".join(f"{i},2020-01-{1 + i % 28:02}\n" for i in range(60)))
    imported = new_dataset("x", str(where), tmp_path, Wanted())
    assert imported.written["returns"].rows == 0 and imported.written["orders"].rows == 60
    import pyarrow.parquet as pq

    schema = pq.read_schema(imported.folder / "db" / "returns.parquet")
    assert schema.names == ["order_id", "reason"]


def test_a_folder_of_csv_parts_is_one_table(tmp_path: Path) -> None:
    parts = tmp_path / "in" / "orders"
    parts.mkdir(parents=True)
    for part in range(3):
        lines = "".join(f"{part * 20 + i},2020-0{1 + part}-{1 + i:02},{i if part < 2 else 'x'}\n" for i in range(20))
        (parts / f"{part}.csv").write_text("order_id,at,v\n" + lines)
    imported = new_dataset("x", str(tmp_path / "in"), tmp_path, Wanted())
    assert imported.written["orders"].rows == 60
    (parts / "3.csv").write_text("order_id,when\n1,2\n")
    with pytest.raises(InputError, match=r"line 1 of .*3.csv names other columns than 0.csv"):
        new_dataset("y", str(tmp_path / "in"), tmp_path, Wanted())
