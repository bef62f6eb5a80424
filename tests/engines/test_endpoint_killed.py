"""Client and servers that are killed: what was answered is kept, and the run goes on."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import cot
from tests.engines.endpoints import keys, sample

ROOT = Path(__file__).parents[2]
SETTINGS: dict[str, Any] = {"limit": 6, "n": 20}
OPTIONS = ["--limit", "6", "-n", "20", "--max-tokens", "10", "--no-greedy", "--shots", "1"]


def client(out: Path, model: Path, *urls: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "cot.cli", "sample", "arithmetic", "--engine", "endpoint"]
    command += [part for url in urls for part in ("--url", url)]
    command += ["--engine-arg", "concurrency=3", "--engine-arg", "pause=0.05"]
    command += ["--model", str(model), *OPTIONS, "--out", str(out)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)


def a_server(model: Path, port: int = 0) -> tuple[subprocess.Popen[str], str]:
    """A server in a process of its own."""
    command = [sys.executable, "-m", "tests.fake_server", "--model", str(model), "--delay", "0.1"]
    process = subprocess.Popen(
        [*command, "--port", str(port)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        return process, process.stdout.readline().strip()


def wait_for_traces(out: Path, process: subprocess.Popen[bytes], n: int, server: Any) -> None:
    while process.poll() is None and len(server.asked) < n:
        time.sleep(0.01)
    assert process.poll() is None, "it ended too early"


@pytest.mark.slow
def test_a_client_killed_mid_run_goes_on(serve: Any, tmp_path: Path, tiny: Path) -> None:
    whole = keys(sample(tmp_path / "whole", serve(), model=tiny, **SETTINGS))
    assert len(whole) == 120
    server = serve(delay=lambda body: 0.05)
    process = client(tmp_path / "run", tiny, server.url)
    wait_for_traces(tmp_path / "run", process, 90, server)  # one shard is written by then
    process.kill()
    process.wait()
    held = keys(cot.open_run(tmp_path / "run"))
    assert 0 < len(held) < 120
    before = len(server.asked)
    assert client(tmp_path / "run", tiny, server.url).wait() == 0
    assert keys(cot.open_run(tmp_path / "run")) == whole
    assert len(server.asked) - before == 120 - len(held)


@pytest.mark.slow
def test_a_server_killed_mid_run_is_waited_for(serve: Any, tmp_path: Path, tiny: Path) -> None:
    whole = keys(sample(tmp_path / "whole", serve(), model=tiny, **SETTINGS))
    first, url = a_server(tiny)
    process = client(tmp_path / "run", tiny, url)
    while process.poll() is None and not list(tmp_path.glob("run/traces/part-*")):
        time.sleep(0.01)
    first.kill()
    first.wait()
    time.sleep(0.3)
    assert process.poll() is None, "it waits for the server"
    again, _ = a_server(tiny, port=int(url.split(":")[2].split("/")[0]))
    try:
        assert process.wait() == 0
    finally:
        again.kill()
        again.wait()
    assert keys(cot.open_run(tmp_path / "run")) == whole
