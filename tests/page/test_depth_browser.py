"""One question in depth, in a real browser: in one file, and with files beside it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from planted import HOSTILE
from planted_depth import planted_deep
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from analysis.figures.text import visible
from analysis.page import write_report
from cot.store.run import Run

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("without_figures")]


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return planted_deep(tmp_path_factory.mktemp("deep"), texts={("q03", 1): HOSTILE})


@pytest.fixture(scope="module", params=["whole", "packed", "split"])
def report(request: pytest.FixtureRequest, deep: Run) -> Path:
    plain = 0 if request.param == "packed" else 10**9
    path = write_report(deep, max_bytes=1 if request.param == "split" else 10**9, plain_bytes=plain)
    assert (deep.path / "report-data").exists() == (request.param == "split")
    return path


@pytest.fixture
def page(chromium: Any, report: Path) -> Iterator[Any]:
    """The page at laptop size in light colours; no word in the console at the end."""
    size = {"width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": "light"}]
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    yield chromium
    assert [entry["message"] for entry in chromium.get_log("browser")] == []


def visit(browser: Any, report: Path, fragment: str = "") -> None:
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(report.as_uri() + fragment)
    if fragment:
        wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "#question .traces"))


def wait(browser: Any, true: Any) -> None:
    WebDriverWait(browser, 60).until(lambda _: true())


def shade(browser: Any) -> None:
    """Turn the shades of tokens on or off; the switch may lie under the bar of links."""
    switch = browser.find_element(By.CSS_SELECTOR, ".switch input")
    browser.execute_script("arguments[0].scrollIntoView({ block: 'center' })", switch)
    switch.click()


def shown(browser: Any) -> str:
    return str(browser.find_element(By.ID, "question").text)


def test_a_link_opens_a_trace_and_back_and_forward_work(page: Any, report: Path) -> None:
    visit(page, report, "#q=q03&t=1")
    assert "Question q03" in shown(page)
    node = page.find_element(By.CSS_SELECTOR, '#question details.trace[data-index="1"]')
    assert node.get_attribute("open") is not None
    assert page.switch_to.active_element == node.find_element(By.TAG_NAME, "summary")
    link = node.find_element(By.CSS_SELECTOR, ".tracelink")
    assert link.get_attribute("href").endswith("#q=q03&t=1")
    page.execute_script("location.hash = '#q=q05'")
    wait(page, lambda: "Question q05" in shown(page))
    page.back()
    wait(page, lambda: "Question q03" in shown(page))
    page.forward()
    wait(page, lambda: "Question q05" in shown(page))
    page.find_element(By.TAG_NAME, "body").send_keys(Keys.ESCAPE)
    assert "Choose a question" in shown(page)
    assert "#" not in page.current_url
    page.back()
    wait(page, lambda: "Question q05" in shown(page))
    visit(page, report, "#q=q03&t=77")  # no such trace: the question, and no error
    assert "Question q03" in shown(page)


def test_hostile_text_is_inert_with_and_without_shades(page: Any, report: Path) -> None:
    visit(page, report, "#q=q03&t=1")
    text = '[data-index="1"] .text'
    assert page.find_element(By.CSS_SELECTOR, text).get_attribute("textContent") == visible(HOSTILE)
    shade(page)
    node = page.find_element(By.CSS_SELECTOR, text)
    assert node.get_attribute("textContent") == visible(HOSTILE)
    assert node.find_elements(By.CSS_SELECTOR, "script, img") == []
    assert page.execute_script("return window.hacked") is None
    shade(page)


def test_tokens_are_shaded_by_their_log_probability(page: Any, report: Path) -> None:
    visit(page, report, "#q=q00&t=0")
    assert page.find_elements(By.CSS_SELECTOR, "#question .token") == []
    shade(page)
    drawn = page.execute_script(
        "return [...document.querySelectorAll('[data-index=\"0\"] .text .token')].map("
        "(t) => [t.textContent, Number(t.style.getPropertyValue('--heat')), t.title])"
    )
    assert "".join(text for text, _, _ in drawn).startswith("Ada starts with 3 pens.")
    assert {text for text, heat, _ in drawn if heat > 0.4} == {"3", "5", "8"}
    assert {title for text, _, title in drawn if text == "8"} == {"p ≈ 0.02, −4.1 nats"}
    shade(page)
    assert page.find_elements(By.CSS_SELECTOR, "#question .token") == []


def test_flow_steps_lens_and_scores_are_drawn(page: Any, report: Path) -> None:
    visit(page, report, "#q=q02&t=6")
    ribbons = page.find_elements(By.CSS_SELECTOR, ".flow .ribbon title")
    assert {each.get_attribute("textContent") for each in ribbons} >= {"● cluster 0 → 12: 2 traces"}
    labels = [each.text for each in page.find_elements(By.CSS_SELECTOR, ".flow text")]
    assert {"12 ✓ · 4", "no answer · 1"} <= set(labels)
    assert "majority" in page.find_element(By.CSS_SELECTOR, ".ballots").text
    trace = page.find_element(By.CSS_SELECTOR, '[data-index="6"]')
    steps = trace.find_elements(By.CSS_SELECTOR, ".step")
    assert [step.get_attribute("data-label") for step in steps] == [
        "setup · P(right) 0.20",
        "calculation · P(right) 0.45",
        "answer · P(right) 0.70",
    ]
    assert [step.get_attribute("class") for step in steps] == [
        "step setup",
        "step calculation false",
        "step answer",
    ]
    assert len(trace.find_elements(By.CSS_SELECTOR, ".along circle")) == 3
    trace.find_element(By.CSS_SELECTOR, ".latent summary").click()
    wait(page, lambda: trace.find_elements(By.CSS_SELECTOR, ".latent .heat"))
    heads = trace.find_elements(By.CSS_SELECTOR, ".latent thead th")
    names = ["prompt’s end", "step 0", "step 1", "step 2", "answer"]
    assert [head.text for head in heads] == names
    rows = trace.find_elements(By.CSS_SELECTOR, ".latent tbody tr")
    assert len(rows) == 31
    assert rows[0].text.split("\n")[0].startswith("30 ≠ 12 = 11")
    cells = rows[0].find_elements(By.TAG_NAME, "td")
    assert [cell.get_attribute("class").split()[0] for cell in cells] == ["under"] + ["over"] * 4


@pytest.mark.parametrize("report", ["whole"], indirect=True)
def test_axe_finds_nothing_serious(page: Any, report: Path) -> None:
    axe = (resources.files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
    page.set_script_timeout(120)
    visit(page, report, "#q=q02&t=6")
    page.find_element(By.CSS_SELECTOR, '[data-index="6"] .latent summary').click()
    shade(page)
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        page.execute_cdp_cmd("Runtime.evaluate", {"expression": axe})
        found = page.execute_async_script(
            "axe.run({resultTypes: ['violations']}).then(arguments[0])"
        )
        serious = [
            (each["id"], [node["target"] for node in each["nodes"]][:5])
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
        ]
        assert serious == [], scheme
    shade(page)


def test_a_file_of_another_writing_is_refused(chromium: Any, deep: Run) -> None:
    path = write_report(deep, max_bytes=1)
    file = deep.path / "report-data" / "0001.js"
    text = file.read_text(encoding="utf-8")
    file.write_text('consilience("0000",1,"H4sI");\n', encoding="utf-8")
    chromium.get("about:blank")
    chromium.get(path.as_uri() + "#q=q03")
    wait(chromium, lambda: "another writing" in shown(chromium))
    file.unlink()
    chromium.get("about:blank")
    chromium.get(path.as_uri() + "#q=q03")
    wait(chromium, lambda: "report-data/0001.js could not be loaded" in shown(chromium))
    file.write_text(text, encoding="utf-8")
    chromium.get_log("browser")
