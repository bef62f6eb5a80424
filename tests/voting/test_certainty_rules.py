"""Votes by self-certainty, entropy, path probability and modes of confidence, by hand."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, weibull_min
from sklearn.mixture import GaussianMixture
from written import write_table

import analysis
from analysis.answer_table import answers as extract_answers
from analysis.columns import columns
from analysis.voting import load_rule, loading, outcomes
from analysis.voting.borda import POWERS
from analysis.voting.contract import ballots_for, check_vote_rule
from analysis.voting.mixtures import fit_two, gaussian, log_weibull
from cot.errors import InputError
from cot.store.run import create_run, open_run
from cot.types import Completion, Question, Trace
from tests.small import run_with_answers

RULES = ["borda", "rpc", "inverse_entropy", "distri"]


def question(answers, **extra):
    return pd.DataFrame(
        {"question_id": "q", "sample_index": range(len(answers)), "answer": answers, **extra}
    ).assign(
        status=["missing" if each is None else "ok" for each in answers],
        correct=[each == "1" for each in answers],
        group="q",
    )


def weights(spec, answers, **extra):
    return load_rule(spec).weigh(question(answers, **extra))


def voted(spec, answers, **extra):
    return outcomes(question(answers, **extra), load_rule(spec)).iloc[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec", [*RULES, "borda:fit=true", "borda:p=0", "rpc:probability=mean_logp"]
)
@pytest.mark.parametrize("seed", range(2))
def test_the_contract_with_enough_traces_for_a_mixture(spec, seed):
    check_vote_rule(spec, ballots_for(load_rule(spec), seed, n_questions=7, n_traces=24))


# -- Borda


def test_borda_by_hand():
    """N = 4: weights 4^p, 3^p, 2^p, 1^p from the surest on."""
    certainty = [0.1, 9.0, 3.0, 1.0]
    found = weights("borda:p=1", ["1", "2", "1", "1"], self_certainty=certainty)
    np.testing.assert_allclose(found / found[0], [1, 4, 3, 2])
    found = weights("borda", ["1", "2", "1", "1"], self_certainty=certainty)
    np.testing.assert_allclose(found / found[0], np.sqrt([1, 4, 3, 2]))
    vote = voted("borda:p=1", ["1", "2", "1", "1"], self_certainty=certainty)
    assert (vote["answer"], vote["share"]) == ("1", pytest.approx(6 / 10))
    assert voted("borda:p=50", ["1", "2", "1", "1"], self_certainty=certainty)["answer"] == "2"


def test_borda_power_0_is_the_majority_and_a_large_one_does_not_overflow():
    given = {"self_certainty": [1.0, 2.0, 3.0]}
    assert voted("borda:p=0", ["1", "1", "2"], **given)["share"] == pytest.approx(2 / 3)
    assert voted("borda:p=1e6", ["1", "1", "2"], **given)["answer"] == "2"


def test_borda_ranks_only_what_votes_and_equals_share_their_ranks():
    found = weights("borda:p=1", ["1", "1", "2", "2"], self_certainty=[5.0, 5.0, 1.0, np.nan])
    np.testing.assert_allclose(found / found[2], [2.5, 2.5, 1, np.nan])
    vote = voted("borda:p=1", ["1", None, "2"], self_certainty=[1.0, 7.0, 2.0])
    assert vote["share"] == pytest.approx(2 / 3), "the trace without an answer has no rank"


def test_borda_reads_ranks_alone():
    answers, certainty = ["1", "2", "1"], np.array([0.2, 0.9, 0.5])
    np.testing.assert_allclose(
        weights("borda", answers, c=certainty, self_certainty=certainty),
        weights("borda:confidence=c", answers, c=np.exp(9 * certainty) - 40),
    )


def test_borda_fits_its_power_on_other_questions():
    """The lone surest of four is right in every question but one."""
    answers = pd.concat(
        question(["2", "2", "2", "1"], self_certainty=[1.0, 1.1, 1.2, 2.0]).assign(
            question_id=f"q{i}", group=f"q{i}"
        )
        for i in range(10)
    ).reset_index(drop=True)
    assert (outcomes(answers, load_rule("borda:fit=true"))["answer"] == "2").all()
    two = answers[answers["sample_index"] > 0].reset_index(drop=True)
    right = outcomes(two, load_rule("borda:fit=true"))["answer"]  # 3^p > 2^p + 1: p above 1
    assert (right == "1").all()
    assert (outcomes(two, load_rule("borda"))["answer"] == "2").all()
    assert max(POWERS) == 1.5


# -- inverse entropy


def test_inverse_entropy_by_hand():
    vote = voted("inverse_entropy", ["2", "1", "1"], mean_entropy=[0.1, 0.5, 0.5])
    assert (vote["answer"], vote["share"]) == ("2", pytest.approx(10 / 14))
    assert voted("inverse_entropy", ["1", "2"], mean_entropy=[0.3, 0.3])["tied"]
    certain = weights("inverse_entropy", ["1", "2"], mean_entropy=[0.0, 1.0])
    assert np.isfinite(certain).all()
    assert certain[0] > 1e9 * certain[1]


# -- perplexity consistency


def test_rpc_counts_a_path_once_however_often_it_is_sampled():
    logs = [-2.0, -2.0, -2.0, -1.5]
    vote = voted("rpc", ["1", "1", "1", "2"], sum_logp=logs, text_id=[0, 0, 0, 1])
    assert (vote["answer"], vote["share"]) == ("2", pytest.approx(1 / (1 + np.exp(-0.5))))
    apart = voted("rpc", ["1", "1", "1", "2"], sum_logp=logs, text_id=[0, 1, 2, 3])
    assert (apart["answer"], apart["share"]) == ("1", pytest.approx(1 / (1 + np.exp(0.5) / 3)))


def test_rpc_compares_probabilities_that_are_0_in_floating_point():
    vote = voted("rpc", ["2", "1"], sum_logp=[-1e4, -1e4 + 1], text_id=[0, 1])
    assert (vote["answer"], vote["share"]) == ("1", pytest.approx(np.e / (1 + np.e)))
    logs = np.r_[np.full(6, -9000.0) + np.arange(6) / 9, np.full(6, -500.0) + np.arange(6) / 9]
    found = weights("rpc", ["1"] * 6 + ["2"] * 6, sum_logp=logs, text_id=range(12))
    assert (found[:6] == 0).all()
    assert (found[6:] > 0).all()


def planted_paths(generator, n_low=12, n_high=8):
    """Probabilities of two Weibull distributions, the lower one's paths first."""
    low = weibull_min.rvs(3.0, scale=0.05, size=n_low, random_state=generator)
    high = weibull_min.rvs(6.0, scale=0.8, size=n_high, random_state=generator)
    return np.log(np.r_[low, high])


