"""Attention in a real browser: a head's cell opens its matrix, by hand and by keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from planted import HOSTILE, planted_run
from planted_attention import add_attention
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from analysis.page import write_report

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("without_figures")]


@pytest.fixture(scope="module")
def attended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("attended") / "run"
    run = planted_run(folder, tables=["answers", "steps"], texts={("q03", 1): HOSTILE})
    add_attention(run)
    return write_report(run)


@pytest.fixture
def page(chromium: Any, attended: Path) -> Iterator[Any]:
    """The report, freshly opened; its console is clean at the end."""
    resize(chromium, 1366)
    chromium.get("about:blank")
    chromium.get_log("browser")
    chromium.get(attended.as_uri())
    yield chromium
    assert [entry["message"] for entry in chromium.get_log("browser")] == []


def resize(browser: Any, width: int) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def some(page: Any, selector: str) -> list[Any]:
    return list(page.find_elements(By.CSS_SELECTOR, selector))


def title(page: Any) -> str:
    return str(some(page, "#attention-trace .about b")[0].text)


def cell(page: Any, layer: int, head: int) -> Any:
    return some(page, f"#attention-heads tbody tr:nth-child({layer}) td")[head]


def test_the_receiver_head_is_open_and_bold(page: Any) -> None:
    assert title(page) == "Layer 2, head 1"
    assert "best" in cell(page, 2, 1).get_attribute("class")
    assert cell(page, 2, 1).get_attribute("aria-current") == "true"
    assert len(some(page, "#attention-heads td.best")) == 1
    label = some(page, "#attention-trace svg")[0].get_attribute("aria-label")
    assert "Strongest: step " in label
    assert "to step 0, 0.0500" in label


def test_a_click_opens_a_head(page: Any) -> None:
    cell(page, 1, 0).click()
    assert title(page) == "Layer 1, head 0"
    said = some(page, "#attention-heads .readout")[0]
    assert said.text.startswith("Layer 1, head 0: receiver score −0.50")
    assert said.get_attribute("aria-live") == "polite"


def test_arrow_keys_walk_the_grid_and_open_heads(page: Any) -> None:
    cell(page, 1, 0).click()
    ActionChains(page).send_keys(Keys.ARROW_DOWN, Keys.ARROW_RIGHT, Keys.ARROW_DOWN).perform()
    assert title(page) == "Layer 3, head 1"
    assert page.switch_to.active_element == cell(page, 3, 1)
    assert len(some(page, "#attention-heads [aria-current]")) == 1


def test_a_cell_of_the_matrix_is_said_and_its_arc_lights_up(page: Any) -> None:
    place = some(page, "#attention-trace .heat tbody tr:nth-child(2) td")[0]
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", place)
    place.click()
    said = some(page, "#attention-trace .matrix .readout")[0].text
    assert said == "Mean attention weight 0.0500 from a token of step 1 to one of step 0."
    assert len(some(page, "#attention-trace path.lit")) == 1
    ActionChains(page).send_keys(Keys.ARROW_RIGHT).perform()
    assert "within step 1." in some(page, "#attention-trace .matrix .readout")[0].text
    assert some(page, "#attention-trace path.lit") == []


def test_another_measure_and_another_trace_can_be_chosen(page: Any) -> None:
    measure, trace = (Select(each) for each in some(page, "#attention select"))
    measure.select_by_visible_text("attention to the prompt")
    assert cell(page, 1, 2).text == "0.5"
    assert title(page) == "Layer 2, head 1"
    trace.select_by_visible_text(next(o.text for o in trace.options if o.text.startswith("q03")))
    assert "q03 #1" in some(page, "#attention-trace .about")[0].text
    assert page.execute_script("return window.hacked") is None


@pytest.mark.parametrize("width", [1366, 390])
def test_nothing_sticks_out_of_the_page(page: Any, width: int) -> None:
    resize(page, width)
    wide, inner = page.execute_script("return [document.body.scrollWidth, window.innerWidth]")
    assert wide <= inner
