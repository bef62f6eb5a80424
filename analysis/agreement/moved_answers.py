"""What interventions say of each question's answers: did states move them, and do steps matter?

Both read the table `interventions`, in which a changed trace's log-odds of its own answer against
another stand beside those of a control.

**States moved the answer**: of a trace, whether another answer's state at the headline's layer and
position (patching) takes the log-odds at least half of the way to the donor's, and further than
the control does:

    effect / gap >= 1/2  and  effect > control's effect

where a trace of which several steps are patched counts with their mean. The control's own number is
the same with the two exchanged: were change and control alike, both would be equally frequent. A
trace without a control, or whose gap is not positive (the donor does not hold its own answer more
probable than the receiver does), is left out.

**Steps don't matter**, a doubt of the suspicion score: of a trace, whether hiding the step that
matters most costs its answer no more than hiding as many tokens of the other steps does.

    steps    .2  .1  .4     their spans .3  .6  .5     .4 <= .5: its steps don't matter more

The spans of the other steps say nothing, as they may lie in the step that matters (.6 above). The
step is the largest of n, so that chance alone lets it exceed its span in n of n + 1 traces: a low
doubt says little, the less the longer the trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.agreement.question_kinds import doubts_of
from analysis.findings import mean_finding
from analysis.statistics import auroc, auroc_difference_interval, auroc_interval
from cot.types import TRACE_KEY, Finding

__all__ = [
    "Headline",
    "headline_of",
    "knockout_findings",
    "knockout_scores",
    "moved_by_question",
    "moved_findings",
    "moved_traces",
    "needless_steps",
]

HALF = 0.5
POSITIONS = ("pre_answer", "step_end", "prompt_end")
"""Where states are patched, the nearest to the answer first."""
CONTROLS = ("same_answer", "other_question")
"""Of patching: a donor with the same answer, else one of another question."""
SPAN = "random_span"
"""Control of a knock-out."""
DEALS = 500
Floats = NDArray[np.float64]
WITHOUT = "suspicion_without_knockout"
"""Column, and subject of findings, of the score without the doubt."""


# -- states --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """Where patching's headline number was read."""

    layer: int
    """The layer."""
    position: str
    """The position."""
    control: str
    """The control that it stands beside."""


def headline_of(effects: pd.DataFrame) -> Headline | None:
    """Of several positions, the one nearest to the answer; None where nothing was patched.

    Args:
        effects: table `intervention_effects`.
    """
    method = effects["method"].str.split(":").str[0]
    own = effects[(method == "patching") & (effects["measure"] == "recovered")]
    own = own[own["headline"].astype(bool) & own["layer"].notna()]
    own = own[own["position"].isin(POSITIONS) & own["control"].isin(CONTROLS)]
    if not len(own):
        return None
    # The order is fixed: a position or control that was chosen by its number would favour it.
    order = list(
        zip(own["position"].map(POSITIONS.index), own["control"].map(CONTROLS.index), strict=True)
    )
    row = own.iloc[min(range(len(own)), key=lambda place: order[place])]
    return Headline(
        layer=int(row["layer"]), position=str(row["position"]), control=str(row["control"])
    )


def moved_traces(interventions: pd.DataFrame, place: Headline) -> pd.DataFrame:
    """One row a trace that can be judged: question_id, sample_index, moved, control (booleans:
    whether the change moved its answer, and whether the control did).

    Args:
        interventions: the table.
        place: where its states were patched.
    """
    patched = interventions[
        (interventions["method"].str.split(":").str[0] == "patching")
        & (interventions["layer"] == place.layer)
        & (interventions["position"] == place.position)
    ]
    own = patched[patched["control"] == ""].groupby(TRACE_KEY)[["effect", "gap"]].mean()
    control = patched[patched["control"] == place.control].groupby(TRACE_KEY)["effect"].mean()
    both = own.join(control.rename("beside"), how="inner").dropna()
    both = both[both["gap"] > 0]
    effect, beside, enough = both["effect"], both["beside"], HALF * both["gap"]
    moved = (effect >= enough) & (effect > beside)
    by_control = (beside >= enough) & (beside > effect)
    return both.assign(moved=moved, control=by_control)[["moved", "control"]].reset_index()


def moved_by_question(traces: pd.DataFrame, questions: pd.Series) -> pd.DataFrame:
    """Columns of `agreement`: states_moved (share of the question's traces whose answer states
    moved; NaN where none can be judged), n_patched (traces that can).

    Args:
        traces: see `moved_traces`.
        questions: question_id of each row.
    """
    per = traces.groupby("question_id")["moved"].agg(["mean", "size"]).reindex(questions)
    return pd.DataFrame(
        {
            "states_moved": per["mean"].to_numpy(float),
            "n_patched": per["size"].fillna(0).to_numpy(int),
        }
    )


def moved_findings(
    traces: pd.DataFrame, place: Headline, n_all: int, seed: int
) -> tuple[list[Finding], list[list[float]]]:
    """The share of traces whose answer states moved, and how far it exceeds the control's; for each
    the control's share (nothing for the difference) and no percentile.

    Args:
        traces: see `moved_traces`.
        n_all: valid traces.
    """
    per = traces.groupby("question_id")[["moved", "control"]].mean()
    method = (
        f"share of traces in which patching layer {place.layer} at {place.position} takes the "
        "log-odds at least half of the way to the donor's answer and further than "
        f"{place.control.replace('_', ' ')} does; control: the two exchanged; mean over questions; "
        "traces without either, or with a gap that is not positive, excluded; 95% bootstrap over "
        "questions"
    )
    found = [
        mean_finding(
            "states_moved",
            values,
            subject="patching",
            baseline=baseline,
            n_traces=len(traces),
            n_excluded=n_all - len(traces),
            method=method,
            seed=seed,
        )
        for baseline, values in (("", per["moved"]), (place.control, per["moved"] - per["control"]))
    ]
    beside = float(per["control"].mean()) if len(per) else np.nan
    return found, [[beside, np.nan], [0.0, np.nan]]


