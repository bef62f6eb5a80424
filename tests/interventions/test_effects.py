"""Effects, controls and verdicts, on tables whose numbers are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.interventions import load_intervention
from analysis.interventions.effects import effects_of_rows, effects_of_samples
from analysis.interventions.units import ROW_TYPES, ROWS
from analysis.statistics.corrections import holm

BLOCKS = 4


def table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The table `interventions`, with what isn't said left out."""
    plain = {"sample_index": 0, "target": "", "control": "", "draw": 0, "other": "2"}
    plain |= {"measure": "log_odds", "before": 0.0, "after": 0.0}
    return pd.DataFrame([plain | row for row in rows], columns=list(ROWS)).astype(ROW_TYPES)


def effects(rows: Sequence[Mapping[str, Any]], n_cases: int = 0) -> pd.DataFrame:
    frame = table(rows)
    methods = {name: load_intervention(name) for name in frame["method"].unique()}
    return effects_of_rows(frame, methods, n_cases or len(frame), BLOCKS, seed=0)


def patched(question: int, layer: int, effect: float, control: str = "") -> dict[str, Any]:
    return {
        "question_id": f"q{question}",
        "method": "patching",
        "measure": "toward_donor",
        "layer": layer,
        "position": "step_end",
        "step": 0,
        "control": control,
        "effect": effect,
        "gap": 4.0,
    }


def test_a_recovered_share_is_a_ratio_of_sums() -> None:
    """Effects 1, 2 and 3 of gaps 4 each: (1 + 2 + 3) / 12. The control's 1, 1, 1: 3 / 12."""
    rows = [patched(i, 2, 1.0 + i) for i in range(3)]
    rows += [patched(i, 2, 1.0, "same_answer") for i in range(3)]
    found = effects(rows)
    row = found[~found["headline"]].iloc[0]
    assert row["measure"] == "recovered"
    assert (row["effect"], row["control_effect"]) == (pytest.approx(0.5), pytest.approx(0.25))
    assert row["difference"] == pytest.approx(0.25)
    assert row["n_questions"] == row["n_traces"] == 3


def test_effect_and_control_are_of_the_traces_that_have_both() -> None:
    rows = [patched(i, 2, 2.0) for i in range(4)] + [patched(4, 2, 4.0)]
    rows += [patched(i, 2, 1.0, "same_answer") for i in range(4)]
    found = effects(rows, n_cases=6)
    row = found[(found["control"] == "same_answer") & ~found["headline"]].iloc[0]
    assert row["effect"] == pytest.approx(8 / 16)
    assert row["control_effect"] == row["difference"] == pytest.approx(4 / 16)
    assert (row["n_traces"], row["n_excluded"]) == (4, 2)
    # over all traces, without a control
    row = found[found["control"] == ""].iloc[0]
    assert row["effect"] == pytest.approx(12 / 20)
    assert (row["n_traces"], row["n_excluded"], row["verdict"]) == (5, 1, "")
    assert np.isnan(row["difference"])


def test_steps_are_averaged_within_traces_and_traces_within_questions() -> None:
    """Question 0: traces of (1 + 3) / 2 = 2 and 4; question 1: 5. Mean of 3 and 5."""
    hidden = {"method": "knockout", "position": "step"}
    rows = [
        {**hidden, "question_id": "q0", "sample_index": 0, "step": 0, "effect": 1.0},
        {**hidden, "question_id": "q0", "sample_index": 0, "step": 1, "effect": 3.0},
        {**hidden, "question_id": "q0", "sample_index": 1, "step": 0, "effect": 4.0},
        {**hidden, "question_id": "q1", "sample_index": 0, "step": 0, "effect": 5.0},
    ]
    found = effects(rows, n_cases=7).set_index("position")
    assert found.loc["step", "effect"] == pytest.approx(4)
    assert (found.loc["step", "n_traces"], found.loc["step", "n_excluded"]) == (3, 4)
    # first and last are told apart where there are two steps or more
    assert found.loc["first_step", "effect"] == 1
    assert found.loc["last_step", "effect"] == 3


def steered(question: int, strength: float, effect: float, control: str, draw: int) -> Any:
    return {
        "question_id": f"q{question}",
        "method": "steering",
        "target": "correct",
        "layer": 2,
        "position": "generated",
        "strength": strength,
        "control": control,
        "draw": draw,
        "effect": effect,
    }


@pytest.mark.slow
def test_a_slope_is_least_squares_through_the_origin() -> None:
    """Effects -1 at -1, 3 at 1 and 4 at 2: (1 + 3 + 8) / (1 + 1 + 4) = 2."""
    doses = {-1.0: -1.0, 1.0: 3.0, 2.0: 4.0}
    rows = [steered(i, c, e, "", 0) for i in range(4) for c, e in doses.items()]
    rows += [
        steered(i, c, 0.1 * c * (draw - 2), "random", draw)
        for i in range(4)
        for c in doses
        for draw in range(5)
    ]
    found = effects(rows)
    slope = found[(found["measure"] == "slope") & ~found["headline"]].iloc[0]
    assert slope["effect"] == pytest.approx(2)
    assert slope["control_effect"] == pytest.approx(0)
    # the draws' slopes are -.2, -.1, 0, .1, .2
    assert (slope["band_low"], slope["band_high"]) == (pytest.approx(-0.19), pytest.approx(0.19))
    assert slope["verdict"] == "causal"
    # a single strength is no test of its own: the slope is
    doses_alone = found[(found["measure"] == "log_odds") & ~found["headline"]]
    assert set(doses_alone["verdict"]) == {""}


