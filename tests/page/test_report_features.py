"""Features on the page and as a figure: numbers as in the tables, cards within a budget."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from planted import HOSTILE, planted_run
from planted_feature_tables import HOSTILE_TOKEN, STRONG, N, write_features

from analysis import figures
from analysis.figures.text import visible
from analysis.page import write_report
from analysis.page.evidence import Evidence, gather
from analysis.page.sections.features import cards as cards_module
from analysis.page.sections.features import feature_figures, features_data
from analysis.page.sections.features.cards import feature_cards
from analysis.page.sections.methods.glossary import glossary
from cot.errors import InputError
from cot.store.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("features") / "run"
    made = planted_run(folder, tables=["answers", "steps"], texts={("q03", 1): HOSTILE})
    write_features(made)
    return made


@pytest.fixture(scope="module")
def evidence(run: Run) -> Evidence:
    return gather(run)


def test_a_card_shows_the_strongest_steps_in_their_texts(run: Run, evidence: Evidence) -> None:
    first = feature_cards(evidence)[0]
    assert (first.method, first.feature, first.chosen, first.tells) == ("snmf", 0, True, True)
    assert [(each.id, each.index, each.step) for each in first.steps] == STRONG
    texts = run.traces(["text"]).set_index(["question_id", "sample_index"])["text"]
    spans = run.table("steps").set_index(["question_id", "sample_index", "step"])
    for each in first.steps:
        span = spans.loc[(each.id, each.index, each.step)]
        said = texts[each.id, each.index][span["start"] : span["end"]]
        assert each.text == said[: cards_module.CHARACTERS]
    assert [each.held_out for each in first.steps] == [True, False, True]
    assert first.fifths == [[0.7] * 5, [0.2] * 5]
    assert first.tokens == [" total", HOSTILE_TOKEN]
    assert [each.id for each in first.traces] == ["q03", "q01", "q02"]


def test_a_feature_that_is_never_off_shows_values_in_place_of_rates(evidence: Evidence) -> None:
    (card,) = (each for each in feature_cards(evidence) if each.method == "cav")
    assert not card.fires
    assert card.rate_right is None
    assert card.fifths == [[0.5] * 5, [0.0] * 5]


def test_the_chosen_features_come_first_and_the_rest_is_counted(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [(each.method, each.feature) for each in feature_cards(evidence)] == [
        ("snmf", 0),
        ("cav", 0),
        ("snmf", 1),
        ("snmf", 2),
    ]
    monkeypatch.setattr(cards_module, "CARDS", 2)
    data = features_data(evidence)
    assert len(data.cards) == 2
    assert data.n_features == N + 1


def test_numbers_stand_in_the_tables(evidence: Evidence) -> None:
    data = features_data(evidence)
    assert data.place == "layer 20 at step_end"
    assert data.methods == ["snmf", "cav"]
    assert len(data.rows) == 3 * N + 1
    assert data.rows[0][:5] == ["snmf", "0", "0.82", "0.72 to 0.92", "0.010"]
    assert data.rows[-1][0] == "random (baseline)"
    assert data.rows[-1][-2:] == ["–", "–"]
    assert data.columns == [
        "AUROC, chosen on training questions",
        "less random",
        "less PCA",
        "Dead",
    ]
    (method,) = data.findings
    assert method.name == "snmf"
    assert method.values[0] == ("0.82", "0.72 to 0.92", "= 0.010")
    assert method.values[1] == ("0.22", "0.12 to 0.32", "")
    assert method.values[3] == ("0.33", "", "")


def test_without_features_there_is_no_section(tmp_path: Path) -> None:
    bare = planted_run(tmp_path / "run", tables=["answers", "steps"])
    source = write_report(bare).read_text(encoding="utf-8")
    assert 'id="features-title"' not in source
    assert "cot features" in source
    empty = replace(gather(bare), tables={"features": pd.DataFrame()})
    assert feature_cards(empty) == []


@pytest.mark.slow
def test_what_a_model_wrote_is_text_on_the_page(run: Run) -> None:
    source = write_report(run).read_text(encoding="utf-8")
    assert 'id="features-title"' in source
    assert HOSTILE_TOKEN not in source


def test_the_figure_has_every_feature_and_its_controls(run: Run) -> None:
    drawn = feature_figures(run)
    assert list(drawn) == ["snmf", "cav"]
    figure = figures.feature_aurocs(run)
    control, components, own = figure.data
    assert list(own.y) == ["0 ★", "1", "2"]
    assert list(own.x) == [0.82, 0.31, 0.5]
    assert set(control.x) == {0.6}
    assert set(components.x) == {0.58}
    caption = figure.layout.meta["caption"]
    assert "n = 6 held-out questions" in caption
    assert "40 traces; 2 left out" in caption
    with pytest.raises(InputError, match="no method 'topk'"):
        figures.feature_aurocs(run, "topk")


def test_the_glossary_explains_features(evidence: Evidence) -> None:
    assert any(term.startswith("Feature") for term, _ in glossary(evidence))
    assert visible(HOSTILE_TOKEN) == HOSTILE_TOKEN
