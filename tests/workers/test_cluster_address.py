"""Which Ray cluster is connected to: one that is gone is not waited for."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from cot.errors import InputError
from cot.workers import cluster


class Ray:
    """What it was started with."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def init(self, address: str, **_: Any) -> None:
        self.begun.append(address)


@pytest.fixture
def listening() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def gone() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def begun(address: str | None) -> list[str]:
    ray = Ray()
    cluster._start(ray, address, {})
    return ray.begun


def test_a_running_cluster_is_joined(listening: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_running", lambda: listening)
    assert begun(None) == begun("auto") == begun(listening) == [listening]
    assert begun(f"ray://{listening}") == [f"ray://{listening}"]
    assert begun("local") == ["local"]


def test_one_that_was_killed_is_not_waited_for(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_running", lambda: gone)
    assert begun(None) == ["local"]
    for address, where in (
        ("auto", "on this machine"),
        (gone, f"at {gone}"),
        (f"ray://{gone}", f"at ray://{gone}"),
        ("nonsense:port", "at nonsense:port"),
    ):
        with pytest.raises(InputError, match=f"no Ray cluster answers {where}"):
            begun(address)


def test_without_a_cluster_one_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_running", lambda: None)
    assert begun(None) == ["local"]
