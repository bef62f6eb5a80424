"""`cot intervene` on the planted model: it finds what decides, where, and by how much, and shows
nothing for what decides nothing. See `planted_model.py` for the closed forms."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted_model import (
    DECISIVE,
    GAIN,
    N_BLOCKS,
    READ_EARLY,
    READ_LATE,
    PlantedModel,
    log_odds,
    plant,
    planted_run,
)

from analysis.answer_table import answers as extract_answers
from analysis.hidden_states import capture
from analysis.interventions import intervene
from analysis.interventions.directions import find_directions
from analysis.steps import segment
from cot.store.run import Run

pytestmark = pytest.mark.slow

LAYER = 5
"""At which directions act: all has been read by then."""
TOTAL = log_odds()
EARLY_SHARE = log_odds(late=False) / TOTAL
DIRECTIONS: dict[str, Any] = {"direction_layers": [LAYER], "direction_position": "pre_answer"}
STRENGTHS = (-0.2, -0.05, 0.05, 0.2)
EVERYWHERE = ("prompt_end", "step_end", "pre_answer")


@dataclass(frozen=True)
class Found:
    """The tables of a call."""

    effects: pd.DataFrame
    rows: pd.DataFrame
    sampled: pd.DataFrame
    steps: pd.DataFrame

    def cell(self, method: str, measure: str, **where: Any) -> pd.DataFrame:
        """The rows of a cell, one a control, headlines left out."""
        table = self.effects[~self.effects["headline"]]
        for name, value in {"method": method, "measure": measure, **where}.items():
            table = table[table[name] == value]
        assert len(table)
        return table

    def verdicts(self, method: str) -> set[str]:
        """Of the method's headlines that are tests."""
        heads = self.effects[self.effects["headline"] & (self.effects["method"] == method)]
        heads = heads[heads["measure"].isin(["recovered", "indirect", "slope", "log_odds"])]
        assert len(heads)
        return set(heads["verdict"])


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> PlantedModel:
    return plant(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, planted: PlantedModel) -> Run:
    """Captured, and not intervened in."""
    made = planted_run(tmp_path_factory.mktemp("run"), planted, n_questions=10, n=4)
    extract_answers(made)
    segment(made)
    capture(made, layers=[1, LAYER], positions=["pre_answer"])
    return made


def found(run: Run, folder: Path, methods: list[str], **settings: Any) -> Found:
    shutil.copytree(run.path, folder)
    copy = Run(folder, run.identity)
    effects = intervene(copy, methods, **{"samples": 0, **settings})
    names = ("interventions", "interventions_sampled", "intervention_steps")
    return Found(effects, *(copy.table(name) for name in names))


