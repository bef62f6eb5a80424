"""The tables of the lens: `lens`, `lens_traces`, `lens_layers` and `findings_lens`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.findings import as_table, mean_finding
from analysis.logit_lens.inputs import Candidates, Key, LensInputs
from analysis.logit_lens.latent_answers import (
    LatentAnswers,
    QuestionReadings,
    agreement,
    answer_shares,
    commitment,
    consistency,
    emergences,
)
from analysis.statistics import mean_interval
from cot.types import TRACE_KEY, Finding

__all__ = ["findings", "layers_table", "lens_table", "traces_table"]

Ints = NDArray[np.int64]
KINDS = {
    "consistency": "float64",
    "consistency_calibrated": "float64",
    "commitment_layer": "Int64",
    "emergence_step": "Int64",
    "n_steps": "Int64",
    "n_steps_read": "Int64",
    "lens_answer": "str",
    "decided_at_prompt": "boolean",
    "decided_control": "boolean",
}
"""Columns that a trace has only where it states its answer in its text."""
LAYERS = {
    **{"measure": "str", "position": "str", "layer": "int64"},
    **dict.fromkeys(("estimate", "low", "high"), "float64"),
    **dict.fromkeys(("control", "control_low", "control_high"), "float64"),
    **{"n_questions": "int64", "n_traces": "int64"},
}


def lens_table(questions: Sequence[QuestionReadings], inputs: LensInputs) -> pd.DataFrame:
    """The table `lens`; see `analysis.logit_lens.lens`."""
    stated = inputs.traces.set_index(TRACE_KEY)["answer"].to_dict()
    parts = []
    for question in questions:
        n_places, n_layers = question.p.shape[:2]
        of = [
            None if pd.isna(index) else stated[question.question_id, int(index)]
            for index in question.places["sample_index"]
        ]
        member = question.candidates.member
        column = np.array([member.get(answer, -1) if answer else -1 for answer in of])
        own = np.take_along_axis(question.p, column[:, None, None].clip(0), axis=2)[:, :, 0]
        p = question.p
        entropy = -(p * np.log(np.where(p > 0, p, 1))).sum(axis=2)
        names = np.array(question.candidates.names, dtype=object)
        every = question.places[["sample_index", "position", "step"]].loc[
            np.repeat(question.places.index, n_layers)
        ]
        parts.append(
            every.assign(
                question_id=question.question_id,
                layer=np.tile(np.arange(n_layers), n_places),
                answer=names[p.argmax(axis=2).ravel()],
                p=p.max(axis=2).ravel(),
                p_stated=np.where(column[:, None] < 0, np.nan, own).ravel(),
                entropy=entropy.ravel(),
                answer_calibrated=names[question.quantile.argmax(axis=2).ravel()],
                p_vocab=question.vocabulary[:, 0].ravel(),
                entropy_vocab=question.vocabulary[:, 1].ravel(),
            )
        )
    whole = pd.concat(parts, ignore_index=True)
    return whole[["question_id", *(name for name in whole if name != "question_id")]]


def traces_table(
    inputs: LensInputs,
    questions: Sequence[LatentAnswers],
    found: Mapping[Key, Mapping[str, NDArray[np.float32]]],
    *,
    ends: bool,
) -> pd.DataFrame:
    """The table `lens_traces`; see `analysis.logit_lens.lens`."""
    rows: dict[Key, dict[str, Any]] = {}
    for each in questions:
        names = inputs.candidates[each.question_id].names
        open_ = each.n_candidates > 1
        raw, calibrated = (
            consistency(latent, ends=ends) for latent in (each.latent, each.calibrated)
        )
        layer, emerged = commitment(each.latent), emergences(each)
        for row, index in enumerate(each.sample_index):
            latent = int(each.latent[row, -1])
            decided = {
                "consistency": raw[row],
                "consistency_calibrated": calibrated[row],
                "commitment_layer": layer[row],
                "emergence_step": emerged[row],
                "decided_at_prompt": each.prompt == each.stated[row],
                "decided_control": None
                if each.control is None
                else each.control == each.stated[row],
            }
            rows[each.question_id, int(index)] = {
                "n_steps": each.n_steps[row],
                "n_steps_read": len(each.steps[row]),
                "lens_answer": names[latent],
                **(decided if open_ else {}),
            }
    keys = list(zip(*(inputs.traces[name].tolist() for name in TRACE_KEY), strict=True))
    own = [inputs.candidates[question_id] for question_id, _ in keys]
    answers = inputs.traces["answer"].tolist()
    members = [some.member.get(answer) for some, answer in zip(own, answers, strict=True)]
    table = inputs.traces[[*TRACE_KEY, "answer"]].assign(
        candidate=[
            None if member is None else some.names[member]
            for some, member in zip(own, members, strict=True)
        ],
        n_candidates=[len(some.names) for some in own],
        separable=[some.separable for some in own],
    )
    read = pd.DataFrame([rows.get(key, {}) for key in keys], columns=list(KINDS))
    table[list(KINDS)] = read.astype(KINDS)
    table[["coe_r", "coe_c"]] = np.stack([found[key]["chain"] for key in keys]).astype(np.float64)
    return table


def layers_table(
    questions: Sequence[LatentAnswers], places: pd.DataFrame, *, seed: int
) -> pd.DataFrame:
    """The table `lens_layers`; see `analysis.logit_lens.lens`.

    Args:
        questions: one a question.
        places: the table `lens`.
        seed: of the bootstrap.
    """
    open_ = [each for each in questions if each.n_candidates > 1]
    rows = [
        *_compared("agreement", open_, lambda each: (each.latent, each.latent[:, -1]), seed),
        *_compared(
            "agreement_calibrated",
            open_,
            lambda each: (each.calibrated, each.calibrated[:, -1]),
            seed,
        ),
        *_compared("stated", open_, lambda each: (each.latent, each.stated), seed),
        *_committed([each for each in open_ if len(each.stated)], seed),
    ]
    known = places[places["p_stated"].notna()]
    known = known[known["question_id"].isin({each.question_id for each in open_})]
    for (position, layer), here in known.groupby(["position", "layer"], sort=False):
        means = here.groupby("question_id", sort=False)["p_stated"].mean()
        n_traces = len(here[TRACE_KEY].drop_duplicates())
        place = {"measure": "p_stated", "position": position, "layer": int(layer)}
        rows.append(place | _mean(means.to_numpy(), seed) | {"n_traces": n_traces})
    return pd.DataFrame(rows, columns=list(LAYERS)).astype(LAYERS)


def _compared(
    measure: str,
    questions: Sequence[LatentAnswers],
    pair: Callable[[LatentAnswers], tuple[Ints, Ints]],
    seed: int,
) -> list[dict[str, Any]]:
    """Rows of a share beside its control, over the questions with two traces.

    Args:
        pair: gives a question's latent answers [trace, layer], and the answers [trace] that they
            are compared with.
    """
    several = [each for each in questions if len(each.stated) > 1]
    if not several:
        return []
    # [question, layer, own and control]; `agreement` takes shares, which of one layer are 0 or 1
    rates = np.array(
        [
            [
                agreement(answer_shares(latent[:, [layer]], each.n_candidates), final)
                for layer in range(latent.shape[1])
            ]
            for each in several
            for latent, final in [pair(each)]
        ]
    )
    n_traces = sum(len(each.stated) for each in several)
    rows = []
    for layer, (own, other) in enumerate(np.moveaxis(rates, 0, -1)):
        control = {f"control_{name}": value for name, value in _mean(other, seed).items()}
        control["control"] = control.pop("control_estimate")
        place = {"measure": measure, "position": "pre_answer", "layer": layer}
        rows.append(place | control | _mean(own, seed) | {"n_traces": n_traces})
    return rows


def _committed(questions: Sequence[LatentAnswers], seed: int) -> list[dict[str, Any]]:
    """Rows of the share of a question's traces whose commitment layer is at most this one."""
    if not questions:
        return []
    depth = questions[0].latent.shape[1]
    shares = np.array(
        [(commitment(each.latent)[:, None] <= np.arange(depth)).mean(axis=0) for each in questions]
    )
    place = {"measure": "committed", "position": "pre_answer"}
    n_traces = sum(len(each.stated) for each in questions)
    return [
        place | {"layer": layer, "n_traces": n_traces} | _mean(own, seed)
        for layer, own in enumerate(shares.T)
    ]


