"""Occlusion: a part is taken out, and the rest is forced again.

    value(part) = F(everything) − F(everything but the part)

Later tokens move up, so that no gap tells where the part stood; they are the trace's own, and never
sampled anew. Steps and the prompt's parts are taken out one by one, never the answer's cue. What
two parts say alike is missed: each alone changes nothing. After Zeiler and Fergus, arXiv 1311.2901;
of words, Li et al., arXiv 1612.08220.
"""

from __future__ import annotations

from analysis.attribution.contract import Attribution, Cost, Lab, Values
from analysis.attribution.parts import PROMPT_PARTS, Part, Target

__all__ = ["Occlusion"]


class Occlusion(Attribution):
    """What the log-odds lose where a step, or a part of the prompt, is taken out and the rest is
    forced again."""

    title = "Occlusion"
    removes = True

    def measure(self, target: Target, lab: Lab, seed: int) -> Values:
        total = lab.odds(target)
        some = _removable(target, lab.most_steps)
        lost = {part: total - lab.without(target, frozenset({part})) for part in some}
        return Values(parts=lost, total=total)

    def cost(self, target: Target, most_steps: int) -> Cost:
        n = len(target.token_ids)
        some = _removable(target, most_steps)
        # a step leaves the prompt as it is: it is not run again
        prompt = len(target.case.prompt_ids)
        runs = [n - part.n_tokens - (prompt if part.step is not None else 0) for part in some]
        return Cost(forward=n + sum(runs))


def _removable(target: Target, most_steps: int) -> list[Part]:
    prompt = [part for part in target.parts if part.name in PROMPT_PARTS]
    whole = len(prompt) == 1  # nothing of the prompt would stay
    return [*(() if whole else prompt), *target.some_steps(most_steps)]