@pytest.fixture(scope="module")
def forced(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """The methods without a direction, at all layers."""
    folder = tmp_path_factory.mktemp("forced") / "run"
    methods = ["patching", "knockout", "mediation"]
    return found(run, folder, methods, layers="all", positions=EVERYWHERE)


def along(run: Run, folder: Path, target: str, **settings: Any) -> Found:
    given = {"target": target, "strengths": STRENGTHS, **DIRECTIONS, **settings}
    return found(run, folder, ["steering", "ablation", "erasure"], layers=[LAYER], **given)


@pytest.fixture(scope="module")
def decide(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Along the direction that the answer is read from."""
    return along(run, tmp_path_factory.mktemp("decide") / "run", "meta:left", samples=1)


@pytest.fixture(scope="module")
def length(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Along the direction that says how long the trace is."""
    folder = tmp_path_factory.mktemp("length") / "run"
    return along(run, folder, "meta:three", samples=1, strengths=(-0.05, 0.05))


# -- patching -------------------------------------------------------------------------------------


def shares(rows: pd.DataFrame, **where: Any) -> pd.Series[Any]:
    """Effect over gap of each row."""
    for name, value in where.items():
        rows = rows[rows[name] == value]
    assert len(rows)
    return rows["effect"] / rows["gap"]


def test_the_decisive_steps_state_moves_the_answer_until_it_is_read(forced: Found) -> None:
    rows = forced.rows[forced.rows["method"] == "patching"]
    rows = rows[(rows["control"] == "") & (rows["position"] == "step_end")]
    assert set(rows["layer"]) == set(range(N_BLOCKS + 1))
    for (layer, step), some in rows.groupby(["layer", "step"]):
        left = 1.0 if layer < READ_EARLY else 1 - EARLY_SHARE if layer < READ_LATE else 0.0
        expected = left if step == DECISIVE else 0.0
        assert shares(some).to_numpy() == pytest.approx(expected, abs=0.005), (layer, step)


def test_the_state_before_the_answer_moves_it_from_where_it_is_read(forced: Found) -> None:
    for layer in range(N_BLOCKS + 1):
        share = 0.0 if layer < READ_EARLY else EARLY_SHARE if layer < READ_LATE else 1.0
        cell = forced.cell("patching", "recovered", position="pre_answer", layer=layer)
        assert cell["effect"].to_numpy() == pytest.approx(share, abs=0.005)
        word = "" if layer == N_BLOCKS else "causal" if share else "not shown"
        assert set(cell["verdict"]) == {word}  # of the last layer it is so by construction


def test_a_state_written_after_it_was_read_moves_nothing(forced: Found) -> None:
    """Bit for bit, or to rounding."""
    rows = forced.rows[(forced.rows["method"] == "patching") & (forced.rows["layer"] >= READ_LATE)]
    rows = rows[rows["position"].isin(["step_end", "prompt_end"])]
    assert rows["effect"].abs().max() < 1e-4
    for layer in range(READ_LATE, N_BLOCKS + 1):
        cell = forced.cell("patching", "recovered", position="step_end", layer=layer)
        assert set(cell["verdict"]) == {"not shown"}
    for layer in range(READ_LATE):
        cell = forced.cell("patching", "recovered", position="step_end", layer=layer)
        assert set(cell["verdict"]) == {"causal"}


def test_the_prompts_end_is_the_same_in_all_traces_of_a_question(forced: Found) -> None:
    rows = forced.rows[(forced.rows["method"] == "patching") & (forced.rows["control"] == "")]
    assert rows[rows["position"] == "prompt_end"]["effect"].abs().max() < 1e-4
    heads = forced.effects[forced.effects["headline"] & (forced.effects["method"] == "patching")]
    assert dict(zip(heads["position"], heads["verdict"], strict=True)) == {
        "prompt_end": "not shown",
        "step_end": "causal",
        "pre_answer": "causal",
    }


def test_a_donor_with_the_same_answer_moves_nothing(forced: Found) -> None:
    rows = forced.rows[forced.rows["control"] == "same_answer"]
    assert shares(rows, method="patching").abs().max() < 0.005


def test_the_log_odds_are_the_planted_ones(forced: Found) -> None:
    rows = forced.rows[forced.rows["method"] == "patching"]
    assert rows["before"].to_numpy() == pytest.approx(TOTAL, rel=0.005)
    assert rows["gap"].to_numpy() == pytest.approx(2 * TOTAL, rel=0.005)


# -- mediation ------------------------------------------------------------------------------------


def test_mediation_splits_the_effect_as_planted(forced: Found) -> None:
    total = forced.cell("mediation", "total")
    assert total["effect"].item() == pytest.approx(TOTAL, rel=0.005)
    late = log_odds(early=False, length=False) / TOTAL
    for layer in range(N_BLOCKS + 1):
        k = 0 if layer < READ_EARLY else 1 if layer < READ_LATE else 2
        indirect = forced.cell("mediation", "indirect", layer=layer)
        direct = forced.cell("mediation", "direct", layer=layer)
        assert indirect["effect"].item() == pytest.approx([0, EARLY_SHARE, 1][k], abs=0.005)
        assert direct["effect"].item() == pytest.approx([1, late, 0][k], abs=0.005)
        word = "" if layer == N_BLOCKS else "causal" if k else "not shown"
        assert indirect["verdict"].item() == word
    direct_pass = forced.rows[forced.rows["measure"] == "total"]["before"]
    assert direct_pass.to_numpy() == pytest.approx(0, abs=1e-3)


# -- knock-out ------------------------------------------------------------------------------------


def test_only_the_decisive_step_is_missed_when_it_is_hidden(forced: Found) -> None:
    rows = forced.rows[(forced.rows["method"] == "knockout") & (forced.rows["control"] == "")]
    decisive = rows["step"] == DECISIVE
    assert rows[decisive]["effect"].to_numpy() == pytest.approx(TOTAL, rel=0.005)
    assert rows[decisive]["after"].to_numpy() == pytest.approx(0, abs=1e-3)
    assert rows[~decisive]["effect"].abs().max() < 0.02
    spans = forced.rows[forced.rows["control"] == "random_span"]
    assert spans[spans["step"] == DECISIVE]["effect"].abs().max() < 0.02


def test_the_matrix_of_steps_says_what_each_moves(forced: Found) -> None:
    """The turn moves the answer alone. The plan moves which step comes after the walk, and so the
    first token of the answer's step or of the rest."""
    steps = forced.steps
    answer = steps[steps["later"].isna()]
    turn = answer["step"] == DECISIVE
    # KL of a sure prediction to a coin: ln 2 less the entropy of what was sure
    p = 1 / (1 + np.exp(-TOTAL))
    sure = np.log(2) + p * np.log(p) + (1 - p) * np.log(1 - p)
    assert answer[turn]["kl"].to_numpy() == pytest.approx(sure, rel=0.01)
    assert answer[~turn]["kl"].abs().max() < 1e-4
    later = steps[steps["later"].notna()]
    plan_to_rest = (later["step"] == 0) & (later["later"] == 4)
    assert later[plan_to_rest]["kl"].min() > 0.1
    assert later[~plan_to_rest]["kl"].max() < 0.01


def test_no_hidden_step_is_causal_but_one_that_moves_more_than_others(forced: Found) -> None:
    """The decisive step is neither the first nor the last: hiding those moves nothing, while a
    random span of the others may be the decisive one. Over all steps the difference is no test."""
    cell = forced.cell("knockout", "log_odds", position="step")
    assert cell["effect"].item() == pytest.approx(TOTAL / 4.5, rel=0.1)
    assert cell["verdict"].item() == ""
    for position in ("first_step", "last_step"):
        end = forced.cell("knockout", "log_odds", position=position)
        assert end["effect"].item() == pytest.approx(0, abs=0.02)
        assert end["difference"].item() < 0
    assert forced.verdicts("knockout") == {"not shown"}


# -- how it is run --------------------------------------------------------------------------------


def test_the_size_of_a_batch_changes_nothing(run: Run, tmp_path: Path, forced: Found) -> None:
    methods, keys = ["patching", "knockout", "mediation"], ["question_id", "sample_index"]
    keys += ["method", "measure", "layer", "position", "step"]
    settings: dict[str, Any] = {"layers": [1, 3], "positions": EVERYWHERE, "tokens_per_batch": 1}
    one = found(run, tmp_path / "run", methods, limit=2, **settings).rows
    one = one[one["control"] == ""]
    both = one.merge(forced.rows[forced.rows["control"] == ""], on=keys, suffixes=("", "_other"))
    assert len(both) == len(one) > 100
    for name in ("before", "after", "effect"):
        assert both[name].to_numpy() == pytest.approx(both[f"{name}_other"].to_numpy(), abs=1e-3)


# -- directions -----------------------------------------------------------------------------------


def test_the_direction_that_decides_is_causal(decide: Found) -> None:
    for method in ("steering", "ablation", "erasure"):
        assert decide.verdicts(method) == {"causal"}, method


def test_the_direction_of_the_length_is_not_shown(length: Found) -> None:
    for method in ("steering", "ablation", "erasure"):
        assert length.verdicts(method) == {"not shown"}, method
        every = length.effects[(length.effects["method"] == method)]
        assert "causal" not in set(every["verdict"]), method


def test_both_can_be_read_until_they_are_erased(decide: Found, length: Found) -> None:
    """What is readable is not what is used."""
    for both in (decide, length):
        table = both.effects[both.effects["control"] == "unchanged"].set_index("measure")
        same, after = table.loc["auroc_same_probe"], table.loc["auroc_after"]
        assert same["control_effect"] == after["control_effect"] == 1
        assert same["low"] <= 0.5 <= same["high"]
        # a fresh probe finds a rest: a fifth of 40 states is too few to erase 64 coordinates
        assert after["high"] < after["control_low"]


def test_steps_along_decide_move_the_answer_by_what_the_closed_form_says(
    run: Run, planted: PlantedModel, decide: Found
) -> None:
    (direction,) = find_directions(
        run,
        target="meta:left",
        kind="diff_means",
        layers=[LAYER],
        position="pre_answer",
        folds=5,
        seed=0,
        direction=None,
        labels=None,
    )
    rows = decide.rows[(decide.rows["method"] == "steering") & (decide.rows["control"] == "")]
    fold = rows["question_id"].map(direction.folds).to_numpy(int)
    cosine = direction.unit @ planted.decide
    assert cosine.min() > 0.98
    expected = 2 * GAIN * rows["strength"] * (direction.sigma * cosine)[fold]
    small = rows["strength"].abs() < 0.1
    assert rows[small]["effect"].to_numpy() == pytest.approx(expected[small], rel=0.03)
    doses = rows.groupby("strength")["effect"].mean()
    assert doses.index.tolist() == list(STRENGTHS)
    assert (np.diff(doses) > 0).all()


def test_what_is_erased_is_what_was_read(decide: Found, length: Found) -> None:
    rows = decide.rows[(decide.rows["method"] == "erasure") & (decide.rows["control"] == "")]
    assert rows["effect"].mean() == pytest.approx(TOTAL, rel=0.05)
    rows = length.rows[(length.rows["method"] == "erasure") & (length.rows["control"] == "")]
    assert abs(rows["effect"].mean()) < 0.1 * TOTAL


def test_before_the_decision_nothing_along_its_direction_is_there(run: Run, tmp_path: Path) -> None:
    """At layer 1 the state before the answer has nothing of the turn."""
    early = found(
        run,
        tmp_path / "run",
        ["erasure"],
        layers=[1],
        target="meta:left",
        direction_layers=[1],
        direction_position="pre_answer",
    )
    assert early.verdicts("erasure") == {"not shown"}


def test_right_and_wrong_are_no_direction_where_either_answer_may_be_right(
    run: Run, tmp_path: Path
) -> None:
    """A is right in every other question: what raises A raises right answers in half of them."""
    right = found(
        run, tmp_path / "run", ["steering"], layers=[LAYER], target="correct", **DIRECTIONS
    )
    assert right.verdicts("steering") == {"not shown"}


# -- sampling under a change ----------------------------------------------------------------------


def under(sampled: pd.DataFrame, control: str, strength: float) -> pd.DataFrame:
    rows = sampled[(sampled["method"] == "steering") & (sampled["control"] == control)]
    return rows[rows["strength"] == strength]


def test_sampled_answers_follow_decide_and_not_length(decide: Found, length: Found) -> None:
    for strength, answer in ((0.2, "A"), (-0.2, "B")):
        rows = under(decide.sampled, "", strength)
        rows = rows[rows["status"] == "ok"]
        assert len(rows) >= 8
        assert (rows["answer"] == answer).mean() > 0.75
    for strength in (0.05, -0.05):
        rows = under(length.sampled, "", strength)
        assert (rows["answer"] == rows["baseline_answer"]).mean() > 0.75


def test_sampled_lengths_follow_length_and_not_decide(decide: Found, length: Found) -> None:
    def longer(found: Found) -> float:
        up, down = (under(found.sampled, "", strength) for strength in (0.05, -0.05))
        return float(up["n_tokens"].mean() - down["n_tokens"].mean())

    assert longer(length) > 1  # "Rest", "…" come or not
    assert abs(longer(decide)) < 1


@pytest.mark.slow
def test_killed_and_gone_on(run: Run, tmp_path: Path, forced: Found) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    command = [sys.executable, "-m", "cot.cli", "intervene", str(tmp_path / "run")]
    command += ["--layers", "all", "--samples", "0"]
    command += [f"--method={name}" for name in ("patching", "knockout", "mediation")]
    command += [f"--positions={name}" for name in EVERYWHERE]
    root = Path(__file__).parents[2]
    folder = tmp_path / "run" / "activations" / "interventions"
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL)
    while not list(folder.glob("part-*")) and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    held = {path.name: path.read_bytes() for path in folder.glob("part-*")}
    assert held
    assert "interventions" not in Run(tmp_path / "run", run.identity).tables()
    subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL)
    kept = {path.name: path.read_bytes() for path in folder.glob("part-*")}
    assert held.items() < kept.items(), "what was measured is not measured again"
    again = Run(tmp_path / "run", run.identity)
    rows, steps = again.table("interventions"), again.table("intervention_steps")
    pd.testing.assert_frame_equal(rows, forced.rows, rtol=1e-3, atol=1e-3)
    pd.testing.assert_frame_equal(steps, forced.steps, rtol=1e-3, atol=1e-3)
