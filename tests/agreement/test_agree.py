"""Runs in which the three partitions agree wholly, in pairs or not at all, by construction."""

from __future__ import annotations

import json
import logging

import numpy as np
import pandas as pd
import pytest
from written import write_table

import analysis
from analysis.agreement.question_kinds import KINDS
from analysis.answer_table import answers as extract_answers
from analysis.declaration import declared
from analysis.findings import pick
from cot.errors import InputError
from cot.store.run import open_run
from cot.store.vectors import Place, VectorWriter
from cot.types import TRACE_KEY
from tests.small import run_with_answers

pytestmark = pytest.mark.slow

N_QUESTIONS, N_TRACES = 6, 12


def labels(seed, n_classes=3):
    """Classes of each question's traces, [question, trace]; each class is there."""
    generator = np.random.default_rng(seed)
    base = np.arange(N_TRACES) % n_classes
    return np.stack([generator.permutation(base) for _ in range(N_QUESTIONS)])


def planted(
    path, answer, cluster, hidden, *, probe=None, lens=None, wrong=0, gold="0", dataflow=None
):
    """A run with these partitions, [question, trace] each.

    Args:
        probe: P(correct), [question, trace].
        lens: (lens_answer, decided_at_prompt, decided_control), [question, trace] each.
        wrong: n_reaching of every trace, of one equation checked.
    """
    given = {f"q{i}": (gold, [str(a) for a in row]) for i, row in enumerate(answer)}
    run = run_with_answers(path, given)
    keys = extract_answers(run)[TRACE_KEY]
    paths = keys.assign(
        cluster=np.ravel(cluster),
        dataflow=[f"d{x}" for x in np.ravel(cluster if dataflow is None else dataflow)],
        signature="add",
        n_checked=1,
        n_reaching=wrong,
    )
    tables = {"paths": ("paths", paths)}
    if hidden is not None:
        with VectorWriter(run.path / "activations", model="planted", revision="0") as writer:
            for name, index in keys.itertuples(index=False):
                place = Place(name, int(index), "pre_answer", None, 1)
                writer.add([place], {4: np.ones((1, 2))})
        whole = keys.assign(n_tokens=3, max_logprob_gap=0.0, flagged=False)
        place = {"layer": 4, "position": "pre_answer", "threshold": 0.1}
        states = keys.assign(**place, cluster=np.ravel(hidden))
        score = np.full(len(keys), 0.5) if probe is None else np.ravel(probe)
        scores = keys.assign(target="correct", layer=4, position="pre_answer", score=score)
        tables |= {"logprob_gaps": ("capture", whole), "hidden_clusters": ("states", states)}
        tables["probe_scores"] = ("probe", scores.assign(chosen=True))
    if lens is not None:
        said, decided, control = (np.ravel(each) for each in lens)
        table = keys.assign(lens_answer=said.astype(str), candidate=np.ravel(answer).astype(str))
        table = table.assign(decided_at_prompt=decided, decided_control=control, consistency=0.5)
        tables["lens_traces"] = ("lens", table)
    for name, (command, frame) in tables.items():
        write_table(run, name, frame, command=command, parameters={}, inputs=["answers"])
    return run


def coefficients(run):
    analysis.agree(run)
    table = run.table("agreement_coefficients")
    return table.set_index(["subject", "measure"])


PAIRS = ("answers × clusters", "answers × hidden states", "clusters × hidden states")
THREE = ("answers × clusters × hidden states", "three_way")


def test_three_that_agree_wholly(tmp_path):
    same = labels(0)
    found = coefficients(planted(tmp_path, same, same + 3, 9 - same))
    for pair in PAIRS:
        for measure, value in (("ami", 1), ("ari", 1), ("vi", 0)):
            row = found.loc[pair, measure]
            assert row[["estimate", "low", "high"]].to_list() == pytest.approx([value] * 3)
            assert row["p"] == pytest.approx(1 / 501)
    assert found.loc[THREE, "estimate"] == pytest.approx(1)


