"""A long trace in a real browser: its outline, its formulas, its map, and the search in it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from planted import planted_run
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from written import write_table

from analysis.page import write_report
from cot.steps import sections, segment

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("without_figures")]

FILLER = "The shelf in the shop is long, and the pens on it are blue, red and green. " * 3
HOSTILE = (
    r"\(\href{javascript:window.hacked=1}{x}\) \(\ref{q}\) \(\includegraphics{x.png}\)"
    r" \(\class{evil}{x}\) \(\htmlData{a=b}{x}\) \(\def\a{\a\a}\a\) \(\rule{9999em}{9999em}\)"
    r" $<img src=x onerror=window.hacked=2>$ \(" + "{" * 2900 + r"\) \(\frac{1}\)"
)
PARAGRAPHS = [
    "Ada pays $5 and $10 for pens, 5$ and 6$ more. She has $a = 5$ of them. " + FILLER,
    "Wait, let me look at what is asked. " + FILLER,
    HOSTILE + " " + FILLER,
    r"Now \(5 + 7 = 12\), so that \[ \frac{24}{2} = \boxed{12} \] is right. " + FILLER,
    "Wait, I check it once more. " + FILLER,
    "So she has them. " + FILLER + "The answer is 12.",
]
TEXT = "\n\n".join(PARAGRAPHS)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The planted page in which the trace q02 #0 is long."""
    folder = tmp_path_factory.mktemp("outline")
    run = planted_run(
        folder / "run", texts={("q02", 0): TEXT}, tables=["answers", "step_checks", "paths"]
    )
    spans = segment(TEXT)
    key = {"question_id": "q02", "sample_index": 0}
    tokens = {"token_start": None, "token_end": None}
    steps = [
        {**key, **tokens, "step": i, "start": each.start, "end": each.end, "kind": each.kind}
        for i, each in enumerate(spans)
    ]
    parts = [
        {**key, **tokens, "section": i, "start": each.start, "end": each.end}
        | {"first_step": each.first_step, "last_step": each.last_step}
        | {"part": each.part, "kind": each.kind}
        for i, each in enumerate(sections(TEXT, spans))
    ]
    for name, rows in (("steps", steps), ("sections", parts)):
        frame = pd.DataFrame(rows).astype({"token_start": "Int64", "token_end": "Int64"})
        write_table(run, name, frame, command="segment", parameters={}, inputs=["traces"])
    return write_report(run)


@pytest.fixture
def page(chromium: Any, report: Path) -> Iterator[Any]:
    resize(chromium, 1280)
    visit(chromium, report)
    yield chromium
    assert [entry["message"] for entry in chromium.get_log("browser")] == []


def resize(browser: Any, width: int) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def visit(browser: Any, report: Path, fragment: str = "#q=q02&t=0") -> None:
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(report.as_uri() + fragment)
    wait(browser, lambda: some(browser, TRACE + " .outline"))


def wait(browser: Any, true: Any) -> None:
    WebDriverWait(browser, 60).until(lambda _: true())


def some(browser: Any, selector: str) -> list[Any]:
    return list(browser.find_elements(By.CSS_SELECTOR, selector))


TRACE = '#question details.trace[data-index="0"]'


def unfolded(browser: Any) -> list[int]:
    opened = some(browser, TRACE + " .part[open]")
    return [int(each.get_attribute("data-section")) for each in opened]


def unfold_all(browser: Any) -> None:
    buttons = some(browser, TRACE + " .readtools button")
    next(each for each in buttons if each.text == "unfold all").click()
    write = "document.querySelectorAll(arguments[0]).forEach((each) => each.write())"
    wait(browser, lambda: len(unfolded(browser)) == len(some(browser, TRACE + " .part")))
    browser.execute_script(write, TRACE + " .part > .body")


def text_of(browser: Any) -> str:
    script = "return [...document.querySelectorAll(arguments[0])].map((each) => each.textContent)"
    return " ".join(browser.execute_script(script, TRACE + " .step"))


def plain(text: str) -> list[str]:
    return text.split()


def test_a_long_trace_opens_as_its_sections_and_unfolds_by_keys(page: Any) -> None:
    parts = some(page, TRACE + " .part")
    assert len(parts) == len(sections(TEXT, segment(TEXT))) > 3
    assert some(page, TRACE + " .step") == []
    assert "Ada pays $5 and $10" in parts[0].text
    assert "backtrack" in parts[1].text or "check" in parts[1].text
    shown = [each.text for each in parts if "✓ 1" in each.text]
    assert len(shown) == 1
    first = parts[0].find_element(By.TAG_NAME, "summary")
    page.execute_script("arguments[0].focus()", first)
    first.send_keys(Keys.ARROW_RIGHT)
    wait(page, lambda: some(page, TRACE + " .part[open] .step"))
    assert unfolded(page) == [0]
    first.send_keys(Keys.ARROW_DOWN)
    page.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    wait(page, lambda: unfolded(page) == [0, 1])
    first.send_keys(Keys.ARROW_LEFT)
    wait(page, lambda: unfolded(page) == [1])


