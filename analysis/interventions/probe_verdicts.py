"""Is a probe's direction one that the model uses? *Diagnostic* or *causal*.

That a probe reads a label from the states says that the label is there. It is called *diagnostic*
until steering along its direction moves the answer further than as long a step along random
directions does:

    causal    the interval of (slope − random slopes' mean) lies above 0, with p at most .05 after
              Holm's correction over all that was tried, and the slope lies above the band of the
              random directions; and no other control of the steering explains it (its own verdict)
    diagnostic   all else; without an effect where nothing was steered

The slope is in nats of log-odds per σ. It is positive where a step towards what the probe calls
positive moves the answer towards the positive label's. A negative one doesn't support the probe.

>>> verdicts(run.table("intervention_effects"), run.table("probes"))       # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

__all__ = ["verdicts"]

NUMBERS = ["effect", "control_effect", "difference", "difference_low", "difference_high", "p"]
COLUMNS = ["target", "layer", "position", "verdict", *NUMBERS]
LEVEL = 0.05


def verdicts(effects: pd.DataFrame, probes: pd.DataFrame) -> pd.DataFrame:
    """The table `probe_verdicts`, one row a probed target: target, layer (Int64) and position
    (where the steered direction acts; of the best probe where nothing was steered), verdict
    (`diagnostic` or `causal`), effect, control_effect, difference, difference_low, difference_high
    (slopes, nats per σ; NaN where nothing was steered), p (after Holm's correction).

    Of a target that was steered at several layers, the layer of the headline, which is chosen on
    other questions; without one, that of the best probe, else the one with the smallest p.

    Args:
        effects: table `intervention_effects`.
        probes: the table.
    """
    steered = effects[
        (effects["method"].str.split(":").str[0] == "steering") & (effects["measure"] == "slope")
    ]
    steered = steered[steered["control"] == "random"]
    best = probes[probes["best"].astype(bool)].drop_duplicates("target").set_index("target")
    rows = []
    for target in probes["target"].drop_duplicates():
        cell = best.loc[target] if target in best.index else {"layer": pd.NA, "position": ""}
        mine = steered[steered["target"] == target]
        if len(mine):
            rows.append({"target": target, **_judged(_row(mine, cell["layer"]))})
        else:
            place = {"layer": cell["layer"], "position": cell["position"]}
            rows.append({"target": target, **place, "verdict": "diagnostic"})
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.astype({"target": "str", "layer": "Int64", **dict.fromkeys(NUMBERS, float)})


def _row(steered: pd.DataFrame, best_layer: Any) -> Mapping[Any, Any]:
    """The row of a target that its verdict is of."""
    at_best = steered["layer"].eq(best_layer).fillna(False) if pd.notna(best_layer) else False
    order = steered.assign(at_best=at_best, holm=_corrected(steered))
    order = order.sort_values(
        ["headline", "at_best", "holm"], ascending=[False, False, True], kind="stable"
    )
    row: Mapping[Any, Any] = order.to_dict("records")[0]
    return row


def _judged(row: Mapping[Any, Any]) -> dict[str, Any]:
    above = row["difference_low"] > 0 and row["effect"] > row["band_high"]
    # of the same slope beside other controls, such as a direction fitted on shuffled labels
    explained = row["verdict"] == "not shown"
    causal = bool(above and row["holm"] <= LEVEL and not explained)
    return {
        **{name: row[name] for name in ("layer", "position", *NUMBERS)},
        "p": row["holm"],
        "verdict": "causal" if causal else "diagnostic",
    }


def _corrected(steered: pd.DataFrame) -> pd.Series:
    """p after Holm's correction; as it is where nothing was corrected."""
    return steered["p_holm"].astype(float).fillna(steered["p"].astype(float))
