"""Hidden states of stored traces, by teacher-forced replay.

`capture` finds what is asked for (`preparing.py`, `positions.py`, `spans.py`), plans what is
missing (`plan.py`), runs it through a forcing (`forcing.py` is the contract, `hooks.py` does it
with transformers, `extraction.py` with vLLM) and stores the vectors (`cot/store/vectors.py`).
`estimate`
says beforehand what that would take. Another forcing implements `TeacherForcing.replay`.
"""

from analysis.hidden_states.capturing import Estimate, capture, estimate
from analysis.hidden_states.places import read_spans

__all__ = ["Estimate", "capture", "estimate", "read_spans"]
