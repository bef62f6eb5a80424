"""The measures of each family are those of the run's own findings."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from planted import planted_run
from written import write_table

import analysis
from analysis.comparison.measure import Compared
from analysis.comparison.reasoning_measures import faithfulness, steps
from analysis.comparison.state_measures import causal, depth
from analysis.comparison.sums import estimate, estimate_interval
from analysis.comparison.tables import FAMILIES
from analysis.faithfulness_tests.contract import rate
from analysis.interventions.asking import load_intervention
from analysis.interventions.effects import effects_of_rows, effects_of_samples
from cot.store.run import Run

pytestmark = pytest.mark.slow

CAUSAL = ["intervention_effects", "interventions", "interventions_sampled"]
REASONED = ["faithfulness", "faithfulness_traces", "faithfulness_tests", "paths", "steps"]
DEPTH = ["lens_traces", "lens_layers"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return planted_run(tmp_path_factory.mktemp("families") / "run")


def measured(reader, run: Run) -> dict[tuple[str, str], object]:
    compared = Compared(name="run", run=run)
    found = {(each.measure, each.subject): each for each in reader(compared)}
    assert compared.missing == []
    return found


def numbers(measure) -> list[float]:
    value = estimate(measure.statistic, measure.rows)
    return [value, *estimate_interval(measure.statistic, measure.rows, 0)]


def test_effects_less_their_controls_are_those_of_the_headlines(run: Run) -> None:
    rows, sampled = run.table("interventions"), run.table("interventions_sampled")
    methods = {name: load_intervention(name) for name in rows["method"].unique()}
    made = [effects_of_rows(rows, methods, 92, 99, 0), effects_of_samples(sampled, 0)]
    effects = pd.concat(made, ignore_index=True)
    write_table(run, "intervention_effects", effects, command="intervene")
    heads = effects[effects["headline"]]
    found = measured(causal, run)
    assert len(found) == len(heads) == 3
    for row in heads.to_dict("records"):
        parts = [row[name] for name in ("method", "target", "position")]
        named = ", ".join(str(part) for part in parts if pd.notna(part) and part != "")
        mine = found[row["measure"], f"{named}; less {row['control']}"]
        expected = [row[name] for name in ("difference", "difference_low", "difference_high")]
        assert numbers(mine) == pytest.approx(expected, nan_ok=True)
        assert mine.n_traces.sum() == row["n_traces"]


def test_faithfulness_is_the_mean_over_sampled_traces(run: Run) -> None:
    table = run.table("faithfulness_traces")
    sampled = table[~table["greedy"]]
    found = measured(faithfulness, run)
    for test in run.table("faithfulness_tests").to_dict("records"):
        own = sampled[sampled["test"] == test["test"]]
        expected = rate("value", own["value"], own["question_id"], method="", seed=0)
        mine = found[test["measure"], test["test"]]
        assert numbers(mine) == pytest.approx([expected.estimate, expected.low, expected.high])
        assert mine.n_traces.sum() == expected.n_traces


def test_depth_is_a_mean_over_questions(run: Run) -> None:
    table = run.table("lens_traces")
    deepest = run.table("lens_layers").query("measure == 'committed'")["layer"].max()
    known = table[table["consistency"].notna()]
    found = measured(depth, run)
    layers = known["commitment_layer"].astype(float).groupby(known["question_id"]).mean() / deepest
    assert numbers(found["commitment_depth", ""])[0] == pytest.approx(layers.mean())
    consistency = known.groupby("question_id")["consistency"].mean().mean()
    assert numbers(found["consistency", ""])[0] == pytest.approx(consistency)


def test_traces_with_a_wrong_equation_are_a_share_of_those_that_can_be_checked(run: Run) -> None:
    paths = run.table("paths")
    per = pd.DataFrame({"question_id": paths["question_id"].unique(), "right_checked": 0})
    write_table(run, "path_questions", per.assign(right_over_wrong=0), command="paths")
    checked = paths[paths["n_checked"] > 0]
    found = measured(steps, run)
    share = (checked["n_wrong"] > 0).mean()
    assert 0 < share < 1
    assert numbers(found["traces_with_wrong_equation", ""])[0] == pytest.approx(share)


def test_a_whole_run_and_its_copy_do_not_differ_in_any_family(run: Run, tmp_path: Path) -> None:
    other = planted_run(tmp_path / "copy")
    for each in (run, other):
        analysis.calibrate(each, signal=["vote_share", "mean_logp"])
    per = run.table("path_questions")
    write_table(other, "path_questions", per, command="paths")
    table = analysis.compare(run, [other.path])
    assert set(table["family"]) >= set(FAMILIES) - {"curve"}
    paired = table[table["p"].notna() & (table["family"] != "causal")]
    assert len(paired) > 30
    assert (paired[["estimate", "low", "high"]] == 0).all(axis=None)
    assert (paired["p_holm"] == 1).all()