def test_formulas_are_typeset_with_their_marks_and_money_is_not(page: Any) -> None:
    unfold_all(page)
    maths = "return [...document.querySelectorAll(arguments[0])].map((each) => each.textContent)"
    equations = page.execute_script(maths, TRACE + " .formula .equation")
    assert equations == ["5+7=12"]
    assert len(some(page, TRACE + " .step.true")) == 1
    assert len(some(page, TRACE + " .formula.display mfrac")) == 1
    assert "a=5" in page.execute_script(maths, TRACE + " .formula")
    assert "Ada pays $5 and $10 for pens, 5$ and 6$ more." in text_of(page)
    marks = [each.text for each in some(page, TRACE + " mark")]
    assert marks == ["12"]
    page.execute_script("arguments[0].click()", some(page, "#question .source input")[0])
    wait(page, lambda: some(page, TRACE + " .outline"))
    unfold_all(page)
    assert some(page, TRACE + " .formula") == []
    assert plain(text_of(page)) == plain(TEXT)
    page.execute_script("arguments[0].click()", some(page, "#question .source input")[0])


def test_hostile_formulas_are_inert(page: Any) -> None:
    unfold_all(page)
    assert page.execute_script("return window.hacked") is None
    inside = TRACE + " .text"
    assert some(page, f"{inside} a, {inside} img, {inside} script, {inside} [href]") == []
    shown = text_of(page)
    for source in (r"\href{javascript", r"\ref{q}", r"\includegraphics", r"\class{evil}"):
        assert source in shown
    for source in (r"\htmlData", r"\def\a{\a\a}\a", "{" * 2900, r"\frac{1}"):
        assert source in shown
    boxes = [each.size for each in some(page, TRACE + " .formula")]
    assert max(each["height"] for each in boxes) < 200
    wide = "return document.documentElement.scrollWidth - innerWidth"
    assert page.execute_script(wide) <= 0


def test_an_equations_link_unfolds_its_section(page: Any, report: Path) -> None:
    visit(page, report, "#q=q02&t=0&e=0")
    wait(page, lambda: len(some(page, TRACE + " .equation.arrived")) == 1)
    (equation,) = some(page, TRACE + " .equation.arrived")
    assert len(unfolded(page)) == 1
    top = page.execute_script("return arguments[0].getBoundingClientRect().top", equation)
    assert 60 < top < 740


def test_a_search_counts_and_unfolds_what_it_finds(page: Any) -> None:
    search = some(page, TRACE + " .within input")[0]
    search.send_keys("wait")
    status = TRACE + " .within [role=status]"
    wait(page, lambda: some(page, status)[0].text == "2 found")
    search.send_keys(Keys.ENTER)
    wait(page, lambda: some(page, status)[0].text == "1 of 2")
    (block,) = some(page, TRACE + " .found-here")
    assert block.text.lower().startswith(("wait", "backtrack\nwait", "check\nwait"))
    assert len(unfolded(page)) == 1
    search.send_keys(Keys.SHIFT, Keys.ENTER)
    wait(page, lambda: some(page, status)[0].text == "2 of 2")
    assert len(unfolded(page)) == 2
    painted = "return CSS.highlights.get('found').size + CSS.highlights.get('found-here').size"
    assert page.execute_script(painted) == 2


def test_the_map_and_the_links_of_the_answer_lead_into_the_text(page: Any) -> None:
    bar = some(page, TRACE + " .minimap svg")[0]
    assert "1 equations that hold" in bar.get_attribute("aria-label")
    click = ActionChains(page).move_to_element_with_offset(bar, bar.size["width"] // 2 - 3, 0)
    click.click().perform()
    last = len(some(page, TRACE + " .part")) - 1
    wait(page, lambda: unfolded(page) == [last])
    page.execute_script("arguments[0].click()", some(page, TRACE + " .jump")[0])
    wait(page, lambda: len(unfolded(page)) == 2)
    flagged = some(page, TRACE + ' .part[open] .step[data-label*="answer first appears"]')
    assert len(flagged) == 1


def test_axe_finds_nothing_serious_and_a_phone_shows_all(page: Any, report: Path) -> None:
    axe = (resources.files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
    resize(page, 320)
    visit(page, report)
    unfold_all(page)
    wide = "return document.documentElement.scrollWidth - innerWidth"
    assert page.execute_script(wide) <= 0
    page.execute_cdp_cmd("Runtime.evaluate", {"expression": axe})
    page.set_script_timeout(120)
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        found = page.execute_async_script(
            "axe.run('#question', {resultTypes: ['violations']}).then(arguments[0])"
        )
        serious = [
            (each["id"], [node["target"] for node in each["nodes"]][:5])
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
        ]
        assert serious == [], scheme
