"""The planted model does what its closed forms say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from planted_model import (
    DECISIVE,
    GAIN,
    LATE,
    LENGTH_STEP,
    N_BLOCKS,
    READ_EARLY,
    READ_LATE,
    SIZE,
    PlantedModel,
    log_odds,
    plant,
    planted_run,
    shrunk,
)

from analysis.answer_table import answers as extract_answers
from analysis.hidden_states.changed_pass import Branch, ChangedPass
from analysis.hidden_states.edits import Add, Change, Project, Put
from analysis.steps import segment
from cot.store.run import Run

PROMPT = "Question: Which way at fork 3?\nAnswer:"
LEFT = " Plan for two.\nLook ahead.\nTurn left.\nWalk slowly.\nThe answer is A"
RIGHT = LEFT.replace("left", "right").replace("is A", "is B")
TURN, LAST = 6, 11
"""Tokens: " left.", and " is", after which A or B comes."""


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def exact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PlantedModel:
    return plant(tmp_path_factory.mktemp("exact"), request.param, noise=0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("planted")
    made = planted_run(folder, plant(folder / "model"))
    extract_answers(made)
    segment(made)
    return made


def odds(planted: PlantedModel, text: str, branches: list[Branch]) -> list[float]:
    """log P(A) - log P(B) after " is" of the unchanged text and of each branch."""
    under = ChangedPass(planted.model)
    words = planted.tokenizer
    ids = words.encode(text)
    base, rows = under.run(words.encode(PROMPT), ids, branches, [len(ids) - 2])
    pair = [words.convert_tokens_to_ids(word) for word in (" A", " B")]
    logits = under.head.logits(torch.cat([base, *rows]), pair)
    return [float(value) for value in (logits[:, 0] - logits[:, 1]).detach()]


def states(planted: PlantedModel, text: str) -> Any:
    """[layer, generated token, d_model], of a plain forward."""
    words = planted.tokenizer
    start, ids = words.encode(PROMPT), words.encode(text)
    with torch.inference_mode():
        out = planted.model(torch.tensor([[*start, *ids]]), output_hidden_states=True)
    return torch.cat(out.hidden_states)[:, len(start) :].numpy()


def change(layer: int, token: int, edit: Any) -> Branch:
    return Branch(changes=(Change(layer=layer, tokens=range(token, token + 1), edit=edit),))


def test_the_turn_decides_by_as_much_as_the_closed_form_says(exact: PlantedModel) -> None:
    assert odds(exact, LEFT, []) == pytest.approx([log_odds()], rel=1e-5)
    assert odds(exact, RIGHT, []) == pytest.approx([-log_odds()], rel=1e-5)
    assert odds(exact, LEFT.replace("Turn left.\n", ""), []) == pytest.approx([0], abs=1e-4)
    assert odds(exact, " The answer is A"[1:], []) == pytest.approx([0], abs=1e-4)


def test_the_turns_state_moves_the_answer_until_it_has_been_read(exact: PlantedModel) -> None:
    donor = states(exact, RIGHT)
    layers = range(N_BLOCKS)
    found = odds(exact, LEFT, [change(k, TURN, Put(donor[k, [TURN]])) for k in layers])[1:]
    early, late = log_odds(late=False), log_odds(early=False)
    for layer, value in zip(layers, found, strict=True):
        if layer < READ_EARLY:
            assert value == pytest.approx(-log_odds(), rel=1e-4)
        elif layer < READ_LATE:  # to a good part: norms aren't additive
            assert value == pytest.approx(early - late, rel=0.02)
        else:
            assert value == pytest.approx(log_odds(), rel=1e-4)


def test_the_state_before_the_answer_moves_it_from_where_it_was_read(exact: PlantedModel) -> None:
    donor = states(exact, RIGHT)
    layers = range(N_BLOCKS)
    found = odds(exact, LEFT, [change(k, LAST, Put(donor[k, [LAST]])) for k in layers])[1:]
    early, late = log_odds(late=False), log_odds(early=False)
    for layer, value in zip(layers, found, strict=True):
        if layer < READ_EARLY:
            assert value == pytest.approx(log_odds(), rel=1e-4)
        elif layer < READ_LATE:
            assert value == pytest.approx(late - early, rel=0.02)
        else:
            assert value == pytest.approx(-log_odds(), rel=1e-4)


def test_own_states_change_nothing_and_all_of_a_donors_give_the_donor(exact: PlantedModel) -> None:
    own, donor, every = states(exact, LEFT), states(exact, RIGHT), range(0, LAST + 1)
    puts = [Put(values[k, : LAST + 1]) for values in (own, donor) for k in range(N_BLOCKS)]
    changes = [
        Change(layer=place % N_BLOCKS, tokens=every, edit=put) for place, put in enumerate(puts)
    ]
    _, *found = odds(exact, LEFT, [Branch(changes=(change,)) for change in changes])
    assert found[:N_BLOCKS] == pytest.approx([log_odds()] * N_BLOCKS, rel=1e-5)
    assert found[N_BLOCKS:] == pytest.approx([-log_odds()] * N_BLOCKS, rel=1e-5)


def test_the_effect_splits_into_what_cue_states_carry_and_what_is_read_later(
    exact: PlantedModel,
) -> None:
    cue = range(9, 12)  # The answer is
    with_cot, without = states(exact, LEFT), states(exact, "The answer is A")
    into_direct, into_cot = [], []
    for layer in range(N_BLOCKS + 1):
        kept = Change(layer=layer, tokens=range(3), edit=Put(with_cot[layer, list(cue)]))
        taken = Change(layer=layer, tokens=cue, edit=Put(without[layer, :3]))
        into_direct.append(Branch(changes=(kept,)))
        into_cot.append(Branch(changes=(taken,)))
    # output_hidden_states has the last layer after the norm
    indirect = odds(exact, "The answer is A", into_direct[:-1])[1:]
    direct = odds(exact, LEFT, into_cot[:-1])[1:]
    total, early = log_odds(), log_odds(late=False)
    late = log_odds(early=False, length=False)
    for layer in range(N_BLOCKS):
        k = 0 if layer < READ_EARLY else 1 if layer < READ_LATE else 2
        assert indirect[layer] == pytest.approx([0, early, total][k], rel=1e-4, abs=1e-4)
        assert direct[layer] == pytest.approx([total, late, 0][k], rel=1e-4, abs=1e-4)
        assert indirect[layer] + direct[layer] == pytest.approx(total, rel=0.005)


@pytest.mark.parametrize("layer", [0, 1, 3, 5, 6])
def test_steps_along_decide_move_the_answer_evenly_and_along_length_not(
    exact: PlantedModel, layer: int
) -> None:
    sizes = [-1.0, -0.5, 0.5, 1.0]
    base, *along = odds(exact, LEFT, [change(layer, LAST, Add(c * exact.decide)) for c in sizes])
    assert [value - base for value in along] == pytest.approx(
        [2 * GAIN * c for c in sizes], rel=0.03
    )
    base, *along = odds(exact, LEFT, [change(layer, LAST, Add(c * exact.length)) for c in sizes])
    assert along == pytest.approx([base] * 4, rel=0.005)


def test_decide_taken_out_leaves_what_is_read_after_it(exact: PlantedModel) -> None:
    every = range(0, LAST + 1)

    def without(direction: Any, layer: int) -> Branch:
        edit = Project(right=direction[:, None], left=direction[None])
        return Branch(changes=(Change(layer=layer, tokens=every, edit=edit),))

    late = LATE * shrunk(SIZE**2)  # the turn's state has lost EARLY too
    late = 2 * GAIN * late * shrunk(late**2 + SIZE**2)
    layers = range(N_BLOCKS + 1)
    found = odds(exact, LEFT, [without(exact.decide, k) for k in layers])[1:]
    for layer, value in zip(layers, found, strict=True):
        k = 0 if layer < READ_EARLY else 1 if layer < READ_LATE else 2
        assert value == pytest.approx([log_odds(), late, 0][k], rel=1e-4, abs=1e-4)
    found = odds(exact, LEFT, [without(exact.length, k) for k in layers])[1:]
    assert found == pytest.approx([log_odds()] * len(layers), rel=0.001)
    found = odds(exact, LEFT, [without(exact.mark, k) for k in layers])[1:]
    assert found[:READ_EARLY] == pytest.approx([0] * READ_EARLY, abs=1e-4)
    assert found[READ_LATE:] == pytest.approx([log_odds()] * 3, rel=1e-4)


def test_only_the_turn_is_missed_when_it_is_hidden(exact: PlantedModel) -> None:
    spans = [range(0, 3), range(3, 5), range(5, 7), range(7, 9)]
    _, *found = odds(exact, LEFT, [Branch(hidden=[span]) for span in spans])
    assert found[DECISIVE] == pytest.approx(0, abs=1e-4)
    others = [value for i, value in enumerate(found) if i != DECISIVE]
    assert others == pytest.approx([log_odds()] * 3, rel=0.001)
    assert found[LENGTH_STEP] != found[1]


def test_the_run_is_what_the_model_samples(run: Run) -> None:
    answers, steps = run.table("answers"), run.table("steps")
    traces = run.traces(["text", "logprobs", "meta"])
    assert len(traces) == 96
    assert (answers["status"] == "ok").all()
    per_question = answers.groupby("question_id")
    assert (per_question["answer"].nunique() == 2).all()  # right and wrong ones in each
    assert (per_question["correct"].nunique() == 2).all()
    assert set(run.questions()["gold"]) == {"A", "B"}
    assert [row["left"] for row in traces["meta"]] == (answers["answer"] == "A").tolist()
    assert set(per_question["answer"].agg(lambda some: (some == "A").sum())) == {4}
    longer = [row["three"] for row in traces["meta"]] == traces["text"].str.contains("Rest")
    assert longer.mean() > 0.95
    assert min(np.exp(row.sum()) for row in traces["logprobs"]) > 1e-4
    text = dict(
        zip(
            zip(traces["question_id"], traces["sample_index"], strict=True),
            traces["text"],
            strict=True,
        )
    )
    turns = steps[steps["step"] == DECISIVE]
    assert len(turns) == 96
    for row in turns.itertuples():
        assert text[row.question_id, row.sample_index][row.start : row.end].startswith("Turn")
        assert row.token_end - row.token_start == 2