def _mean(values: NDArray[np.float64], seed: int) -> dict[str, Any]:
    low, high = mean_interval(values, seed=seed)
    return {"estimate": values.mean(), "low": low, "high": high, "n_questions": len(values)}


# -- findings --------------------------------------------------------------------------------------

Rates = tuple[float, ...]
BOOTSTRAP = "; 95% bootstrap over questions; excluded: questions with fewer than two "
UNDECIDED = "candidates (told apart by first token)"
ANOTHER = {"control": "with the final latent answer of another trace of the question"}


def findings(
    questions: Sequence[LatentAnswers],
    candidates: Mapping[str, Candidates],
    *,
    ends: bool,
    seed: int,
) -> pd.DataFrame:
    """The table `findings_lens`: means over questions, their controls and differences.

    Args:
        questions: one a question.
        candidates: of all questions.
        ends: see `latent_answers.consistency`.
    """
    undecided = [each for each in questions if each.n_candidates > 1 and len(each.stated)]

    def finding(
        measure: str,
        values: Sequence[float],
        of: Sequence[LatentAnswers],
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

    def mean(measure: str, what: str, value: Callable[[LatentAnswers], float]) -> Finding:
        values = [float(value(each)) for each in undecided]
        return finding(
            measure, values, undecided, f"mean over questions of {what}{BOOTSTRAP}{UNDECIDED}"
        )

    def beside(
        measure: str,
        what: str,
        controls: Mapping[str, str],
        rates: Callable[[LatentAnswers], Rates],
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
                questions,
                f"share of questions whose answers all differ in first token{BOOTSTRAP}answers",
            ),
            mean(
                "stated",
                "the share of traces whose last layer holds the stated answer right before it",
                lambda each: float((each.latent[:, -1] == each.stated).mean()),
            ),
            mean(
                "commitment_depth",
                "the lowest layer from which all latent answers are that of the last layer, as a "
                "share of depth",
                lambda each: commitment(each.latent).mean() / (each.latent.shape[1] - 1),
            ),
            mean(
                "emergence_step",
                "the first step from whose end on the last layer keeps its answer, or the number "
                "of steps before the answer where it never holds it",
                _emergence,
            ),
            mean(
                "steps_before_answer",
                "the number of steps before the answer",
                lambda each: float(np.mean([len(latent) for latent in each.steps])),
            ),
            *beside(
                "consistency",
                "the share of layers whose latent answer is that of the last layer",
                ANOTHER,
                lambda each: _agreement(each.latent, each.latent[:, middle], each.n_candidates),
            ),
            *beside(
                "consistency_calibrated",
                "the share of layers whose calibrated latent answer is that of the last layer",
                ANOTHER,
                lambda each: _agreement(
                    each.calibrated, each.calibrated[:, middle], each.n_candidates
                ),
            ),
            *beside(
                "step_agreement",
                "the share of steps before the answer at whose end the last layer's latent answer "
                "is the one right before the answer",
                ANOTHER,
                _steps,
            ),
            *beside(
                "decided_at_prompt",
                "the share of traces that state the last layer's latent answer at the prompt's end",
                {
                    "control": "read at another question's prompt's end",
                    "guess": "with a guess by the question's own frequencies (what another of its "
                    "traces states)",
                },
                _decided,
            ),
        ],
    )


def _agreement(latent: Ints, layers: Ints, n_candidates: int) -> Rates:
    if not layers.shape[1]:
        return (np.nan, np.nan)
    return agreement(answer_shares(layers, n_candidates), latent[:, -1])


def _emergence(each: LatentAnswers) -> float:
    return float(np.mean(emergences(each)))


def _steps(each: LatentAnswers) -> Rates:
    """Over the traces with a step before the answer."""
    rows = [row for row, latent in enumerate(each.steps) if len(latent)]
    if not rows:
        return (np.nan, np.nan)
    shares = np.stack([answer_shares(each.steps[row], each.n_candidates) for row in rows])
    return agreement(shares, each.latent[rows, -1])


def _decided(each: LatentAnswers) -> Rates:
    control = np.nan if each.control is None else float((each.stated == each.control).mean())
    stated = answer_shares(each.stated[:, None], each.n_candidates)
    guess = agreement(stated, each.stated)[1]
    return (float((each.stated == each.prompt).mean()), control, guess)
