"""Each trace's class in each partition, and what else agreement reads of it, lined up.

A partition splits a question's traces into classes:

answers        the class of the stated answer
clusters       the cluster of its reasoning: of its masked text's embedding
dataflows      which operations it does on which numbers; "" is a class: no equation was found
hidden states  the cluster of its state at one layer and position

Agreement runs no model that it was not asked to run. Answers and clusters of reasoning are made
where they are missing; hidden states, probes, the logit lens and faithfulness tests are read where
the run has them, and named where it hasn't or where they are stale (`Missing`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.agreement.moved_answers import needless_steps
from analysis.answer_table import ballots_of
from analysis.catalogue import need
from analysis.columns import columns
from analysis.hidden_states.stored_states import captured, choose_place
from analysis.state_geometry import states
from cot.store.run import Run
from cot.types import TRACE_KEY

__all__ = ["PARTITIONS", "Available", "Missing", "Place", "available", "line_up"]

log = logging.getLogger("cot")

PARTITIONS = {
    "answers": "answer",
    "clusters": "cluster",
    "dataflows": "dataflow",
    "hidden states": "hidden",
}
"""Partition to the column of `line_up`."""
LENS = ["lens_answer", "candidate", "decided_at_prompt", "decided_control"]
Place = tuple[int, str]
"""Layer and position of hidden states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What a run lacks, so that it is left out of the comparison."""

    what: str
    """`hidden states`, `probe of correctness`, `logit lens`, `faithfulness tests`, or, where they
    are stale, `interventions`."""
    why: str
    """Why it is left out: it was not made, it is stale, or it could not be made."""
    command: str
    """What adds it; empty where no command would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Available:
    """What a run has to compare."""

    tables: frozenset[str]
    """Tables that may be read."""
    place: Place | None
    """Layer and position of the hidden states; None where they are left out."""
    missing: tuple[Missing, ...]
    """What is left out."""


def available(run: Run, layer: int | None, position: str | None) -> Available:
    """What may be compared, none of which takes the model; what is missing is logged in one line.

    Args:
        layer: of the hidden states; the middle captured one where None.
        position: likewise; the preferred one where None.

    Raises:
        InputError: a layer or position is asked for that was not captured.
    """
    tables, missing = {"answers", "paths"}, []
    model = "" if run.identity.model else " --model MODEL"
    place: Place | None = None
    if layer is not None or position is not None:
        choose_place(run, layer, position)
    if why := _lacks_states(run):
        missing.append(
            Missing(what="hidden states", why=why, command=f"cot capture {run.path}{model}")
        )
    else:
        place = choose_place(run, layer, position)
        # Clusters of stored states take no model. They may have been made of other places only.
        if not _at(need(run, "hidden_clusters"), place).any():
            states(run)
        tables.add("hidden_clusters")
    if probe := _lacks_probe(run, has_states=place is not None):
        missing.append(probe)
    else:
        tables.add("probe_scores")
    others = (
        ("logit lens", "lens_traces", f"cot lens {run.path}{model}"),
        ("faithfulness tests", "faithfulness_profile", f"cot faithfulness {run.path}{model}"),
    )
    for what, table, command in others:
        if why := _lacks(run, table):
            missing.append(Missing(what=what, why=why, command=command))
        else:
            tables.add(table)
    if "faithfulness_profile" in tables and not _lacks(run, "faithfulness"):
        tables.add("faithfulness")
    # Nobody misses what changes states; only where it was made, and is stale, that is said.
    if "interventions" in run.tables():
        if why := _lacks(run, "interventions"):
            command = f"cot intervene {run.path}{model}"
            missing.append(Missing(what="interventions", why=why, command=command))
        else:
            tables.add("interventions")
            if not _lacks(run, "intervention_effects"):
                tables.add("intervention_effects")
    if missing:
        named = "; ".join(
            f"{each.what} ({each.why}{f': {each.command}' if each.command else ''})"
            for each in missing
        )
        log.info("left out of the comparison: %s", named)
    return Available(tables=frozenset(tables), place=place, missing=tuple(missing))


