"""compare.html in a real browser: the matrix sorts, filters and opens; no text is obeyed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from planted import HOSTILE
from planted_comparison import planted_comparison
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from analysis.comparison.page import write_comparison
from analysis.figures.text import visible

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    return write_comparison(planted_comparison(folder, {("q03", 1): HOSTILE})[0])


@pytest.fixture
def page(chromium: Any, compared: Path) -> Iterator[Any]:
    """The page, freshly opened at laptop size in light colours; its console is clean at the end."""
    open_page(chromium, compared)
    yield chromium
    assert [entry["message"] for entry in chromium.get_log("browser")] == []


def open_page(browser: Any, path: Path, fragment: str = "", width: int = 1366) -> None:
    metrics = {"width": width, "height": 768, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = [{"name": "prefers-color-scheme", "value": "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(path.as_uri() + fragment)


def some(page: Any, selector: str) -> list[Any]:
    return list(page.find_elements(By.CSS_SELECTOR, selector))


def ids(page: Any) -> list[str]:
    return [cell.text for cell in some(page, "#matrix tbody th")]


def head(page: Any, name: str) -> Any:
    (found,) = [each for each in some(page, "#matrix thead button") if each.text.startswith(name)]
    return found


def opened(page: Any, question: str) -> list[Any]:
    """The two sides, once the question is open."""
    WebDriverWait(page, 60).until(
        lambda _: f"Question {question}" in page.find_element(By.ID, "question").text
    )
    return some(page, ".side")


def chosen(side: Any, what: str) -> str:
    select = side.find_element(By.CSS_SELECTOR, f".which-{what} select")
    return str(select.find_element(By.CSS_SELECTOR, "option:checked").text)


def press(page: Any, *keys: str) -> None:
    page.switch_to.active_element.send_keys(*keys)


def test_the_opening_fits_the_first_screen(page: Any) -> None:
    assert "C (warm-zero) is 40.0 points lower" in page.find_element(By.ID, "opening-title").text
    script = "return document.querySelector('.equal').getBoundingClientRect().bottom"
    assert page.execute_script(script) <= 768
    box = page.find_element(By.CSS_SELECTOR, "#opening .scroll")
    assert (
        page.execute_script("return arguments[0].scrollWidth - arguments[0].clientWidth", box) == 0
    )


def test_it_asks_the_network_for_nothing(page: Any, compared: Path) -> None:
    some(page, "#matrix tbody a")[0].click()
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = {
        message["params"]["request"]["url"].split("#")[0]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    }
    assert asked == {compared.as_uri()}


def test_both_figures_of_every_family_are_drawn(page: Any) -> None:
    nodes = some(page, "[data-figure]")
    assert len(nodes) == 8  # four families
    assert all(node.find_elements(By.CSS_SELECTOR, "svg .scatterlayer path") for node in nodes)


def test_the_matrix_sorts_by_how_much_runs_differ_by_accuracy_and_by_question(page: Any) -> None:
    assert ids(page)[:3] == ["q00", "q02", "q01"]
    head(page, "Question").click()
    assert ids(page) == [f"q{i:02d}" for i in range(12)]
    head(page, "Right").click()
    assert ids(page)[0] in ("q04", "q08")
    assert ids(page)[-1] == "q11", "what is unknown comes last"
    head(page, "Right").click()
    assert ids(page)[-1] == "q11", "also the other way round"
    active = some(page, "#matrix th[aria-sort='ascending']")
    assert [each.text for each in active] == ["Right ↑"]
    head(page, "B").click()
    head(page, "B").click()
    assert ids(page)[:2] in (["q00", "q02"], ["q02", "q00"]), "the run's own worst"


def test_the_matrix_filters_by_words_and_by_difference(page: Any) -> None:
    page.find_element(By.ID, "differing").click()
    assert ids(page) == ["q00", "q02", "q01"]
    assert page.find_element(By.ID, "shown").text == "3 of 12 questions"
    page.find_element(By.ID, "differing").click()
    press(page, "/")
    press(page, "11 13")
    assert ids(page) == ["q08"]


def test_a_verdict_is_told_by_its_sign_and_its_words(page: Any) -> None:
    signs = [cell.text.split()[0] for cell in some(page, "#matrix [data-id=q00] [data-run]")]
    assert signs == ["✓", "✗", "✓"]
    cells = {
        key: some(page, f"#matrix [data-id={key}] [data-run]") for key in ("q01", "q02", "q10")
    }
    label = cells["q01"][1].get_attribute("aria-label")
    assert label.startswith("q01, B (warm): tied, answer 10, which counts as right")
    assert cells["q02"][1].text.startswith("∅")
    assert cells["q10"][2].get_attribute("aria-label") == "q10, C (warm-zero): not asked"


def test_one_click_opens_both_traces(page: Any) -> None:
    some(page, "#matrix [data-id=q00] [data-run]")[2].click()
    left, right = opened(page, "q00")
    assert (chosen(left, "run"), chosen(right, "run")) == ("A · base", "C · warm-zero")
    for side in (left, right):
        assert "She gets 5 more, so 3 + 5 = 8." in side.find_element(By.CSS_SELECTOR, ".text").text
        assert side.find_element(By.TAG_NAME, "mark").text == "8"
    assert page.current_url.endswith("#q=q00&a=0&b=2")
    marked = some(page, "#matrix [aria-selected=true]")
    assert [cell.get_attribute("data-run") for cell in marked] == ["0", "2"]


def test_a_question_opens_with_a_run_of_another_verdict(page: Any) -> None:
    page.find_element(By.LINK_TEXT, "q00").click()
    left, right = opened(page, "q00")
    assert (chosen(left, "run"), chosen(right, "run")) == ("A · base", "B · warm")
    assert "votes 9 ✗ wrong" in right.text


def test_another_run_and_another_trace_can_be_chosen(page: Any) -> None:
    page.find_element(By.LINK_TEXT, "q01").click()
    _, right = opened(page, "q01")
    right.find_element(By.CSS_SELECTOR, ".which-trace select").send_keys("#6")
    _, right = some(page, ".side")
    assert chosen(right, "trace").startswith("#6 · ")
    assert page.current_url.endswith("&b=1.6")
    press(page, Keys.ARROW_UP)
    assert chosen(some(page, ".side")[1], "trace").startswith("#5 · "), "the focus stays"
    assert "#5" in some(page, ".side")[1].find_element(By.CSS_SELECTOR, ".medoid h5").text
    Select(right.find_element(By.CSS_SELECTOR, ".which-trace select")).select_by_value("greedy")
    assert chosen(some(page, ".side")[1], "trace").startswith("greedy")
    left = some(page, ".side")[0].find_element(By.CSS_SELECTOR, ".which-run select")
    Select(left).select_by_value("2")
    assert chosen(some(page, ".side")[0], "run") == "C · warm-zero"


def test_a_hostile_trace_is_shown_as_text(chromium: Any, page: Any, compared: Path) -> None:
    open_page(chromium, compared, "#q=q03&a=0&b=1.1")
    _, right = opened(page, "q03")
    text = right.find_element(By.CSS_SELECTOR, ".text")
    assert text.get_attribute("textContent") == visible(HOSTILE)
    assert text.find_elements(By.CSS_SELECTOR, "script, img") == []
    assert page.execute_script("return window.hacked") is None


def test_keys_move_in_the_matrix_and_open_and_close(page: Any) -> None:
    page.execute_script("document.querySelector('#matrix tbody [tabindex=\"0\"]').focus()")
    press(page, Keys.ARROW_DOWN, Keys.ARROW_RIGHT)
    cell = page.switch_to.active_element
    assert cell.get_attribute("aria-label").startswith("q02, B (warm): no valid answer")
    assert page.find_element(By.ID, "cell-words").text == cell.get_attribute("aria-label")
    assert len(some(page, "#matrix tbody [tabindex='0']")) == 1
    press(page, Keys.ENTER)
    opened(page, "q02")
    press(page, "n")
    opened(page, "q01")
    press(page, Keys.ESCAPE)
    assert "Choose a question" in page.find_element(By.ID, "question").text
    row = page.switch_to.active_element.find_element(By.XPATH, "..")
    assert row.get_attribute("data-id") == "q01", "the focus is back in the matrix"


def test_an_address_without_a_question_or_a_run_says_so(
    chromium: Any, page: Any, compared: Path
) -> None:
    open_page(chromium, compared, "#q=%3Cimg%20src=x%3E")
    assert "There is no question <img src=x>." in page.find_element(By.ID, "question").text
    open_page(chromium, compared, "#q=q10&a=0&b=2")
    _, right = opened(page, "q10")
    assert "This run was not asked the question." in right.text


@pytest.mark.parametrize("width", [320, 375, 1366])
def test_nothing_is_wider_than_the_screen(
    chromium: Any, page: Any, compared: Path, width: int
) -> None:
    open_page(chromium, compared, "#q=q03&a=0&b=1.1", width)
    for summary in some(page, "details:not([open]) > summary"):
        page.execute_script("arguments[0].click()", summary)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    assert page.execute_script("return window.innerWidth") == width


def test_sides_stand_side_by_side_or_on_a_phone_below_each_other(
    chromium: Any, page: Any, compared: Path
) -> None:
    tops = (
        "return [...document.querySelectorAll('.side')].map((s) => s.getBoundingClientRect().top)"
    )
    open_page(chromium, compared, "#q=q00")
    opened(page, "q00")
    left, right = page.execute_script(tops)
    assert left == right
    open_page(chromium, compared, "#q=q00", 375)
    opened(page, "q00")
    left, right = page.execute_script(tops)
    assert left < right


def test_packed_traces_open(chromium: Any, compared: Path, tmp_path: Path) -> None:
    from cot.store.run import open_run

    run = open_run(compared.parent)
    for name, limits in (("packed", {"plain_bytes": 100}), ("beside", {"max_bytes": 100})):
        folder = tmp_path / name
        folder.mkdir()
        open_page(chromium, write_comparison(run, folder, **limits), "#q=q05")
        assert len(opened(chromium, "q05")) == 2
    assert [entry["message"] for entry in chromium.get_log("browser")] == []
