"""What signals predict: whether a majority vote, or a single trace, is right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.answer_table import ballots_of
from analysis.calibration.entropy import class_entropy
from analysis.columns import columns
from analysis.model_queries import ModelQueries
from analysis.voting import load_rule, outcomes
from cot.store.run import Run

__all__ = ["Target", "Targets", "find_targets"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the signals of one unit predict."""

    correct: NDArray[np.bool_]
    """Whether the question's majority, or the trace, is right, shape [item]."""
    question: NDArray[np.int64]
    """Code of each item's question, shape [item]."""
    tied: NDArray[np.bool_]
    """Whether it is a majority that only the lowest sample_index decided, shape [item]."""
    no_gold: int
    """Items left out, as their question has no gold."""
    no_answer: int
    """Items left out: abstentions; traces without a valid answer, or past their question's stop."""


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What is right or wrong: votes of questions with gold and a valid answer, and their traces."""

    run: Run
    """Where they come from."""
    queries: ModelQueries
    """To the model, where a signal needs them."""
    polls: pd.DataFrame
    """The majority vote of every question, with the entropy of its answers (nats)."""
    votes: pd.DataFrame
    """Those of the questions that are targets."""
    ballots: pd.DataFrame
    """Rows of the answers table."""
    question: NDArray[np.int64]
    """Row of `votes` of each ballot, shape [trace]."""
    of: Mapping[str, Target]
    """For `question` and for `trace`, in the order of `votes` and of `ballots`."""

    def column(self, name: str) -> NDArray[np.float64]:
        """A column of `analysis.columns` for each ballot, shape [trace]."""
        values = columns(self.run, self.ballots, [name], self.queries)[name]
        return np.asarray(values, dtype=float)


def find_targets(run: Run, answers: pd.DataFrame, queries: ModelQueries) -> Targets:
    """Vote by majority, and keep what has gold and a valid answer."""
    slim = answers.drop(columns=["text", "canonical", "start", "end"], errors="ignore")
    polls = outcomes(slim, load_rule("majority"))
    ballots = ballots_of(slim)
    question = pd.Index(polls["question_id"]).get_indexer(ballots["question_id"])
    polls["entropy"] = class_entropy(question, ballots["answer"], len(polls))
    has_gold = polls["correct"].notna()
    judged = (has_gold & ~polls["abstained"]).to_numpy()
    voted = polls[judged].reset_index(drop=True)
    kept = judged[question]
    ballots = answers.loc[ballots.index[kept]].reset_index(drop=True)
    question = (np.cumsum(judged) - 1)[question[kept]]  # rows of polls to rows of votes
    n_gold = int(answers["correct"].notna().sum())
    questions = Target(
        correct=voted["correct"].to_numpy(dtype=bool),
        question=np.arange(len(voted)),
        tied=voted["tied"].to_numpy(dtype=bool),
        no_gold=int((~has_gold).sum()),
        no_answer=int(has_gold.sum()) - len(voted),
    )
    traces = Target(
        correct=ballots["correct"].to_numpy(dtype=bool),
        question=question,
        tied=np.zeros(len(ballots), dtype=bool),
        no_gold=len(answers) - n_gold,
        no_answer=n_gold - len(ballots),
    )
    return Targets(
        run=run,
        queries=queries,
        polls=polls,
        votes=voted,
        ballots=ballots,
        question=question,
        of={"question": questions, "trace": traces},
    )
