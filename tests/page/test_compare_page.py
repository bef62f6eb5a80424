"""compare.html as a file: what it says of planted runs, whole for any size, inert."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted import HOSTILE
from planted_comparison import NAMES, planted_comparison
from written import write_table

from analysis.comparison.page import write_comparison
from analysis.comparison.page.differences import families
from analysis.comparison.page.opening import _told, opening
from analysis.comparison.page.questions import details, matrix
from analysis.comparison.page.side import read_sides
from analysis.comparison.tables import MAKES
from cot.errors import InputError
from cot.store.run import Run

pytestmark = pytest.mark.slow


class Page(HTMLParser):
    """Tags, words and scripts of a page, as an HTML parser sees them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words = ""
        self.scripts: dict[str, str] = {}
        self.policy = ""
        self._script: str | None = None
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self._script = given.get("id") or "own" if tag == "script" else None
        self.policy = given.get("content") or "" if "http-equiv" in given else self.policy
        assert not any(name.startswith("on") or name in ("style", "src") for name in given)

    def handle_endtag(self, tag: str) -> None:
        self._script = None if tag == "script" else self._script

    def handle_data(self, data: str) -> None:
        if self._script is None:
            self.words += " " + data
        else:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    return planted_comparison(tmp_path_factory.mktemp("compared"), {("q03", 1): HOSTILE})


@pytest.fixture
def runs(planted: list[Run], tmp_path: Path) -> list[Run]:
    """Copies, for tests that change them."""
    from cot.store.run import open_run

    copied = [open_run(shutil.copytree(each.path, tmp_path / each.path.name)) for each in planted]
    settings = copied[0].table("compared_settings")
    paths = dict(zip(NAMES, (str(each.path) for each in copied), strict=True))
    write_table(copied[0], "compared_settings", settings.assign(path=settings["run"].map(paths)))
    return copied


@pytest.fixture(scope="module")
def page(planted: list[Run]) -> Page:
    return Page(write_comparison(planted[0]))


def tables_of(run: Run) -> dict[str, pd.DataFrame]:
    return {name: run.table(name) for name in MAKES}


def test_it_opens_with_what_differs_and_what_is_not_shown_to(planted: list[Run]) -> None:
    begin = opening(tables_of(planted[0]), read_sides(planted[0]))
    assert begin.verdict == [
        "Accuracy, majority, beside A (base): C (warm-zero) is 40.0 points lower "
        "(95% −60.0 to −20.0, 10 questions). Not shown to differ: B (warm) 10.0 points below "
        "(95% −30.0 to 10.0, 10 questions).",
        "Of 10 paired comparisons, 1 is shown to differ after Holm's correction; 9 are not shown, "
        "which does not show that the runs are alike. 2 more could not be tested.",
    ]
    assert [(row.letter, row.verdict, row.n_settings) for row in begin.runs] == [
        ("A", "baseline", 0),
        ("B", "not shown", 1),
        ("C", "lower", 2),
    ]
    assert (begin.baseline, begin.common) == ("base", 11)


def test_settings_that_differ_are_told_apart_from_those_that_are_equal(planted: list[Run]) -> None:
    begin = opening(tables_of(planted[0]), read_sides(planted[0]))
    assert [(each.name, list(each.values)) for each in begin.settings] == [
        ("prompt", ["few_shot_cot", "few_shot_cot", "zero_shot_cot"]),
        ("temperature", ["0.7", "1.0", "1.0"]),
    ]
    assert list(begin.equal) == [("model", "planted-135m"), ("n", "8")]


def test_where_nothing_differs_no_run_is_said_to(runs: list[Run]) -> None:
    differences = runs[0].table("compared_differences").assign(p_holm=1.0)
    tables = {**tables_of(runs[0]), "compared_differences": differences}
    first, second = opening(tables, read_sides(runs[0])).verdict
    assert first.startswith("Accuracy, majority: no run is shown to differ from A (base). C (warm-")
    assert second.startswith("Of 12 paired comparisons, 0 are shown to differ")


