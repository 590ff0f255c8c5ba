"""The report in Chromium, opened from disk: no error, nothing sideways on a phone, readable in both schemes and by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import chromium
import pytest
from chromium import CONTRAST, shown

from relbench_harness.trial.carried import Carried


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium.started(tmp_path_factory.mktemp("chromium")) as started:
        yield started


def test_it_opens_without_error_and_fits_a_phone(browser: Any, tried: Carried) -> None:
    page = shown(browser, tried.path.as_uri(), width=390)
    wide = page.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert wide[0] <= 390 == wide[1]
    assert page.get_log("browser") == []
    assert (
        page.execute_script(
            "return performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length"
        )
        == 0
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Any, tried: Carried, scheme: str) -> None:
    assert shown(browser, tried.path.as_uri(), scheme=scheme).execute_script(CONTRAST) == []


def test_tables_are_there_without_javascript_and_sort_with_it(browser: Any, tried: Carried) -> None:
    rows = "return document.querySelectorAll('#leaderboard ~ .box tbody tr').length"
    page = shown(browser, tried.path.as_uri())
    known = page.execute_script(rows)
    assert known > 3 and page.execute_script("return document.querySelectorAll('th button').length") > 5
    try:
        page = shown(browser, tried.path.as_uri(), scripts=False)
        assert page.find_elements("css selector", "th button") == []
        assert len(page.find_elements("css selector", "#leaderboard ~ .box tbody tr")) == known
    finally:
        shown(browser, tried.path.as_uri())


def test_every_link_leads_to_a_part(browser: Any, tried: Carried) -> None:
    page = shown(browser, tried.path.as_uri())
    script = "return [...document.querySelectorAll('a[href^=\"#\"]')].filter(a => !document.querySelector(a.getAttribute('href'))).length"
    assert page.execute_script(script) == 0
