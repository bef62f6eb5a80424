"""`cot --help` against importing the command-line library alone: medians of ten, interleaved."""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

GOAL = 2.0
HELP = [str(Path(sys.executable).with_name("cot")), "--help"]
BARE = [sys.executable, "-c", "import cyclopts"]


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    seconds(HELP), seconds(BARE)
    times = [(seconds(HELP), seconds(BARE)) for _ in range(10)]
    ours, bare = (statistics.median(column) for column in zip(*times, strict=True))
    result = {"help_seconds": ours, "import_seconds": bare, "ratio": ours / bare, "goal": GOAL}
    print(json.dumps({**result, "met": ours / bare <= GOAL}))


if __name__ == "__main__":
    main()