def test_the_baseline_need_not_be_the_first_run(runs: list[Run]) -> None:
    differences = runs[0].table("compared_differences")
    rows = differences.assign(against="warm", run=differences["run"].replace("warm", "base"))
    write_table(runs[0], "compared_differences", rows)
    page = Page(write_comparison(runs[0]))
    assert json.loads(page.scripts["page-data"])["baseline"] == 1
    assert "beside B (warm)" in page.words


def test_runs_without_gold_in_common_claim_no_accuracy(runs: list[Run]) -> None:
    for name in ("compared_differences", "compared_measures"):
        table = runs[0].table(name)
        write_table(runs[0], name, table[table["family"] == "cost"])
    questions = runs[0].table("compared_questions").assign(accuracy=np.nan)
    questions["correct"] = pd.array([pd.NA] * len(questions), dtype="boolean")
    write_table(runs[0], "compared_questions", questions.assign(gold=None))
    page = Page(write_comparison(runs[0]))
    assert "Tokens: no run is shown to differ from A (base)." in page.words
    rows = json.loads(page.scripts["page-data"])["questions"]
    assert {cell["state"] for row in rows for cell in row["cells"] if cell} == {"unjudged", "none"}
    assert [row["id"] for row in rows if row["differs"]] == ["q00", "q02"]


def test_without_a_measure_the_questions_are_still_shown(runs: list[Run]) -> None:
    for name in ("compared_differences", "compared_measures"):
        write_table(runs[0], name, runs[0].table(name).head(0))
    page = Page(write_comparison(runs[0]))
    assert "Nothing of the runs could be compared." in page.words
    assert len(json.loads(page.scripts["page-data"])["questions"]) == 12
    assert "plotly" not in page.scripts


def test_a_cell_is_right_wrong_tied_without_an_answer_or_not_asked(planted: list[Run]) -> None:
    rows = matrix(planted[0].table("compared_questions"), read_sides(planted[0]))
    states = {row.id: [cell and cell.state for cell in row.cells] for row in rows}
    assert states["q00"] == ["right", "wrong", "right"]
    assert states["q01"] == ["right", "tied", "right"]
    assert states["q02"] == ["right", "none", "right"]
    assert states["q10"] == ["right", "right", None]
    assert states["q11"] == ["unjudged"] * 3
    assert [row.id for row in rows][:3] == ["q00", "q02", "q01"], "those that differ come first"
    assert [row.id for row in rows if row.differs] == ["q00", "q02", "q01"]


def test_how_much_runs_differ_is_a_standard_deviation(planted: list[Run]) -> None:
    rows = {
        row.id: row
        for row in matrix(planted[0].table("compared_questions"), read_sides(planted[0]))
    }
    first = rows["q00"]
    assert [cell and cell.accuracy for cell in first.cells] == [1.0, 0.0, 1.0]
    assert first.accuracy == pytest.approx(2 / 3, abs=1e-4)
    assert first.spread == pytest.approx(np.std([1, 0, 1]), abs=1e-4)
    assert rows["q11"].spread is None


def test_a_question_opens_with_the_traces_of_each_run(planted: list[Run]) -> None:
    sides = read_sides(planted[0])
    rows = matrix(planted[0].table("compared_questions"), sides)
    shown = dict(details(rows, sides))
    assert list(shown) == [row.id for row in rows]
    base, warm, zero = shown["q03"].runs
    assert warm is not None
    assert "".join(piece[1] for piece in (warm.traces or [])[1].pieces) == HOSTILE
    assert [len(each.traces or []) for each in (base, warm, zero) if each] == [8, 8, 8]
    assert shown["q10"].runs[2] is None
    assert warm.greedy is not None
    assert warm.prompts[0][0][0] == "system"


def test_past_the_budget_a_question_keeps_its_votes(planted: list[Run]) -> None:
    sides = read_sides(planted[0])
    rows = matrix(planted[0].table("compared_questions"), sides)
    shown = [each for _, each in details(rows, sides, budget=6000)]
    kept = [each.runs[0] is not None and each.runs[0].traces is not None for each in shown]
    assert kept[0]
    assert not kept[-1]
    assert kept == sorted(kept, reverse=True)
    last = shown[-1].runs[0]
    assert last is not None
    assert last.answers


