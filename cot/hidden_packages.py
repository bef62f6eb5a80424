"""Consilience's other packages have general names, which a file beside a notebook can hide.

Imported first by `cot`, so that the import which would fail later fails here and says why.
"""

from importlib.util import find_spec
from pathlib import Path

__all__ = ["ROOT"]

ROOT = Path(__file__).parent.parent
"""The folder that holds all of Consilience's packages."""

for _name in ("prompts", "analysis"):
    _spec = find_spec(_name)
    if _spec is None or _spec.origin is None or Path(_spec.origin).parent.parent != ROOT:
        raise ImportError(
            f"Consilience's package {_name!r} is hidden by {_spec.origin if _spec else 'nothing'}: "
            "rename that file or folder, or start Python elsewhere"
        )
