"""Experiments: a TOML file that names a dataset, a run, and the analyses to do, in order.

    dataset = "arithmetic"
    out = "runs/demo"

    [sample]            # the parameters of `cot.sample`
    n = 12

    [vote]              # each further section is an analysis; its keys are its parameters
    rule = ["majority"]

Instead of `dataset` and `[sample]`, `file` names traces to import; `plugins` names modules that
declare analyses of your own. An analysis whose tables are current, made with the same parameters
and versions, is not done again. Analyses next to each other that look inside the model ([capture]
and [lens]) read one teacher-forced pass.

A sweep makes a run of each combination of values, in a folder of its own under `out`, and compares
them:

    [sweep]             # lists of values of [sample]'s keys and of `dataset`
    temperature = [0.4, 1.0]

    [sweep.vote]        # and of an analysis's parameters
    rule = ["majority", "cisc"]
"""

from analysis.experiments.files import Experiment, load_experiment
from analysis.experiments.running import run_experiment
from analysis.experiments.sweeps import PlannedPoint, Swept, plan_experiment, run_sweep

__all__ = [
    "Experiment",
    "PlannedPoint",
    "Swept",
    "load_experiment",
    "plan_experiment",
    "run_experiment",
    "run_sweep",
]
