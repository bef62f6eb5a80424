"""Is the reasoning what moved the answer? Each trace's reasoning, or its question, is changed, and
the model goes on from there.

One file a test: what it asks, and how it reads what comes back (`contract.py`). `measuring.py` runs
them, `case.py` is one trace as they see it, `findings.py` holds the numbers and their baselines.
"""

from analysis.faithfulness_tests.measuring import count_requests, faithfulness

__all__ = ["count_requests", "faithfulness"]
