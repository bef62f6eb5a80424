"""The page in a real browser: it runs from disk, asks nobody, and obeys no trace."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from planted import HOSTILE
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from analysis.figures.text import visible
from cot.store.run import open_run

pytestmark = pytest.mark.browser


@pytest.fixture
def page(chromium: Any, report: Path) -> Any:
    """The planted report, freshly opened at laptop size in light colours; clean at the end."""
    emulate(chromium, width=1280, height=800, scheme="light")
    open_page(chromium, report)
    yield chromium
    console = [entry["message"] for entry in chromium.get_log("browser")]
    assert console == []


def open_page(browser: Any, report: Path, fragment: str = "") -> None:
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(report.as_uri() + fragment)


def emulate(browser: Any, *, width: int, height: int, scheme: str) -> None:
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def column(page: Any, index: int) -> list[str]:
    cells = page.find_elements(By.CSS_SELECTOR, f"#question-table tbody tr > :nth-child({index})")
    return [cell.text for cell in cells]


def detail(page: Any) -> str:
    return str(page.find_element(By.ID, "question").text)


def choose(page: Any, question: str) -> None:
    """Open a question; its address changes first, then the page."""
    page.find_element(By.LINK_TEXT, question).click()
    WebDriverWait(page, 60).until(lambda _: f"Question {question}" in detail(page))


def press(page: Any, *keys: str) -> None:
    page.switch_to.active_element.send_keys(*keys)


def test_asks_the_network_for_nothing(page: Any, report: Path) -> None:
    choose(page, "q03")
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert report.as_uri() in [url.split("#")[0] for url in asked]
    assert {url.split("#")[0] for url in asked} == {report.as_uri()}


def test_policy_stops_scripts_and_requests_that_are_not_the_pages_own(
    chromium: Any, report: Path
) -> None:
    open_page(chromium, report)
    refused = chromium.execute_async_script(
        """
        const done = arguments[0], refused = [];
        document.addEventListener(
            "securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
        const script = document.createElement("script");
        script.textContent = "window.hacked = 3";
        document.body.append(script);
        fetch("http://127.0.0.1:9/").catch(() => setTimeout(() => done(refused), 100));
        """
    )
    assert {"script-src-elem", "connect-src"} <= set(refused)
    assert chromium.execute_script("return window.hacked") is None
    chromium.get_log("browser")


def test_draws_the_curve_and_a_panel_for_every_position_and_measure(page: Any) -> None:
    assert len(page.find_elements(By.CSS_SELECTOR, "[data-figure=curve] svg.main-svg")) > 0
    for summary in page.find_elements(By.CSS_SELECTOR, "details.lines > summary"):
        summary.click()
    page.execute_async_script("setTimeout(arguments[0], 100)")
    figures = page.find_elements(By.CSS_SELECTOR, "details.lines [data-figure]")
    assert len(figures) == 4  # two targets, pooled and within
    panels = [each for one in figures for each in one.find_elements(By.CSS_SELECTOR, "g.subplot")]
    assert len(panels) == 12  # a panel a position
    assert all(panel.find_elements(By.CSS_SELECTOR, ".scatterlayer path") for panel in panels)


def test_draws_a_risk_panel_a_signal_and_the_reliability_of_probabilities(
    page: Any, report: Path
) -> None:
    panels = page.find_elements(By.CSS_SELECTOR, "[data-figure^='calibration/']")
    labels = [panel.get_attribute("aria-label") for panel in panels]
    scored = open_run(report.parent).table("calibration").dropna(subset="auroc")
    kinds = open_run(report.parent).table("calibration_curves")[["signal", "kind"]]
    assert sum(label.startswith("Risk-coverage curve") for label in labels) == len(scored)
    reliable = (kinds.drop_duplicates()["kind"] == "reliability").sum()
    assert sum(label.startswith("Reliability diagram") for label in labels) == reliable
    assert all(panel.find_elements(By.CSS_SELECTOR, "svg .scatterlayer path") for panel in panels)


def test_a_hostile_trace_is_shown_as_text(page: Any) -> None:
    choose(page, "q03")
    text = page.find_element(By.CSS_SELECTOR, '[data-index="1"] .text')
    assert text.get_attribute("textContent") == visible(HOSTILE)
    assert text.find_elements(By.CSS_SELECTOR, "script, img") == []
    assert page.execute_script("return window.hacked") is None


def test_steps_are_blocks_and_the_stated_answer_is_marked(page: Any) -> None:
    choose(page, "q00")
    steps = page.find_elements(By.CSS_SELECTOR, '[data-index="0"] .step')
    assert [step.text for step in steps] == [
        "Ada starts with 3 pens.",
        "She gets 5 more, so 3 + 5 = 8.",
        "The answer is 8.",
    ]
    marks = page.find_elements(By.CSS_SELECTOR, '[data-index="0"] mark')
    assert [mark.text for mark in marks] == ["8"]


def test_starts_with_the_most_suspicious_and_sorts_by_any_column(page: Any) -> None:
    suspicion = [float(value) for value in column(page, 4)]
    assert suspicion == sorted(suspicion, reverse=True)
    heads = "#question-table thead button"
    page.find_elements(By.CSS_SELECTOR, heads)[6].click()
    gold = column(page, 7)
    assert gold == [*(str(value) for value in range(8, 30, 2)), "–"]
    page.find_elements(By.CSS_SELECTOR, heads)[6].click()
    assert column(page, 7) == [*(str(value) for value in range(28, 7, -2)), "–"]
    sorted_by = page.find_elements(By.CSS_SELECTOR, '#question-table th[aria-sort="descending"]')
    assert [head.text for head in sorted_by] == ["Gold ↓"]


def test_search_finds_and_counts(page: Any) -> None:
    press(page, "/")
    press(page, "11 13")
    assert column(page, 1) == ["q08"]
    assert page.find_element(By.ID, "shown").text == "1 of 12 questions"
    page.find_element(By.ID, "search").clear()
    page.find_element(By.CSS_SELECTOR, '[data-chip="split answers"]').click()
    assert page.find_element(By.ID, "shown").text == "9 of 12 questions"


def test_keys_move_and_open(page: Any) -> None:
    order = column(page, 1)
    press(page, "n", "n")
    assert page.find_element(By.CSS_SELECTOR, "tr.current th").text == order[1]
    assert "Choose a question" in detail(page)
    press(page, Keys.ENTER)
    assert f"Question {order[1]}" in detail(page)
    press(page, "p")
    assert f"Question {order[0]}" in detail(page)
    assert page.current_url.endswith(f"#q={order[0]}")


def test_a_click_on_a_row_opens_its_question(page: Any) -> None:
    page.find_elements(By.CSS_SELECTOR, "#question-table tbody tr")[2].click()
    assert f"Question {column(page, 1)[2]}" in detail(page)


def test_a_deep_link_opens_its_question(chromium: Any, page: Any, report: Path) -> None:
    open_page(chromium, report, "#q=q05")
    assert "Question q05" in detail(chromium)
    open_page(chromium, report, "#q=%3Cimg%20src=x%3E")
    assert "There is no question <img src=x>." in detail(chromium)


def test_a_cell_of_answers_by_path_chooses_traces(page: Any) -> None:
    choose(page, "q05")
    assert len(page.find_elements(By.CSS_SELECTOR, "#question .sample details.trace")) == 8
    page.find_elements(By.CSS_SELECTOR, ".crossing td button")[0].click()
    shown = page.find_elements(By.CSS_SELECTOR, "#question .sample details.trace")
    assert [node.get_attribute("data-index") for node in shown] == ["0", "2", "4"]


def test_the_map_has_a_colour_an_answer_and_a_shape_a_path(page: Any) -> None:
    choose(page, "q02")
    assert page.find_elements(By.CSS_SELECTOR, "#map-plot svg .scatterlayer path.point")
    drawn = page.execute_script(
        "const t = document.getElementById('map-plot').data[0];"
        "return t.marker.symbol.map((s, i) => [s, t.marker.color[i]])"
    )
    shapes, colours = ({row[i] for row in drawn} for i in range(2))
    assert shapes == {"circle", "circle-open", "square", "square-open"}
    assert len(colours) == 4  # 12, 11, 10 and no answer
    legend = page.find_element(By.CSS_SELECTOR, "#question .legend").text
    assert "12 ✓ right" in legend
    assert "no answer" in legend
    table = page.find_element(By.CSS_SELECTOR, "#question .map .numbers")
    table.find_element(By.TAG_NAME, "summary").click()
    rows = table.find_elements(By.CSS_SELECTOR, "tbody tr")
    assert [row.text.split()[0] for row in rows] == [f"#{i}" for i in range(8)]


def test_a_label_of_the_map_is_text(page: Any) -> None:
    choose(page, "q03")
    hover = """
        const node = document.getElementById("map-plot");
        const at = node.data[0].customdata.findIndex((index) => index === 1);
        Plotly.Fx.hover(node, [{ curveNumber: 0, pointNumber: at }]);
        """
    page.execute_script(hover)
    page.execute_async_script("setTimeout(arguments[0], 300)")
    label = page.find_element(By.CSS_SELECTOR, "#map-plot .hoverlayer")
    text = label.get_attribute("textContent")
    assert "<script>window.hacked = 1</script></script><img" in text
    assert "\\x1b[31mred" in text
    assert "&amp;" in text
    assert label.find_elements(By.CSS_SELECTOR, "a, img, script") == []


def test_a_point_and_a_medoid_open_their_trace(page: Any) -> None:
    choose(page, "q03")
    collapse = "[...document.querySelectorAll('.traces button')].at(-1).click()"
    page.execute_script(collapse)
    page.find_element(By.CSS_SELECTOR, '[aria-label="Open trace 1"]').send_keys(Keys.ENTER)
    opened = "#question details.trace[open]"
    (node,) = page.find_elements(By.CSS_SELECTOR, opened)
    assert node.get_attribute("data-index") == "1"
    assert page.switch_to.active_element.tag_name == "summary"
    page.execute_script(collapse)
    page.execute_script(
        "document.getElementById('map-plot').emit('plotly_click', {points: [{customdata: 5}]})"
    )
    (node,) = page.find_elements(By.CSS_SELECTOR, opened)
    assert node.get_attribute("data-index") == "5"


def test_medoids_stand_side_by_side_and_wrong_equations_are_marked(page: Any) -> None:
    choose(page, "q02")
    cards = page.find_elements(By.CSS_SELECTOR, "#question .medoid")
    assert [card.get_attribute("data-cluster") for card in cards] == ["0", "1"]
    assert "starts, pens, more" in cards[0].text
    assert cards[0].find_element(By.CSS_SELECTOR, ".equation").text == "5 + 7 = 12"
    wrong = page.find_element(By.CSS_SELECTOR, '[data-index="6"]')
    assert "1 of 1 equation wrong" in wrong.text
    assert wrong.find_element(By.CSS_SELECTOR, ".equation.false").text == "5 + 7 = 11"
    assert (
        wrong.find_element(By.CSS_SELECTOR, ".correction").text
        == "✗ is 12, used later, reaches the answer"
    )


def test_traces_fold_and_unfold(page: Any) -> None:
    choose(page, "q05")
    buttons = {b.text: b for b in page.find_elements(By.CSS_SELECTOR, ".traces button")}
    buttons["collapse"].click()
    assert page.find_elements(By.CSS_SELECTOR, "#question details.trace[open]") == []
    buttons["expand"].click()
    assert len(page.find_elements(By.CSS_SELECTOR, "#question details.trace[open] .text")) == 8


@pytest.mark.parametrize("width", [320, 375, 1280])
def test_nothing_is_wider_than_the_screen(
    chromium: Any, page: Any, report: Path, width: int
) -> None:
    emulate(chromium, width=width, height=800, scheme="light")
    open_page(chromium, report, "#q=q03")
    for summary in chromium.find_elements(By.CSS_SELECTOR, "details:not([open]) > summary"):
        chromium.execute_script("arguments[0].click()", summary)  # some lie under the bar of links
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
    assert chromium.execute_script("return window.innerWidth") == width


def test_the_dark_scheme_has_light_text_on_dark(chromium: Any, page: Any, report: Path) -> None:
    def lightness(property_name: str) -> float:
        script = f"return getComputedStyle(document.body).{property_name}"
        numbers = chromium.execute_script(script).removeprefix("rgb(").removesuffix(")")
        return sum(float(part) for part in numbers.split(",")) / 3

    assert lightness("color") < 60 < 220 < lightness("backgroundColor")
    axis = "return document.querySelector('[data-figure=curve] .xtitle').style.fill"
    light = chromium.execute_script(axis)
    emulate(chromium, width=1280, height=800, scheme="dark")
    assert lightness("backgroundColor") < 60 < 180 < lightness("color")
    chromium.execute_async_script("setTimeout(arguments[0], 300)")
    assert chromium.execute_script(axis) != light  # the figures follow


def test_the_map_follows_the_colour_scheme(chromium: Any, page: Any, report: Path) -> None:
    open_page(chromium, report, "#q=q03")
    colours = "return document.getElementById('map-plot').data[0].marker.color"
    light = chromium.execute_script(colours)
    emulate(chromium, width=1280, height=800, scheme="dark")
    chromium.execute_async_script("setTimeout(arguments[0], 300)")
    assert not set(light) & set(chromium.execute_script(colours))


def test_a_long_table_grows_by_so_many_rows_at_a_time(page: Any) -> None:
    shared = (resources.files("analysis.page") / "base" / "dom.js").read_text(encoding="utf-8")
    offered = f"""{shared}
        const button = document.createElement("button");
        offerMore(button, arguments[0]);
        return [button.hidden, button.textContent, plural(arguments[0], "row")];
    """
    assert page.execute_script(offered, 0)[0]
    assert page.execute_script(offered, 5000) == [False, "Show all", "5,000 rows"]
    assert page.execute_script(offered, 99_700) == [False, "Show 5,000 more", "99,700 rows"]
