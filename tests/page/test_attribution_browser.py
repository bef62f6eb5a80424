"""Which step carries the answer, in a real browser: text shaded by the method that is chosen."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from planted import HOSTILE, planted_run
from planted_attributions import METHODS, add_attributions
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from analysis.page import write_report

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("without_figures")]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "run"
    run = planted_run(folder, tables=["answers", "steps"], texts={("q03", 1): HOSTILE})
    add_attributions(run)
    return write_report(run)


def emulate(browser: Any, *, width: int = 1366, scheme: str = "light") -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


@pytest.fixture
def page(chromium: Any, report: Path) -> Iterator[Any]:
    emulate(chromium)
    chromium.get("about:blank")
    chromium.get_log("browser")
    chromium.get(report.as_uri())
    yield chromium
    assert [entry["message"] for entry in chromium.get_log("browser")] == []


def some(page: Any, selector: str) -> list[Any]:
    return list(page.find_elements(By.CSS_SELECTOR, f"#shaded-steps {selector}"))


def selects(page: Any) -> tuple[Select, Select]:
    trace, method = some(page, "select")
    return Select(trace), Select(method)


def said(page: Any) -> list[tuple[str, float, str]]:
    """Text, heat and side of each step."""
    return [
        (each.text, float(page.execute_script(heat, each)), each.get_attribute("class"))
        for heat in ["return arguments[0].style.getPropertyValue('--heat') || 0"]
        for each in some(page, "tbody:not(.parts) td.said")
    ]


def test_the_text_is_shaded_by_the_method_that_is_chosen(page: Any) -> None:
    first, second, third = said(page)
    assert first[0] == "Ada starts with 3 pens."
    assert (first[1], second[1], third[1]) == (0.5, 1.0, 0.125)
    assert "under" in first[2]
    assert "over" in second[2]
    _, method = selects(page)
    assert [each.text for each in method.options] == [*METHODS, "knock-out"]
    method.select_by_visible_text("shapley")
    first, second, third = said(page)
    assert (first[1], second[1], third[1]) == (0.0, 1.0, 0.125)
    assert [each.text for each in some(page, "thead th")][1] == "Text, shaded by shapley"
    colours = [
        each.value_of_css_property("background-color")
        for each in some(page, "tbody:not(.parts) td.said")
    ]
    assert len(set(colours)) == 3


def test_numbers_stand_in_a_table_with_heads_that_a_keyboard_can_scroll(page: Any) -> None:
    rows = some(page, "tbody tr")
    cells = [[each.text for each in row.find_elements(By.CSS_SELECTOR, "th, td")] for row in rows]
    assert cells[1][0] == "1"
    assert cells[1][2:] == ["0.80", "1.60", "1.50"]
    assert cells[4] == ["question", "", "0.90", "–", "–"]
    assert all(row.find_element(By.TAG_NAME, "th").get_attribute("scope") == "row" for row in rows)
    (region,) = some(page, "[role=region]")
    assert region.get_attribute("tabindex") == "0"
    assert region.get_attribute("aria-label")
    trace, _ = some(page, "select")
    trace.send_keys(Keys.ARROW_DOWN)
    assert said(page)[0][0] == "Ada starts with 4 pens."


def test_what_a_model_wrote_is_text(page: Any) -> None:
    trace, _ = selects(page)
    (name,) = [each.text for each in trace.options if each.text.startswith("q03 #1")]
    trace.select_by_visible_text(name)
    assert "<script>window.hacked" in "".join(each[0] for each in said(page))
    assert page.execute_script("return window.hacked") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1366, 390])
def test_axe_finds_nothing_serious_and_nothing_sticks_out(
    page: Any, report: Path, width: int, scheme: str
) -> None:
    emulate(page, width=width, scheme=scheme)
    page.get(report.as_uri())
    axe = (resources.files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
    page.execute_cdp_cmd("Runtime.evaluate", {"expression": axe})
    found = page.execute_async_script(
        "axe.run('#attribution', {resultTypes: ['violations']}).then(arguments[0])"
    )
    serious = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
    assert [(each["id"], each["nodes"][0]["html"]) for each in serious] == []
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
