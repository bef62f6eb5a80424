"""Hidden states of stored traces, by teacher-forced replay.

`capture` plans what is missing (`positions.py`, `plan.py`), runs it through a backend
(`backend.py` is the contract, `hooks.py` does it with transformers) and stores the vectors
(`cot/vectors.py`). Another backend implements `Backend.replay`.
"""

from analysis.activations.capturing import capture

__all__ = ["capture"]