def _lacks(run: Run, table: str) -> str | None:
    """Why a table can't be read; None where it is there and follows from its inputs."""
    if table not in run.tables():
        return "not made yet"
    reason = run.stale(table)
    return f"stale, {reason}" if reason else None


def _lacks_states(run: Run) -> str | None:
    """Why hidden states can't be read."""
    if not (run.path / "activations" / "index.parquet").exists():
        return "not captured yet"
    if why := _lacks(run, "logprob_gaps"):
        return why
    if all(position == "prompt_end" for _, position in captured(run, None, None)):
        return "captured at the prompt's end only, where a question's traces are alike"
    return None


def _lacks_probe(run: Run, *, has_states: bool) -> Missing | None:
    """Why the probe of correctness can't be read."""
    what = "probe of correctness"
    if need(run, "answers")["correct"].isna().all():
        return Missing(what=what, why="no question has a gold answer", command="")
    if why := _lacks(run, "probe_scores"):
        command = (
            f"cot probe {run.path}" if has_states else f"cot capture, then cot probe {run.path}"
        )
        return Missing(what=what, why=why, command=command)
    scores = need(run, "probe_scores")
    mine = scores[scores["target"] == "correct"]
    if not len(mine):
        command = f"cot probe {run.path} --target correct"
        return Missing(what=what, why="probes of other targets only", command=command)
    if not mine["chosen"].astype(bool).any():
        why = "none could be fitted: too few traces are right, or too few wrong"
        return Missing(what=what, why=why, command="")
    return None


def line_up(run: Run, answers: pd.DataFrame, there: Available) -> pd.DataFrame:
    """Valid traces: question_id, sample_index, answer, cluster, dataflow, n_reaching, n_checked (0
    where the answer holds no number, so that it can't be told where it comes from),
    hidden (its state's cluster, missing where none), score (the probe's, NaN where none),
    faithfulness, needless (likewise) and the lens's columns (missing)."""
    valid = ballots_of(answers)[[*TRACE_KEY, "answer"]].reset_index(drop=True)
    paths = need(run, "paths")[[*TRACE_KEY, "cluster", "dataflow", "n_reaching", "n_checked"]]
    lined = valid.merge(paths, on=TRACE_KEY)
    lined["n_checked"] = lined["n_checked"].where(lined["n_reaching"].notna(), 0)
    lined["hidden"] = pd.array([pd.NA] * len(lined), dtype="Int64")
    if there.place is not None:
        clusters = need(run, "hidden_clusters")
        own = clusters.loc[_at(clusters, there.place), [*TRACE_KEY, "cluster"]]
        own = own.rename(columns={"cluster": "hidden"}).astype({"hidden": "Int64"})
        lined = lined.drop(columns="hidden").merge(own, on=TRACE_KEY, how="left")
    scored, tested = (name in there.tables for name in ("probe_scores", "faithfulness_profile"))
    score = columns(run, lined, ["probe"])["probe"] if scored else float("nan")
    faithfulness = columns(run, lined, ["faithfulness"])["faithfulness"] if tested else float("nan")
    lined = lined.assign(score=score, faithfulness=faithfulness, needless=float("nan"))
    if "interventions" in there.tables:
        needless = needless_steps(need(run, "interventions"))
        lined = lined.drop(columns="needless").merge(needless, on=TRACE_KEY, how="left")
    if "lens_traces" not in there.tables:
        return lined.assign(**dict.fromkeys(LENS, pd.NA))
    return lined.merge(need(run, "lens_traces")[[*TRACE_KEY, *LENS]], on=TRACE_KEY, how="left")


def _at(clusters: pd.DataFrame, place: Place) -> Any:
    return (clusters["layer"] == place[0]) & (clusters["position"] == place[1])
