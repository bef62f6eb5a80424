"""Probes: what can be read off a hidden state, with the controls that keep it honest.

`probe` reads cells (`cells.py`: one layer, one position), labels (`targets.py`), cross-fits a
registered estimator (`estimator.py` is the contract, `logistic.py` the default) over folds of whole
questions and measures it beside its controls (`measures.py`).
"""

from analysis.probes.probing import probe

__all__ = ["probe"]