# -- steps ---------------------------------------------------------------------------------------


def needless_steps(interventions: pd.DataFrame) -> pd.DataFrame:
    """One row a trace with a step that was hidden and has a control: question_id, sample_index,
    needless (1 where the step that costs most costs no more than its random span; the mean over
    draws, where several spans were drawn).

    Args:
        interventions: the table.
    """
    hidden = interventions[interventions["method"].str.split(":").str[0] == "knockout"]
    step = [*TRACE_KEY, "step"]
    own = hidden.loc[hidden["control"] == "", [*step, "effect"]].dropna(subset=["effect"])
    # of equal costs, the first step
    most = own.sort_values(["effect", "step"], ascending=[False, True]).drop_duplicates(TRACE_KEY)
    beside = hidden.loc[hidden["control"] == SPAN, [*step, "effect"]].dropna(subset=["effect"])
    both = most.merge(beside, on=step, suffixes=("", "_span"))
    both["needless"] = (both["effect"] <= both["effect_span"]).astype(float)
    return both.groupby(TRACE_KEY)["needless"].mean().reset_index()


def knockout_scores(
    groups: Mapping[str, pd.DataFrame], majority: Mapping[str, str | None]
) -> pd.DataFrame:
    """Columns of `agreement`, one row a question: knockout_doubt (mean of `needless` over the
    majority's traces; NaN where unknown), suspicion_without_knockout, n_doubts (others than that).

    Args:
        groups: question to its traces, as `doubts_of` takes them.
        majority: question to the winning answer.
    """
    rows = []
    for question, traces in groups.items():
        answer = majority[question]
        others = doubts_of(traces.assign(needless=np.nan), answer)
        doubt = traces.loc[traces["answer"] == answer, "needless"].mean()
        score = sum(others.values()) / len(others) if others else 1.0
        rows.append({"knockout_doubt": doubt, WITHOUT: score, "n_doubts": len(others)})
    return pd.DataFrame(rows).astype({"knockout_doubt": float, WITHOUT: float, "n_doubts": int})


def knockout_findings(
    agreement: pd.DataFrame, n_traces: int, seed: int
) -> tuple[list[Finding], list[list[float]]]:
    """Whether the doubt helps: the AUROC of suspicion without it, and the paired difference with
    it, over the questions of which the doubt is known; for each the mean of its null, and its
    97.5th percentile.

    The null of the difference deals the doubts to other questions: whatever one more number does to
    a mean of a few is in it.

    Args:
        agreement: the table, with the columns of `knockout_scores`.
        n_traces: valid traces.
    """
    known = agreement["correct"].notna() & agreement["share"].notna()
    judged = agreement[known & agreement["knockout_doubt"].notna()]
    wrong = ~judged["correct"].astype(bool)
    without, n = judged[WITHOUT].to_numpy(float), judged["n_doubts"].to_numpy(int)
    doubt = judged["knockout_doubt"].to_numpy(float)

    def scored(doubt: Floats) -> Floats:
        score: Floats = (without * n + doubt) / (n + 1)
        return score

    of, groups = scored(doubt), judged["question_id"]
    base = auroc(wrong, without)
    value = auroc(wrong, of) - base
    generator = np.random.default_rng(seed)
    deals = np.array(
        [auroc(wrong, scored(generator.permutation(doubt))) - base for _ in range(DEALS)]
    )
    defined = not np.isnan(value)
    p = float((1 + (deals >= value - 1e-12).sum()) / (1 + DEALS)) if defined else None
    low, high = auroc_interval(wrong, without, groups, seed=seed)
    less, more = auroc_difference_interval(wrong, of, without, groups, seed=seed)
    method = "AUROC over questions of which the doubt `steps don't matter` is known, others "
    method += "excluded: higher where the majority is wrong"
    undefined = "" if defined else "; undefined: all majorities are right, or all are wrong"
    made = (
        ("", WITHOUT, base, low, high, None, "; the score without that doubt; chance is 0.5"),
        (
            WITHOUT,
            "suspicion",
            value,
            less,
            more,
            p,
            "; gain by the doubt, paired; p and null: the "
            f"doubts dealt to other questions, {DEALS} times",
        ),
    )
    found = [
        Finding(
            measure="auroc",
            subject=subject,
            baseline=baseline,
            estimate=_number(estimate),
            low=_number(lower),
            high=_number(upper),
            p=chance,
            n_questions=len(judged),
            n_traces=n_traces,
            n_excluded=len(agreement) - len(judged),
            method=f"{method}{how}{undefined}; 95% bootstrap over questions",
            seed=seed,
        )
        for baseline, subject, estimate, lower, upper, chance, how in made
    ]
    null = [float(deals.mean()), float(np.quantile(deals, 0.975))] if defined else [np.nan, np.nan]
    return found, [[0.5, np.nan], null]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
