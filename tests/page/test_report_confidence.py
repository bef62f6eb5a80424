"""Confidence and stopping rules on the page: numbers as in the tables, and no claim beyond them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted import planted_run
from written import write_table

from analysis import figures
from analysis.calibration import calibrate
from analysis.page import write_report
from analysis.page.evidence import gather
from analysis.page.sections.calibration import calibration_data, confidence_claim
from analysis.page.sections.stopping import stop_rows
from cot.store.run import Run


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = planted_run(tmp_path_factory.mktemp("confidence") / "run")
    calibrate(run)
    return run


def stops(run: Run) -> pd.DataFrame:
    """`findings_stop` of two rules, as `analysis.stopping.stop` writes it."""
    rows = [
        ("asc_beta", "", 0.7, 0.5, 0.9, 4.25, 0.46875, 0.4),
        ("fixed:n=2", "", 0.6, 0.4, 0.8, 2.0, 0.75, np.nan),
        ("all", "", 0.75, 0.5, 1.0, np.nan, np.nan, np.nan),
        ("asc_beta", "all", -0.05, -0.1, 0.0, np.nan, np.nan, np.nan),
        ("fixed:n=2", "all", -0.15, -0.3, -0.1, np.nan, np.nan, np.nan),
    ]
    names = ["subject", "baseline", "estimate", "low", "high"]
    names += ["mean_samples", "saved", "tokens_saved"]
    table = pd.DataFrame(rows, columns=names).assign(measure="accuracy")
    write_table(run, "findings_stop", table, command="stop", parameters={}, inputs=["answers"])
    return table


@pytest.mark.slow
def test_panels_and_rows_say_what_the_tables_say(planted: Run) -> None:
    data = calibration_data(gather(planted))
    assert data is not None
    table = planted.table("calibration").set_index("signal")
    assert [row[0] for row in data.rows] == list(table.index)
    (_, panels), *_ = data.groups
    assert (panels[0].signal, panels[0].kind) == ("vote_share", "risk_coverage")
    chance, oracle, share = figures.calibration(planted, "vote_share", "risk_coverage").data
    assert np.mean(share.y) == pytest.approx(table.loc["vote_share", "aurc"])
    assert chance.y[0] == pytest.approx(1 - table.loc["vote_share", "prevalence"])
    assert oracle.y[-1] == pytest.approx(share.y[-1])
    assert all(best <= risk + 1e-9 for best, risk in zip(oracle.y, share.y, strict=True))
    bins = [row for row in data.bins if row[0] == "vote_share"]
    assert sum(int(row[3]) for row in bins) == table.loc["vote_share", "n"]
    curves = planted.table("calibration_curves")[["signal", "kind"]].drop_duplicates()
    shown = {(each.signal, each.kind) for _, panels in data.groups for each in panels}
    assert shown == set(map(tuple, curves.to_numpy()))


def test_the_page_has_the_section_or_says_how_to_make_it(report: Path, tmp_path: Path) -> None:
    page = report.read_text(encoding="utf-8")
    assert "Does confidence predict correctness?" in page
    assert "There is no table calibration" not in page
    bare = planted_run(tmp_path / "run", tables=["answers"])
    page = write_report(bare).read_text(encoding="utf-8")
    assert "There is no table calibration yet." in page
    assert f"cot calibrate {bare.path}" in page
    assert '<section id="stopping"' not in page


def test_stopping_rules_are_shown_beside_the_vote_over_all(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=["answers"])
    assert stop_rows(gather(run)) == []
    stops(run)
    assert stop_rows(gather(run)) == [
        ["asc_beta", "70.0%", "50.0% to 90.0%", "−5.0", "−10.0 to 0.0", "4.2", "46.9%", "40.0%"],
        ["fixed:n=2", "60.0%", "40.0% to 80.0%", "−15.0", "−30.0 to −10.0", "2.0", "75.0%", "–"],
        ["vote over all traces", "75.0%", "50.0% to 100.0%", *["–"] * 5],
    ]
    assert "Stopping rules, simulated" in write_report(run).read_text(encoding="utf-8")


def test_what_is_not_scored_has_no_panel_and_says_why(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=["answers"])
    answers = run.table("answers")
    answers["correct"] = answers["correct"].where(answers["correct"].isna(), False)
    write_table(run, "answers", answers, command="answers", parameters={}, inputs=[])
    calibrate(run, ["margin"])
    data = calibration_data(gather(run))
    assert data is not None
    assert data.groups == data.bins == data.risks == []
    assert data.rows[0][3:5] == ["–", "–"]
    page = write_report(run).read_text(encoding="utf-8")
    assert "margin: all 11 majorities are wrong: no ranking is scored." in page
    assert "Margin: undefined, as all majorities are right or all are wrong." in page


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.6, 0.8, "Vote share ranks right majorities above wrong ones"),
        (0.4, 0.8, "Vote share is not shown to tell right majorities from wrong ones"),
        (0.1, 0.4, "Vote share ranks wrong majorities above right ones"),
    ],
)
def test_claims_go_as_far_as_the_interval(low: float, high: float, said: str) -> None:
    finding = {"estimate": (low + high) / 2, "low": low, "high": high}
    finding |= {"subject": "vote_share", "target": "majority"}
    assert confidence_claim(finding).startswith(said)
