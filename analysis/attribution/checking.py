"""What every attribution must do, as one check that you can call on your own.

def test_my_attribution():
    check_attribution("my_package.attributions:Mine")
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from analysis.attribution.contract import Attribution
from analysis.attribution.lab import ModelLab
from analysis.attribution.parts import Part, Target, target_of
from analysis.interventions.cases import Case, pair_of
from analysis.interventions.checking import WORDS, small_model
from cot.registry import build

__all__ = ["check_attribution"]

BLOCKS = 2
N_TRACES = 3
CLOSE = 1e-3


def check_attribution(spec: str, seed: int = 0) -> None:
    """Raise an AssertionError at the first promise that the attribution breaks, on a small random
    model and made-up traces.

    - It gives values, finite ones, to parts of the trace and to nothing else.
    - `total` is the trace's own log-odds.
    - Values of tokens, where it has them, are summed to those of the parts.
    - It gives the same again with the same seed; with another, where it isn't sampled.
    - The model is afterwards what it was, bit for bit.

    Args:
        spec: the attribution, as it is typed.
    """
    import torch

    attribution = build("attributions", spec)()
    assert isinstance(attribution, Attribution), "it doesn't extend Attribution"
    model = small_model(seed, BLOCKS)
    ids = torch.arange(1, 9)[None]
    with torch.inference_mode():
        unchanged = model(ids).logits
    for target in _targets(seed):
        lab = ModelLab(model, 16_384, 0)
        found = attribution.measure(target, lab, seed)
        assert found.parts, "no part has a value"
        assert set(found.parts) <= set(target.parts), "a value is of no part of the trace"
        values = np.array(list(found.parts.values()))
        assert np.isfinite(values).all(), "a value is not finite"
        assert abs(found.total - lab.odds(target)) < CLOSE, "total is not the log-odds"
        if found.tokens is not None:
            assert len(found.tokens) == len(target.token_ids), "values of tokens: one each"
            summed = target.summed(found.tokens)
            apart = [abs(value - summed[part]) for part, value in found.parts.items()]
            assert max(apart) < CLOSE, "the tokens' values don't sum to the parts'"
        for other in (seed, seed + 1):
            again = attribution.measure(target, ModelLab(model, 16_384, 0), other)
            same = [again.parts[part] for part in found.parts]
            if other == seed or not found.sampled:
                assert np.allclose(values, same, atol=CLOSE), "not the same again"
    with torch.inference_mode():
        assert torch.equal(model(ids).logits, unchanged), "the model is not what it was"


def _targets(seed: int) -> list[Target]:
    """Traces of six steps (more than all orders of which are taken) and one of two answers."""
    rng = np.random.default_rng(seed)
    prompt = tuple(rng.integers(10, WORDS, 8).tolist())
    cue = rng.integers(10, WORDS, 3).tolist()
    cases = [
        Case(
            question_id="q",
            sample_index=sample,
            prompt_ids=prompt,
            token_ids=(*rng.integers(10, WORDS, 12).tolist(), *cue, 1 + sample % 2, 3),
            answer=str(sample % 2),
            correct=sample % 2 == 1,
            pre_answer=14,
            steps={step: range(2 * step, 2 * step + 2) for step in range(6)},
            cue=range(12, 15),
        )
        for sample in range(N_TRACES + 1)
    ]
    parts = [
        Part(name="question", spans=(range(-6, -2),)),
        Part(name="instruction", spans=(range(-8, -6), range(-2, 0))),
    ]
    pairs = [pair_of(one, other) for one, other in pairwise(cases)]
    return [
        target_of(case, pair, parts)
        for case, pair in zip(cases, pairs, strict=False)
        if pair is not None
    ]
