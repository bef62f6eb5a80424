import json
from math import log
from random import Random

import numpy as np
import pytest
from planted_engines import Ignoring, Planted, finding, planted_run

from analysis.faithfulness_tests import faithfulness
from analysis.faithfulness_tests.resampling import Resampling, divergence
from cot.errors import InputError

pytestmark = pytest.mark.slow

TRACE = (
    " First I look at all doors. Then I open the blue door. Then I walk a while. The answer is 5."
)
CHOICES = (
    ("First I look at all doors.", "First I wait for a friend."),
    ("Then I open the blue door.", "Then I open the red door."),
    ("Then I walk a while.", "Then I run home at once."),
)


class Doors(Planted):
    """Takes each step one way or another at random; only the door decides: 5 behind the blue."""

    def say(self, question, written, request):
        random = Random(request.seed)
        steps = [random.choice(both) for both in CHOICES[written.count(".") :]]
        answer = self.behind("blue" in written + "".join(steps), random)
        return " ".join(["", *steps, f"The answer is {answer}."])

    def behind(self, blue, random):
        return 5 if blue else 9


class Dice(Doors):
    """Answers at random, whatever the steps are."""

    def behind(self, blue, random):
        return random.randint(1, 3)


class Stubborn(Doors):
    """Always takes the same steps."""

    def say(self, question, written, request):
        steps = [both[0] for both in CHOICES[written.count(".") :]]
        return " ".join(["", *steps, "The answer is 5."])


@pytest.fixture(autouse=True)
def words_for_meaning(monkeypatch):
    """Two steps mean the same where they are the same."""

    def embed(texts, cache=None):
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        return np.eye(len(places), dtype=np.float32)[[places[text] for text in texts]]

    monkeypatch.setattr("analysis.faithfulness_tests.embed", embed)


def measured(folder, engine, *, n=16, traces=3):
    """The run, and the details of each sampled trace's steps."""
    run = planted_run(folder / "run", lengths=(2, 3), n=traces, text=lambda name, index: TRACE)
    faithfulness(run, [f"resampling:n={n}"], engine=f"{engine.__module__}:{engine.__name__}")
    table = run.table("faithfulness")
    steps = table[~table["control"] & ~table["greedy"]]
    return run, steps.assign(
        **{name: _each(steps, name) for name in json.loads(steps["detail"].iloc[0])}
    )


def _each(steps, name):
    return [json.loads(text).get(name) for text in steps["detail"]]


def found(run, measure, *, n=16, **fields):
    return finding(run.table("findings_faithfulness"), f"resampling:n={n}", measure, **fields)


def test_divergence_by_hand():
    """7, 7, 8, 8 with another step; 8, 8, 8, 8 with the step kept."""
    counts = np.array([[2, 2], [0, 4]])
    assert divergence(counts) == pytest.approx((3 * log(3 / 1) + 3 * log(3 / 5)) / 6)
    assert divergence(counts) == pytest.approx(0.294, abs=5e-4)
    back = (1 * log(1 / 3) + 5 * log(5 / 3)) / 6
    assert divergence(counts[::-1]) == pytest.approx(back)
    assert divergence(np.array([[[3, 1], [3, 1]], [[2, 2], [0, 4]]])) == pytest.approx(
        [0, 0.2939], abs=1e-4
    )


def test_the_step_that_decides_has_the_importance(tmp_path):
    run, steps = measured(tmp_path, Doors)
    for _, trace in steps.groupby(["question_id", "sample_index"]):
        by_step = trace.set_index("step")
        assert by_step["distance"].idxmax() == by_step["importance"].idxmax() == 1
        assert by_step.at[1, "distance"] == 1
        assert set(by_step.at[1, "answers"]) == {"9"}
        assert by_step.at[1, "kept"] == {"5": 16}
        assert by_step.at[2, "distance"] == by_step.at[2, "importance"] == 0
        assert by_step.at[0, "importance"] < 0.2
        assert by_step.at[1, "answer"] == "9"
    values = run.table("faithfulness_traces")["value"]
    assert values.between(0.6, 1).all()  # 1 less what chance does
    kept = run.table("faithfulness").query("control and step == 1")
    assert (kept["answer"] == "5").all()
    least = found(run, "importance", baseline="chance")["low"]
    assert least > 0


def test_one_that_ignores_what_is_written_moves_nowhere(tmp_path):
    run, steps = measured(tmp_path, Ignoring)
    assert (steps["importance"] == 0).all()
    assert (steps["n_dissimilar"] == 16).all()
    assert (run.table("faithfulness_traces")["value"] == 0).all()
    assert found(run, "importance_by_chance")["estimate"] == 0


def test_noise_is_no_more_than_chance(tmp_path):
    run, _ = measured(tmp_path, Dice, traces=8)
    assert found(run, "importance")["estimate"] > 0.05
    assert abs(found(run, "importance", baseline="chance")["estimate"]) < 0.03
    assert run.table("faithfulness_traces")["value"].mean() < 0.08
    assert found(run, "dissimilar")["estimate"] == pytest.approx(0.5, abs=0.05)


def test_what_is_never_another_step_has_no_importance_and_is_counted(tmp_path):
    run, steps = measured(tmp_path, Stubborn, n=3)
    assert steps["importance"].isna().all()
    assert (steps["n_dissimilar"] == 0).all()
    assert (steps["share_dissimilar"] == 0).all()
    assert (steps["n_kept"] == 3).all()
    traces = run.table("faithfulness_traces")
    assert traces["value"].isna().all()
    assert set(traces["excluded"]) == {"no step has enough resamples"}
    row = found(run, "importance", n=3)
    assert (row["n_traces"], row["n_excluded"]) == (0, 2 * 3 * 3)


def test_a_greedy_trace_is_sampled_on_from_too(tmp_path):
    run, _ = measured(tmp_path, Doors, n=8, traces=1)
    greedy = run.table("faithfulness_traces").query("greedy")
    assert (greedy["value"] > 0.5).all()


def test_wrong_use():
    for settings in ({"n": 1}, {"budget": -1}):
        with pytest.raises(InputError, match="resampling"):
            Resampling(**settings)
