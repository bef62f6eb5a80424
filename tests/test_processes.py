"""Work over processes: in order, with its errors, and gone when whoever asked for it is."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cot.processes import n_processes, spread

SCRIPT = """
import os, sys, time
import cot.processes
cot.processes.n_processes = lambda n: 2
def slow(folder):
    open(os.path.join(folder, str(os.getpid())), "w").close()
    time.sleep(100)
list(cot.processes.spread(slow, [sys.argv[1]] * 2, 2))
"""


def test_items_come_back_in_order_and_an_error_comes_through(monkeypatch):
    monkeypatch.setattr("cot.processes.n_processes", lambda n: 2)
    assert list(spread(abs, range(-20, 0), 20)) == list(range(20, 0, -1))
    with pytest.raises(ValueError, match="invalid literal"):
        list(spread(int, ["1", "x", "2"], 3))


def test_few_items_start_no_process():
    assert [n_processes(n) for n in range(6)] == [1] * 6
    assert list(spread(lambda _: os.getpid(), range(3), 3)) == [os.getpid()] * 3


def is_running(pid):
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_workers_end_with_a_process_that_is_killed(tmp_path):
    asker = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)])  # no __main__ guard
    deadline = time.monotonic() + 120
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    workers = [int(path.name) for path in tmp_path.iterdir()]
    assert len(workers) == 2
    asker.send_signal(signal.SIGKILL)
    asker.wait()
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(is_running, workers))