def test_differences_that_are_shown_come_first_in_their_family(planted: list[Run]) -> None:
    accuracy, *others = families(tables_of(planted[0]))
    assert (accuracy.name, accuracy.n_shown, accuracy.n_tested) == ("accuracy", 1, 4)
    assert [row[1:3] for row in accuracy.differences][:2] == [
        ["warm-zero", "lower"],
        ["warm", "not shown"],
    ]
    (entropy,) = [each for each in others if each.name == "calibration"]
    assert entropy.n_tested == 0
    assert {row[2] for row in entropy.differences} == {"not tested"}


def test_what_was_not_compared_is_said_with_its_command(planted: list[Run], page: Page) -> None:
    assert "depth, table lens: no such table, in warm." in " ".join(page.words.split())
    assert f"cot lens {planted[1].path}" in page.words


def test_a_stale_table_of_any_run_is_said(runs: list[Run]) -> None:
    answers = runs[2].table("answers").assign(text="other")
    write_table(runs[2], "answers", answers, command="answers", inputs=["traces", "questions"])
    words = " ".join(Page(write_comparison(runs[0])).words.split())
    assert "The table votes is stale: answers changed after it was made." in words
    assert f"cot vote {runs[2].path}" in words


def test_hostile_text_and_names_stay_text(runs: list[Run]) -> None:
    bad = "</script><img src=x onerror=hacked()>\x1b[31m"
    for name in MAKES:
        write_table(runs[0], name, runs[0].table(name).replace({"warm": bad}))
    page = Page(write_comparison(runs[0]))
    assert "img" not in page.tags
    assert "<img src=x onerror=hacked()>\\x1b[31m" in page.words
    assert json.loads(page.scripts["page-data"])["runs"][1]["name"] == bad
    traces = json.loads(page.scripts["detail-data"])["q03"]["runs"][1]["traces"]
    assert "".join(text for _, text, *_ in traces[1]["pieces"]) == HOSTILE


def test_the_policy_allows_no_network_and_no_other_script(page: Page) -> None:
    assert "default-src 'none'" in page.policy
    for word in ("unsafe-eval", "http", "*", "connect-src", "'self'"):
        assert word not in page.policy
    assert len(re.findall("'sha256-", page.policy)) == 2  # plotly, and the page's own


def test_much_is_packed_and_more_stands_beside_the_page(runs: list[Run], tmp_path: Path) -> None:
    path = write_comparison(runs[0], plain_bytes=1000)
    page = Page(path)
    assert page.scripts["detail-data"] == "{}"
    assert "block-1" in page.scripts
    assert not (path.parent / "compare-data").exists()
    folder = tmp_path / "sweep"
    folder.mkdir()
    path = write_comparison(runs[0], folder, max_bytes=10_000)
    assert path == folder / "compare.html"
    assert [each.name for each in (folder / "compare-data").iterdir()] == ["0001.js"]
    assert json.loads(Page(path).scripts["page-data"])["shards"]["folder"] == "compare-data"
    write_comparison(runs[0], folder)
    assert not (folder / "compare-data").exists()


def test_the_tables_can_be_downloaded(page: Page) -> None:
    assert set(json.loads(page.scripts["downloads-data"])) == set(MAKES)


def test_captions_are_short(page: Page) -> None:
    text = re.findall(r"n = \d+ questions[^\n]*", page.words)
    assert text
    assert all(len(each.split()) < 60 for each in text)


def test_runs_that_were_not_compared_and_a_run_that_is_gone_are_named(runs: list[Run]) -> None:
    with pytest.raises(InputError, match=r"has no table compared_differences: `cot compare"):
        write_comparison(runs[1])
    shutil.rmtree(runs[2].path)
    with pytest.raises(InputError, match="run 'warm-zero', which was compared: "):
        write_comparison(runs[0])


def test_a_difference_that_rounds_to_nothing_has_no_direction() -> None:
    row = {"run": "b", "unit": "share of questions", "n_questions": 9, "low": -0.1, "high": 0.1}
    for estimate, said in ((0.0004, "0.0 points apart"), (0.0006, "0.1 points above")):
        told = _told({**row, "estimate": estimate}, {"b": "B"}, "", "below", "above")
        assert told.startswith(f"B {said} (")
