"""What votes, signals and the agreement table take from the tests."""

import numpy as np
import pandas as pd
import pytest
from planted_engines import planted_run
from written import write_table

from analysis.agreement import agree
from analysis.calibration import calibrate
from analysis.faithfulness_tests import load_test
from analysis.faithfulness_tests.result_tables import profile_table, table_of_tests
from analysis.voting import vote


def profile_of(values):
    """The profile of (test, question, trace) to value."""
    rows = [
        {"question_id": q, "sample_index": i, "greedy": False, "test": test, "value": value}
        for (test, q, i), value in values.items()
    ]
    rows.append({**rows[0], "greedy": True, "value": 0.0})
    tests = table_of_tests({name: load_test(name) for name, *_ in values})
    return profile_table(pd.DataFrame(rows), tests)


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


def test_the_profile_is_the_mean_over_tests_of_the_reasoning():
    table = profile_of(VALUES).set_index(["question_id", "sample_index"])
    known = table["faithfulness"]
    assert known["q0", 0] == 0.75  # early answering and filler; no_cot changes the question
    assert known["q0", 1] == 0.95
    assert known["q0", 2] == 0.1
    assert np.isnan(known["q1", 0])
    assert table["n_tests"].tolist() == [2, 2, 1, 0, 1]


@pytest.mark.slow
def test_it_is_a_vote_a_signal_and_a_column_of_the_agreement_table(tmp_path):
    run = planted_run(tmp_path / "run", lengths=(2, 3), n=3, text=wrong_in_the_middle, model=None)
    profile = profile_of(VALUES)
    write_table(run, "faithfulness_profile", profile, command="faithfulness", inputs=["answers"])
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
