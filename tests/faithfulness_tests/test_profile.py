"""What votes, signals and the agreement table take from the tests."""

import numpy as np
import pytest
from planted_engines import planted_run
from written import write_table

from analysis.agreement import agree
from analysis.calibration import calibrate
from analysis.faithfulness_tests.profile import profile
from analysis.voting import vote


def with_values(folder, values):
    """A planted run with a table of values: (test, question, trace) to value."""
    import pandas as pd

    run = planted_run(folder, lengths=(2, 3), n=3, text=wrong_in_the_middle, model=None)
    rows = [
        {"question_id": q, "sample_index": i, "greedy": False, "test": test, "value": value}
        for (test, q, i), value in values.items()
    ]
    rows.append({**rows[0], "greedy": True, "value": 0.0})
    write_table(
        run,
        "faithfulness_traces",
        pd.DataFrame(rows),
        command="faithfulness",
        parameters={},
        inputs=["answers"],
    )
    return run


def wrong_in_the_middle(question, index):
    return " Well, who knows. The answer is 1." if index == 1 else None


VALUES = {
    ("early_answering", "q0", 0): 0.5,
    ("early_answering", "q0", 1): 0.9,
    ("early_answering", "q0", 2): 0.1,
    ("filler:points=4", "q0", 0): 1.0,
    ("filler:points=4", "q0", 1): 1.0,
    ("no_cot", "q0", 0): 0.0,
    ("early_answering", "q1", 0): np.nan,
    ("early_answering", "q1", 1): 1.0,
}


def test_the_profile_is_the_mean_over_tests_of_the_reasoning(tmp_path):
    run = with_values(tmp_path / "run", VALUES)
    table = profile(run).set_index(["question_id", "sample_index"])
    known = table["faithfulness"]
    assert known["q0", 0] == 0.75  # early answering and filler; no_cot changes the question
    assert known["q0", 1] == 0.95
    assert known["q0", 2] == 0.1
    assert np.isnan(known["q1", 0])
    assert table.at[("q0", 0), "no_cot"] == 0


def test_it_is_a_vote_a_signal_and_a_column_of_the_agreement_table(tmp_path):
    run = with_values(tmp_path / "run", VALUES)
    votes = vote(run, rule=["majority", "faithful"]).set_index(["question_id", "rule"])
    assert votes.at[("q0", "majority"), "answer"] == "8"
    assert votes.at[("q0", "faithful"), "answer"] == "1"  # .95 against .75 + .1
    assert votes.at[("q0", "faithful"), "share"] == pytest.approx(0.95 / 1.8)
    signals = calibrate(run).set_index("signal")
    assert signals.at["faithfulness", "n"] == 4
    assert signals.at["faithfulness", "auroc"] == 0  # the wrong ones depend on it more
    table = agree(run).set_index("question_id")
    assert table.at["q0", "faithfulness"] == pytest.approx((0.75 + 0.1) / 2)
    assert table.at["q0", "faithful_vote"] == "1"
    assert table.at["q0", "suspicion"] > 0
