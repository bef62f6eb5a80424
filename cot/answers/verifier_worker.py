"""The process that runs a user's checker: JSON lines in and out. `Verifier` starts and kills it.

Its arguments are three file descriptors: requests, replies, and a pipe that closes when the parent
ends. Standard input and output are not used, so that a checker may print. Requests are

    {"spec": "checker:check", "path": [""]}             first: what to import, and from where
    {"id": "q1", "text": "4 5 6 10", "gold": null}      the question of the traces below it
    [0, "(10 - 4) * (5 - 1) = 24"]                      a trace's number and text

and replies `"ready"` or `{"error": ...}` to the first, and to each trace
`[number, answer, correct, failure, where]`.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import json
import os
import reprlib
import resource
import signal
import sys
from collections.abc import Callable
from traceback import walk_tb
from typing import Any

__all__ = ["NoVerdictError", "cut", "die_with", "load", "main", "read_verdict"]

MAX_ANSWER = 1000
"""Characters of an answer; a longer one is cut, and a digest of the whole keeps it distinct."""
MAX_FAILURE = 300
"""Characters of a failure."""
MACHINERY = (__file__, importlib.__file__)
"""Files that call a user's module, and are not it."""


class NoVerdictError(Exception):
    """What the checker returned is not (answer, correct)."""


def main() -> None:
    """Check traces until the requests end."""
    requests, replies, lifeline = (int(each) for each in sys.argv[1:])
    for descriptor in (requests, replies, lifeline):
        os.set_inheritable(descriptor, False)  # not for what the checker starts
    die_with(lifeline)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    incoming, outgoing = os.fdopen(requests), os.fdopen(replies, "w")

    def reply(value: Any) -> None:
        print(json.dumps(value), file=outgoing, flush=True)

    setup = json.loads(incoming.readline())
    sys.argv[1:] = []
    sys.path[:] = setup["path"]
    from cot.types import Question  # found by the parent's path

    try:
        check = load(setup["spec"])
    except LookupError as error:
        reply({"error": error.args[0]})
        return
    reply("ready")
    process = os.getpid()
    question = ""
    for line in incoming:
        if line.startswith("{"):
            question = line
            continue
        number, text = json.loads(line)
        answer = correct = failure = where = None
        try:
            fields = json.loads(question)  # each time, as a checker may change what it is given
            if fields["choices"] is not None:
                fields["choices"] = tuple(fields["choices"])
            answer, correct = read_verdict(check(Question(**fields), text))
        except NoVerdictError as error:
            failure = _line(f"no verdict: {error}")
        except BaseException as error:  # whatever a user's function raises, SystemExit too
            failure, where = _describe(error), _where(error)
        if os.getpid() != process:  # a process that the checker forked came back
            os._exit(1)
        reply([number, answer, correct, failure, where])


def die_with(lifeline: int) -> None:
    """Kill this process group when the other end of the pipe closes, however the parent ended.

    The kernel does it (Linux only), so that it happens even in the midst of a checker's C code.
    """
    if sys.platform == "linux":
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)


def load(spec: str) -> Callable[..., Any]:
    """The function that `package.module:function` names.

    Raises:
        LookupError: it cannot be imported; the message says why, and what to do.
    """
    module_name, _, name = spec.partition(":")
    try:
        module = importlib.import_module(module_name)
    except BaseException as error:  # whatever a user's module raises, SystemExit too
        absent = error.name if isinstance(error, ModuleNotFoundError) else None
        if absent and f"{module_name}.".startswith(f"{absent}."):
            raise LookupError(
                f"there is no module {absent!r} in {os.getcwd()} or among the installed packages: "
                f"change to the folder that holds {absent.replace('.', '/')}.py, or add that "
                "folder to PYTHONPATH"
            ) from None
        where = _where(error)
        raise LookupError(
            f"importing {module_name!r} failed with {_describe(error)}"
            + (f" ({where})" if where else "")
            + f": mend it until python -c 'import {module_name}' works"
        ) from None
    if not hasattr(module, name):
        there = [key for key, value in vars(module).items() if key[0] != "_" and callable(value)]
        raise LookupError(
            f"module {module_name!r} ({getattr(module, '__file__', None)}) has no {name!r}: give "
            + (f"one of {', '.join(there[:20])}" if there else "it a function of that name")
        )
    check: Callable[..., Any] = getattr(module, name)
    if not callable(check):
        raise LookupError(
            f"{name!r} is of type {type(check).__name__}: name a function "
            "(question, text) -> (answer, correct)"
        )
    return check


def read_verdict(value: object) -> tuple[str | None, bool | None]:
    """What a checker returned, as (answer, correct) of plain Python types.

    Raises:
        NoVerdictError: it is something else.
    """
    import numpy as np

    if not (isinstance(value, tuple) and len(value) == 2):
        raise NoVerdictError(f"returned {_shown(value)}, not a tuple (answer, correct)")
    answer, correct = value
    if not (answer is None or isinstance(answer, str)):
        raise NoVerdictError(f"the answer returned is {_shown(answer)}, not a string or None")
    if not (correct is None or isinstance(correct, bool | np.bool_)):
        raise NoVerdictError(f"correct is {_shown(correct)}, not True, False or None")
    if answer is not None:
        try:
            answer.encode()
        except UnicodeEncodeError:
            raise NoVerdictError(
                "the answer returned holds half a character (a surrogate)"
            ) from None
        answer = cut(answer)
    return answer, None if correct is None else bool(correct)


def cut(answer: str) -> str:
    """The answer in at most `MAX_ANSWER` characters; answers that differ stay different."""
    if len(answer) <= MAX_ANSWER:
        return str(answer)
    digest = f"… sha256:{hashlib.sha256(answer.encode()).hexdigest()}"
    return answer[: MAX_ANSWER - len(digest)] + digest


def _shown(value: object) -> str:
    return f"{reprlib.repr(value)} of type {type(value).__name__}"


def _describe(error: BaseException) -> str:
    """`Type: message`, in one line."""
    try:
        message = str(error)
    except BaseException:  # the user's class writes it
        message = "(its message cannot be written)"
    name = type(error).__name__
    return _line(f"{name}: {message}" if message else name)


def _where(error: BaseException) -> str | None:
    """File and line in the user's module: of its innermost call, not of the libraries below it."""
    calls = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    own = [call for call in calls if call[0] not in MACHINERY and call[0][:7] != "<frozen"]
    return next((f"{file} line {line}" for file, line in own[::-1] if file == own[0][0]), None)


def _line(text: str) -> str:
    """The text on one line, short, and nothing in it that a terminal would act on."""
    line = " ".join(text[: 10 * MAX_FAILURE].split())
    line = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)
    return line if len(line) <= MAX_FAILURE else line[: MAX_FAILURE - 1] + "…"


if __name__ == "__main__":
    main()
