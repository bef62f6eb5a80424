"""What the lens shows over a run, each number beside the control that could explain it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.findings import as_table, mean_finding
from analysis.logit_lens.candidates import Candidates
from analysis.logit_lens.latent import agreement, commitment, emergence, says
from analysis.logit_lens.said import Looks
from cot.types import Finding

__all__ = ["findings"]

Ints = NDArray[np.int64]
Rates = tuple[float, ...]
BOOTSTRAP = "; 95% bootstrap over questions; excluded: questions with fewer than two "
UNDECIDED = "candidates (told apart by first token)"
ANOTHER = {"control": "with the last word of another trace of the question"}


def findings(
    looks: Sequence[Looks], candidates: Mapping[str, Candidates], *, ends: bool, seed: int
) -> pd.DataFrame:
    """The table `findings_lens`: means over questions, and what they are without their controls.

    Args:
        looks: one a question.
        candidates: of all questions.
        ends: see `latent.consistency`.
    """
    undecided = [each for each in looks if each.n_candidates > 1 and len(each.stated)]

    def finding(
        measure: str,
        values: Sequence[float],
        of: Sequence[Looks],
        method: str,
        subject: str = "",
        baseline: str = "",
    ) -> Finding:
        return mean_finding(
            measure,
            values,
            subject=subject,
            baseline=baseline,
            n_traces=sum(len(each.stated) for each in of),
            n_excluded=len(candidates) - len(values),
            method=method,
            seed=seed,
        )

    def mean(measure: str, what: str, value: Callable[[Looks], float]) -> Finding:
        values = [float(value(each)) for each in undecided]
        return finding(
            measure, values, undecided, f"mean over questions of {what}{BOOTSTRAP}{UNDECIDED}"
        )

    def beside(
        measure: str, what: str, controls: Mapping[str, str], rates: Callable[[Looks], Rates]
    ) -> list[Finding]:
        """A rate, its controls and the differences, over the questions that have them all."""
        values = np.array([rates(each) for each in undecided]).reshape(-1, 1 + len(controls))
        known = ~np.isnan(values).any(axis=1)
        of = [each for each, keep in zip(undecided, known, strict=True) if keep]
        own, *others = values[known].T
        after = f"{BOOTSTRAP}{UNDECIDED} or traces, or without a control"
        found = [finding(measure, own, of, f"mean over questions of {what}{after}")]
        for (label, words), other in zip(controls.items(), others, strict=True):
            method = f"mean over questions of {what}, {words}{after}"
            found.append(finding(measure, other, of, method, subject=label))
            method = f"mean over questions of {what}, less the same, paired: {words}{after}"
            found.append(finding(measure, own - other, of, method, baseline=label))
        return found

    told_apart = [float(some.separable) for some in candidates.values() if len(some.member) > 1]
    middle = slice(None) if ends else slice(1, -1)
    return as_table(
        "lens",
        [
            finding(
                "separable",
                told_apart,
                looks,
                f"share of questions whose answers all differ in first token{BOOTSTRAP}answers",
            ),
            mean(
                "stated",
                "the share of traces whose last layer, before the answer, says the one stated",
                lambda each: float((each.said[:, -1] == each.stated).mean()),
            ),
            mean(
                "commitment_depth",
                "the lowest layer from which all later ones say what the last one says, as a share "
                "of depth",
                lambda each: commitment(each.said).mean() / (each.said.shape[1] - 1),
            ),
            mean(
                "emergence_step",
                "the first step from whose end on the last layer keeps its answer, the number of "
                "steps before the answer where it never says it",
                _emergence,
            ),
            mean(
                "steps_before_answer",
                "the number of steps before the answer",
                lambda each: float(np.mean([len(said) for said in each.steps])),
            ),
            *beside(
                "consistency",
                "the share of layers that say what the last one says",
                ANOTHER,
                lambda each: _agreement(each.said, each.said[:, middle], each.n_candidates),
            ),
            *beside(
                "consistency_calibrated",
                "the share of layers that say what the last one says, by quantiles",
                ANOTHER,
                lambda each: _agreement(
                    each.calibrated, each.calibrated[:, middle], each.n_candidates
                ),
            ),
            *beside(
                "step_agreement",
                "the share of steps before the answer at whose end the last layer says what it "
                "says right before the answer",
                ANOTHER,
                _steps,
            ),
            *beside(
                "decided_at_prompt",
                "the share of traces that state what the last layer says at the prompt's end",
                {
                    "control": "read at another question's prompt's end",
                    "guess": "with a guess by the question's own frequencies (what another of its "
                    "traces states)",
                },
                _decided,
            ),
        ],
    )


def _agreement(said: Ints, looks: Ints, n_candidates: int) -> Rates:
    if not looks.shape[1]:
        return (np.nan, np.nan)
    return agreement(says(looks, n_candidates), said[:, -1])


def _emergence(each: Looks) -> float:
    final = each.said[:, -1].tolist()
    steps = [emergence(said, last) for said, last in zip(each.steps, final, strict=True)]
    return float(np.mean(steps))


def _steps(each: Looks) -> Rates:
    """Over the traces with a step before the answer."""
    rows = [row for row, said in enumerate(each.steps) if len(said)]
    if not rows:
        return (np.nan, np.nan)
    shares = np.stack([says(each.steps[row], each.n_candidates) for row in rows])
    return agreement(shares, each.said[rows, -1])


def _decided(each: Looks) -> Rates:
    control = np.nan if each.control is None else float((each.stated == each.control).mean())
    stated = says(each.stated[:, None], each.n_candidates)
    guess = agreement(stated, each.stated)[1]
    return (float((each.stated == each.prompt).mean()), control, guess)
