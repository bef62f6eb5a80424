"""A user's checker reads and grades traces: code tests, a puzzle's rules, labels stored elsewhere.

    # checker.py
    def check(question, text):                     # a cot.types.Question, what the model wrote
        answer = text.rpartition("=")[2].strip()
        return answer, answer == question.meta["solution"]     # (str or None, True, False or None)

    with Verifier("checker:check") as verifier:
        verdicts = list(verifier.verify([(question, "7 * 6 = 42")]))

A checker may hang, crash or use up the memory, and the texts that it is given are a model's. So it
runs in processes of its own, `verifier_worker`, several at once, each with a process group: at the
time limit, at a crash and at the end the whole group is killed, and another is started if need be.
Only JSON comes back. This is no sandbox: a checker may do what its user may. One that runs a
model's code should run it in a container or as another user, and must itself end what it moves to
another session.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from types import TracebackType
from typing import Any

from cot.errors import InputError
from cot.types import Question

__all__ = ["Verdict", "Verifier"]

START_SECONDS = 120
"""Most time from a worker's start until the checker is imported."""
FIRST = 20
"""With this many traces, all failed with one type of exception, a checker counts as broken."""
BATCH_SECONDS = 0.02
"""About how long a worker should take over what it is given at a time."""
MAX_BATCH = 64
"""Most that a worker is given at a time; a trace is 1, and 1 more for each 10,000 characters."""
MAX_AHEAD = 2 * MAX_BATCH
"""For each worker, in the same measure: with less than this read ahead, another batch is read."""
MAX_REPLY = 1 << 17
"""Bytes of a reply; a checker's is far shorter."""
POLL_SECONDS = 0.2
"""How often a silent worker is looked after."""
NOT_AN_EXCEPTION = ("", "timeout", "worker died")
"""Beginnings of failures that may be the model's text and not the checker's fault."""

_Reply = tuple["Verdict", str | None]
"""A verdict, and the file and line where the checker raised an exception."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a checker says of one trace."""

    answer: str | None
    """The trace's answer; None where it has none, or the checker failed. More than 1,000 characters
    are cut, and end in a digest of the whole."""
    correct: bool | None
    """Whether it is right; None where the checker does not say, or failed."""
    failure: str | None
    """None where the checker replied. Else `timeout`; `worker died: ...`; `no verdict: ...`, with
    what was returned; or an exception's `Type: message`, at most 300 characters."""