def test_rpc_prunes_the_less_likely_component():
    logs = planted_paths(np.random.default_rng(0))
    answers = ["2"] * 12 + ["1"] * 8
    found = weights("rpc:probability=mean_logp", answers, mean_logp=logs, text_id=range(20))
    np.testing.assert_array_equal(found[:12], 0.0)
    np.testing.assert_allclose(found[12:] / found[-1], np.exp(logs[12:] - logs[-1]))


def test_rpc_prunes_nothing_of_fewer_than_eight_paths():
    logs = planted_paths(np.random.default_rng(0), 4, 3)
    assert (weights("rpc", ["1"] * 7, sum_logp=logs, text_id=range(7)) > 0).all()
    note = load_rule("rpc").note(question(["1"] * 7, sum_logp=logs, text_id=range(7)))
    assert note == "nothing pruned on 1 of 1 questions, with under 8 paths"


def test_rpc_a_path_without_log_probabilities_is_no_ballot_and_the_likeliest_stays():
    logs = np.r_[planted_paths(np.random.default_rng(1)), np.nan]
    found = weights("rpc", ["1"] * 21, sum_logp=logs, text_id=range(21))
    assert np.isnan(found[-1])
    assert found[np.nanargmax(logs)] == 1.0
    same = weights("rpc", ["1"] * 9, sum_logp=np.full(9, -3.0), text_id=range(9))
    np.testing.assert_array_equal(same, 1.0)


# -- modes of confidence


def two_modes(generator):
    return np.r_[generator.normal(1.0, 0.1, 10), generator.normal(3.0, 0.1, 6)]


def test_distri_lets_the_upper_mode_vote():
    values = two_modes(np.random.default_rng(0))
    answers = ["2"] * 10 + ["1"] * 5 + ["3"]
    found = weights("distri", answers, self_certainty=values)
    np.testing.assert_array_equal(found, np.r_[np.zeros(10), values[10:]])
    vote = voted("distri", answers, self_certainty=values)
    assert (vote["answer"], vote["n_ballots"]) == ("1", 16)
    assert vote["share"] == pytest.approx(values[10:15].sum() / values[10:].sum())
    note = load_rule("distri").note(question(answers, self_certainty=values))
    assert note.startswith("nothing rejected on 0 of 1 questions")


