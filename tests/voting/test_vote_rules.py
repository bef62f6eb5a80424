"""Each rule by hand, where it disagrees with the majority; and the contract of all of them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import analysis
from analysis.columns import columns, group_confidence
from analysis.model_queries import ModelQueries
from analysis.voting import load_rule, outcomes, weigher
from analysis.voting.cisc import TEMPERATURES
from analysis.voting.contract import check_vote_rule
from cot.errors import InputError
from cot.registry import names
from tests.small import run_with_answers

SPECS = [
    *names("votes"),
    "cisc:T=0.1",
    "cisc:fit=true",
    "cisc:confidence=p_true,T=2",
    "checked:weight=0",
    "checked:fit=true",
    "deepconf:keep=10",
    "deepconf:confidence=tail,window=3",
]


@pytest.mark.slow
@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("seed", range(5))
def test_every_rule_keeps_the_contract(spec, seed):
    check_vote_rule(spec, seed=seed)


@weigher()
def first_only(ballots: pd.DataFrame):
    return (np.arange(len(ballots)) == 0).astype(float)


def test_the_contract_finds_a_rule_that_reads_the_order():
    with pytest.raises(AssertionError, match="order of the traces"):
        check_vote_rule("tests.voting.test_vote_rules:first_only")


@weigher("sum_logp")
def above_the_mean(ballots: pd.DataFrame):
    return (ballots["sum_logp"] >= ballots["sum_logp"].mean()).astype(float)


def test_the_contract_finds_a_rule_that_reads_other_questions():
    with pytest.raises(AssertionError, match="another question"):
        check_vote_rule("tests.voting.test_vote_rules:above_the_mean")


@weigher()
def too_sure(ballots: pd.DataFrame):
    return np.full(len(ballots), np.inf)


def test_the_contract_finds_an_infinite_weight():
    with pytest.raises(AssertionError, match="infinite"):
        check_vote_rule("tests.voting.test_vote_rules:too_sure")


def question(answers, **extra):
    """One question's rows of an answers table; None has no valid answer, `1` is right."""
    return pd.DataFrame(
        {
            "question_id": "q",
            "sample_index": range(len(answers)),
            "answer": answers,
            "status": ["missing" if answer is None else "ok" for answer in answers],
            "correct": [answer == "1" for answer in answers],
            **extra,
        }
    )


def voted(spec, answers, **extra):
    return outcomes(question(answers, **extra), load_rule(spec)).iloc[0]


LOGP = {"sum_logp": [-1.0, -9.0, -9.0, -9.5], "mean_logp": [-0.1, -0.9, -0.9, -0.5]}


@pytest.mark.parametrize(
    ("spec", "answer", "share"),
    [
        ("majority", "1", 3 / 4),
        ("sum_prob", "2", 1 / (1 + 2 * np.exp(-8) + np.exp(-8.5))),
        (
            "sum_prob_norm",
            "1",
            1 - np.exp(-0.1) / (np.exp(-0.1) + 2 * np.exp(-0.9) + np.exp(-0.5)),
        ),
        (
            "mean_prob_norm",
            "2",
            np.exp(-0.1) / (np.exp(-0.1) + (2 * np.exp(-0.9) + np.exp(-0.5)) / 3),
        ),
        ("mean_prob", "2", 1 / (1 + (2 * np.exp(-8) + np.exp(-8.5)) / 3)),
        ("cisc", "1", 1 - np.exp(-0.1) / (np.exp(-0.1) + 2 * np.exp(-0.9) + np.exp(-0.5))),
        ("cisc:T=0.1", "2", 1 / (1 + 2 * np.exp(-8) + np.exp(-4))),
    ],
)
def test_likelihood_by_hand(spec, answer, share):
    vote = voted(spec, ["2", "1", "1", "1"], **LOGP)
    assert (vote["answer"], vote["share"]) == (answer, pytest.approx(share))


@pytest.mark.parametrize("spec", ["sum_prob", "mean_prob", "cisc:confidence=sum_logp"])
def test_tiny_probabilities_are_compared_all_the_same(spec):
    vote = voted(spec, ["2", "1"], sum_logp=[-1e4, -1e4 + 1])
    assert (vote["answer"], vote["share"]) == ("1", pytest.approx(np.e / (1 + np.e)))


