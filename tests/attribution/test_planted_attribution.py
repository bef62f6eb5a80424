"""`cot attribute` on the planted model: every method finds the step that decides, and none of what
they say is left under random weights. See `planted_model.py` for the closed forms."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from planted_model import DECISIVE, PlantedModel, log_odds, plant, planted_run
from scipy.stats import rankdata

from analysis.answer_table import answers as extract_answers
from analysis.attribution import _asked, _count, attribute, load_attribution
from analysis.attribution.lab import ModelLab, RandomWeights
from analysis.attribution.measuring import FOLDER
from analysis.interventions import intervene
from analysis.interventions.units import UnitStore
from analysis.steps import segment
from cot.errors import InputError
from cot.store.run import Run

pytestmark = pytest.mark.slow

METHODS = ("grad_x_input", "integrated_gradients:steps=32", "shapley", "occlusion")
TOTAL = log_odds()
Key = ["question_id", "sample_index"]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> PlantedModel:
    return plant(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, planted: PlantedModel) -> Run:
    """Nothing but steps and answers."""
    made = planted_run(tmp_path_factory.mktemp("run"), planted, n_questions=6, n=4)
    extract_answers(made)
    segment(made)
    return made


@pytest.fixture(scope="module")
def run(bare: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Knocked out, and attributed."""
    made = copy(bare, tmp_path_factory.mktemp("attributed"))
    intervene(made, ["knockout"], samples=0)
    attribute(made, METHODS, checked=2)
    return made


def copy(run: Run, folder: Path) -> Run:
    shutil.copytree(run.path, folder / "run")
    return Run(folder / "run", run.identity)


def finding(run: Run, measure: str, subject: str, baseline: str = "") -> Any:
    rows = run.table("findings_attribute")
    rows = rows[(rows["measure"] == measure) & (rows["subject"] == subject)]
    (found,) = rows[rows["baseline"] == baseline].to_dict("records")
    return found


def steps(run: Run, method: str) -> pd.DataFrame:
    table = run.table("attributions")
    return table[(table["method"] == method) & (table["part"] == "step")]


@pytest.mark.parametrize("method", METHODS)
def test_the_step_that_decides_is_the_highest(run: Run, method: str) -> None:
    table = steps(run, method)
    top = table.loc[table.groupby(Key)["value"].idxmax()]
    assert len(top) == 24
    assert set(top["step"]) == {DECISIVE}


@pytest.mark.parametrize("method", ["shapley", "occlusion"])
def test_it_carries_all_of_the_log_odds_and_the_other_steps_nothing(run: Run, method: str) -> None:
    table = steps(run, method)
    decides = table["step"] == DECISIVE
    assert table.loc[decides, "value"].to_numpy() == pytest.approx(TOTAL, rel=0.01)
    assert table.loc[~decides, "value"].to_numpy() == pytest.approx(0, abs=0.02 * TOTAL)


@pytest.mark.parametrize("method", METHODS[:3])
def test_values_sum_to_the_log_odds_less_the_baseline_and_the_gap(run: Run, method: str) -> None:
    traces, values = run.table("attribution_traces"), run.table("attributions")
    traces = traces[traces["method"] == method].set_index(Key)
    sums = values[values["method"] == method].groupby(Key)["value"].sum()
    lacking = traces["target"] - traces["baseline"] - sums
    assert traces["gap"].to_numpy() == pytest.approx(lacking.to_numpy(), abs=1e-6)
    assert traces["target"].abs().to_numpy() == pytest.approx(TOTAL, rel=0.01)
    if method != "grad_x_input":
        assert finding(run, "gap", method)["estimate"] < 0.01


def test_tokens_sum_to_their_parts(run: Run) -> None:
    tokens, parts = run.table("attribution_tokens"), run.table("attributions")
    assert set(tokens["method"]) == set(METHODS[:2])
    name = ["method", *Key, "part"]
    sums = tokens.groupby(name)["value"].sum()
    assert len(tokens[[*Key]].drop_duplicates()) == 12  # those that are checked
    own = parts.groupby(name)["value"].sum().loc[sums.index]
    assert sums.to_numpy() == pytest.approx(own.to_numpy(), abs=1e-6)
    one = tokens[(tokens["sample_index"] == 0) & (tokens["method"] == METHODS[0])]
    one = one[one["question_id"] == "q3"].sort_values("token")
    text = "".join(one["text"])
    assert text.startswith("Question: Which way at fork 3?")
    assert text.endswith("The answer is")
    assert one.loc[one["token"] == -1, "part"].to_list() == ["instruction"]
    question = "".join(one.loc[one["part"] == "question", "text"])
    assert question.strip() == "Which way at fork 3?"