@pytest.mark.parametrize(
    "values",
    [
        two_modes(np.random.default_rng(0))[[0, 1, 2, 3, 10, 11, 12]],
        norm.ppf((np.arange(24) + 0.5) / 24, loc=9),
        np.full(12, 0.3),
    ],
    ids=["seven traces", "one mode", "all equal"],
)
def test_distri_is_a_weighted_vote_where_there_are_no_two_modes(values):
    asked = question(["1"] * len(values), self_certainty=values)
    np.testing.assert_array_equal(load_rule("distri").weigh(asked), values)
    assert load_rule("distri").note(asked).startswith("nothing rejected on 1 of 1 questions")


def test_distri_never_rejects_the_surest():
    """A wide lower component is more probable than a narrow upper one beyond it, too."""
    generator = np.random.default_rng(4)
    values = np.r_[np.abs(generator.normal(2.0, 1.5, 60)), generator.normal(3.0, 0.05, 40), 9.0]
    found = weights("distri", ["1"] * 101, self_certainty=values)
    assert found[-1] == 9.0


def test_distri_refuses_weights_below_0_and_passes_over_what_is_unknown():
    with pytest.raises(InputError, match="2 of 3 are negative"):
        weights("distri:confidence=c", ["1", "1", "2"], c=[-1.0, 0.5, -2.0])
    found = weights("distri", ["1", "1"], self_certainty=[np.nan, 0.5])
    np.testing.assert_array_equal(found, [np.nan, 0.5])


# -- mixtures


@pytest.mark.slow
def test_two_gaussians_are_those_of_scikit_learn():
    generator = np.random.default_rng(2)
    rows = [
        np.r_[generator.normal(0, 1, 40), generator.normal(6, 1.5, 60)],
        generator.normal(5, 2, 100),
        np.r_[generator.normal(-3, 0.4, 70), generator.normal(1, 1, 30)],
    ]
    values, codes = np.concatenate(rows), np.repeat(np.arange(3), 100)
    order = generator.permutation(300)
    found = fit_two(values[order], codes[order])
    for row, value in enumerate(rows):
        mine = codes[order] == row
        both = [
            GaussianMixture(k, n_init=3, tol=1e-8, max_iter=2000, random_state=0).fit(
                value[:, None]
            )
            for k in (1, 2)
        ]
        bics = [each.bic(value[:, None]) for each in both]
        assert found.better[mine].all() == (bics[1] < bics[0]), bics
        if row != 1:
            low = int(np.argmin(both[1].means_))
            expected = both[1].predict_proba(values[order][mine][:, None])[:, low]
            np.testing.assert_allclose(found.lower[mine], expected, atol=0.02)
            upper = both[1].means_.max()
            np.testing.assert_allclose(found.upper_mean[mine], upper, rtol=0.02)


def test_a_weighted_weibull_fit_is_that_of_scipy():
    logs = np.log(weibull_min.rvs(2.5, scale=0.7, size=400, random_state=3))
    component, ones = None, np.ones((1, 400))
    for _ in range(30):
        component, log_density, mean = log_weibull(logs[None], ones, component)
    k, _, scale = weibull_min.fit(np.exp(logs), floc=0)
    assert 1 / component[1][0, 0] == pytest.approx(k, rel=1e-3)
    assert np.exp(component[0][0, 0]) == pytest.approx(scale, rel=1e-3)
    assert np.exp(mean[0, 0]) == pytest.approx(weibull_min.mean(k, scale=scale), rel=1e-3)
    # densities of x and log x differ by the factor x
    expected = weibull_min.logpdf(np.exp(logs), k, scale=scale) + logs
    np.testing.assert_allclose(log_density[0], expected, atol=1e-2)


@pytest.mark.parametrize("family", [gaussian, log_weibull])
def test_a_mixture_is_free_of_scale_order_and_other_questions(family):
    generator = np.random.default_rng(5)
    values = planted_paths(generator)
    alone = fit_two(values, np.zeros(20, int), family).lower
    moved = fit_two(1000 * values[::-1] - 7, np.full(20, 4), family).lower[::-1]
    np.testing.assert_allclose(moved, alone, atol=1e-6)
    beside = np.r_[values, generator.normal(size=33)]
    codes = np.r_[np.zeros(20, int), np.ones(33, int)]
    np.testing.assert_allclose(fit_two(beside, codes, family).lower[:20], alone, atol=1e-4)


