"""Estimates and their intervals. An interval resamples questions, as a question's traces are not
independent."""

from analysis.statistics.bootstrap import DRAWS, mean_interval, ratio_interval, resample
from analysis.statistics.ranking import (
    auroc,
    auroc_difference_interval,
    auroc_interval,
    auroc_per_question,
    pairs_per_question,
    within_question_auroc,
)

__all__ = [
    "DRAWS",
    "auroc",
    "auroc_difference_interval",
    "auroc_interval",
    "auroc_per_question",
    "mean_interval",
    "pairs_per_question",
    "ratio_interval",
    "resample",
    "within_question_auroc",
]
