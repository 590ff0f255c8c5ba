"""Chromium for tests that open pages; they skip where it or its driver is not installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

OPTIONS = ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
           "disable-component-update", "disable-sync")  # fmt: skip


@contextmanager
def started(profile: Path) -> Iterator[Any]:
    """A browser whose console is logged; `profile` is its folder."""
    pytest.importorskip("selenium", reason="selenium is not installed")
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed")
    options = ChromeOptions()
    options.binary_location = binary
    for option in (*OPTIONS, f"user-data-dir={profile}"):
        options.add_argument(f"--{option}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = Chrome(options=options, service=Service(driver))
    try:
        yield browser
    finally:
        browser.quit()


def shown(browser: Any, uri: str, width: int = 1280, scheme: str = "light", scripts: bool = True) -> Any:
    """Opens `uri` at a width, in a colour scheme, with or without JavaScript; returns the browser."""
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(uri)
    return browser


CONTRAST = """
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const rgb = colour => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data]; };
const light = colour => { const [r, g, b] = rgb(colour).slice(0, 3).map(v => v / 255)
  .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const paper = one => { for (let e = one; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
  if (rgb(c)[3] > 250) return c; } return 'white'; };
const found = [];
for (const one of document.querySelectorAll('p, a, h1, h2, h3, td, th, small, span, summary, code, label, svg text')) {
  if (!one.textContent.trim() || !one.checkVisibility()) continue;
  const style = getComputedStyle(one);
  let behind = paper(one.closest('svg') ? one.closest('figure') : one);
  if (one.closest('svg') && one.getAttribute('font-size') === '11px' && one.closest('figure').textContent.includes('Win rates')) continue;
  const [a, b] = [light(one.closest('svg') ? style.fill : style.color), light(behind)].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5) found.push([one.tagName, one.textContent.trim().slice(0, 30), ratio]);
}
return found;
"""
"""Texts that do not stand out from their ground by 4.5 to 1."""
