"""Hidden states of stored traces, by teacher-forced replay.

`capture` finds what is asked for (`preparing.py`, `positions.py`, `spans.py`), plans what is
missing (`plan.py`), runs it through a backend (`backend.py` is the contract, `hooks.py` does it
with transformers, `extraction.py` with vLLM) and stores the vectors (`cot/store/vectors.py`).
`estimate`
says beforehand what that would take. Another backend implements `Backend.replay`.
"""

from analysis.hidden_states.capturing import capture
from analysis.hidden_states.dry_run import Estimate, estimate
from analysis.hidden_states.spans import read_spans

__all__ = ["Estimate", "capture", "estimate", "read_spans"]