def test_the_answer_goes_with_the_highest_step_and_comes_with_it(run: Run) -> None:
    removals = run.table("step_removals")
    decides = removals["step"] == DECISIVE
    for name in ("removed", "inserted"):
        assert removals.loc[decides, name].to_numpy() == pytest.approx(TOTAL, rel=0.02)
        assert removals.loc[~decides, name].to_numpy() == pytest.approx(0, abs=0.02 * TOTAL)
    for method in METHODS:
        for test in ("deletion", "insertion"):
            found = finding(run, test, method, "random_step")
            assert found["low"] <= TOTAL * 1.02
            assert found["estimate"] == pytest.approx(TOTAL, rel=0.03)
    assert "by construction" in finding(run, "deletion", "occlusion", "random_step")["method"]
    assert "by construction" not in finding(run, "insertion", "occlusion", "random_step")["method"]


@pytest.mark.parametrize("method", METHODS)
def test_the_ranks_are_those_of_knock_out_and_not_those_under_random_weights(
    run: Run, method: str
) -> None:
    real = finding(run, "spearman", f"{method} × knockout")
    random = finding(run, "spearman", f"{method} × randomised")
    assert real["estimate"] > 0.3
    assert abs(random["estimate"]) < 0.5
    assert (real["n_traces"], random["n_traces"], random["n_excluded"]) == (24, 12, 12)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["grad_x_input", "shapley", "occlusion"])
def test_over_draws_of_the_weights_the_correlation_is_zero(
    bare: Run, tmp_path: Path, method: str
) -> None:
    model = plant(tmp_path).model
    one = load_attribution(method)
    target = _asked(bare, [method], None, 1, None, 16, 0, 0).targets[0]

    def ranks(lab: ModelLab) -> Any:
        values = one.measure(target, lab, 0).parts
        return rankdata([value for part, value in values.items() if part.step is not None])

    true = ranks(ModelLab(model, 16_384, 16))
    weights, found = RandomWeights(model), []
    for seed in range(60):
        weights.draw(seed)
        found.append(np.corrcoef(true, ranks(ModelLab(model, 16_384, 16)))[0, 1])
    assert abs(np.mean(found)) < 2.5 * np.std(found) / np.sqrt(len(found))
    assert np.std(found) / np.sqrt(len(found)) < 0.1


def test_of_a_trace_that_needs_no_drawing_nothing_is_said_under_a_second_seed(run: Run) -> None:
    """Of five steps, 120 orders are more than 25; of four, 24 are not."""
    table = steps(run, "shapley")
    drawn = table.groupby(Key)["step"].transform("size") > 4
    assert table.loc[drawn, "second_seed"].notna().all()
    assert table.loc[~drawn, "second_seed"].isna().all()
    assert drawn.any()
    assert not drawn.all()


