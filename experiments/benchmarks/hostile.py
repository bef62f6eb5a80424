"""Time to read hostile texts: twice the text takes twice the time, not four times.

    python experiments/benchmarks/hostile.py [--characters 20000] [--rounds 5]

Each reader of model output (steps, equations, answers) reads the pieces that its tests repeat, in n
characters and in 2n, in turns; processor time, the fastest round of each. The tests count the
instructions of Python code; what regular expressions do in C only a clock sees.
The last line is JSON: each reader's slowest piece at 2n, and the largest growth among the pieces
that take over five milliseconds; `met` where that is below 3 (linear is 2, quadratic 4).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial

from analysis.equations.extraction import find_equations
from cot.answers import FORMATS, extract
from cot.steps import segment

PIECES = ["1+", "1+1=2 ", "(1+", "(", "((1+1))", " ", "\\frac", "half of ", "2^", "-", "9", "9*"]
PIECES += ["<<", "x ", "=1+1", " is 5 plus 7", "{1", "2*2=4. ", "\n", "<<1+1=2>>", "5 apples "]
PIECES += [
    "1/3 ≈ 0.3 ",
    "(-",
    "\\text{",
    "\\[",
    "$$",
    "$$\n\n",
    ".",
    ". ",
    "-\n",
    "1,",
    "5 ",
    "\n ",
]
PIECES += ["\\begin{align}", "J. ", "```\n", "</think>", "<think>", "`", "!)", "%", "hm", "step 1 "]
PIECES += ["\\boxed{", "The answer is ", "one ", "$", "5" + " " * 99, "```" + "a" * 99]
GOAL, FELT = 3.0, 0.005


def main() -> None:
    """Measure, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--characters", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    readers: dict[str, Callable[[str], object]] = {"steps": segment, "equations": find_equations}
    readers |= {f"answers {name}": partial(_extract, name) for name in FORMATS}
    result: dict[str, object] = {"benchmark": "hostile", "characters": options.characters}
    worst = 0.0
    for name, read in readers.items():
        slowest = (0.0, "")
        for piece in PIECES:
            texts = [piece * (k * options.characters // len(piece)) for k in (1, 2)]
            turns = [[_seconds(read, text) for text in texts] for _ in range(options.rounds)]
            once, twice = (min(taken) for taken in zip(*turns, strict=True))
            slowest = max(slowest, (twice, piece))
            if twice > FELT and twice / once > worst:
                worst, result["worst"] = twice / once, f"{name}: {piece!r}"
        result[name] = {"seconds": round(slowest[0], 4), "piece": slowest[1]}
    print(json.dumps(result | {"growth": round(worst, 2), "goal": GOAL, "met": worst < GOAL}))


def _extract(format: str, text: str) -> object:
    return extract(text, format, ("12 apples", "a car", "3"))


def _seconds(read: Callable[[str], object], text: str) -> float:
    begin = time.process_time()
    read(text)
    return time.process_time() - begin


if __name__ == "__main__":
    main()
