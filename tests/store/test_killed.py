"""A sampling process killed at any moment loses little, tears nothing, and goes on where it was."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cot.store.run import open_run

ROOT = Path(__file__).parent.parent.parent
QUESTIONS, N = 30, 60


def sample(out, *options):
    command = [sys.executable, "-m", "cot.cli", "sample", "arithmetic", "--out", str(out)]
    return subprocess.Popen([*command, *options], cwd=ROOT, stdout=subprocess.DEVNULL)


def kill_while_writing(process, out, seconds):
    """SIGKILL, so many seconds after the process took the run's lock."""
    lock = Path(out) / "run.lock"
    while process.poll() is None:
        if lock.exists() and lock.read_text() == str(process.pid):
            time.sleep(seconds)
            break
        time.sleep(0.005)
    process.kill()
    process.wait()


def keys_and_texts(out):
    traces = open_run(out).traces(["text", "seed"])
    for path in Path(out).rglob("*.parquet"):
        if not path.name.startswith("."):
            pq.read_table(path)
    assert not traces.duplicated(["question_id", "sample_index"]).any()
    return traces.set_index(["question_id", "sample_index"]).to_dict("index")


@pytest.mark.slow
def test_killed_at_twenty_random_moments(tmp_path):
    slow = ["--engine", "tests.slow_engine:SlowEngine", "--limit", str(QUESTIONS), "-n", str(N)]
    assert sample(tmp_path / "whole", *slow).wait() == 0
    undisturbed = keys_and_texts(tmp_path / "whole")
    assert len(undisturbed) == QUESTIONS * N
    moments = random.Random(0)
    held = 0
    for _ in range(20):
        process = sample(tmp_path / "killed", *slow)
        kill_while_writing(process, tmp_path / "killed", moments.uniform(0, 0.3))
        if (tmp_path / "killed" / "questions.parquet").exists():
            now = keys_and_texts(tmp_path / "killed")
            assert len(now) >= held, "nothing that was flushed is lost"
            held = len(now)
    assert 0 < held < QUESTIONS * N, "killed in the middle"
    assert sample(tmp_path / "killed", *slow).wait() == 0
    assert keys_and_texts(tmp_path / "killed") == undisturbed
    assert not list((tmp_path / "killed" / "traces").glob(".*"))


@pytest.mark.model
def test_killed_with_the_real_engine(tmp_path):
    real = ["--engine", "transformers", "--limit", "6", "-n", "16", "--max-tokens", "40"]
    real += ["--form", "text", "--shots", "3", "--no-greedy"]
    kill_while_writing(sample(tmp_path / "run", *real), tmp_path / "run", 0.5)  # while it loads
    process = sample(tmp_path / "run", *real)
    while process.poll() is None and not list(tmp_path.glob("run/traces/part-*")):
        time.sleep(0.05)
    kill_while_writing(process, tmp_path / "run", 1.0)
    held = keys_and_texts(tmp_path / "run")
    assert 0 < len(held) < 6 * 16, "killed in the middle"
    assert sample(tmp_path / "run", *real).wait() == 0
    traces = keys_and_texts(tmp_path / "run")
    assert {key: traces[key] for key in held} == held
    assert set(traces) == {(row, i) for row, i in traces if 0 <= i < 16}
    assert len(traces) == 6 * 16