def test_three_that_do_not(tmp_path):
    found = coefficients(planted(tmp_path, labels(1), labels(2), labels(3)))
    for pair in PAIRS:
        for measure in ("ami", "ari", "vi"):
            row = found.loc[pair, measure]
            assert row["null_low"] <= row["estimate"] <= row["null_high"]
            assert row["p"] > 0.025
    assert found.loc[THREE, "p"] > 0.025


@pytest.mark.parametrize("pair", range(3))
def test_two_that_agree_and_one_apart(tmp_path, pair):
    same, other = labels(4), labels(5)
    parts = [same, same, same]
    parts[(2, 1, 0)[pair]] = other
    found = coefficients(planted(tmp_path, *parts))
    for number, name in enumerate(PAIRS):
        assert (found.loc[(name, "ami"), "p"] < 0.01) == (number == pair)
    assert found.loc[(PAIRS[pair], "ami"), "estimate"] == pytest.approx(1)
    assert 0.2 < found.loc[THREE, "estimate"] < 0.6


def test_row_order_and_names_of_classes_change_nothing(tmp_path):
    answer, cluster, hidden = labels(6), labels(7), labels(8)
    plain = coefficients(planted(tmp_path / "a", answer, cluster, hidden))
    order = np.random.default_rng(0).permutation(N_TRACES)
    moved = [each[:, order] for each in (answer, 5 - cluster, hidden + 2)]
    mixed = coefficients(planted(tmp_path / "b", *moved))
    names = [("ami", "estimate"), ("ari", "estimate"), ("vi", "estimate")]
    for pair in PAIRS:
        for measure, column in names:
            assert mixed.loc[(pair, measure), column] == pytest.approx(
                plain.loc[(pair, measure), column]
            )


def test_one_cluster_is_left_out_and_counted_and_singletons_are_defined(tmp_path):
    one = np.zeros((N_QUESTIONS, N_TRACES), int)
    single = np.tile(np.arange(N_TRACES), (N_QUESTIONS, 1))
    found = coefficients(planted(tmp_path / "one", labels(9), one, labels(9)))
    assert found.loc[("answers × clusters", "ami"), ["n_questions", "n_excluded"]].to_list() == [
        0,
        N_QUESTIONS,
    ]
    assert np.isnan(found.loc[("answers × clusters", "ami"), "estimate"])
    assert np.isnan(found.loc[THREE, "estimate"])
    found = coefficients(planted(tmp_path / "many", labels(9), single, single))
    assert found.loc[("clusters × hidden states", "ami"), "estimate"] == 1
    assert found.loc[("answers × clusters", "ami"), "estimate"] == pytest.approx(0)


def test_raters_and_kinds_come_out_as_planted(tmp_path):
    """Majority 0 of 0, 0, 1; the probe trusts 1; the lens reads 1 everywhere."""
    answer = np.tile([0, 0, 1] * 4, (N_QUESTIONS, 1))
    probe = np.where(answer == 1, 0.9, 0.1)
    lens = (np.ones_like(answer), np.zeros_like(answer, bool), answer == 0)
    run = planted(tmp_path, answer, answer, answer, probe=probe, lens=lens, wrong=1, gold="0")
    table = analysis.agree(run)
    assert (
        table["kinds"].map(list).tolist()
        == [["right for the wrong reason", "probe against majority", "lens against statement"]]
        * N_QUESTIONS
    )
    assert table["decided_control"].all()
    worth = run.table("agreement_raters").set_index("rater")
    assert worth["accuracy"].to_dict() == {
        "majority": 1.0,
        "cluster": 0.5,
        "checked": 1.0,
        "probe": 0.0,
        "lens": 1.0,
    } | {"cluster": worth.loc["cluster", "accuracy"]}
    assert worth.loc["probe", ["rescued", "lost", "n_wrong"]].to_list() == [0, N_QUESTIONS, 0]
    pairs = run.table("agreement_rater_pairs").set_index(["rater", "other"])
    chance = (8 / 12) ** 2 + (4 / 12) ** 2
    assert pairs.loc[("majority", "probe"), "kappa"] == pytest.approx(-chance / (1 - chance))
    assert pairs.loc[("majority", "lens"), "kappa"] == pytest.approx(1)
    assert (table["probe_vote"] == "1").all()


