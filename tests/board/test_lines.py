"""Golden counts on small files, and what must not change them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from relbench_harness.board import lines, method_files
from relbench_harness.errors import InputError

PYTHON = '''"""A module
says what it is for."""

# a comment
from dataclasses import dataclass


@dataclass
class Mean:
    """Mean."""

    k: int = 3

    def fit(self, x):  # why
        """Doc.

        More.
        """
        text = """not a
        docstring"""
        return sum(
            x,
            start=0,
        ), text, f"{self.k} {x[0]!r}"
'''


def test_python_counts_statements_and_no_prose() -> None:
    # from, @dataclass, class, k, def, text, return
    count, tokens = lines.count_python(PYTHON)
    assert count == 7
    # from dataclasses import dataclass 4; @ dataclass 2; class Mean : 3; k : int = 3 5; def fit self x : 5;
    # text = "…" 3; return sum x start = 0 text f"…" 8
    assert tokens == 4 + 2 + 3 + 5 + 5 + 3 + 8


def test_a_docstring_alone_is_nothing_and_a_constant_string_is_a_line() -> None:
    assert lines.count_python('"""Doc."""\n') == (0, 0)
    assert lines.count_python("") == (0, 0)
    assert lines.count_python('x = 1\n"""no docstring: code stands before it"""\n') == (2, 4)


def test_tokens_do_not_depend_on_layout() -> None:
    wide = 'def f(a, b):\n    return g("one two", (a), b)\n'
    long = 'def f(\n    a,\n    b,\n):\n    return (\n        g(\n            "one "\n            "two",\n            a,\n            b,\n        )\n    )\n'
    assert lines.count_python(wide) == lines.count_python(long)


def test_the_formatter_changes_no_count(tmp_path: Path) -> None:
    ugly = tmp_path / "ugly.py"
    ugly.write_text(
        PYTHON.replace("(self, x)", "(\n        self,\n        x,\n    )").replace("    k: int = 3", "    k : int=(3)")
    )
    before = lines.count_file(ugly)
    subprocess.run([sys.executable, "-m", "ruff", "format", "--isolated", "-q", str(ugly)], check=True)
    assert lines.count_file(ugly) == before


def test_sql_counts_lines_that_hold_more_than_comments() -> None:
    text = "-- why\nselect a, sum(b) -- what\n\nfrom t /* of\nold */\nwhere a = 'x\ny';\n"
    # select a sum b | from t | where a = '…'
    assert lines.count_lexed(text, "postgresql")[0] == 4
    spaced = text.replace("select a, sum(b)", "select\n  a,\n  sum(b)")
    assert lines.count_lexed(spaced, "postgresql")[1] == lines.count_lexed(text, "postgresql")[1]


def test_yaml_counts_lines_that_hold_more_than_comments() -> None:
    assert lines.count_lexed("# why\na: 1\n\nb:\n  - 2  # two\n", "yaml")[0] == 3


def test_gzip_bytes_do_not_depend_on_layout_and_prose(tmp_path: Path) -> None:
    """Comments, docstrings, blank lines and indentation are free; code is not, and repeated code is cheap."""

    def bytes_of(text: str, suffix: str = ".py") -> int:
        (tmp_path / f"a{suffix}").write_text(text)
        return lines.count_file(tmp_path / f"a{suffix}").gzip

    bare = "class M:\n    k = 3\n\n    def fit(self, x):\n        return self.k * x\n"
    spoken = '"""Why."""\n# what\nclass M:\n  """M."""\n\n  k=(3)\n  def fit( self, x ):\n      return (\n self.k*x)  # x\n'
    assert bytes_of(bare) == bytes_of(spoken) > 20
    assert bytes_of("") == bytes_of('"""Doc."""\n') == bytes_of("-- why\n\n", ".sql") == 0
    assert bytes_of("select a -- b\n\nfrom t  /* c */\n", ".sql") == bytes_of("select a\nfrom t\n", ".sql")
    once, more = "x = f(1)\n", bytes_of("".join(f"x{i} = {i * 7919 % 1000} + y{i * 31}\n" for i in range(20)))
    assert bytes_of(once) < bytes_of(once * 20) < more


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(InputError, match=r"a\.txt cannot be counted"):
        lines.count_file(tmp_path / "a.txt")


@pytest.fixture
def baselines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "baselines"
    folder.mkdir()
    (folder / "tree.py").write_text("from .common import f\nfrom . import leaf\nx = f\n")
    (folder / "common.py").write_text("from .leaf import g\nf = g\n")
    (folder / "leaf.py").write_text("g = 1\n")
    (folder / "alone.py").write_text("h = 1\n")
    for module in (lines, method_files):
        monkeypatch.setattr(module, "home", lambda what: tmp_path / what)
    return folder


def test_a_method_is_its_file_and_those_it_imports_from_the_baselines(baselines: Path) -> None:
    count = lines.count_method("relbench_harness.baselines.tree.Tree")
    assert count.files == ("baselines/common.py", "baselines/leaf.py", "baselines/tree.py")
    assert count.lines == 6
    assert lines.count_method("relbench_harness.baselines.alone.H").lines == 1


def test_packages_of_two_levels_are_followed(baselines: Path) -> None:
    """Relative imports up and down, a package by its name, a module as a member of its package, a package's own code."""
    files = {
        "__init__.py": "",
        "trees/__init__.py": "",
        "trees/method.py": "from ..common import f\nfrom .boosters import Booster\nfrom .boosters.native import n\nm = f\n",
        "trees/boosters/__init__.py": "from .xgb import Booster\n",
        "trees/boosters/xgb.py": "from ...trees import staleness\nclass Booster: pass\n",
        "trees/boosters/native.py": "n = 1\n",
        "trees/boosters/unused.py": "u = 1\n",
        "trees/staleness.py": "s = 1\n",
        "hybrid.py": "from .trees.method import m\n",
    }
    for name, text in files.items():
        (baselines / name).parent.mkdir(parents=True, exist_ok=True)
        (baselines / name).write_text(text)
    tree = ("trees/boosters/__init__.py", "trees/boosters/native.py", "trees/boosters/xgb.py", "trees/method.py",
            "trees/staleness.py")  # fmt: skip
    own = tuple(f"baselines/{name}" for name in ("common.py", "leaf.py", *tree))
    assert lines.count_method("relbench_harness.baselines.trees.method.Trees").files == own
    assert set(lines.count_method("relbench_harness.baselines.hybrid.Hybrid").files) == {*own, "baselines/hybrid.py"}
    # a class named by its package, whose code runs whenever a module of it is imported
    boosters = {*tree[:1], *tree[2:3], *tree[4:]}
    assert set(lines.count_method("relbench_harness.baselines.trees.boosters.Booster").files) == {
        f"baselines/{name}" for name in boosters
    }
    native = lines.count_method("relbench_harness.baselines.trees.boosters.native.n").files
    assert set(native) == {f"baselines/{name}" for name in {*boosters, "trees/boosters/native.py"}}
    with pytest.raises(InputError, match=r"no module holds 'relbench_harness\.baselines\.tree_s\.method\.X'"):
        lines.count_method("relbench_harness.baselines.tree_s.method.X")


