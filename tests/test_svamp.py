"""Figures of 1,600 real traces (80 SVAMP questions × 20), where they lie beside the project.

Exact ones are exact; those that hang on a bootstrap or on an embedder have the tolerance named.
"""

from pathlib import Path

import pandas as pd
import pytest

import analysis
import cot
from analysis.answer_table import answers as extract_answers
from analysis.findings import pick
from cot.importers import import_traces

TRACES = Path(__file__).parents[2] / "shared/data/svamp_smollm2_traces.jsonl"


def own(findings: pd.DataFrame) -> pd.DataFrame:
    """Findings of their own, without what is compared, by subject."""
    return findings[findings["baseline"] == ""].set_index("subject")


if TRACES.exists():

    @pytest.fixture(scope="module")
    def svamp(tmp_path_factory) -> "cot.Run":
        run = import_traces(TRACES, tmp_path_factory.mktemp("svamp") / "run").run
        extract_answers(run)
        return run

    def test_answers(svamp):
        statuses = svamp.table("answers")["status"].value_counts().to_dict()
        # 13 traces were cut off right behind a number, which may go on: "The answer is 7" of 70
        assert statuses == {"ok": 1517, "missing": 2, "unparsed": 2, "truncated": 79}

    def test_votes(svamp):
        rules = ["majority", "sum_prob", "sum_prob_norm", "mean_prob", "mean_prob_norm", "cisc"]
        analysis.vote(svamp, rules)
        found = own(svamp.table("findings_vote"))
        assert (found.loc[rules, "estimate"] * 80).round(9).to_list() == [9, 6, 6, 5, 5, 6]
        assert found.loc["majority", ["ties", "abstained", "excluded"]].to_list() == [21, 0, 83]
        assert found.loc["single", "estimate"] == pytest.approx(64 / 1600)
        assert found.loc["majority", "low"] == pytest.approx(0.05, abs=0.0126)
        assert found.loc["majority", "high"] == pytest.approx(0.1875, abs=0.0126)

    def test_curve(svamp):
        points = analysis.curve(svamp, ["majority", "pass@k"], n=[1, 5, 10, 20])
        found = points.set_index(["rule", "n"])["accuracy"]
        assert found["majority", 1] == pytest.approx(0.04)
        assert found["pass@k", 1] == pytest.approx(0.04)
        assert found["majority", 5] == pytest.approx(
            0.0490470, abs=5e-8
        )  # all C(20, 5) subsets were enumerated once
        assert found["majority", 10] == pytest.approx(0.0674439, abs=5e-8)
        assert found["majority", 20] == pytest.approx(9 / 80)
        assert found["pass@k", 20] == pytest.approx(27 / 80)

    def test_stopping(svamp):
        analysis.stop(svamp, ["asc_beta", "esc", "fixed:n=5"], order="file")
        found = own(svamp.table("findings_stop"))
        assert (found.loc["asc_beta", "mean_samples"] * 80).round(9) == 1584
        assert (found.loc["asc_beta", "estimate"] * 80).round(9) == 9
        assert found.loc["esc", "mean_samples"] == 20
        assert (found.loc["fixed:n=5", "estimate"] * 80).round(9) == 5

    def test_calibration(svamp):
        found = analysis.calibrate(svamp).set_index("signal")
        assert found.loc["vote_share", "auroc"] == pytest.approx(0.532, abs=5e-4)
        assert found.loc["mean_logp", "auroc"] == pytest.approx(0.606, abs=5e-4)
        assert found.loc["mean_logp", "wqd"] == pytest.approx(0.635, abs=5e-4)
        entropy = pick(svamp.table("findings_calibrate"), "mean_answer_entropy")
        assert entropy["estimate"] == pytest.approx(2.457, abs=5e-4)
