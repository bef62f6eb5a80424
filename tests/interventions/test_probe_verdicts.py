"""A probe is causal only where steering beats the random directions by interval, p and band."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from planted_interventions import effect

from analysis.interventions.probe_verdicts import verdicts


def slope(value, beside=0.0, *, target="correct", layer=4, band=0.5, p_holm=0.01, **more):
    place = {"target": target, "layer": layer, "position": "generated", "p_holm": p_holm}
    more = {"band_low": -band, "band_high": band, "headline": True} | more
    return effect("steering", "slope", value, "random", beside, **place, **more)


def judged(*rows, targets=("correct",)):
    probes = pd.DataFrame(
        [
            {"target": name, "layer": layer, "position": "pre_answer", "best": layer == 4}
            for name in targets
            for layer in (2, 4)
        ]
    )
    columns = list(effect("steering", "slope", 0.0, "random", 0.0))
    return verdicts(pd.DataFrame(rows, columns=columns), probes).set_index("target")


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (slope(2.0), "causal"),
        (slope(2.0, p_holm=0.06), "diagnostic"),  # not after Holm
        (slope(2.0, band=2.5), "diagnostic"),  # some random direction does as much
        (slope(2.0, 1.9), "diagnostic"),  # the difference's interval holds 0
        (slope(2.0, band=np.nan), "diagnostic"),  # no band to exceed
        (slope(-2.0), "diagnostic"),  # away from what the probe calls positive
        (slope(-2.0, 1.0, band=2.5), "diagnostic"),
        # below the random directions' mean, but above the band's lower end
        (slope(0.3, 1.0), "diagnostic"),
    ],
)
def test_a_verdict_needs_interval_p_and_band(row, verdict):
    table = judged(row)
    assert table.at["correct", "verdict"] == verdict
    names = ["effect", "control_effect", "difference", "difference_low", "difference_high"]
    assert table.loc["correct", names].to_list() == [row[name] for name in names]
    assert table.at["correct", "p"] == row["p_holm"]
    assert table.loc["correct", ["layer", "position"]].to_list() == [4, "generated"]


def test_a_target_that_was_not_steered_is_diagnostic_without_an_effect():
    table = judged(slope(2.0), targets=("correct", "majority"))
    assert table["verdict"].to_dict() == {"correct": "causal", "majority": "diagnostic"}
    row = table.loc["majority"]
    assert (row["layer"], row["position"]) == (4, "pre_answer")
    assert row[["effect", "difference", "p"]].isna().all()


def test_without_steering_every_probe_is_diagnostic():
    assert judged().loc["correct", "verdict"] == "diagnostic"


def test_the_headline_is_judged_and_else_the_best_layer_and_else_the_least_p():
    other, best = slope(2.0, layer=2, p_holm=0.001), slope(0.1, p_holm=0.9, headline=False)
    assert judged(best, other).loc["correct", ["layer", "verdict"]].to_list() == [2, "causal"]
    other = slope(2.0, layer=2, headline=False)
    assert judged(other, best).loc["correct", ["layer", "verdict"]].to_list() == [4, "diagnostic"]
    lower = slope(2.0, layer=1, p_holm=0.04, headline=False)
    assert judged(lower, other).at["correct", "layer"] == 2


def test_a_slope_that_shuffled_labels_explain_is_diagnostic():
    assert judged(slope(2.0, verdict="causal")).at["correct", "verdict"] == "causal"
    assert judged(slope(2.0, verdict="not shown")).at["correct", "verdict"] == "diagnostic"
    # what stands beside shuffled labels alone is no verdict
    shuffled = slope(9.0) | {"control": "shuffled"}
    assert np.isnan(judged(shuffled).at["correct", "effect"])