def test_a_trace_without_the_column_is_no_ballot():
    vote = voted("cisc:confidence=c", ["2", "2", "1"], c=[np.nan, np.nan, 0.3])
    assert vote[["answer", "share", "n_ballots", "n_excluded"]].to_list() == ["1", 1.0, 1, 2]
    assert voted("cisc:confidence=c", ["2"], c=[np.nan])["abstained"]


def test_cisc_fits_its_temperature_on_other_questions():
    """Confidence is right in every question but one; only T → 0 follows it."""
    answers = pd.concat(
        question(["2", "2", "1"], c=[0.1, 0.1, 0.2]).assign(question_id=f"q{i}") for i in range(10)
    ).reset_index(drop=True)
    wrong = answers["question_id"] == "q0"
    answers.loc[wrong, "c"] = [0.2, 0.2, 0.1]
    votes = outcomes(answers, load_rule("cisc:confidence=c,fit=true")).set_index("question_id")
    assert votes["correct"].to_list() == [False] + [True] * 9
    assert not outcomes(answers, load_rule("cisc:confidence=c"))["correct"].any()
    share = 1 / (1 + 2 * np.exp(-0.1 / max(T for T in TEMPERATURES if 0.1 / np.log(2) > T)))
    assert votes.loc["q1", "share"] == pytest.approx(share)  # the T nearest to 1 that suffices
    with pytest.raises(InputError, match="two folds"):
        outcomes(answers[wrong], load_rule("cisc:confidence=c,fit=true"))


def test_deepconf_keeps_the_surest():
    answers, c = ["2", "2", "1", "1"], [0.5, 0.6, 0.9, 0.7]
    column = {"lowest@2048": c}
    assert voted("deepconf:keep=100", answers, **column)["share"] == pytest.approx(1.6 / 2.7)
    half = voted("deepconf:keep=50", answers, **column)  # 50th percentile 0.65
    assert half[["answer", "share"]].to_list() == ["1", 1.0]
    top = outcomes(question(["1", *"2222"], **{"lowest@2048": [5, 1, 1, 1, 1]}),
                   load_rule("deepconf:keep=10")).iloc[0]  # fmt: skip
    assert top["answer"] == "1"


@pytest.mark.slow
@given(st.lists(st.sampled_from([0.1, 0.2, 0.5, 0.9]), min_size=1, max_size=8), st.integers(1, 100))
@settings(deadline=None)
def test_deepconf_bar_is_numpys_percentile(values, keep):
    frame = question(["1"] * len(values), **{"lowest@2048": values})
    weights = load_rule(f"deepconf:keep={keep}").weigh(frame)
    kept = np.array(values) >= np.percentile(values, 100 - keep) - 1e-9
    assert (weights > 0).tolist() == kept.tolist()


@pytest.mark.parametrize(
    ("kind", "window", "expected"),
    [
        ("mean", 2, 2.0),
        ("tail", 2, 2.0),
        ("lowest", 2, 1.5),
        ("lowest", 1, 1.0),
        ("lowest", 99, 2.0),
        ("bottom", 2, 1.5),
    ],
)
def test_group_confidence_by_hand(kind, window, expected):
    assert group_confidence(np.array([-3.0, -2.0, -1.0, -3.0, -1.0]), kind, window) == expected


def test_bottom_is_the_lowest_tenth_of_the_windows():
    values = -np.arange(20.0)[::-1]
    assert group_confidence(values, "bottom", 1) == pytest.approx((0 + 1) / 2)


def test_paths_have_one_vote_each():
    answers = ["2", "2", "2", "1", "1"]
    vote = voted("cluster", answers, cluster=[0, 0, 0, 1, 2])
    assert (vote["answer"], vote["share"]) == ("1", pytest.approx(2 / 3))
    noise = voted("cluster", answers, cluster=[-1, -1, -1, 1, 1])
    assert (noise["answer"], noise["share"]) == ("2", pytest.approx(3 / 4))
    split = voted("cluster", ["2", "2", "1", "1"], cluster=[0, 0, 0, 1])
    assert (split["answer"], split["share"]) == ("1", pytest.approx((1 / 3 + 1) / 2))


def test_a_wrong_step_costs():
    answers, wrong = ["2", "2", "2", "1", "1"], {"n_reaching": [1, 2, 1, 0, 0]}
    half = voted("checked", answers, **wrong)
    assert (half["answer"], half["share"]) == ("1", pytest.approx(2 / 3.5))
    assert voted("checked:weight=1", answers, **wrong)["answer"] == "2"
    assert voted("checked:weight=0", answers, **wrong)["share"] == 1.0
    alone = voted("checked:weight=0", ["2", None], n_reaching=[1, 0])
    assert (alone["answer"], alone["share"]) == ("2", 1.0)


