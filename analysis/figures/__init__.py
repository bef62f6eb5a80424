"""Figures of a run for notebooks: each function reads tables and returns a plotly figure.

    from analysis import figures

    figures.agreement(run)
    figures.paths(run, "q07").write_html("q07.html")

A figure writes nothing: where a table is missing, the error names the command that makes it. Every
caption says n, the interval and the control; what a model or a dataset wrote is shown, never read
as markup.
"""

from analysis.figures.accuracy import curve, votes
from analysis.figures.comparison import compared_differences, compared_measures
from analysis.figures.hidden_steps import step_matrix
from analysis.figures.interventions import (
    dose_response,
    intervention_effects,
    intervention_map,
)
from analysis.figures.latent import consistency, stated
from analysis.figures.layers import lens, probe_lines, probes
from analysis.figures.maps import paths, trajectories
from analysis.figures.mediation import mediation_by_layer
from analysis.figures.over_setting import measure_over_setting
from analysis.figures.reasoning import faithfulness, importance
from analysis.figures.signals import calibration
from analysis.figures.state_features import feature_aurocs
from analysis.figures.states import dimension, similarity, state_steps
from analysis.figures.step_attention import attention_matrix, receiver_heads
from analysis.figures.step_attribution import attribution, attribution_checks
from analysis.figures.witnesses import agreement, kinds, raters

__all__ = [
    "agreement",
    "attention_matrix",
    "attribution",
    "attribution_checks",
    "calibration",
    "compared_differences",
    "compared_measures",
    "consistency",
    "curve",
    "dimension",
    "dose_response",
    "faithfulness",
    "feature_aurocs",
    "importance",
    "intervention_effects",
    "intervention_map",
    "kinds",
    "lens",
    "measure_over_setting",
    "mediation_by_layer",
    "paths",
    "probe_lines",
    "probes",
    "raters",
    "receiver_heads",
    "similarity",
    "state_steps",
    "stated",
    "step_matrix",
    "trajectories",
    "votes",
]