def test_every_target_of_a_config_counts_and_shared_code_counts_as_harness(baselines: Path, tmp_path: Path) -> None:
    (tmp_path / "features.sql").write_text("select 1;\n-- done\n")
    config = {
        "_target_": "relbench_harness.baselines.alone.H",
        "parts": [{"_target_": "relbench_harness.baselines.leaf.G"}, {"_target_": "relbench_harness.features.dfs.Deep"}],
        "path": str(tmp_path / "features.sql"),
    }
    found = lines.count(config, overrides=["depth=3"])
    assert (found["task"], found["method"]) == (2, 2)
    assert found["files"]["method"] == ["baselines/alone.py", "baselines/leaf.py"]
    assert found["files"]["task"] == ["features.sql", "depth=3"]
    assert found["harness"] == lines.count_harness().lines > 500
    assert "baselines" not in " ".join(lines.count_harness().files)


def test_an_unknown_target_is_named(baselines: Path) -> None:
    with pytest.raises(InputError, match=r"no module holds 'relbench_harness\.baselines\.absent\.X'"):
        lines.count_method("relbench_harness.baselines.absent.X")
    with pytest.raises(InputError, match=r"no module holds 'not_there_at_all\.X'"):
        lines.count_method("not_there_at_all.X")


def test_a_plugin_outside_the_harness_counts_by_its_own_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "my_plugin"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "model.py").write_text("import numpy\nfrom .part import p\nclass M: pass\n")
    (package / "part.py").write_text("p = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert lines.count_method("my_plugin.model.M").lines == 4
