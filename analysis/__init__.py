"""What is read off a run: each function adds one table to it and returns it.

    import analysis, cot

    run = cot.open_run("runs/demo")
    votes = analysis.vote(run, rules=["majority"])
    analysis.agree(run)
    analysis.write_report(run)

Functions are verbs, rooms are nouns: `vote` lives in `analysis.voting`, `find_paths` in
`analysis.clusters`. They are imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.agreement import agree, compare_agreement
    from analysis.calibration import calibrate
    from analysis.clusters import find_paths
    from analysis.curves import compare_curves, curve
    from analysis.experiments import run_experiment
    from analysis.exporting import export
    from analysis.faithfulness_tests import measure_faithfulness
    from analysis.hidden_states import capture
    from analysis.logit_lens import read_layers
    from analysis.page import write_report
    from analysis.probes import probe
    from analysis.state_geometry import describe_states
    from analysis.stopping import stop
    from analysis.voting import vote

__all__ = [
    "agree",
    "calibrate",
    "capture",
    "compare_agreement",
    "compare_curves",
    "curve",
    "describe_states",
    "export",
    "find_paths",
    "measure_faithfulness",
    "probe",
    "read_layers",
    "run_experiment",
    "stop",
    "vote",
    "write_report",
]

HOMES = {
    "agree": "analysis.agreement",
    "calibrate": "analysis.calibration",
    "capture": "analysis.hidden_states",
    "compare_agreement": "analysis.agreement",
    "compare_curves": "analysis.curves",
    "curve": "analysis.curves",
    "describe_states": "analysis.state_geometry",
    "export": "analysis.exporting",
    "find_paths": "analysis.clusters",
    "measure_faithfulness": "analysis.faithfulness_tests",
    "probe": "analysis.probes",
    "read_layers": "analysis.logit_lens",
    "run_experiment": "analysis.experiments",
    "stop": "analysis.stopping",
    "vote": "analysis.voting",
    "write_report": "analysis.page",
}


def __getattr__(name: str) -> Any:
    """Import a public function when it is first asked for."""
    if name not in HOMES:
        raise AttributeError(f"module 'analysis' has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
