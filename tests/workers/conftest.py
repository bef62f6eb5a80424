"""A small Ray cluster, started once for the tests that need a real one."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cot.errors import InputError
from cot.workers.cluster import Cluster, connect

PORTS = (
    *("port", "dashboard-agent-grpc-port", "dashboard-agent-listen-port"),
    *("runtime-env-agent-port", "metrics-export-port", "dashboard-port"),
)
"""Given where they can be: Ray waits 15 seconds for an agent to say one, and then ends the node."""
STARTS = 5
"""Times that it is tried: an agent that takes longer all the same ends the node."""
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_worker_niceness": "0",
    # it ends workers where others fill the machine's memory
    "RAY_memory_monitor_refresh_ms": "0",
    "OMP_NUM_THREADS": "1",
    # what workers import from the tests
    "PYTHONPATH": str(Path(__file__).parent.parent.parent),
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a cluster of two cores; analyses and subprocesses find it by RAY_ADDRESS. Where
    that names one already, it is that one."""
    if address := os.environ.get("RAY_ADDRESS"):
        yield address
        return
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        # Ray reads these as it is imported; nobody else may run anything on this cluster
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        import ray

        host = ray.util.get_node_ip_address()
        for left in reversed(range(STARTS)):
            free = free_ports(len(PORTS))
            given = [f"--{name}={number}" for name, number in zip(PORTS, free, strict=True)]
            given += ["--num-cpus=2", "--object-store-memory=200000000"]
            with head_node(given) as head:
                try:
                    wait_for(host, free[0], head)
                    connect(Cluster(workers=2, address=f"{host}:{free[0]}"))
                except (InputError, RuntimeError):
                    if not left:
                        raise
                    continue
                patch.setenv("RAY_ADDRESS", f"{host}:{free[0]}")
                yield f"{host}:{free[0]}"
                ray.shutdown()
                return


@contextmanager
def head_node(options: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The process that runs Ray's others, which end with it."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
    with subprocess.Popen(
        [*command, "--include-dashboard=false", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as head:
        try:
            yield head
        finally:
            head.terminate()
            with suppress(subprocess.TimeoutExpired):
                head.wait(30)
            with suppress(ProcessLookupError):
                os.killpg(head.pid, signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    found = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return found


def wait_for(host: str, port: int, process: subprocess.Popen[bytes]) -> None:
    """Until something listens on the port."""
    while process.poll() is None:
        with socket.socket() as trial:
            if trial.connect_ex((host, port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError("ray start has ended")
