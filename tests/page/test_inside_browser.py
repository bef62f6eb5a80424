"""What the layers hold, in a real browser: maps that can be read, tokens that do nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from planted_inside import DEPTH, HOSTILE_TOP, LAYERS, POSITIONS
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

pytestmark = pytest.mark.browser


@pytest.fixture
def page(chromium: Any, report: Path) -> Iterator[Any]:
    """The planted report, freshly opened; its console is clean at the end."""
    metrics = {"width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    chromium.get("about:blank")
    chromium.get_log("browser")
    chromium.get(report.as_uri())
    yield chromium
    assert [entry["message"] for entry in chromium.get_log("browser")] == []


def some(page: Any, selector: str) -> list[Any]:
    return list(page.find_elements(By.CSS_SELECTOR, selector))


def background(cell: Any) -> str:
    return str(cell.value_of_css_property("background-color"))


def test_probe_and_control_stand_beside_each_other_on_one_scale(page: Any) -> None:
    maps = some(page, "#probes .maps table.heat")
    assert len(maps) == 8  # two targets, pooled and within, probe and control
    cells = maps[0].find_elements(By.CSS_SELECTOR, "tbody td")
    assert len(cells) == len(LAYERS) * len(POSITIONS)
    assert [cell.text for cell in cells[6:9]] == ["0.68", "0.71", "0.74 ★"]
    within = maps[2].find_elements(By.CSS_SELECTOR, "tbody td")
    control = maps[3].find_elements(By.CSS_SELECTOR, "tbody td")
    assert {cell.text for cell in within[::3]} == {"0.50"}  # prompt_end
    assert len({background(cell) for cell in within[::3]}) == 1
    assert background(cells[8]) != background(within[8]) != background(control[8])


def test_a_cell_says_its_controls_and_arrow_keys_move(page: Any) -> None:
    group = page.find_element(By.CSS_SELECTOR, "#probes .maps")
    readout = group.find_element(By.CSS_SELECTOR, ".readout")
    assert "arrow keys" in readout.text
    first = group.find_element(By.CSS_SELECTOR, "tbody td")
    page.execute_script("arguments[0].focus()", first)
    assert readout.text.startswith("Layer 0 at prompt_end: 0.60 (0.52 to 0.68)")
    page.switch_to.active_element.send_keys(Keys.ARROW_DOWN, Keys.ARROW_RIGHT)
    assert readout.text.startswith("Layer 10 at step_end: 0.67")
    for word in ("labels shuffled", "length", "TF-IDF", "embedding", "position alone"):
        assert word in readout.text
    page.switch_to.active_element.send_keys(*[Keys.ARROW_UP] * 5)
    assert readout.text.startswith("Layer 0 at step_end")


def test_the_lens_is_drawn_by_layer_and_token(page: Any) -> None:
    for name in ("agreeing", "stated"):
        assert some(page, f"[data-figure='lens/{name}'] svg .scatterlayer path")
    rows = some(page, "#lens-tokens tbody tr")
    assert len(rows) == DEPTH + 1
    before = some(page, "#lens-tokens tbody td")[40].get_attribute("style")
    Select(some(page, "#lens-tokens select")[1]).select_by_value("p_top")
    assert some(page, "#lens-tokens tbody td")[40].get_attribute("style") != before
    Select(some(page, "#lens-tokens select")[0]).select_by_value("1")
    heads = [cell.text for cell in some(page, "#lens-tokens thead th")]
    assert heads[:3] == ["·Ada", "·starts", "·with"]
    assert some(page, "#lens-tokens .about")[0].text == "q00 #0 · states 8 ✓ right"


def test_hostile_tokens_are_text(page: Any) -> None:
    texts = [cell.get_attribute("textContent") for cell in some(page, "#lens-tokens tbody td")]
    assert HOSTILE_TOP.replace(" ", "·") in texts
    heads = [cell.get_attribute("textContent") for cell in some(page, "#lens-tokens thead th")]
    assert heads[0] == "·<script>window.hacked"
    assert "\\x1b[31mred" in "".join(heads)
    cell = some(page, "#lens-tokens tbody td")[texts.index(HOSTILE_TOP.replace(" ", "·"))]
    page.execute_script("arguments[0].focus()", cell)
    assert "<img·src=x" in some(page, "#lens-tokens .readout")[0].text
    assert some(page, "#lens-tokens img, #lens-tokens script") == []
    assert page.execute_script("return window.hacked") is None


def test_right_and_wrong_ways_differ_in_colour_and_line(page: Any) -> None:
    drawn = page.execute_script(
        "return document.querySelector('[data-figure^=\"geometry/steps\"]').data"
        ".filter((each) => each.name && each.marker)"
        ".map((each) => [each.line.dash, each.line.color])"
    )
    assert len(some(page, "[data-figure^='geometry/steps'] svg .scatterlayer path")) > 4
    assert {dash for dash, _ in drawn} == {"solid", "dash"}
    assert len({colour for _, colour in drawn}) == 2


def test_the_state_map_takes_its_colours_and_questions_from_choices(page: Any) -> None:
    names = (
        "return document.getElementById('state-plot').data.slice()"
        ".sort((a, b) => a.legendrank - b.legendrank).map((each) => each.name)"
    )
    assert page.execute_script(names)[:2] == ["✓ right (58)", "✗ wrong (30)"]
    _, colouring, question = (Select(node) for node in some(page, "#states select"))
    colouring.select_by_value("cluster")
    assert page.execute_script(names) == ["most frequent cluster (48)", "second cluster (48)"]
    colouring.select_by_value("answer")
    question.select_by_value("q02")
    assert page.execute_script(names) == [
        *("most frequent answer (4)", "second answer (2)", "third answer (1)", "no answer (1)"),
    ]


def test_layers_are_compared_by_either_measure(page: Any) -> None:
    panels = some(page, "[data-figure='geometry/similarity/cka'] table.heat")
    assert len(panels) == len(POSITIONS)
    assert panels[0].find_elements(By.CSS_SELECTOR, "tbody td")[0].text == "1.00"
    others = some(page, "[data-figure='geometry/similarity/rsa'] table.heat")
    assert len(others) == len(POSITIONS)
    assert "RSA" in others[0].get_attribute("aria-label")
    assert some(page, "[data-figure='geometry/dimension'] svg .scatterlayer path")
