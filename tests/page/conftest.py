"""A headless Chromium that keeps its console and its network log, and a planted report: one of
each for all tests of a process, which read the report and don't write to its run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from planted import HOSTILE, planted_run

from analysis.calibration import calibrate
from analysis.page import write_report


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a planted run with every table, in which one trace, q03 #1, tries everything."""
    run = planted_run(tmp_path_factory.mktemp("report") / "run", texts={("q03", 1): HOSTILE})
    calibrate(run)
    return write_report(run)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A driver of the installed Chromium, which starts once."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    folder = tmp_path_factory.mktemp("chromium")
    for flag in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        f"--user-data-dir={folder}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})

    class Patient(webdriver.Chrome):
        """Waits until a page has drawn its figures, one by one after it has loaded."""

        def get(self, url: str) -> None:
            super().get(url)
            drawn = "return document.documentElement.dataset.drawing === undefined"
            WebDriverWait(self, 60).until(lambda _: self.execute_script(drawn))

    browser = Patient(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield browser
    finally:
        browser.quit()


@pytest.fixture(scope="module")
def chromium(browser: Any) -> Any:
    """The browser, without what another module's tests set or stored."""
    browser.get("about:blank")
    for command, given in (
        ("Emulation.clearDeviceMetricsOverride", {}),
        ("Emulation.setEmulatedMedia", {"media": "", "features": []}),
        ("Storage.clearDataForOrigin", {"origin": "file://", "storageTypes": "all"}),
    ):
        browser.execute_cdp_cmd(command, given)
    for log in ("browser", "performance"):
        browser.get_log(log)
    return browser


WITHOUT_FIGURES = """
new MutationObserver((_, self) => {
  const plotly = document.getElementById("plotly");
  if (plotly) { plotly.remove(); self.disconnect(); }
}).observe(document, { childList: true, subtree: true });
"""


@pytest.fixture(scope="module")
def without_figures(chromium: Any) -> Iterator[None]:
    """For tests that look at no figure: the library that draws them, which takes most of the time
    in which a page opens, is taken out as the page is read."""
    command = "Page.addScriptToEvaluateOnNewDocument"
    script = chromium.execute_cdp_cmd(command, {"source": WITHOUT_FIGURES})
    yield
    chromium.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
