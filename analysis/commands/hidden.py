"""`cot capture` and `cot probe`."""

from __future__ import annotations

from pathlib import Path

import analysis
from cot.console import Output, emit, listen
from cot.run import open_run

__all__ = ["capture", "probe"]
