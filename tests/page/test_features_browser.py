"""A feature's card in a real browser: chosen from a list, read by keyboard, nothing obeyed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from planted import HOSTILE, planted_run
from planted_feature_tables import HOSTILE_TOKEN, write_features
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from analysis.page import write_report

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("without_figures")]
STEPS = "#feature-card .strongest li"


@pytest.fixture(scope="module")
def features_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features") / "run"
    run = planted_run(folder, tables=["answers", "steps"], texts={("q03", 1): HOSTILE})
    write_features(run)
    return write_report(run)


@pytest.fixture
def page(chromium: Any, features_report: Path) -> Iterator[Any]:
    emulate(chromium, 1366)
    chromium.get("about:blank")
    chromium.get_log("browser")
    chromium.get(features_report.as_uri())
    yield chromium
    assert [entry["message"] for entry in chromium.get_log("browser")] == []


def emulate(browser: Any, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def some(page: Any, selector: str) -> list[Any]:
    return list(page.find_elements(By.CSS_SELECTOR, selector))


def test_the_chosen_feature_is_shown_first_and_another_can_be_chosen(page: Any) -> None:
    assert len(some(page, STEPS)) == 3
    assert "q03 #1" in some(page, STEPS)[0].text
    assert "fitted on" in some(page, STEPS)[1].text
    facts = some(page, "#feature-card .facts")[0].text
    assert "0.82 (0.72 to 0.92), q = 0.010" in facts
    assert "70% · 20% of states" in facts
    Select(some(page, "#feature-card select")[0]).select_by_index(3)
    assert some(page, STEPS) == []
    assert "on in no state" in some(page, "#feature-card")[0].text


def test_tokens_and_texts_of_a_model_are_text(page: Any) -> None:
    shown = [each.text for each in some(page, "#feature-card .token")]
    assert shown == ["·total", HOSTILE_TOKEN]
    assert some(page, "#feature-card script, #feature-card img") == []


def test_the_maps_are_read_by_keyboard(page: Any) -> None:
    first = some(page, "#feature-card .heat tbody td[tabindex='0']")[0]
    page.execute_script("arguments[0].focus()", first)
    line = some(page, "#feature-card .readout")[0]
    assert line.text == "Fifth 1 of right traces: on in 70% of states."
    page.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    assert line.text == "Fifth 1 of wrong traces: on in 20% of states."
    assert line.get_attribute("aria-live") == "polite"


@pytest.mark.parametrize("width", [1366, 390])
def test_nothing_is_wider_than_the_screen(page: Any, width: int) -> None:
    emulate(page, width)
    page.refresh()
    assert page.execute_script("return document.documentElement.scrollWidth") <= width


def test_a_checker_of_accessibility_finds_nothing(page: Any) -> None:
    from axe_core_python.selenium import Axe

    found = Axe().run(page, context="#features")["violations"]
    assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in found] == []
