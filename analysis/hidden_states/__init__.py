"""Hidden states of stored traces, by teacher forcing.

`capture` finds what is asked for and what of it is missing (`planning.py`, `places.py`), has it run
through the model (`teacher_forcing.py` is the contract, `hooks.py` does it with transformers,
`vllm_forcing.py` with vLLM) and stores the vectors (`cot/store/vectors.py`). `estimate` says
beforehand what that would take. `stored_states.py` reads the vectors back.
"""

from analysis.hidden_states.capturing import Estimate, capture, estimate
from analysis.hidden_states.places import read_spans

__all__ = ["Estimate", "capture", "estimate", "read_spans"]
