"""A site in Chromium, opened from disk: no error, no script of the data's, sorting, filtering, narrow, dark and without JavaScript.

One browser serves all tests. Where Chromium or its driver is not installed they skip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import chromium
import pytest
from chromium import CONTRAST
from site_results import CHURN, LONG

from relbench_harness.site.page_names import page_name

selenium = pytest.importorskip("selenium", reason="selenium is not installed")
from selenium.webdriver import Chrome, Keys  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402

TABLE = f'section[data-task="{CHURN}"][data-regime="rolling"] > .box table'
Open = Callable[..., Chrome]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium.started(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture
def opened(browser: Chrome, site: Path) -> Open:
    """Opens a page of the site at a width, in a colour scheme, with or without JavaScript."""

    def open_page(page: str = "index.html", width: int = 1280, scheme: str = "light", scripts: bool = True) -> Chrome:
        return chromium.shown(browser, (site / page).as_uri(), width, scheme, scripts)

    return open_page


def every_page(site: Path) -> list[str]:
    return [path.relative_to(site).as_posix() for path in sorted(site.rglob("*.html"))]


def column(browser: Chrome, table: str, place: int) -> list[str]:
    """The visible text of a column."""
    script = """return [...document.querySelector(arguments[0]).tBodies[0].rows]
        .filter(row => row.offsetParent !== null).map(row => row.cells[arguments[1]].textContent.trim())"""
    found: list[str] = browser.execute_script(script, table, place)
    return found


def heading(browser: Chrome, text: str) -> Any:
    return next(cell for cell in browser.find_elements(By.CSS_SELECTOR, f"{TABLE} th") if cell.text.strip() == text)


def test_no_page_has_an_error_or_scrolls_sideways_on_a_phone(opened: Open, site: Path) -> None:
    for page in every_page(site):
        browser = opened(page, width=390)
        # what opens when a reader asks for it counts as well
        browser.execute_script("document.querySelectorAll('details').forEach(one => one.open = true)")
        wide: list[int] = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
        assert wide[0] <= 390 == wide[1], page
        assert browser.get_log("browser") == [], page


def test_tables_sort_by_their_headings_and_failures_stay_last(opened: Open) -> None:
    browser = opened()
    assert column(browser, TABLE, 1)[:3] == ["beta", "alpha", column(browser, TABLE, 1)[2]]
    assert column(browser, TABLE, 1)[-1] == "broken"
    scores = heading(browser, "AUROC")
    button = scores.find_element(By.TAG_NAME, "button")
    button.click()
    assert scores.get_attribute("aria-sort") == "ascending"
    up = column(browser, TABLE, 2)
    assert up[:-1] == sorted(up[:-1]) and column(browser, TABLE, 1)[-1] == "broken"
    button.send_keys(Keys.ENTER)
    assert scores.get_attribute("aria-sort") == "descending"
    down = column(browser, TABLE, 2)
    assert down == [*reversed(up[:-1]), up[-1]] and column(browser, TABLE, 1)[-1] == "broken"
    heading(browser, "Method").find_element(By.TAG_NAME, "button").click()
    assert scores.get_attribute("aria-sort") is None
    names = column(browser, TABLE, 1)[:-1]
    assert names == sorted(names, key=str.lower) and LONG in names


def test_filters_leave_what_fits(opened: Open) -> None:
    browser = opened()
    form = browser.find_element(By.ID, "filters")
    assert form.is_displayed()

    def shown() -> list[tuple[str | None, str | None]]:
        sections = browser.find_elements(By.CSS_SELECTOR, "section.filtered[data-task]")
        return [(s.get_attribute("data-task"), s.get_attribute("data-regime")) for s in sections if s.is_displayed()]

    def choose(name: str, value: str) -> None:
        browser.execute_script(
            "const one = document.querySelector(`[name=${arguments[0]}]`); one.value = arguments[1];"
            "one.dispatchEvent(new Event('input', {bubbles: true}))",
            name,
            value,
        )

    everything = shown()
    assert len(everything) == 4
    choose("regime", "frozen")
    assert shown() == [(CHURN, "frozen")]
    choose("regime", "")
    choose("type", "regression")
    assert shown() == [("house/spend", "rolling")]
    assert not browser.find_element(By.ID, "across").is_displayed()
    choose("type", "")
    choose("dataset", "house")
    assert len(shown()) == 3
    browser.find_element(By.NAME, "text").send_keys("alp")
    assert column(browser, TABLE, 1) == ["alpha"]
    assert form.find_element(By.TAG_NAME, "output").text == "3 rows"
    browser.find_element(By.NAME, "text").send_keys("xyz")
    assert shown() == [] and browser.find_element(By.ID, "none").is_displayed()
    form.find_element(By.CSS_SELECTOR, "button[type=reset]").click()
    browser.execute_async_script("setTimeout(arguments[0], 50)")
    assert shown() == everything


def test_without_javascript_every_table_is_there_and_nothing_offers_what_it_cannot_do(opened: Open) -> None:
    browser = opened(scripts=False)
    try:
        assert not browser.find_element(By.ID, "filters").is_displayed()
        assert browser.find_elements(By.CSS_SELECTOR, "th button") == []
        rows = browser.find_elements(By.CSS_SELECTOR, f"{TABLE} tbody tr")
        assert len(rows) == 5 and all(row.is_displayed() for row in rows)
    finally:
        opened(scripts=True)


def test_the_keyboard_finds_the_skip_link_first_and_sees_where_it_is(opened: Open) -> None:
    browser = opened()
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    link = browser.switch_to.active_element
    assert link.text == "Skip to content" and link.location["x"] >= 0
    link.send_keys(Keys.ENTER)
    assert browser.execute_script("return document.activeElement.id") == "content"
    heading(browser, "Method").find_element(By.TAG_NAME, "button").send_keys(Keys.TAB)
    outline = browser.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(opened: Open, scheme: str) -> None:
    for page in ("index.html", f"tasks/{page_name(CHURN)}"):
        assert opened(page, scheme=scheme).execute_script(CONTRAST) == [], page
    ground = opened(scheme=scheme).execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") is (scheme == "light")
