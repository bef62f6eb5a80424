"""Attention between steps, on the page: numbers as in the tables, traces within a budget."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted import HOSTILE, planted_run
from planted_attention import (
    HOSTILE_METHOD,
    N_HEADS,
    N_LAYERS,
    RECEIVER,
    SHOWN,
    add_attention,
    attention,
)

from analysis.figures.text import visible
from analysis.page import as_json, write_report
from analysis.page.evidence import Evidence, gather
from analysis.page.sections.attention import attention_data, matrices
from analysis.page.sections.attention.matrices import UNITS, attention_traces
from analysis.page.sections.methods.glossary import glossary
from cot.store.run import Run

TABLES = ["answers", "steps"]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("attention") / "run"
    run = planted_run(folder, tables=TABLES, texts={("q03", 1): HOSTILE})
    add_attention(run)
    return run


@pytest.fixture(scope="module")
def evidence(planted: Run) -> Evidence:
    return gather(planted)


def test_the_grid_has_every_head_and_marks_receivers(evidence: Evidence) -> None:
    data = attention_data(evidence)
    grid = data.grid
    assert grid is not None
    assert (grid.layers, grid.heads) == ([1, 2, 3], [0, 1, 2])
    name, values = grid.measures[0]
    assert name == "receiver score"
    assert values == [[-0.5, -0.5, None], [-0.5, 6.0, None], [-0.5, -0.5, None]]
    marked = [(i + 1, j) for i in range(3) for j in range(3) if grid.receivers[i][j]]
    assert marked == [RECEIVER]
    assert grid.words[1][1].startswith("Layer 2, head 1: receiver score 6.00 (5.00 to 7.00); ")
    assert "receiver head, Holm's p" in grid.words[1][1]
    assert grid.words[0][2] == "Layer 1, head 2: no receiver score, too few steps"
    assert data.summary == "1 of 9 heads are shown to be receiver heads, over 10 questions"
    assert data.rows[0][:4] == ["2", "1", "yes", "6.00"]
    assert len(data.rows) == 6  # those with a score
    assert data.ranks[0][:2] == ["receiver_heads × knockout", "within traces"]
    assert data.ranks[0][3:5] == ["0.31", "0.11 to 0.52"]


def test_a_measure_that_nobody_knows_is_not_offered(evidence: Evidence) -> None:
    table = evidence.get("attention_heads").assign(kurtosis=np.nan)
    findings = evidence.get("findings_attention")
    findings = findings[findings["measure"] == "receiver_heads"].assign(estimate=np.nan)
    tables = {**evidence.tables, "attention_heads": table, "findings_attention": findings}
    data = attention_data(replace(evidence, tables=tables))
    assert data.grid is not None
    assert "receiver score" not in dict(data.grid.measures)
    assert data.rows == []
    assert data.summary == "Whether there are receiver heads is not known"


def test_matrices_come_back_from_units(evidence: Evidence) -> None:
    traces = attention_traces(evidence)
    assert [(each.id, each.index) for each in traces] == SHOWN
    for trace in traces:
        assert len(trace.heads) == N_LAYERS * N_HEADS
        for (layer, head), top, units in zip(trace.heads, trace.tops, trace.units, strict=True):
            pairs = iter(units)
            for later in trace.steps:
                for step in trace.steps[: later + 1]:
                    value = top * next(pairs) / UNITS
                    assert value == pytest.approx(attention(layer, head, later, step), abs=2e-6)


def test_long_traces_and_many_heads_stay_within_a_budget(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrices, "STEPS", 2)
    monkeypatch.setattr(matrices, "NUMBERS", 6)  # of two matrices with three numbers each
    first = attention_traces(evidence)[0]
    assert first.steps == [0, first.n_steps - 1]
    assert len(first.heads) == 2
    assert RECEIVER in first.heads
    data = attention_data(evidence)
    assert (data.n_carried, data.n_heads) == (2, 9)


def test_what_a_model_wrote_is_text(planted: Run, evidence: Evidence) -> None:
    source = write_report(planted).read_text(encoding="utf-8")
    assert "Which steps do later steps attend to?" in source
    assert HOSTILE_METHOD not in source
    assert "&lt;img src=x onerror=window.hacked=11&gt;" in source
    (trace,) = (each for each in attention_traces(evidence) if each.id == "q03")
    sent = str(as_json(trace))
    assert "<script>" not in sent
    assert json.loads(sent)["texts"] == trace.texts
    assert all(visible(text) is not None for text in trace.texts)


def test_its_terms_are_explained(evidence: Evidence) -> None:
    terms = dict(glossary(evidence))
    assert "Receiver head" in terms


def test_without_tables_there_is_no_section(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=TABLES)
    source = write_report(run).read_text(encoding="utf-8")
    assert 'id="attention-title"' not in source
    assert "cot attention" in source
    assert pd.isna(gather(run).get("attention_heads").get("kurtosis"))
