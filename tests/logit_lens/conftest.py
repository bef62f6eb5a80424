"""The tiny models of the tests of hidden states serve here too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "hidden_states"))