def test_a_second_call_runs_no_model_and_says_the_same(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run.table("attributions")
    monkeypatch.setattr("analysis.attribution.measuring.Opening", None)
    pd.testing.assert_frame_equal(attribute(run, METHODS, checked=2), before)


def test_a_killed_call_goes_on_where_it_was(
    bare: Run, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = copy(bare, tmp_path)
    add, left = UnitStore.add, [30]

    def killing(self: UnitStore, *what: Any) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        add(self, *what)

    monkeypatch.setattr(UnitStore, "add", killing)
    with pytest.raises(KeyboardInterrupt):
        attribute(again, ["grad_x_input", "occlusion"], limit=4)
    left[0] = 10**6
    assert list((again.path / FOLDER).glob("part-*"))
    attribute(again, ["grad_x_input", "occlusion"], limit=4)
    left_to_do = 10**6 - left[0]
    assert left_to_do == 16 * 4 + 4 * 2 - 30  # of 16 traces, four are checked
    # the same numbers, the random weights' included, as of a call that was not killed
    known = again.table("attributions").set_index([*Key, "method", "part", "step"])
    other = run.table("attributions").set_index([*Key, "method", "part", "step"])
    other = other.loc[known.index]
    assert known["value"].to_numpy() == pytest.approx(other["value"].to_numpy(), abs=1e-5)
    checked = known["randomised"].notna()
    assert known.loc[checked, "randomised"].to_numpy() == pytest.approx(
        other.loc[checked, "randomised"].to_numpy(), abs=1e-4
    )


def test_a_dry_run_counts_at_least_what_is_run_and_loads_no_model(
    bare: Run, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"model": None, "limit": None, "traces": None, "steps_per_trace": 16, "seed": 0}
    monkeypatch.setattr("analysis.attribution.measuring.Opening", None)
    rows = {row["method"]: row for row in _count(bare, method=METHODS, checked=0, **asked)}
    done = run.table("attribution_traces").groupby("method")[["n_forward", "n_backward"]].sum()
    for method in METHODS[:2]:
        assert rows[method]["n_forward"] == done.loc[method, "n_forward"]
        assert rows[method]["n_backward"] == done.loc[method, "n_backward"]
    assert rows["shapley"]["n_forward"] >= done.loc["shapley", "n_forward"] > 0
    assert {row["n_stored"] for row in rows.values()} == {0}
    rows = {row["method"]: row for row in _count(run, method=METHODS, checked=2, **asked)}
    assert {row["n_stored"] for row in rows.values()} == {24}
    assert {row["n_forward"] for row in rows.values()} == {0}


def test_without_knock_outs_steps_are_ranked_against_random_weights_only(
    bare: Run, tmp_path: Path
) -> None:
    one = copy(bare, tmp_path)
    attribute(one, ["occlusion"], limit=3)
    subjects = set(one.table("findings_attribute")["subject"])
    assert "occlusion × randomised" in subjects
    assert not [name for name in subjects if "knockout" in name]


def test_a_model_that_did_not_write_the_traces_is_left_out(bare: Run, tmp_path: Path) -> None:
    other = plant(tmp_path / "other", noise=0.5, seed=5)
    weights = other.model.get_output_embeddings().weight
    with torch.no_grad():
        weights.mul_(0.2)
    other.model.save_pretrained(other.folder)
    one = copy(bare, tmp_path)
    table = attribute(one, ["occlusion"], limit=2, model=str(other.folder))
    assert table.empty
    assert one.table("findings_attribute")["estimate"].isna().all()


def test_captum_is_named_where_it_is_missing(bare: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "captum.attr", None)
    with pytest.raises(InputError, match=r"pip install 'consilience\[interp\]'"):
        attribute(bare, ["shapley"])


def test_wrong_use_is_said(bare: Run) -> None:
    with pytest.raises(InputError, match="no method: give one or more of grad_x_input"):
        attribute(bare, [])
    with pytest.raises(InputError, match="--checked is -1"):
        attribute(bare, ["occlusion"], checked=-1)
    with pytest.raises(InputError, match="--steps-per-trace is -1"):
        attribute(bare, ["occlusion"], steps_per_trace=-1)
    with pytest.raises(InputError, match="--engine vlm: attributions need transformers"):
        attribute(bare, ["occlusion"], engine="vlm")


# -- the laboratory -------------------------------------------------------------------------------


def test_checkpointing_changes_no_gradient_and_leaves_the_model_in_evaluation(
    planted: PlantedModel,
) -> None:
    lab = ModelLab(planted.model, tokens_per_batch=16 * 1024, most_steps=0)
    small = ModelLab(planted.model, tokens_per_batch=16, most_steps=0)  # no row fits
    ids = torch.arange(6, 26)[None]
    found = []
    for one in (lab, small):
        states = planted.model.get_input_embeddings()(ids).detach().requires_grad_()
        with one._checkpointed(one._gradient_tokens < 20):
            training = [block.training for block in one._blocks]
            value = one._last(states)[:, :8].sum()
        (gradient,) = torch.autograd.grad(value, states)
        found.append(gradient)
        assert set(training) == {one is small}
        assert not any(module.training for module in planted.model.modules())
    assert torch.allclose(*found, atol=1e-6)
    assert float(found[0].abs().max()) > 0


def test_random_weights_keep_their_size_and_follow_the_seed(tmp_path: Path) -> None:
    model = plant(tmp_path).model
    matrix = model.get_output_embeddings().weight.detach()
    norms = [weight.clone() for weight in model.parameters() if weight.dim() == 1]
    spread = float(matrix.std())
    weights = RandomWeights(model)
    drawn = []
    for seed in (1, 2, 1):
        weights.draw(seed)
        drawn.append(matrix.clone())
        assert float(matrix.std()) == pytest.approx(spread, rel=0.1)
    assert torch.equal(drawn[0], drawn[2])
    assert abs(np.corrcoef(drawn[0].flatten(), drawn[1].flatten())[0, 1]) < 0.1
    kept = [weight for weight in model.parameters() if weight.dim() == 1]
    assert all(torch.equal(one, other) for one, other in zip(norms, kept, strict=True))
