"""Whether two answers that differ as strings are equal: math-verify says, in a process of its own.

    with Judge() as judge:
        judge.equal("x+1", "1+x")      # True
        judge.equal("1/2", "1/3")      # False: two plain numbers are compared as such

math-verify can hang, outlive its own time limit, and fill the memory, so that it runs in `worker`,
which is started at the first question and killed when need be. What a caller must know is counted.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import select
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any

from cot.answers.latex import canonical_latex, kind_of
from cot.answers.structure import same
from cot.errors import ConsilienceError

__all__ = ["Judge", "is_safe"]

log = logging.getLogger("cot")

START_SECONDS = 120
"""Most time from the worker's start to its first word."""
MAX_LENGTH = 300
"""Characters of an answer that is passed on."""
MAX_DEPTH = 8
"""Brackets within brackets; reading takes twice as long with each."""
MAX_FAILURES = 3
"""Pairs of one answer that may time out or fail before it is not asked about any more."""
SAFE = re.compile(r"[A-Za-z0-9\s\\{}()\[\]^_+\-*/=<>|,.:!&%]*")
UNSAFE = re.compile(
    r"__|\d{61}|\d{4,}!|!!|\^\s*\{?\s*-?\d{5,}|\^\s*\{?\s*\d+\s*\}?\s*\^|\d[eE][-+]?\d{3,}|"
    r"(?<![\\{A-Za-z])[A-Za-z]{5,}"
)
"""Private names, endless digits, towers of powers, large factorials and exponents, and words."""

BASE = re.compile(r"\d_")


class Judge:
    """Asks math-verify. Use it as a context manager.

    Args:
        seconds: most processor time a pair; after it the pair counts as not equal.
    """

    def __init__(self, seconds: float = 2.0) -> None:
        self.seconds = seconds
        self.asked = 0
        """Pairs put to math-verify."""
        self.timed_out = 0
        """Pairs that took too long."""
        self.failed = 0
        """Pairs during which the worker died or tried something forbidden."""
        self._verdicts: dict[tuple[str, str], bool] = {}
        self._parts: dict[tuple[str, str], bool] = {}
        self._failures: Counter[str] = Counter()
        self._worker: subprocess.Popen[str] | None = None

    def equal(self, one: str, other: str) -> bool:
        """Whether two canonical forms of format `latex` are equal, in both directions."""
        pair = (one, other) if one < other else (other, one)
        if pair not in self._verdicts:
            self._verdicts[pair] = one == other or (
                all(map(is_legible, pair)) and same(*pair, self._equal)
            )
        return self._verdicts[pair]

    def close(self) -> None:
        """End the worker, and say what went wrong."""
        self._kill()
        if self.timed_out or self.failed:
            log.warning(
                "%d pairs of answers took math-verify more than %g s, and on %d it failed: they "
                "count as not equal",
                self.timed_out,
                self.seconds,
                self.failed,
            )

    def __enter__(self) -> Judge:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _equal(self, one: str, other: str) -> bool:
        """Whether two forms that have no parts are equal."""
        one, other = (canonical_latex(form) or form for form in (one, other))
        kinds = {kind_of(one), kind_of(other)}
        if one == other or kinds == {"number"} or "words" in kinds:
            return one == other
        if BASE.search(one) or BASE.search(other):  # 204_6: math-verify drops the base
            return False
        pair = (one, other) if one < other else (other, one)
        if pair not in self._parts:
            asking = all(is_safe(form) and self._failures[form] < MAX_FAILURES for form in pair)
            self._parts[pair] = asking and self._ask(pair)
        return self._parts[pair]

    def _ask(self, pair: tuple[str, str]) -> bool:
        worker = self._worker or self._start()
        self.asked += 1
        assert worker.stdin
        try:
            worker.stdin.write(json.dumps(pair) + "\n")
            worker.stdin.flush()
        except BrokenPipeError:
            reply, late = None, False
        else:
            reply, late = self._read(worker, 5 * self.seconds + 5)  # on a busy machine
        if isinstance(reply, bool):
            return reply
        late = self._kill() == -signal.SIGPROF or late
        self.timed_out += late
        self.failed += not late
        self._failures.update(pair)
        return False

    def _start(self) -> subprocess.Popen[str]:
        script = str(Path(__file__).with_name("worker.py"))
        kept = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LANG")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        self._worker = worker = subprocess.Popen(
            [sys.executable, "-P", script, str(self.seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd="/",
            env={**environment, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C is for the parent
        )
        if self._read(worker, START_SECONDS)[0] != "ready":
            self._kill()
            raise ConsilienceError(
                f"math-verify did not start; '{sys.executable} -P {script} 2' shows why"
            )
        return worker

    def _read(self, worker: subprocess.Popen[str], seconds: float) -> tuple[Any, bool]:
        """The worker's next reply (None where it died), and whether it was too late."""
        assert worker.stdout
        if not select.select([worker.stdout], [], [], seconds)[0]:
            return None, True
        line = worker.stdout.readline()
        return (json.loads(line) if line else None), False

    def _kill(self) -> int | None:
        """End the worker; returns its exit status: minus the signal that ended it."""
        worker, self._worker = self._worker, None
        if worker is None:
            return None
        worker.kill()  # nothing happens to one that is dead
        status = worker.wait()
        for pipe in (worker.stdin, worker.stdout):
            with contextlib.suppress(BrokenPipeError):  # what was not written is lost
                if pipe:
                    pipe.close()
        return status


def is_legible(form: str) -> bool:
    """Whether an answer may be taken apart: it is short, and has no character that is not seen."""
    return len(form) <= MAX_LENGTH and form.isprintable()


def is_safe(form: str) -> bool:
    """Whether an answer may be passed on to math-verify: short, flat, and nothing but LaTeX."""
    if len(form) > MAX_LENGTH or not SAFE.fullmatch(form) or UNSAFE.search(form):
        return False
    depth = deepest = 0
    for each in form:
        depth += (each in "([{") - (each in ")]}")
        deepest = max(deepest, depth)
    return deepest <= MAX_DEPTH
