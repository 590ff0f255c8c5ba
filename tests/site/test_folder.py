"""The folder of a site: nothing of anyone else's is touched, and what ends a publish leaves whole files and a way on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relbench_harness.errors import InputError
from relbench_harness.site import folder as folders
from relbench_harness.site.folder import LISTED, write_site
from relbench_harness.site.page_names import RESERVED, page_name

FIRST = {"index.html": "one", "tasks/a.html": "a", "methods/m.html": "m"}


def held(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != LISTED
    }


def test_an_earlier_site_is_replaced_and_its_other_pages_go(tmp_path: Path) -> None:
    write_site(tmp_path / "site", FIRST)
    assert held(tmp_path / "site") == FIRST
    second = {"index.html": "two", "methods/n.html": "n"}
    write_site(tmp_path / "site", second)
    assert held(tmp_path / "site") == second and not (tmp_path / "site" / "tasks").exists()


@pytest.mark.parametrize("name", ["mine.txt", "tasks/mine.html", "deep/er/mine.txt"])
def test_a_file_of_somebody_else_is_refused(tmp_path: Path, name: str) -> None:
    write_site(tmp_path, FIRST)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match="no part of a site"):
        write_site(tmp_path, {"index.html": "two"})
    assert held(tmp_path) == {**FIRST, name: "mine"}


@pytest.mark.parametrize(
    "listed",
    ["", "[]", '{"files": ["index.html"]}', '{"kind": "relbench-harness site", "files": ["../mine.txt"]}',
     '{"kind": "relbench-harness site", "files": ["/etc/passwd"]}', '{"kind": "relbench-harness site", "files": [1]}'],
)  # fmt: skip
def test_a_list_that_is_none_deletes_nothing(tmp_path: Path, listed: str) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / LISTED).write_text(listed)
    with pytest.raises(InputError, match="no list of the files of a site"):
        write_site(tmp_path / "site", FIRST)
    assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("survived", range(6))
def test_a_publish_that_was_ended_leaves_whole_pages_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    write_site(tmp_path, FIRST)
    second = {"index.html": "two", "tasks/b.html": "b", "methods/m.html": "new"}
    whole, left = folders.write_whole, survived

    def ended(path: Path, content: Any) -> None:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        whole(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(folders, "write_whole", ended)
        if survived < 5:
            with pytest.raises(KeyboardInterrupt):
                write_site(tmp_path, second)
        else:
            write_site(tmp_path, second)
    assert all(text in {FIRST.get(name), second.get(name)} for name, text in held(tmp_path).items())
    write_site(tmp_path, second)
    assert held(tmp_path) == second


names = st.text(st.characters(codec=None), max_size=100) | st.text("ab_-./A", max_size=12)


@given(st.sets(names, max_size=30))
def test_names_of_pages_are_safe_and_differ(several: set[str]) -> None:
    made = {name: page_name(name) for name in several}
    assert len({page.casefold() for page in made.values()}) == len(several)
    for page in made.values():
        assert len(page) <= 180 and set(page) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-")
        assert page[0] not in "._-" and page.endswith(".html") and not RESERVED.fullmatch(page)


def test_plain_names_stay_readable() -> None:
    assert page_name("rel-f1/driver-dnf") == "rel-f1__driver-dnf.html" and page_name("sql_xgboost") == "sql_xgboost.html"
    assert page_name("a/b__c") != page_name("a__b/c")
