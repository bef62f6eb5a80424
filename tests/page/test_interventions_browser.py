"""What moves the answer, in a real browser: a hidden step lights up what it moves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from planted import HOSTILE
from planted_interventions import MOVED
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from analysis.figures.text import visible

pytestmark = pytest.mark.browser


def emulate(browser: Any, *, width: int = 1366, height: int = 768, scheme: str = "light") -> None:
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


def options(page: Any) -> list[Any]:
    return some(page, "#hidden-steps [role=option]")


def lights(page: Any) -> list[float]:
    """Of each step, and last of the answer."""
    script = (
        "return [...document.querySelectorAll('#hidden-steps [role=option], #hidden-steps .final')]"
        ".map((each) => Number(each.style.getPropertyValue('--moved')))"
    )
    return list(page.execute_script(script))


def readout(page: Any) -> str:
    return str(some(page, "#hidden-steps > .readout")[0].text)


def chosen(page: Any) -> list[str]:
    return [each.get_attribute("aria-selected") for each in options(page)]


def background(node: Any) -> str:
    return str(node.value_of_css_property("background-color"))


def test_every_column_of_the_effects_is_on_a_laptops_screen(page: Any) -> None:
    (table,) = some(page, "#interventions .effects")
    over = "const box = arguments[0].closest('.scroll'); return box.scrollWidth - box.clientWidth"
    assert page.execute_script(over, table) == 0
    controls = some(page, "#interventions .effects .controls span:first-child")
    for each in controls:  # as long as the longest that a method has
        page.execute_script("arguments[0].textContent = 'random span of as many tokens'", each)
    assert page.execute_script(over, table) == 0


def test_the_step_that_moves_the_answer_most_is_chosen_first(page: Any) -> None:
    assert chosen(page) == ["false", "true", "false"]
    assert some(page, "#hidden-steps .final .tally")[0].text == "loses 1.50\nrandom 0.10"
    said = readout(page)
    assert said.startswith("Step 1 hidden: the answer 8 loses 1.50 nats of log-odds against 13")
    assert "No later step is seen to move further than by a random span." in said
    assert some(page, "#hidden-steps > .readout")[0].get_attribute("aria-live") == "polite"


def test_pointing_at_a_step_lights_up_the_later_steps_that_it_moves(page: Any) -> None:
    before = [background(each) for each in options(page)]
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", options(page)[0])
    ActionChains(page).move_to_element(options(page)[0]).perform()
    assert chosen(page) == ["true", "false", "false"]
    assert lights(page) == [0.0, 1.0, 1.0, 1.0]  # steps and the answer, each on its own scale
    assert len({background(each) for each in options(page)}) == 2
    assert background(options(page)[1]) != before[1]
    tallies = [each.text for each in some(page, "#hidden-steps .tally")]
    assert tallies[:2] == ["hidden", f"KL {MOVED['step']:.2f}\nrandom 0.10"]
    assert "it moves most: step 1, KL 0.80 (random span 0.10)" in readout(page)
    marked = [row.text for row in some(page, "#hidden-steps tr.current th")]
    assert marked == ["0", "0"]  # in the matrix and in its control


def test_arrow_keys_choose_a_step_and_tab_leaves_the_list(page: Any) -> None:
    page.execute_script("arguments[0].focus()", options(page)[1])
    keys = page.switch_to.active_element
    keys.send_keys(Keys.ARROW_UP)
    assert chosen(page) == ["true", "false", "false"]
    assert readout(page).startswith("Step 0 hidden")
    keys = page.switch_to.active_element
    keys.send_keys(Keys.ARROW_UP)  # there is none above
    assert chosen(page) == ["true", "false", "false"]
    keys.send_keys(Keys.END)
    assert chosen(page) == ["false", "false", "true"]
    assert [each.get_attribute("tabindex") for each in options(page)] == ["-1", "-1", "0"]
    assert "No later step was read." in readout(page)
    page.switch_to.active_element.send_keys(Keys.TAB)
    inside = "return document.activeElement.closest('[role=listbox]') !== null"
    assert page.execute_script(inside) is False


def test_a_row_of_the_matrix_is_a_step_and_its_control_has_the_same_colours(page: Any) -> None:
    own, control = some(page, "#hidden-steps table.heat")
    cells = own.find_elements(By.CSS_SELECTOR, "tbody td")
    assert [cell.text for cell in cells[:3]] == ["0.80", "0.80", "0.30"]
    page.execute_script("arguments[0].focus()", cells[0])
    assert chosen(page) == ["true", "false", "false"]
    aside = some(page, "#hidden-steps .matrices > .readout")[0].text
    assert aside == "Step 0 hidden, at step 1: KL 0.800 nats, random span 0.100."
    page.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    assert chosen(page) == ["false", "true", "false"]
    beside = control.find_elements(By.CSS_SELECTOR, "tbody td")
    heats = [cell.get_attribute("style") for cell in (cells[0], cells[2], beside[0])]
    assert heats == [f"--heat: {heat};" for heat in ("1.000", "0.375", "0.125")]


def test_another_trace_is_chosen_and_hostile_text_is_text(page: Any) -> None:
    select = Select(some(page, "#hidden-steps select")[0])
    names = [each.text for each in select.options]
    assert len(names) == 40
    assert names[0] == "q00 #0 · 8 ✓"
    select.select_by_index(1)
    link = some(page, "#hidden-steps .about a")[0]
    assert names[1].startswith(link.text)
    place = next((i for i, name in enumerate(names) if name.startswith("q03 #1 ")), None)
    if place is not None:
        select.select_by_index(place)
        said = some(page, "#hidden-steps .said")[0].get_attribute("textContent")
        assert said == visible(HOSTILE)
    assert some(page, "#interventions img, #interventions script") == []
    assert page.execute_script("return window.hacked") is None


def test_maps_and_doses_are_drawn_beside_their_controls(page: Any) -> None:
    maps = some(page, "[data-figure='interventions/map/patching'] table.heat")
    assert len(maps) == 3
    cells = [each.find_elements(By.CSS_SELECTOR, "tbody td") for each in maps]
    assert cells[0][8].text == "0.70 ★"
    assert background(cells[0][8]) != background(cells[1][8])
    for name in ("dose/steering/correct/log_odds", "mediation/mediation"):
        assert some(page, f"[data-figure='interventions/{name}'] svg .scatterlayer path")
    some(page, "#interventions .doses details > summary")[0].click()
    page.execute_async_script("setTimeout(arguments[0], 200)")
    drawn = some(page, "#interventions .doses details [data-figure] svg .scatterlayer path")
    assert len(drawn) >= 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1366, 375])
def test_nothing_is_wider_than_the_page(
    chromium: Any, report: Path, width: int, scheme: str
) -> None:
    emulate(chromium, width=width, height=812, scheme=scheme)
    chromium.get("about:blank")
    chromium.get_log("browser")
    chromium.get(report.as_uri())
    wide = chromium.execute_script("return document.documentElement.scrollWidth")
    assert wide <= width
    beside = some(chromium, "#hidden-steps .beside > *")
    stacked = beside[1].rect["y"] >= beside[0].rect["y"] + beside[0].rect["height"]
    assert stacked == (width == 375)
    ink, paper = (
        chromium.execute_script("return getComputedStyle(arguments[0])[arguments[1]]", node, name)
        for node, name in (
            (options(chromium)[1], "color"),
            (some(chromium, "body")[0], "backgroundColor"),
        )
    )
    bright = [sum(map(int, each[each.index("(") + 1 : -1].split(",")[:3])) for each in (ink, paper)]
    assert (bright[0] > bright[1]) == (scheme == "dark")
    assert [entry["message"] for entry in chromium.get_log("browser")] == []
