"""The first screen in a real browser: what it says first, what opens, what can be taken away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from analysis.exporting import as_csv
from cot.store.run import open_run

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("without_figures")]


def emulate(browser: Any, *, width: int = 1280, height: int = 800, scheme: str = "light") -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


@pytest.fixture
def page(chromium: Any, report: Path) -> Iterator[Any]:
    """The planted report, freshly opened; its console is clean at the end."""
    emulate(chromium)
    chromium.get("about:blank")
    chromium.get_log("browser")
    chromium.get(report.as_uri())
    yield chromium
    assert [entry["message"] for entry in chromium.get_log("browser")] == []


def some(page: Any, selector: str) -> list[Any]:
    return list(page.find_elements(By.CSS_SELECTOR, selector))


def texts(page: Any, selector: str) -> list[str]:
    return [node.text for node in some(page, selector)]


def test_three_numbers_and_one_picture_fit_the_first_screen(page: Any) -> None:
    assert texts(page, ".three .value strong") == ["0.01", "0.62", "0.02"]
    assert texts(page, ".triangle .estimate") == ["0.01", "0.62", "0.02", "0.31"]
    assert texts(page, ".triangle text").count("no more than chance") == 2
    edges = some(page, ".triangle .edge")
    dashed = [edge.value_of_css_property("stroke-dasharray") != "none" for edge in edges]
    assert dashed == [True, False, True]
    bottom = page.execute_script(
        "return document.querySelector('.triangle').getBoundingClientRect().bottom"
    )
    assert bottom <= 800
    verdict = page.find_element(By.ID, "opening-title").text
    assert "the reasoning and the hidden states, are not shown to agree" in verdict


def test_the_planted_kind_comes_first_and_its_question_opens(page: Any) -> None:
    panels = some(page, ".kind-panel")
    assert panels[0].get_attribute("data-kind") == "right for the wrong reason"
    assert "5 of 8" in panels[0].text
    panels[0].find_element(By.LINK_TEXT, "q04").click()
    WebDriverWait(page, 60).until(
        lambda _: "Question q04" in page.find_element(By.ID, "question").text
    )


def test_a_click_finds_what_is_right_for_the_wrong_reason(page: Any) -> None:
    kind = "right for the wrong reason"
    chips = some(page, "#kinds [data-chip]")
    panels = some(page, "[data-kind]")
    assert [chip.get_attribute("data-chip") for chip in chips] == [
        panel.get_attribute("data-kind") for panel in panels
    ]
    chips[0].click()
    assert texts(page, "#question-table tbody th") == ["q04"]
    assert texts(page, "#question-table .kind.first") == [kind]
    emulate(page, width=375)
    edge = "return document.querySelector('.kind.first').getBoundingClientRect().right"
    assert page.execute_script(edge) <= 375


def test_the_first_panel_quotes_a_false_equation_which_opens_its_trace(page: Any) -> None:
    case = page.find_element(By.CSS_SELECTOR, ".cases li")
    assert "✓ 16 (8 of 8 traces); ✗ 5 of 8 that can be checked" in case.text
    case.find_element(By.LINK_TEXT, "7 + 9 = 17").click()
    WebDriverWait(page, 60).until(
        lambda _: page.switch_to.active_element.text.startswith("#0 16 ✓ right")
    )


def test_marks_are_one_tab_stop_and_open_their_question(page: Any) -> None:
    marks = some(page, "#kind-decided-before-reasoning a.mark")
    assert len(marks) == 6
    assert [mark.get_attribute("tabindex") for mark in marks] == ["0", *["-1"] * 5]
    page.execute_script("arguments[0].focus()", marks[0])
    marks[0].send_keys(Keys.ARROW_RIGHT, Keys.ARROW_LEFT, Keys.ARROW_RIGHT)
    focused = page.switch_to.active_element
    assert focused == marks[1]
    name = focused.get_attribute("aria-label")
    focused.send_keys(Keys.ENTER)
    opened = f"Question {name.split(',')[0]}"
    WebDriverWait(page, 60).until(lambda _: opened in page.find_element(By.ID, "question").text)


def test_panels_and_chips_are_one_state(page: Any) -> None:
    panel = "#kind-split-answers button.filter"
    chip = '[data-chip="split answers"]'
    some(page, panel)[0].click()
    pressed = [some(page, each)[0].get_attribute("aria-pressed") for each in (panel, chip)]
    assert pressed == ["true", "true"]
    assert page.find_element(By.ID, "shown").text == "9 of 12 questions"
    some(page, chip)[0].click()
    pressed = [some(page, each)[0].get_attribute("aria-pressed") for each in (panel, chip)]
    assert pressed == ["false", "false"]
    assert page.find_element(By.ID, "shown").text == "12 questions"


def test_a_table_downloads_as_export_writes_it(page: Any, report: Path, tmp_path: Path) -> None:
    page.execute_cdp_cmd(
        "Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    some(page, '#by-kind [data-download="agreement"]')[0].click()
    target = tmp_path / "agreement.csv"
    WebDriverWait(page, 60).until(lambda _: target.exists() and target.stat().st_size)
    run = open_run(report.parent)
    assert target.read_text(encoding="utf-8") == as_csv(run.table("agreement"))
    names = {node.get_attribute("data-download") for node in some(page, "#methods [data-download]")}
    assert {"votes", "lens_traces", "agreement_raters"} <= names


def test_a_phone_in_the_dark_needs_no_sideways_scroll(page: Any, report: Path) -> None:
    emulate(page, width=375, scheme="dark")
    page.get(report.as_uri())
    assert page.execute_script("return document.documentElement.scrollWidth") <= 375
    top = "return document.querySelector(arguments[0]).getBoundingClientRect().top"
    picture, numbers = (page.execute_script(top, name) for name in (".triangle", ".three"))
    assert picture < numbers
    fill = "return getComputedStyle(document.querySelector('.triangle .estimate')).fill"
    dark = page.execute_script(fill)
    emulate(page, width=375)
    assert page.execute_script(fill) != dark
