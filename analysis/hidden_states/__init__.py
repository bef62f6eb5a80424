"""Hidden states of stored traces, by teacher forcing.

`capture` finds what is asked for and what of it is missing (`planning.py`, `places.py`), has it run
through the model and stores the vectors (`cot/store/vectors.py`). The pass is one for all analyses
that want it (`shared_pass.py`); `teacher_forcing.py` is the contract with what runs the model
(`hooks.py` with transformers, `vllm_forcing.py` with vLLM). `estimate` says beforehand what a
capture would take. `stored_states.py` reads the vectors back.
"""

from analysis.hidden_states.capturing import capture
from analysis.hidden_states.estimating import Estimate, estimate
from analysis.hidden_states.places import read_spans

__all__ = ["Estimate", "capture", "estimate", "read_spans"]