def test_centroid_by_hand():
    embedding = [np.array(v) for v in ([1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0])]
    vote = voted("centroid", ["1", "2", "3", "3"], embedding=embedding)
    near, far = 1 / np.sqrt(2), 1 / np.sqrt(2)  # the mean points to (1, 1)
    assert vote["tied"]
    assert vote["share"] == pytest.approx(near / (2 * near + far))


def test_universal_follows_the_model_or_abstains():
    assert voted("universal", ["2", "2", "1"], chosen=[0.0, 0.0, 1.0])["answer"] == "1"
    assert voted("universal", ["2", "2", "1"], chosen=[np.nan] * 3)["abstained"]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("cisc:T=0", "above 0"),
        ("cisc:T=x", "T is 'x': give a number"),
        ("cisc:t=2", "no 't': it takes T, confidence, fit"),
        ("deepconf:confidence=low", "choose from mean, tail, lowest, bottom"),
        ("deepconf:keep=0", "in \\(0, 100\\]"),
        ("majority:x=1", "takes no parameters"),
        ("checked:weight=2", "from 0 to 1"),
        ("nowhere:rule", "no module 'nowhere'"),
    ],
)
def test_wrong_parameters(tmp_path, spec, said):
    run = run_with_answers(tmp_path, {"a": ("7", ["7"])})
    with pytest.raises(InputError, match=said):
        outcomes(
            question(
                ["1"],
                **{"mean_logp": [-1.0], "low@2048": [1.0], "lowest@2048": [1.0], "n_reaching": [0]},
            ),
            load_rule(spec),
        )
    assert run.tables() == []


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("deepconf", "--top-logprobs"),
        ("cisc:confidence=certainty", "no trace has a number called 'certainty'"),
        ("cisc:confidence=p_true", "give --model"),
        ("universal", "give --model"),
    ],
)
def test_what_a_run_lacks_is_said_with_how_to_get_it(tmp_path, spec, said):
    run = run_with_answers(tmp_path, {"a": ("7", ["7", "8"])})
    with pytest.raises(InputError, match=said):
        analysis.vote(run, [spec])
    assert "votes" not in run.tables()


def test_columns_are_aligned_with_the_answers(tmp_path):
    run = run_with_answers(tmp_path, {"a": ("7", ["7", None]), "b": ("7", ["7", "8"])})
    answers = run.table("answers") if "answers" in run.tables() else analysis.vote(run) is None
    answers = run.table("answers").iloc[::-1]
    found = columns(run, answers, ["sum_logp", "mean_logp", "tail_logp"])
    assert found["sum_logp"].to_list() == [-1.75] * 4
    assert found["tail_logp"].to_list() == [-1.0] * 4
    assert found["mean_logp"].to_list() == pytest.approx([-1.75 / 3] * 4)


@pytest.mark.model
def test_the_model_rates_and_chooses_and_is_asked_once(tmp_path):
    run = run_with_answers(tmp_path, {"a": ("7", ["7", "8", None]), "b": ("1", ["1", "1", "1"])})
    specs = ["cisc:confidence=p_true", "universal"]
    model = "smollm2-135m-instruct"
    with run.lock():
        votes = analysis.vote(run, specs, model=model, engine="transformers")
        asked = {name: run.fingerprint(f"samples/{name}") for name in ("p_true", "universal")}
        again = analysis.vote(run, specs, model=model, engine="transformers")
        limited = analysis.vote(run, specs, model=model, engine="transformers", limit=1)
    pd.testing.assert_frame_equal(votes, again)
    assert asked == {name: run.fingerprint(f"samples/{name}") for name in asked}
    assert (len(run.samples("p_true")), len(run.samples("universal"))) == (5, 2)
    assert limited["question_id"].unique().tolist() == ["a"]
    rated = run.samples("p_true")["scores"].iloc[0]
    assert all(0 < float(chance) < 1 for chance in rated.values())
    chosen = votes[votes["rule"] == "universal"].set_index("question_id")
    assert chosen.loc["b", "answer"] == "1"
    assert ModelQueries(run, model, "transformers").model == model
