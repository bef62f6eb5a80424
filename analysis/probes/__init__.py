"""Probes: what can be read off a hidden state, with the controls that keep it honest.

`probe` turns a target into labels of traces, steps or questions (`targets.py`, `values.py`),
cross-fits a registered estimator (`estimator.py` is the contract, `check_probe` its test) over
folds of whole questions in every captured cell (`sweep.py`), and measures it (`measures.py`) beside
shuffled labels (`controls.py`) and what needs no hidden states (`baselines.py`). The best probe is
saved (`saving.py`); `score_with` has it score another run.
"""

from analysis.probes.contract import check_probe
from analysis.probes.probing import probe
from analysis.probes.stored_probes import score_with

__all__ = ["check_probe", "probe", "score_with"]
