"""Finding one's way on the page, in a real browser: keys, links, search, two traces, colours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from planted import HOSTILE, PROMPT, planted_run
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from analysis.page import write_report
from cot.store.run import Run

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("reading")
    return planted_run(folder / "run", texts={("q03", 1): HOSTILE})


@pytest.fixture(scope="module")
def whole(run: Run) -> Path:
    return write_report(run)


@pytest.fixture
def page(chromium: Any, whole: Path) -> Iterator[Any]:
    """The planted page in light colours; no word in the console at the end."""
    size = {"width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme(chromium, "light")
    visit(chromium, whole)
    yield chromium
    assert [entry["message"] for entry in chromium.get_log("browser")] == []


def scheme(browser: Any, name: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": name}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def visit(browser: Any, report: Path, fragment: str = "") -> None:
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(report.as_uri() + fragment)
    if fragment.startswith("#q="):
        wait(browser, lambda: some(browser, "#question .traces"))


def wait(browser: Any, true: Any) -> None:
    WebDriverWait(browser, 60).until(lambda _: true())


def some(browser: Any, selector: str) -> list[Any]:
    return list(browser.find_elements(By.CSS_SELECTOR, selector))


def one(browser: Any, selector: str) -> Any:
    return browser.find_element(By.CSS_SELECTOR, selector)


def top(browser: Any, selector: str) -> float:
    script = "return document.querySelector(arguments[0]).getBoundingClientRect().top"
    return float(browser.execute_script(script, selector))


def press(browser: Any, *keys: str) -> None:
    browser.switch_to.active_element.send_keys(*keys)


def focused(browser: Any) -> str:
    """Which part has the focus: its id, or a trace's index."""
    script = (
        "const at = document.activeElement;"
        "const trace = at.closest('details.trace');"
        "return trace ? trace.dataset.index || 'greedy' : at.id || at.tagName"
    )
    return str(browser.execute_script(script))


def test_the_first_screen_says_what_voting_gains(page: Any) -> None:
    verdict = one(page, "#opening-title").text
    assert "The majority vote is right on 81.8% of 11 questions, 15.9 points more" in verdict
    assert "the answers and the hidden states strongly agree" in verdict.lower()
    values = [node.text for node in some(page, ".voted .value strong")]
    assert values == ["81.8%", "15.9"]
    assert "95% interval 10.9 to 25.9" in one(page, ".voted").text
    assert top(page, ".voted") < 800
    assert "cot vote" not in one(page, ".unmeasured").text


def test_what_was_not_measured_is_one_list(chromium: Any, tmp_path: Path) -> None:
    bare = planted_run(tmp_path / "run", tables=["answers", "votes", "findings_vote"])
    visit(chromium, write_report(bare))
    items = [node.text for node in some(chromium, ".unmeasured li")]
    for verb in ("curve", "paths", "probe", "agree", "lens", "faithfulness"):
        assert sum(f"cot {verb} {bare.path}" in item for item in items) >= 1, verb
    assert some(chromium, ".notice") == []
    assert some(chromium, "main > section#curve") == []
    assert [link.text for link in some(chromium, ".topbar nav a")] == [
        "Overview",
        "Questions",
        "Findings",
        "Methods",
    ]
    chromium.get_log("browser")


def test_the_bar_stays_in_view_and_marks_the_section(page: Any) -> None:
    marked = '.topbar nav a[aria-current="true"]'
    assert [link.text for link in some(page, marked)] == ["Overview"]
    for name in ("Questions", "Findings", "Methods"):
        one(page, ".topbar nav").find_element(By.LINK_TEXT, name).click()
        wait(page, lambda name=name: [each.text for each in some(page, marked)] == [name])
        assert top(page, ".topbar") == 0
    one(page, ".topbar nav").find_element(By.LINK_TEXT, "Questions").click()
    wait(page, lambda: 0 <= top(page, "#questions") - one(page, ".topbar").size["height"] < 40)


def test_j_and_k_scroll_from_section_to_section(page: Any) -> None:
    assert "next, previous section (in an open question: trace)" in one(page, "#keys").text
    press(page, "j", "j")
    sections = "return [...document.querySelectorAll('main > section')].map((each) => each.id)"
    names = page.execute_script(sections)
    at = names.index(focused(page))
    assert at >= 1
    press(page, "j")
    assert focused(page) == names[at + 1]
    assert abs(top(page, f"#{names[at + 1]}") - one(page, ".topbar").size["height"]) < 40
    press(page, "k")
    assert focused(page) == names[at]


def test_j_and_k_scroll_from_trace_to_trace_in_an_open_question(page: Any, whole: Path) -> None:
    visit(page, whole, "#q=q05")
    press(page, "j", "j")
    seen = []
    for _ in range(4):
        seen.append(focused(page))
        press(page, "j")
    order = page.execute_script(
        "return [...document.querySelectorAll('#question details.trace')]"
        ".map((node) => node.dataset.index || 'greedy')"
    )
    at = order.index(seen[0])
    assert seen == order[at : at + 4]
    press(page, "k", "k")
    assert focused(page) == order[at + 2]