def test_a_slope_within_the_band_of_random_directions_is_not_causal() -> None:
    rng = np.random.default_rng(0)
    rows = [steered(i, 1.0, 0.3 + 0.01 * rng.normal(), "", 0) for i in range(12)]
    rows += [
        steered(i, 1.0, 0.2 * (draw - 9.5), "random", draw) for i in range(12) for draw in range(20)
    ]
    row = effects(rows).query("measure == 'slope'").iloc[0]
    assert row["difference_low"] > 0  # beyond their mean, which is 0 by symmetry
    assert row["verdict"] == "not shown"


def test_each_control_must_be_exceeded() -> None:
    rng = np.random.default_rng(1)
    noise = 0.1 * rng.normal(size=(3, 10))
    rows = [patched(i, 2, 2 + noise[0, i]) for i in range(10)]
    rows += [patched(i, 2, noise[1, i], "same_answer") for i in range(10)]
    assert set(effects(rows)["verdict"]) == {"causal"}
    rows += [patched(i, 2, 2 + noise[2, i], "other_question") for i in range(10)]
    assert set(effects(rows)["verdict"]) == {"not shown"}


def test_the_last_layer_right_before_the_answer_is_no_test() -> None:
    rows = []
    for layer in (2, BLOCKS):
        for i in range(6):
            one = patched(i, layer, 4.0 if layer == BLOCKS else 0.1 * i)
            rows += [one, {**one, "control": "same_answer", "effect": 0.0}]
    rows = [{**row, "position": "pre_answer"} for row in rows]
    found = effects(rows)
    last = found[(found["layer"] == BLOCKS) & ~found["headline"]]
    assert set(last["verdict"]) == {""}
    assert last["how"].str.contains("by construction").all()
    assert set(found[found["headline"]]["layer"]) == {2}


def test_over_all_steps_a_span_of_the_others_cancels_and_the_last_step_is_tested() -> None:
    """Of each trace the last step alone matters; its span is of the first one, and the first's is
    of the last."""
    rows = []
    rng = np.random.default_rng(0)
    for i in range(8):
        for step, effect in enumerate((0.0, 2.0)):
            moved = effect + 0.05 * rng.normal()
            own = {"method": "knockout", "position": "step", "question_id": f"q{i}", "step": step}
            rows.append({**own, "effect": moved})
            rows.append({**own, "effect": 2.0 - effect, "control": "random_span"})
    found = effects(rows)
    assert set(found[found["position"] == "step"]["verdict"]) == {""}
    assert not found[found["position"] == "step"]["headline"].any()
    words = found[found["headline"]].set_index("position")["verdict"]
    assert words.to_dict() == {"first_step": "not shown", "last_step": "causal"}


def test_a_headline_takes_its_layer_from_other_questions() -> None:
    """Layer 3 moves every question by 1; layer 1 moves one question by 50 and no other. Chosen on
    the questions that are reported, layer 1 would win."""
    rows = []
    rng = np.random.default_rng(0)
    for i in range(20):
        for layer, effect in ((1, 50.0 if i == 0 else 0.0), (3, 1.0)):
            noisy = effect + 0.01 * rng.normal()
            rows += [patched(i, layer, noisy), patched(i, layer, 0.0, "same_answer")]
    found = effects(rows)
    head = found[found["headline"]].iloc[0]
    # the folds without question 0 see it, and take layer 1 where it does nothing
    assert head["effect"] < 0.3 * 50 / 80
    assert "chosen on other questions" in head["how"]


@pytest.mark.parametrize(("p", "corrected"), [([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]), ([], [])])
def test_holm(p: list[float], corrected: list[float]) -> None:
    assert holm(p) == pytest.approx(corrected)


def test_holm_leaves_what_is_undefined_out() -> None:
    found = holm([0.02, float("nan"), 0.04])
    assert found[::2] == pytest.approx([0.04, 0.04])
    assert np.isnan(found[1])


@pytest.mark.slow
def test_noise_is_hardly_ever_called_causal() -> None:
    causal = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        rows = [
            patched(i, layer, rng.normal(), control)
            for i in range(8)
            for layer in (1, 2, 3)
            for control in ("", "same_answer")
        ]
        found = effects(rows)
        causal += "causal" in set(found["verdict"])
    assert causal <= 4


def sampled(question: int, control: str, correct: bool, **others: Any) -> dict[str, Any]:
    answer = "1" if correct else "2"
    return {
        "question_id": f"q{question}",
        "sample_index": 0,
        "method": "" if control == "unchanged" else "steering",
        "target": "correct",
        "layer": 2,
        "position": "generated",
        "strength": 0.1,
        "control": control,
        "draw": 0,
        "answer": answer,
        "status": "ok",
        "correct": correct,
        "baseline_answer": "2",
        "finish_reason": "stop",
        "n_tokens": 20,
        "repetition": 0.0,
        "perplexity": 2.0,
    } | others


def test_sampled_traces_stand_beside_the_unchanged_ones_of_the_same_seed() -> None:
    rows = [sampled(i, "unchanged", False, perplexity=np.e) for i in range(4)]
    rows += [sampled(i, "", i < 3, n_tokens=30, perplexity=np.e**2) for i in range(4)]
    rows += [sampled(i, "random", i < 1) for i in range(4)]
    found = effects_of_samples(pd.DataFrame(rows).astype({"layer": "Int64"}), seed=0)
    by = found[~found["headline"]].set_index("measure")
    assert by.loc["accuracy", "effect"] == pytest.approx(0.75)
    assert by.loc["accuracy", "control_effect"] == pytest.approx(0.25)
    assert by.loc["accuracy", "difference"] == pytest.approx(0.5)
    assert by.loc["changed", "effect"] == pytest.approx(0.75)
    assert by.loc["length", "effect"] == pytest.approx(10)
    assert by.loc["perplexity", "effect"] == pytest.approx(1)  # nats