class Verifier:
    """Runs a checker on traces. Use it as a context manager; entering imports the checker.

    Each worker inherits the environment, and its memory is not limited: a checker that loads a
    model does so once a worker. What a checker prints is discarded.

    Args:
        spec: `package.module:function`, called as function(question, text) and returning
            (answer, correct). A module in the current directory is found.
        seconds: most wall-clock time a trace.
        workers: processes; None is one a CPU.

    Raises:
        InputError: the name, the limit or the number of workers cannot be; on entering, the
            checker cannot be imported.
    """

    def __init__(self, spec: str, seconds: float = 10.0, workers: int | None = None) -> None:
        module, _, function = spec.partition(":")
        named = all(part.isidentifier() for part in (*module.split("."), function))
        if not named or module.endswith(".py"):
            raise InputError(
                f"verifier {spec!r}: write it as package.module:function, such as checker:check "
                "for the function check in checker.py"
            )
        if not 0 < seconds <= 1e6:
            raise InputError(f"verifier: a limit of {seconds} seconds: give more than 0")
        if workers is not None and workers < 1:
            raise InputError(f"verifier: {workers} workers: give at least 1")
        self.spec = spec
        self.seconds = seconds
        self.workers = workers or _cpus()
        self._pool = ThreadPoolExecutor(self.workers)  # one thread looks after one process
        self._lock = Lock()
        self._closed = False
        self._running: set[_Worker] = set()
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._batch = 1
        self._n_first = 0
        self._first = ""

    def verify(self, items: Iterable[tuple[Question, str]]) -> Iterator[Verdict]:
        """The verdict on each (question, text), in their order.

        At most 128 items a worker, and 64, are read ahead of what is yielded (fewer long ones).

        Raises:
            InputError: the first 20 traces all failed with one type of exception, or all returned
                no verdict.
        """
        source = iter(items)
        pending: deque[tuple[Future[list[_Reply]], int]] = deque()
        ahead = 0
        try:
            while True:
                while ahead < MAX_AHEAD * self.workers:
                    batch, size = _take(source, self._batch)
                    if not batch:
                        break
                    pending.append((self._pool.submit(self._check, batch), size))
                    ahead += size
                if not pending:
                    return
                done, size = pending.popleft()
                for verdict, where in done.result():
                    self._look_for_a_broken_checker(verdict, where)
                    yield verdict
                ahead -= size
        finally:
            for future, _ in pending:
                future.cancel()

    def close(self) -> None:
        """Kill all workers, and what they started."""
        with self._lock:
            self._closed = True
            for worker in self._running:
                worker.kill()
        self._pool.shutdown(cancel_futures=True)
        for worker in self._running:
            worker.end()
        self._running.clear()

    def __enter__(self) -> Verifier:
        try:
            self._idle.put(self._start())
        except BaseException:  # an interrupt too: __exit__ is not called
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check(self, batch: Sequence[tuple[Question, str]]) -> list[_Reply]:
        """Have a worker check a batch, and others where one fails; runs in a thread of the pool."""
        began = time.monotonic()
        replies: list[_Reply] = []
        while len(replies) < len(batch):
            try:
                worker = self._idle.get_nowait()
            except Empty:
                worker = self._start()
            replies += worker.check(batch[len(replies) :], self.seconds)
            if worker.ended:
                with self._lock:
                    self._running.discard(worker)
            else:
                self._idle.put(worker)
        taken = time.monotonic() - began
        if taken < BATCH_SECONDS / 2:
            self._batch = max(self._batch, min(2 * len(batch), MAX_BATCH))
        elif taken > BATCH_SECONDS:
            self._batch = min(self._batch, max(len(batch) // 2, 1))
        return replies

    def _start(self) -> _Worker:
        with self._lock:
            if self._closed:
                raise CancelledError
            worker = _Worker(self.spec)
            self._running.add(worker)
        wrong = worker.prepare()
        if wrong is not None:
            raise InputError(f"verifier {self.spec!r}: {wrong}")
        return worker

    def _look_for_a_broken_checker(self, verdict: Verdict, where: str | None) -> None:
        if self._n_first == FIRST:
            return
        kind = (verdict.failure or "").partition(":")[0]
        if self._n_first == 0:
            self._first = kind
        if kind in NOT_AN_EXCEPTION or kind != self._first:
            self._n_first = FIRST
            return
        self._n_first += 1
        if self._n_first == FIRST:
            raise InputError(
                f"verifier {self.spec!r}: it failed in the same way on each of the first {FIRST} "
                f"traces, here with {verdict.failure}"
                + (f" ({where})" if where else "")
                + ": mend it; it is called as function(question, text) and returns "
                "(answer, correct)"
            )


class _WorkerError(Exception):
    """A worker can be used no more; the message is the failure of the trace it was at."""


class _Worker:
    """One process, as its parent sees it. A thread uses it; only `kill` may come from another."""

    def __init__(self, spec: str) -> None:
        theirs_in, self._requests = os.pipe()
        self._replies, theirs_out = os.pipe()
        lifeline, self._lifeline = os.pipe()
        theirs = (theirs_in, theirs_out, lifeline)
        script = str(Path(__file__).with_name("verifier_worker.py"))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", script, *map(str, theirs)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=theirs,
                env={"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", **os.environ},
                start_new_session=True,  # Ctrl-C is for the parent; and a process group of its own
            )
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        os.set_blocking(self._requests, False)
        self.ended = False
        self._lock = Lock()
        self._spec = spec
        self._received = b""
        self._question: Question | None = None
        """The last one sent."""
        self._n_checked = 0

    def prepare(self) -> str | None:
        """Wait until the checker is imported; where it cannot be, end, and return why."""
        here = os.getcwd()
        path = sys.path if here in sys.path or "" in sys.path else [*sys.path, here]
        module = self._spec.partition(":")[0]
        try:
            line = next(self._exchange(_line({"spec": self._spec, "path": path}), START_SECONDS))
            reply = _parse(line)
        except _WorkerError as error:
            late = str(error) == "timeout"
            how = f"took more than {START_SECONDS} s" if late else f"ended its process ({error})"
            reply = {
                "error": f"importing {module!r} {how}: mend it until python -c 'import {module}' "
                "works, and soon"
            }
        if reply == "ready":
            return None
        self.end()
        return str(reply["error"] if isinstance(reply, dict) else reply)

    def check(self, batch: Sequence[tuple[Question, str]], seconds: float) -> list[_Reply]:
        """Replies on the batch, in order; fewer, and the last a failure, where the worker ended."""
        lines = []
        for number, (question, text) in enumerate(batch, self._n_checked):
            if question is not self._question:
                self._question = question
                lines.append(_line(asdict(question)))
            lines.append(_line([number, text]))
        replies: list[_Reply] = []
        try:
            for line in self._exchange(b"".join(lines), seconds, len(batch)):
                replies.append(_read(line, self._n_checked))
                self._n_checked += 1
        except _WorkerError as error:
            self.end()
            replies.append((Verdict(answer=None, correct=None, failure=str(error)), None))
        return replies

    def kill(self) -> None:
        """Kill the process group; it is still to be waited for."""
        with self._lock, contextlib.suppress(ProcessLookupError, PermissionError):
            if not self.ended:  # afterwards, the number may be another's
                os.killpg(self._process.pid, signal.SIGKILL)

    def end(self, patience: float = 0.0) -> int | None:
        """Kill the process group; returns the exit status if it ended by itself in that time."""
        try:
            status = self._process.wait(patience)
        except subprocess.TimeoutExpired:
            status = None
        self.kill()  # what it started, at least
        self._process.wait()
        with self._lock:
            if not self.ended:
                self.ended = True
                for descriptor in (self._requests, self._replies, self._lifeline):
                    os.close(descriptor)
        return status

    def _exchange(self, data: bytes, seconds: float, n: int = 1) -> Iterator[bytes]:
        """Send the lines, and yield n lines of reply, each at most `seconds` after the one before.

        Raises:
            _WorkerError: it came too late, or never will.
        """
        unsent = memoryview(data)
        events = select.poll()
        events.register(self._replies, select.POLLIN)
        events.register(self._requests, select.POLLOUT)
        for _ in range(n):
            deadline = time.monotonic() + seconds
            while b"\n" not in self._received:
                left = deadline - time.monotonic()
                ready = {each for each, _ in events.poll(1000 * max(0, min(left, POLL_SECONDS)))}
                if self._replies in ready:
                    new = os.read(self._replies, MAX_REPLY)
                    self._received += new
                    if not new:
                        raise _WorkerError(f"worker died: {_how(self.end(patience=1.0))}")
                    if len(self._received) > 2 * MAX_REPLY:
                        raise _WorkerError("worker died: what it replied is no verdict")
                elif self._requests in ready:
                    with contextlib.suppress(BrokenPipeError):  # its last replies may still come
                        unsent = unsent[os.write(self._requests, unsent) :]
                        if unsent:
                            continue
                    events.unregister(self._requests)
                elif left <= 0:
                    raise _WorkerError("timeout")
                elif self._process.poll() is not None:  # what it forked may hold its pipe
                    raise _WorkerError(f"worker died: {_how(self.end())}")
            line, _, self._received = self._received.partition(b"\n")
            yield line


def _take(
    source: Iterator[tuple[Question, str]], most: int
) -> tuple[list[tuple[Question, str]], int]:
    """The next items, as many as make up `most`, and how much they are (see `MAX_BATCH`)."""
    batch, size = [], 0
    for item in source:
        batch.append(item)
        size += 1 + len(item[1]) // 10_000
        if size >= most:
            break
    return batch, size


def _line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _parse(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise _WorkerError("worker died: what it replied is not JSON") from None


def _read(line: bytes, number: int) -> _Reply:
    """A worker's reply to the trace of this number."""
    match _parse(line):
        case [
            int(own),
            str() | None as answer,
            bool() | None as correct,
            str() | None as failure,
            str() | None as where,
        ] if own == number:
            return Verdict(answer=answer, correct=correct, failure=failure), where
    raise _WorkerError("worker died: what it replied is no verdict")


def _how(status: int | None) -> str:
    """How a process ended, from its exit status."""
    if status is None:
        return "it closed its pipes"
    if status >= 0:
        return f"exit status {status}"
    with contextlib.suppress(ValueError):  # a real-time signal
        name = signal.Signals(-status).name
        return f"killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    return f"killed by signal {-status}"


def _cpus() -> int:
    from joblib import cpu_count  # type: ignore[import-untyped]

    return int(cpu_count())
