"""Where workers run: the Ray cluster, and what each worker gets of it."""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from cot.errors import ConsilienceError, InputError

__all__ = ["Cluster", "cluster_of", "connect", "cpus_each", "gpus_each", "how_many"]

OBJECT_STORE = 512 * 2**20
"""Bytes of shared memory of a cluster that is started here: results are small, and taken soon."""
PORT = 6379
"""Of a Ray cluster whose address names none."""
STARTS = 2
"""Times that a cluster on this machine is tried to be started: Ray gives up after 30 s."""
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_niceness": "0",
}
"""Environment of a cluster that is started here: it tells nobody that it runs, warns of nothing to
come, and its workers are scheduled as this process is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where workers run, and how many."""

    workers: int | None = None
    """How many; None is one for each GPU of the cluster that they can have, or one in all."""
    address: str | None = None
    """Of a Ray cluster; `local` starts one on this machine. None is RAY_ADDRESS, else the cluster
    that runs on this machine, else a new one."""
    gpus: float | None = None
    """GPUs of each worker; None is one where the cluster has any."""
    cpus: float | None = None
    """Cores of each worker; None is one beside a GPU, else its share of the cluster's."""
    runtime_env: Mapping[str, Any] | None = None
    """Ray's runtime environment of the workers, such as {"working_dir": "."}."""
    verbose: bool = False
    """Let Ray and the workers speak."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise InputError(f"workers is {self.workers}: give at least 1")
        for name in ("gpus", "cpus"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise InputError(f"{name} is {value}: give at least 0")


def cluster_of(workers: int | None, device: str | None = None) -> Cluster | None:
    """The cluster that `--workers` asks for; None where it isn't given: the work stays here.

    Args:
        device: a torch device, which `cpu` keeps off the GPUs.
    """
    if workers is None:
        return None
    if device == "auto":
        raise InputError("--device auto spreads one model over all GPUs: leave --workers out")
    return Cluster(workers=workers, gpus=0 if device == "cpu" else None)


_connected = ""
"""The cluster that was connected to here: a process has one at a time."""


def connect(cluster: Cluster) -> None:
    """Connect this process to the cluster, for as long as it lives; a cluster that is started here
    ends with it.

    Raises:
        InputError: Ray isn't installed, no cluster answers, or this process is on another one.
    """
    global _connected
    if find_spec("ray") is None:
        raise InputError("workers need Ray: pip install 'consilience[ray]'")
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    address = cluster.address or os.environ.get("RAY_ADDRESS") or None
    if ray.is_initialized():
        if cluster.address is not None and _connected not in ("", address):
            raise InputError(
                f"address is {address}, and this process is on the cluster at {_connected}: use "
                "one, or call ray.shutdown() first"
            )
        return
    settings: dict[str, Any] = {
        "runtime_env": dict(cluster.runtime_env) if cluster.runtime_env else None,
        "log_to_driver": cluster.verbose,
        "logging_level": logging.INFO if cluster.verbose else logging.ERROR,
    }
    _start(ray, address, settings)
    _connected = address or "the address that Ray found"
    # Ray prints what happens on the cluster to stdout, where results go; what matters is logged
    ray._private.worker._worker_logs_enabled = cluster.verbose


def _start(ray: Any, address: str | None, settings: dict[str, Any]) -> None:
    """Connect to the cluster at the address; where there is none, to one that is started here."""
    if address != "local":
        found = _running() if address in (None, "auto") else address
        why = ""
        if found is not None and _answers(found):
            try:
                ray.init(found, **settings)
                return
            except (ConnectionError, OSError, RuntimeError, ValueError) as error:
                why = f": {error}"
        if address is not None:
            where = "on this machine" if address == "auto" else f"at {address}"
            raise InputError(f"no Ray cluster answers {where}{why}")
    for left in reversed(range(STARTS)):
        try:
            ray.init("local", object_store_memory=OBJECT_STORE, include_dashboard=False, **settings)
            return
        except Exception as error:  # Ray raises no narrower one
            ray.shutdown()
            if not left:
                raise ConsilienceError(f"Ray doesn't start on this machine: {error}") from error


def _running() -> str | None:
    """The address of the cluster that Ray knows of on this machine."""
    from ray._private.services import get_ray_address_from_environment

    try:
        found: str | None = get_ray_address_from_environment("auto", None)
    except ConnectionError:
        return None
    return found


def _answers(address: str) -> bool:
    """Whether anything listens there. A cluster that was killed leaves its address behind, and Ray
    waits for minutes for one that is gone."""
    parts = urlsplit(address if "://" in address else f"ray://{address}")
    try:
        with socket.create_connection((parts.hostname or "", parts.port or PORT), timeout=10):
            return True
    except (OSError, ValueError):
        return False


def gpus_each(cluster: Cluster) -> float:
    """GPUs of each worker; connects to the cluster to look, where that isn't given."""
    if cluster.gpus is not None:
        return cluster.gpus
    return 1.0 if _resources(cluster).get("GPU", 0) else 0.0


def how_many(cluster: Cluster) -> int:
    """Workers; connects to the cluster to look, where that isn't given."""
    if cluster.workers is not None:
        return cluster.workers
    each = gpus_each(cluster)
    return max(1, int(_resources(cluster).get("GPU", 0) / each)) if each else 1


def cpus_each(cluster: Cluster) -> float:
    """Cores of each worker; connects to the cluster to look, where that isn't given."""
    if cluster.cpus is not None:
        return cluster.cpus
    if gpus_each(cluster):
        return 1.0
    share: float = _resources(cluster).get("CPU", 1) / how_many(cluster)
    return float(max(1, math.floor(share))) if share >= 1 else share


def _resources(cluster: Cluster) -> Mapping[str, float]:
    """What the whole cluster has, CPU and GPU among others."""
    connect(cluster)
    import ray

    found: Mapping[str, float] = ray.cluster_resources()
    return found
