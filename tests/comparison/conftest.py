"""A page takes longer than all else that is tested here, and has tests of its own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def pages(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, Path | None]]:
    """Where compare.html would be written: the run, and the folder that was asked for."""
    asked: list[tuple[Path, Path | None]] = []
    monkeypatch.setattr(
        "analysis.comparison.write_comparison", lambda run, folder: asked.append((run.path, folder))
    )
    return asked
