"""Probes: what can be read from a hidden state, beside controls.

`probe` turns a target into labels of traces, steps or questions (`targets.py`), cross-fits a
registered estimator (`estimator.py` is the contract, `check_probe` its test, `estimators.py` the
built-in ones) over folds of whole questions in every captured cell (`crossfit.py`, `sweep.py`), and
measures it (`measures.py`) beside shuffled labels and what needs no hidden states (`baselines.py`).
The headline's cell is chosen on inner folds (`selection.py`). The best probe is stored, and can
score another run (`stored_probes.py`).
"""

from analysis.probes.contract import check_probe
from analysis.probes.probing import probe

__all__ = ["check_probe", "probe"]
