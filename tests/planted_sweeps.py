"""Files of small sweeps, and what runs them."""

from analysis.experiments import load_experiment
from cot.cli import main

BASE = """
dataset = "arithmetic"
out = "unused"
[sample]
engine = "tests.slow_engine:SlowEngine"
n = 4
limit = 3
greedy = false
"""
STAGES = """
[answers]
[vote]
rule = ["majority"]
[curve]
n = [1, 4]
"""
GRID = """
[sweep]
temperature = [0.4, 1.0]
seed = [0, 1]
"""


def write(path, content):
    file = path / "study.toml"
    file.write_text(content)
    return file


def run(path, content, *more):
    out = [] if "--out" in more else ["--out", str(path / "out")]
    return main(["run", str(write(path, content)), *out, *map(str, more)])


def points(path):
    return [point.name for point in load_experiment(path).points]
