"""The README's plug-in: one file outside the project adds a command, a section of an experiment
file, tables that can be stale, and a section of the page."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from small import run_with_answers, trace_of

from cot.store.run import Run, open_run

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
GIVEN = {"a": ("1", ["1", "2"]), "b": ("2", ["2", "2"])}


def example() -> str:
    """The code in the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- plug-in example -->\s*```python\n(.*?)```", text, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lengths.py").write_text(example(), encoding="utf-8")
    run_with_answers(tmp_path, GIVEN)
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    return open_run(folder / "run")


def cot(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cot.cli", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"},
        capture_output=True,
        text=True,
    )


def test_it_is_short():
    assert len([line for line in example().splitlines() if line.strip()]) <= 26


def test_it_is_a_command_with_help(folder, run):
    shown = cot(folder, "--plugin", "lengths", "lengths", "--help")
    assert "count words instead of characters" in " ".join(shown.stdout.split()).lower()
    done = cot(folder, "--plugin", "lengths", "lengths", "run", "--words", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [row["length"] for row in result["lengths"]] == [len(t.split()) for t in texts(run)]
    assert result["findings"][0]["measure"] == "length"
    assert run.provenance("lengths").parameters == {"words": True}
    assert list(run.provenance("lengths").inputs) == ["traces"]


def test_without_the_plug_in_there_is_no_command(folder):
    done = cot(folder, "lengths", "run")
    assert done.returncode == 2
    assert "lengths" in done.stderr


def test_a_missing_module_is_named(folder):
    done = cot(folder, "--plugin", "widths", "lengths", "run")
    assert done.returncode == 2
    assert "plugin 'widths': there is no module of this name to import" in done.stderr


def test_it_is_a_section_of_an_experiment_file_and_is_current_the_second_time(folder, run):
    study = folder / "study.toml"
    lines = ['plugins = ["lengths"]', 'file = "traces.jsonl"', 'out = "other"']
    study.write_text("\n".join([*lines, "[lengths]", "words = true"]))
    first = cot(folder, "run", "study.toml", "--on", "run")
    assert first.returncode == 0, first.stderr
    assert "[1/1] lengths" in first.stderr
    assert "nothing new" not in first.stderr
    assert "lengths: nothing new" in cot(folder, "run", "study.toml", "--on", "run").stderr
    study.write_text("\n".join([*lines, "[lengths]", "word = true"]))
    wrong = cot(folder, "run", "study.toml", "--on", "run")
    assert wrong.returncode == 2
    assert "unknown key 'word' in [lengths]: did you mean 'words'?" in wrong.stderr


def test_its_table_is_stale_after_the_traces_change(folder, run):
    assert cot(folder, "--plugin", "lengths", "lengths", "run").returncode == 0
    assert run.stale("lengths") is None
    with run.lock(), run.writer() as writer:
        writer.add(trace_of("a", 2, "The answer is 3."))
    assert run.stale("lengths") == "traces changed after it was made"
    shown = cot(folder, "--plugin", "lengths", "show", "run")
    assert shown.returncode == 0, shown.stderr
    assert "lengths" in shown.stdout
    cot(folder, "--plugin", "lengths", "lengths", "run")
    assert run.stale("lengths") is None


def test_it_holds_the_lock(folder, run):
    with run.lock():
        done = cot(folder, "--plugin", "lengths", "lengths", "run")
    assert done.returncode == 2
    assert "is being written by another" in done.stderr


def test_the_page_has_its_section_its_figure_and_its_download(folder, run):
    before = cot(folder, "--plugin", "lengths", "report", "run")
    assert before.returncode == 0, before.stderr
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert 'id="lengths"' in page
    assert "cot lengths" in page  # the command that makes what is missing
    assert "Length of a trace" not in page
    assert cot(folder, "--plugin", "lengths", "lengths", "run").returncode == 0
    assert cot(folder, "--plugin", "lengths", "report", "run").returncode == 0
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "Length of a trace" in page
    assert "one row a trace: its length" in page
    assert cot(folder, "report", "run").returncode == 0
    assert "Length of a trace" not in (run.path / "report.html").read_text(encoding="utf-8")


def texts(run: Run) -> list[str]:
    return run.traces(["text"])["text"].tolist()