def test_n_and_p_move_between_questions(page: Any) -> None:
    order = [row.get_attribute("data-id") for row in some(page, "#question-table tbody tr")]
    press(page, "n", "n")
    assert one(page, "tr.current").get_attribute("data-id") == order[1]
    press(page, Keys.ENTER)
    wait(page, lambda: f"Question {order[1]}" in one(page, "#question").text)
    press(page, "p")
    wait(page, lambda: f"Question {order[0]}" in one(page, "#question").text)


def test_traces_come_after_the_votes_and_the_prompt(page: Any, whole: Path) -> None:
    visit(page, whole, "#q=q05")
    places = [".bars", ".prompt", ".traces", ".crossing", ".map", ".medoids"]
    assert [each for each in places if not some(page, f"#question {each}")] == []
    tops = [top(page, f"#question {each}") for each in places]
    assert tops == sorted(tops)


def test_the_prompt_and_the_greedy_trace_are_shown_as_text(page: Any, whole: Path) -> None:
    visit(page, whole, "#q=q05")
    prompt = one(page, "#question .prompt")
    assert prompt.get_attribute("open") is None
    one(page, "#question .prompt summary").click()
    assert [node.text for node in some(page, ".prompt h5")] == ["system", "user"]
    said = [node.get_attribute("textContent") for node in some(page, ".prompt .said")]
    assert said == [each["content"] for each in PROMPT]
    assert some(page, ".prompt b") == []
    greedy = one(page, "#question details.greedy")
    assert greedy.get_attribute("data-index") is None
    assert "greedy 18 ✓ right" in greedy.text
    greedy.find_element(By.TAG_NAME, "summary").click()
    wait(page, lambda: "Ada starts with 8 pens." in greedy.text)
    assert [mark.text for mark in greedy.find_elements(By.TAG_NAME, "mark")] == ["18"]


def test_a_suspicions_reason_leads_to_the_equation_and_marks_it(page: Any, whole: Path) -> None:
    visit(page, whole, "#q=q04")
    why = one(page, "#question .why")
    assert "What weighs most in the suspicion" in why.text
    links = why.find_elements(By.TAG_NAME, "a")
    assert [link.text for link in links] == [f"#{i}: 7 + 9 = 17" for i in range(5)]
    links[3].click()
    marked = "#question .equation.arrived"
    wait(page, lambda: len(some(page, marked)) == 1)
    (equation,) = some(page, marked)
    assert equation.text == "7 + 9 = 17"
    assert equation.get_attribute("aria-current") == "true"
    assert 100 < top(page, marked) < 700
    assert focused(page) == "3"
    assert page.current_url.endswith("#q=q04&t=3&e=0")
    page.execute_script("arguments[0].click()", links[0])
    wait(page, lambda: focused(page) == "0")
    assert len(some(page, marked)) == 1
    visit(page, whole, "#q=q04&t=3&e=77")  # no such equation: the trace, and no mark
    assert (focused(page), some(page, marked)) == ("3", [])


def test_a_search_in_traces_finds_them_over_all_questions(page: Any) -> None:
    page.execute_script("document.getElementById('trace-search').focus()")
    press(page, "9 = 17")
    status = "return document.getElementById('trace-status').textContent"
    wait(page, lambda: page.execute_script(status).startswith("5 traces of 1 question"))
    hits = some(page, "#trace-hits li")
    assert [hit.find_element(By.TAG_NAME, "a").text for hit in hits] == [
        f"q04 #{i}" for i in range(5)
    ]
    assert {hit.find_element(By.TAG_NAME, "mark").text for hit in hits} == {"9 = 17"}
    Select(one(page, "#trace-verdict")).select_by_value("wrong")
    wait(page, lambda: page.execute_script(status).startswith("0 traces"))
    Select(one(page, "#trace-verdict")).select_by_value("right")
    wait(page, lambda: page.execute_script(status).startswith("5 traces"))
    hits = some(page, "#trace-hits a")
    hits[2].click()
    wait(page, lambda: focused(page) == "2")
    assert one(page, "#trace-status").get_attribute("role") == "status"


def test_a_search_takes_every_character_as_it_stands(page: Any) -> None:
    page.execute_script("document.getElementById('trace-search').focus()")
    press(page, "<script>window.hacked = 1")
    wait(page, lambda: len(some(page, "#trace-hits li")) == 1)
    assert "</script></script><img src=x" in one(page, "#trace-hits li").text
    assert some(page, "#trace-hits script, #trace-hits img") == []
    assert page.execute_script("return window.hacked") is None
    one(page, "#trace-search").clear()
    one(page, "#trace-search").send_keys(".*(")
    status = "return document.getElementById('trace-status').textContent"
    wait(page, lambda: page.execute_script(status).startswith("0 traces"))