def test_unanimous_and_decided(tmp_path):
    answer = np.zeros((N_QUESTIONS, N_TRACES), int)
    lens = (answer, answer == 0, answer == 1)
    table = analysis.agree(planted(tmp_path, answer, answer, answer, lens=lens))
    assert (
        table["kinds"].map(list).tolist()
        == [["decided before reasoning", "unanimous"]] * N_QUESTIONS
    )
    assert not table["decided_control"].any()
    assert table["why"].str.contains("probe gives").all()


def test_a_run_without_hidden_states_or_model(tmp_path, caplog):
    run = planted(tmp_path, labels(0), labels(0), None)
    with caplog.at_level(logging.INFO, "cot"):
        table = analysis.agree(run)
    assert f"hidden states (not captured yet: cot capture {run.path} --model MODEL)" in caplog.text
    assert table["ami_answers_clusters"].mean() == pytest.approx(1)
    assert table["ami_answers_hidden"].isna().all()
    with pytest.raises(InputError):
        analysis.agree(planted(tmp_path / "b", labels(0), labels(0), None), layer=3)


WITHOUT = {
    "hidden states": ("not captured yet", "cot capture"),
    "probe of correctness": ("not made yet", "cot capture, then cot probe"),
    "logit lens": ("not made yet", "cot lens"),
    "faithfulness tests": ("not made yet", "cot faithfulness"),
}


def test_no_model_is_run_unasked_and_what_is_missing_is_named_in_one_list(
    tmp_path, caplog, monkeypatch
):
    """A run that names a model, with answers and clusters alone."""
    run = planted(tmp_path, labels(0), labels(0), None)
    path = run.path / "run.json"
    manifest = json.loads(path.read_text())
    path.write_text(
        json.dumps(manifest | {"identity": manifest["identity"] | {"model": "planted"}})
    )
    run = open_run(run.path)
    for module in ("cot.models.load_model", "cot.models.load_tokenizer", "cot.models.resolve"):
        monkeypatch.setattr(module, lambda *_, **__: pytest.fail("the model is loaded"))
    with caplog.at_level(logging.INFO, "cot"):
        analysis.agree(run)
    said = [each.message for each in caplog.records if "left out" in each.message]
    assert len(said) == 1
    missing = run.table("agreement_missing").set_index("what")
    assert list(missing.index) == list(WITHOUT)
    for what, (why, command) in WITHOUT.items():
        assert missing.loc[what, "why"] == why
        assert missing.loc[what, "command"] == f"{command} {run.path}"
        assert f"{what} ({why}: {command} {run.path})" in said[0]
    for table in ("logprob_gaps", "probe_scores", "lens_traces", "faithfulness"):
        assert table not in run.tables()
    json_object = declared(analysis.agree).show(run, run.table("agreement")).json
    assert [row["what"] for row in json_object["missing"]] == list(WITHOUT)


def test_stale_hidden_states_are_left_out_and_not_captured_again(tmp_path):
    run = planted(tmp_path, labels(0), labels(0), labels(0))
    gaps = run.table("logprob_gaps")
    changed = run.table("answers").assign(method="another")
    write_table(run, "answers", changed, command="answers", inputs=["traces", "questions"])
    write_table(run, "paths", run.table("paths"), command="paths", inputs=["answers"])
    table = analysis.agree(run)
    missing = run.table("agreement_missing").set_index("what")
    assert missing.loc["hidden states", "why"] == "stale, answers changed after it was made"
    assert table["ami_answers_hidden"].isna().all()
    pd.testing.assert_frame_equal(run.table("logprob_gaps"), gaps)


