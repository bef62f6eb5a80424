"""What every intervention must do, as one check that you can call on your own.

def test_my_intervention():
    check_intervention("my_package.interventions:Mine")
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from analysis.hidden_states.changed_pass import Branch
from analysis.hidden_states.hooks import HookTeacherForcing
from analysis.interventions.cases import Case, Rivals
from analysis.interventions.contract import Intervention, Row
from analysis.interventions.directions import Direction
from analysis.interventions.lab import CountingLab, ModelLab, Plan
from analysis.interventions.leace import leace
from cot.registry import build

__all__ = ["WORDS", "check_intervention", "small_model"]

BLOCKS, WIDTH, WORDS = 3, 16, 48
N_QUESTIONS, N_TRACES = 3, 4


def check_intervention(spec: str, seed: int = 0) -> None:
    """Raise an AssertionError at the first promise that the intervention breaks, on a small random
    model and made-up traces.

    - It changes something of a trace with another answer, and nothing of one without.
    - `before` is the unchanged log-odds, all numbers are finite, and it gives the same again.
    - Each control is one that it names, and stands beside a change of the same place.
    - The counting laboratory counts as many rows as are measured.
    - The model is afterwards what it was, bit for bit.

    Args:
        spec: the intervention, as it is typed.
    """
    import torch

    intervention = build("interventions", spec)()
    assert isinstance(intervention, Intervention), "it doesn't extend Intervention"
    model, plan, cases = small_model(seed, BLOCKS), _plan(_cases(seed), seed), _cases(seed)
    plan = replace(plan, rivals=Rivals(cases, seed))
    ids = torch.arange(1, 9)[None]
    with torch.inference_mode():
        unchanged = model(ids).logits
    lab = ModelLab(plan, HookTeacherForcing(model), {})
    measured = 0
    for case in cases:
        rows = [each for each in intervention.measure(case, lab) if isinstance(each, Row)]
        again = [each for each in intervention.measure(case, lab) if isinstance(each, Row)]
        after, once_more = ([each.after for each in some] for some in (rows, again))
        # a prompt that is taken from the pass before rounds otherwise
        assert np.allclose(after, once_more, rtol=0, atol=1e-4), "not the same again"
        measured += len(rows)
        _check_rows(rows, intervention, case, lab)
    assert measured, "nothing is changed of any trace"
    alone = [replace(case, answer="1") for case in cases]
    single = replace(plan, rivals=Rivals(alone, seed))
    none = [list(intervention.measure(case, CountingLab(single))) for case in alone]
    assert not any(none), "a trace without another answer has nothing to be compared with"
    counting = CountingLab(plan)
    counted = [row for case in cases for row in intervention.measure(case, counting)]
    n_rows = sum(isinstance(row, Row) for row in counted)
    assert n_rows == measured, "the dry run counts another number of rows"
    with torch.inference_mode():
        assert torch.equal(model(ids).logits, unchanged), "the model is not what it was"


def _check_rows(rows: list[Row], intervention: Intervention, case: Case, lab: ModelLab) -> None:
    changes = {_place(row) for row in rows if not row.control}
    for row in rows:
        numbers = [row.before, row.after, row.effect, *([] if row.gap is None else [row.gap])]
        assert np.isfinite(numbers).all(), f"a number of {row.position} is not finite"
        assert row.control in ("", *intervention.controls), f"{row.control} is no named control"
        assert _place(row) in changes, f"control {row.control} stands beside no change"
        if row.measure not in ("total", "indirect", "direct"):
            # those are of the pass without reasoning
            (before,), _ = lab.log_odds(case, [Branch()], [row.pair])
            assert abs(before - row.before) < 1e-4, "before is not the unchanged log-odds"


def _place(row: Row) -> tuple[Any, ...]:
    return row.measure, row.target, row.layer, row.position, row.step, row.strength


def small_model(seed: int, n_blocks: int) -> Any:
    """A Llama of random weights, of WORDS tokens and states of WIDTH."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=WORDS,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=n_blocks,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).eval()


def _cases(seed: int) -> list[Case]:
    """Traces of two steps, a cue of three tokens, and one of two answers."""
    rng = np.random.default_rng(seed)
    cases = []
    for question in range(N_QUESTIONS):
        prompt = tuple(rng.integers(10, WORDS, 8).tolist())
        cue = rng.integers(10, WORDS, 3).tolist()
        for sample in range(N_TRACES):
            answer = sample % 2
            steps = rng.integers(10, WORDS, 10).tolist()
            cases.append(
                Case(
                    question_id=f"q{question}",
                    sample_index=sample,
                    prompt_ids=prompt,
                    token_ids=(*steps, *cue, 1 + answer, 3),
                    answer=str(answer),
                    correct=answer == 1,
                    pre_answer=12,
                    steps={0: range(0, 5), 1: range(5, 10)},
                    cue=range(10, 13),
                )
            )
    return cases


def _plan(cases: list[Case], seed: int) -> Plan:
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(40, WIDTH))
    unit, shuffled = rng.normal(size=(2, 1, WIDTH))
    erasers = leace(states, [states[:, 0] > 0, states[:, 1] > 0])
    direction = Direction(
        target="correct",
        source="made up",
        layer=1,
        position="pre_answer",
        folds={case.question_id: 0 for case in cases},
        unit=unit / np.linalg.norm(unit),
        shuffled=shuffled / np.linalg.norm(shuffled),
        mean=states.mean(axis=0)[None],
        along=np.zeros(1),
        sigma=np.ones(1),
        eraser=[erasers[0]],
        shuffled_eraser=[erasers[1]],
        labels={case.key: bool(case.correct) for case in cases},
    )
    return Plan(
        layers=(0, 1, BLOCKS),
        n_blocks=BLOCKS,
        d_model=WIDTH,
        positions=("prompt_end", "step_end", "pre_answer"),
        strengths=(-0.5, 0.5),
        n_random=2,
        most_steps=0,
        seed=seed,
        rivals=Rivals(cases, seed),
        directions=[direction],
    )