# -- where the numbers come from


def planted_run(path, top_means=True):
    run = create_run(path / "run", {"model": None})
    with run.lock():
        run.add_questions([Question(id="a", text="a?", gold="7")])
        with run.writer() as writer:
            for index, (answer, sure) in enumerate([("7", 4.0), ("8", 1.0), ("8", 2.0)]):
                completion = Completion(
                    text=f"The answer is {answer}.",
                    token_ids=(1, 2),
                    logprobs=np.array([-sure, -sure], dtype=np.float32),
                    finish_reason="stop",
                    top_means=np.array([-sure, -2 * sure], dtype=np.float32) if top_means else None,
                )
                writer.add(
                    Trace(
                        question_id="a",
                        sample_index=index,
                        seed=None,
                        prompt_sha=None,
                        completion=completion,
                    )
                )
    return open_run(run.path)


def certainty_of(run, **values):
    keys = extract_answers(run)[["question_id", "sample_index"]]
    write_table(run, "token_certainty", keys.assign(**values, n_tokens=2), command="capture")


def test_self_certainty_is_read_from_its_table_where_there_is_one(tmp_path, caplog):
    run = planted_run(tmp_path)
    certainty_of(run, self_certainty=[1.0, 2.0, np.nan], mean_entropy=[0.5, 0.25, 1.0])
    found = columns(run, run.table("answers"), ["self_certainty", "mean_entropy", "text_id"])
    np.testing.assert_array_equal(found["self_certainty"], [1.0, 2.0, np.nan])
    np.testing.assert_array_equal(found["mean_entropy"], [0.5, 0.25, 1.0])
    assert found["text_id"].tolist() == [0, 1, 1]
    assert "approximated" not in caplog.text
    votes = analysis.vote(run, RULES)
    assert "token_certainty" in run.provenance("votes").inputs
    assert votes.set_index("rule").loc["borda", "n_excluded"] == 1


def test_without_the_table_they_are_approximated_and_that_is_said(tmp_path, caplog):
    run = planted_run(tmp_path)
    with caplog.at_level(logging.WARNING, "cot"):
        found = columns(run, extract_answers(run), ["self_certainty", "mean_entropy"])
    assert found["self_certainty"].tolist() == [6.0, 1.5, 3.0], "-(mean of the two top means)"
    assert found["mean_entropy"].tolist() == [4.0, 1.0, 2.0], "-(mean log-probability)"
    assert "self_certainty is approximated by the means of the largest log" in caplog.text
    assert "mean_entropy is approximated by the sampled tokens' mean surprisal" in caplog.text
    assert caplog.text.count("`cot capture --certainty`") == 2


@pytest.mark.parametrize("rule", ["borda", "distri"])
def test_a_run_with_neither_is_refused_with_the_remedies(tmp_path, rule):
    with pytest.raises(InputError, match=r"--top-logprobs 20; or, .*`cot capture --certainty`"):
        analysis.vote(planted_run(tmp_path, top_means=False), [rule])


def test_all_takes_the_rules_that_the_run_has_numbers_for(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(loading, "names", lambda kind: RULES)
    run = run_with_answers(tmp_path / "run", {"q": ("1", ["1", "2"])})
    with caplog.at_level(logging.INFO, "cot"):
        assert analysis.vote(run, ["all"])["rule"].tolist() == ["rpc", "inverse_entropy"]
    assert "rule borda is left out" in caplog.text


def test_the_accuracy_says_where_nothing_was_pruned(tmp_path):
    run = planted_run(tmp_path)
    analysis.vote(run, ["rpc", "distri", "majority"])
    found = run.table("findings_vote")
    method = found[found["baseline"] == ""].set_index("subject")["method"]
    assert method["rpc"].endswith("nothing pruned on 1 of 1 questions, with under 8 paths")
    assert "nothing rejected on 1 of 1 questions" in method["distri"]
    assert "nothing" not in method["majority"]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("borda:p=-1", "p is -1: a power of 0 or more"),
        ("rpc:probability=tail_logp", "choose from sum_logp, mean_logp"),
    ],
)
def test_wrong_parameters(spec, said):
    numbers = {"self_certainty": [1.0], "tail_logp": [-1.0], "text_id": [0]}
    with pytest.raises(InputError, match=said):
        weights(spec, ["1"], **numbers)
