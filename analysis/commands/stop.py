"""`cot stop`."""

from __future__ import annotations

from pathlib import Path

import analysis.replay
from cot.console import Output, emit, listen
from cot.run import open_run

__all__ = ["stop"]


def stop(
    run: Path,
    /,
    *,
    rule: tuple[str, ...] = ("asc_beta",),
    order: str = "random",
    permutations: int = 100,
    seed: int = 0,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Replay stopping rules on the stored traces: accuracy against what each saves.

    A rule and its parameters, as they are by default:

    fixed                 all samples; fixed:n=5 the first five
    asc_beta              until the leading answer surely beats the next, by
      threshold=0.95      this probability (arXiv 2305.11860)
    asc_dirichlet         until it surely beats the four next together
      threshold=0.95
    esc                   until a window of samples is unanimous, whose answer
      window=5            it is (arXiv 2401.10480)
    deepconf_online       the first `warmup` samples set a bar that p percent of
      warmup=16,p=90,     them pass; a later one is cut where a window of its
      window=2048,        tokens falls under it; until the others agree, weighted
      consensus=0.95      by confidence (arXiv 2508.15260; needs traces sampled
                          with --top-logprobs 20)
    package.module:name   your own: see cot.stopping

    Parameters
    ----------
    run
        The run's folder.
    rule
        A stopping rule, with its parameters after a colon; may be given again.
    order
        random: the mean over permutations of each question's traces, with file order beside; file:
        by sample_index only.
    permutations
        Random orders, at least 100.
    seed
        Of permutations and bootstrap.
    """
    listen()
    opened = open_run(run)
    with opened.lock():
        analysis.replay.stop(opened, rules=rule, order=order, permutations=permutations, seed=seed)
    findings = opened.table("findings_stop").set_index("name")
    table = findings.rename(columns={"estimate": "accuracy"})
    records = {name: {"rule": name, **row} for name, row in table.to_dict("index").items()}
    bare = ("rule", "accuracy", "low", "high", "n_questions", "n_excluded", "method")
    others = {
        name: {key: row[key] for key in bare} for name, row in records.items() if name not in rule
    }
    result = {
        "rules": [records[name] for name in rule],
        "all": others["all"],
        "gains": [row for name, row in others.items() if name.endswith(" - all")],
    }
    columns = ("accuracy", "low", "high", "mean_samples", "saved", "tokens_saved")
    beside = ("file_accuracy", "file_mean_samples", "file_saved")
    shown = ("rule", *columns, *(beside if order == "random" else ()))
    rows = [{name: row[name] for name in shown} for row in records.values()]
    emit(output, result, rows=rows)