def test_with_files_beside_the_page_only_the_opened_question_is_searched(
    chromium: Any, tmp_path: Path
) -> None:
    split = write_report(planted_run(tmp_path / "run"), max_bytes=1)
    visit(chromium, split)
    assert "open a question to search" in one(chromium, "#trace-status").text
    visit(chromium, split, "#q=q04")
    chromium.execute_script("document.getElementById('trace-search').focus()")
    press(chromium, "Ada starts")
    status = "return document.getElementById('trace-status').textContent"
    wait(chromium, lambda: "traces of 1 question" in chromium.execute_script(status))
    assert "only the opened question is searched" in chromium.execute_script(status)
    chromium.get_log("browser")


def test_traces_are_filtered_by_verdict(page: Any, whole: Path) -> None:
    visit(page, whole, "#q=q02")
    select = "#question .verdicts select"
    shown = "#question .sample details.trace"
    for value, marks in {"right": {"right"}, "wrong": {"wrong"}, "none": {"none"}}.items():
        Select(one(page, select)).select_by_value(value)
        kinds = {node.get_attribute("class").split()[1] for node in some(page, shown)}
        assert kinds == marks
        assert page.switch_to.active_element == one(page, select)
        assert " of 8 traces" in one(page, "#question .traces h4").text
    Select(one(page, select)).select_by_value("")
    assert len(some(page, shown)) == 8


def test_two_ticked_traces_stand_side_by_side(page: Any, whole: Path) -> None:
    visit(page, whole, "#q=q02")
    assert "Tick two traces" in one(page, "#question .pairing").text
    boxes = some(page, "#question .tick input")
    page.execute_script("arguments[0].click()", boxes[0])
    assert "tick another" in one(page, "#question .pairing [role=status]").text
    page.execute_script("arguments[0].click()", boxes[6])
    pair = some(page, "#question .pairing [data-pair]")
    chosen = [node.get_attribute("data-pair") for node in pair]
    assert len(set(chosen)) == 2
    lefts = [node.rect["x"] for node in pair]
    assert lefts[0] < lefts[1]
    assert pair[0].rect["y"] == pair[1].rect["y"]
    assert all(node.find_elements(By.CSS_SELECTOR, ".step") for node in pair)
    assert page.execute_script("return document.activeElement.className") == "pairing"
    page.execute_script("arguments[0].click()", some(page, "#question .tick input")[1])
    pair = [node.get_attribute("data-pair") for node in some(page, "#question [data-pair]")]
    assert pair[0] == chosen[1]
    one(page, "#question .pairing button").click()
    assert some(page, "#question [data-pair]") == []
    assert some(page, "#question .tick input:checked") == []


COLOURS = """
    const style = getComputedStyle(document.documentElement);
    const rules = [...document.styleSheets[0].cssRules];
    const names = [...rules.find((rule) => rule.selectorText === ":root").style];
    const own = names.filter((name) => name.startsWith("--"));
    return Object.fromEntries(own.map((name) => [name, style.getPropertyValue(name).trim()]));
    """


def test_a_theme_is_chosen_remembered_and_followed_by_figures(page: Any, whole: Path) -> None:
    def shown() -> dict[str, str]:
        return dict(page.execute_script(COLOURS))

    axis = "return document.querySelector('.plot .xtitle').style.fill"
    light, light_axis = shown(), page.execute_script(axis)
    scheme(page, "dark")
    by_system = shown()
    assert by_system["--paper"] != light["--paper"]
    scheme(page, "light")
    Select(one(page, "#theme")).select_by_value("dark")
    assert shown() == by_system
    wait(page, lambda: page.execute_script(axis) != light_axis)
    visit(page, whole)
    assert Select(one(page, "#theme")).first_selected_option.text == "dark"
    assert shown() == by_system
    scheme(page, "dark")
    Select(one(page, "#theme")).select_by_value("light")
    assert shown() == light
    Select(one(page, "#theme")).select_by_value("")
    assert shown() == by_system
    assert page.execute_script("return localStorage.length") == 0


def test_a_browser_that_keeps_nothing_still_changes_its_colours(page: Any, whole: Path) -> None:
    refuse = (
        "Object.defineProperty(window, 'localStorage',"
        " { get() { throw new DOMException('no', 'SecurityError'); } })"
    )
    added = page.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": refuse})
    try:
        visit(page, whole)
        before = page.execute_script(COLOURS)
        Select(one(page, "#theme")).select_by_value("dark")
        assert page.execute_script(COLOURS) != before
    finally:
        page.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_every_control_has_a_name(page: Any, whole: Path) -> None:
    visit(page, whole, "#q=q02")
    unnamed = page.execute_script(
        "return [...document.querySelectorAll('input, select, button')].filter((node) =>"
        " !(node.labels && [...node.labels].some((label) => label.textContent.trim()))"
        " && !node.textContent.trim() && !node.getAttribute('aria-label'))"
        ".map((node) => node.outerHTML)"
    )
    assert unnamed == []


def test_no_caption_is_longer_than_sixty_words(page: Any, whole: Path) -> None:
    visit(page, whole, "#q=q02")
    long = page.execute_script(
        "return [...document.querySelectorAll('figcaption, .caption')]"
        ".map((node) => node.textContent.trim()).filter((text) => text.split(/\\s+/).length >= 60)"
    )
    assert long == []