def test_without_a_probe_that_could_be_fitted_its_rater_is_left_out(tmp_path):
    """All traces are wrong: the table of scores has no chosen cell."""
    same = labels(0)
    run = planted(tmp_path, same, same, same, gold="9")
    scores = run.table("probe_scores").assign(chosen=False)
    write_table(run, "probe_scores", scores, command="probe", inputs=["answers"])
    table = analysis.agree(run)
    assert "probe" not in set(run.table("agreement_raters")["rater"])
    assert "probe_vote" not in table
    assert not table["why"].str.contains("probe").any()
    assert table["ami_answers_hidden"].mean() == pytest.approx(1)
    missing = run.table("agreement_missing").set_index("what")
    assert "none could be fitted" in missing.loc["probe of correctness", "why"]
    assert missing.loc["probe of correctness", "command"] == ""


def test_answers_before_reasoning_are_compared_where_both_were_read(tmp_path):
    answer = np.zeros((N_QUESTIONS, N_TRACES), int)
    lens = (answer, answer == 0, answer == 1)
    run = planted(tmp_path, answer, answer, None, lens=lens)
    keys = run.table("answers")[TRACE_KEY]
    forced = keys.assign(test="early_answering", greedy=False, share=0.0, same=True)
    profile = keys.assign(n_tests=1, faithfulness=0.0)
    for name, frame in (("faithfulness", forced), ("faithfulness_profile", profile)):
        write_table(run, name, frame, command="faithfulness", inputs=["answers"])
    analysis.agree(run)
    counts = run.table("agreement_before_reasoning")
    assert (counts["n_both"] == N_TRACES).all()
    row = pick(run.table("findings_agree"), "cohen_kappa", "forced × latent")
    assert (row["n_traces"], np.isnan(row["estimate"])) == (N_QUESTIONS * N_TRACES, True)


def test_places_are_swept(tmp_path):
    run = planted(tmp_path, labels(0), labels(1), labels(0))
    analysis.agree(run)
    rows = run.table("agreement_places").set_index("subject")
    assert rows.loc["answers × hidden states", "estimate"] == pytest.approx(1)
    assert rows.loc["clusters × hidden states", "p"] > 0.02


def test_two_runs_are_paired_by_question(tmp_path):
    one = planted(tmp_path / "one", labels(0), labels(0), labels(0))
    two = planted(tmp_path / "two", labels(0), labels(1), labels(0))
    for run in (one, two):
        analysis.agree(run)
    table = analysis.compare(one, [two.path], family=["agreement"])
    table = table.assign(name=table["measure"] + " " + table["subject"]).set_index("name")
    assert table.loc["ami answers × clusters", "estimate"] < -0.8
    assert table.loc["ami answers × hidden states", "estimate"] == pytest.approx(0)
    assert table.loc["vote_share ", ["estimate", "low", "high", "p"]].to_list() == [0, 0, 0, 1]
    paired = table[table["n_questions"].notna()]
    assert (paired.loc[paired["measure"] != "ami", "n_excluded"] == 0).all()
    assert set(table.loc[table["measure"] == "kind", "subject"]) == set(KINDS)
    back = analysis.compare(two, [one.path], family=["agreement"])
    back = back.assign(name=back["measure"] + " " + back["subject"]).set_index("name")
    for name in ("ami answers × clusters", "suspicion "):
        assert back.loc[name, "estimate"] == pytest.approx(-table.loc[name, "estimate"])
        assert back.loc[name, "p"] == table.loc[name, "p"]


def test_tables_keep_their_types_on_disk(tmp_path):
    run = planted(tmp_path, labels(0), labels(1), labels(2))
    pd.testing.assert_frame_equal(
        analysis.agree(run).drop(columns="kinds"),
        run.table("agreement").drop(columns="kinds"),
        check_dtype=False,
    )
