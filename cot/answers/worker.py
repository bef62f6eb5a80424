"""The process that runs math-verify: JSON lines in, JSON lines out. `Judge` starts and kills it.

    echo '["x+1", "1+x"]' | python cot/answers/worker.py 2
    "ready"
    true

It is run as a file, so that it imports nothing of Consilience. math-verify reads LaTeX with a
grammar, but sympy reads a numeral in it by compiling a line of Python: an audit hook lets such
lines through and ends every other attempt to compile a text, to write a file, to start a process or
to reach the network; the reply is then null. A pair that takes too much processor time ends the
process (SIGPROF), as too much memory may. math-verify's own time limits, signals too, are off.
"""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import signal
import sys
from functools import lru_cache
from importlib import import_module
from typing import Any

__all__ = ["Forbidden", "equal", "forbid", "main"]

MEMORY = 2 << 30
"""Bytes of address space."""
FORBIDDEN = ("os.", "shutil.", "socket.", "subprocess.", "ctypes.", "pty.", "webbrowser.", "mmap.")
"""Beginnings of the names of audit events."""
ALLOWED = ("os.listdir", "os.scandir")
"""What importing a module does."""
RELATIVE = 1e-9
"""Numbers further apart than this share of the larger one are not equal."""
COMPILED = re.compile(
    r"from sympy import \*|(?:Integer|Float) \('?[\d.eE+-]+'? \)|"
    r"def monomial_[a-z]+\([AB, k]+\):\n.*",
    re.S,
)
"""What sympy compiles: its names, a numeral, and its own arithmetic of exponents."""


class Forbidden(BaseException):
    """No `Exception`, so that no library takes it for a failure of its own."""


def main() -> None:
    """Answer pairs until standard input ends."""
    seconds = float(sys.argv[1])
    out = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints is no reply
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable()
    import_module("sympy.physics.units")  # else imported, and compiled, at the first relation
    equal(r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}")  # imports, and warms the grammar up
    equal(r"\{1,x\}", "(1,2]")
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    sys.dont_write_bytecode = True
    sys.addaudithook(forbid)
    print(json.dumps("ready"), file=out, flush=True)
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            reply = equal(*json.loads(line))
        except Forbidden:
            reply = None
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(reply), file=out, flush=True)


def equal(one: str, other: str) -> bool | None:
    """Whether math-verify finds two LaTeX answers equal in both directions."""
    from math_verify import verify

    first, second = _parse(one), _parse(other)
    if not all(
        verify(gold, target, timeout_seconds=None)
        for gold, target in ((first, second), (second, first))
    ):
        return False
    return not _differ(first, second)


def _differ(first: Any, second: Any) -> bool:
    """Whether two numbers that math-verify takes for equal are not: it rounds, so that all values
    near zero are one, and 10^20 is 10^20 + 1."""
    from sympy import Basic

    if not (first and second and isinstance(first[0], Basic) and isinstance(second[0], Basic)):
        return False
    one, other = first[0].doit(), second[0].doit()
    if not (getattr(one, "is_number", False) and getattr(other, "is_number", False)):
        return False
    if one.is_Rational and other.is_Rational:
        return bool(one != other)
    size = max(abs(one.evalf(30)), abs(other.evalf(30)))
    return bool(size > 0 and abs((one - other).evalf(60)) > size * RELATIVE)


def forbid(event: str, arguments: tuple[Any, ...]) -> None:
    """The audit hook."""
    if event == "open":
        refused = bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    elif event == "compile":
        source, name = arguments
        text = source.decode() if isinstance(source, bytes) else str(source)
        refused = str(name).startswith("<") and not COMPILED.fullmatch(text)
    else:
        refused = event.startswith(FORBIDDEN) and event not in ALLOWED
    if refused:
        raise Forbidden(event)


@lru_cache(maxsize=10_000)
def _parse(latex: str) -> Any:
    from math_verify import LatexExtractionConfig, parse

    config = [LatexExtractionConfig()]
    return parse(f"${latex}$", config, fallback_mode="no_fallback", parsing_timeout=None)


if __name__ == "__main__":
    main()
