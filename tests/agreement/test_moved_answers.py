"""What interventions say of answers, by hand, and in the agreement of a run that has them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from agreement.test_agree import N_QUESTIONS, N_TRACES, labels, planted
from written import write_table

import analysis
from analysis.agreement.moved_answers import (
    Headline,
    headline_of,
    knockout_findings,
    knockout_scores,
    moved_by_question,
    moved_findings,
    moved_traces,
    needless_steps,
)
from analysis.declaration import declared
from analysis.findings import pick
from analysis.statistics import auroc
from cot.types import TRACE_KEY

PLACE = Headline(layer=4, position="pre_answer", control="same_answer")


def patches(rows, place=PLACE):
    """Rows of `interventions`: (question, trace, effect, control's effect or None, gap)."""
    made = []
    for question, trace, effect, control, gap in rows:
        row = {"question_id": question, "sample_index": trace, "method": "patching"}
        row |= {"layer": place.layer, "position": place.position, "draw": 0, "gap": gap}
        made.append({**row, "control": "", "effect": effect})
        made.append({**row, "control": "other_question", "effect": 99.0})
        if control is not None:
            made.append({**row, "control": place.control, "effect": control})
    return pd.DataFrame(made).astype({"layer": "Int64"})


def knockouts(rows):
    """Rows of `interventions`: (question, trace, step, effect, effects of random spans)."""
    made = []
    for question, trace, step, effect, spans in rows:
        row = {"question_id": question, "sample_index": trace, "method": "knockout", "step": step}
        made.append({**row, "control": "", "draw": 0, "effect": effect})
        made += [
            {**row, "control": "random_span", "draw": draw, "effect": span}
            for draw, span in enumerate(spans)
        ]
    return pd.DataFrame(made).astype({"step": "Int64", "draw": "Int64"})


def effects_of(*rows):
    columns = ["method", "measure", "layer", "position", "control"]
    return pd.DataFrame(rows, columns=columns).astype({"layer": "Int64"}).assign(headline=True)


def test_states_moved_the_answer_by_hand():
    table = patches(
        [
            ("a", 0, 2.0, 0.1, 4.0),  # half of the way, and further than the control
            ("a", 1, 1.9, 0.1, 4.0),  # less than half
            ("a", 2, 2.0, 2.5, 4.0),  # the control goes further
            ("b", 0, 3.0, 3.0, 4.0),  # as far as the control
            ("b", 1, 9.0, 0.1, -1.0),  # no gap to close
            ("b", 2, 9.0, None, 4.0),  # no control
        ]
    )
    elsewhere = table.assign(layer=9, effect=50.0)
    traces = moved_traces(pd.concat([table, elsewhere]), PLACE)
    assert traces.to_numpy().tolist() == [
        ["a", 0, True, False],
        ["a", 1, False, False],
        ["a", 2, False, True],
        ["b", 0, False, False],
    ]
    columns = moved_by_question(traces, pd.Series(["b", "a", "c"]))
    assert columns["states_moved"].to_list()[:2] == pytest.approx([0, 1 / 3])
    assert np.isnan(columns["states_moved"].iloc[2])
    assert columns["n_patched"].to_list() == [1, 3, 0]
    (share, beyond), nulls = moved_findings(traces, PLACE, 9, 0)
    assert share.estimate == pytest.approx(1 / 6)
    assert (share.n_questions, share.n_traces, share.n_excluded) == (2, 4, 5)
    assert (beyond.baseline, beyond.estimate) == ("same_answer", pytest.approx(0))
    assert nulls[0][0] == pytest.approx(1 / 6)


def test_a_trace_of_which_several_steps_are_patched_counts_with_their_mean():
    table = patches([("a", 0, 1.0, 0.0, 4.0), ("a", 0, 4.0, 0.2, 4.0)])
    assert moved_traces(table, PLACE)["moved"].to_list() == [True]


def test_where_states_were_patched_is_the_headline_s_place():
    rows = [
        ("steering", "slope", 1, "generated", "random"),
        ("patching", "recovered", 2, "step_end", "same_answer"),
        ("patching", "recovered", 4, "pre_answer", "other_question"),
        ("patching", "recovered", 4, "pre_answer", "same_answer"),
    ]
    assert headline_of(effects_of(*rows)) == PLACE
    assert headline_of(effects_of(*rows[:3])).control == "other_question"
    assert headline_of(effects_of(*rows[:2])).layer == 2
    assert headline_of(effects_of(rows[0])) is None
    assert headline_of(effects_of(*rows).assign(headline=False)) is None


def test_needless_steps_by_hand():
    table = knockouts(
        [
            ("a", 0, 0, 0.2, [0.3]),
            ("a", 0, 1, 0.4, [0.5]),  # the costliest, and not above .5
            ("a", 1, 0, 0.2, [0.9]),  # its span lies in step 1, which says nothing
            ("a", 1, 1, 0.6, [0.5]),
            ("a", 2, 0, 0.2, [0.1, 0.4]),  # of two draws, one costs more
            ("b", 0, 0, 0.1, [0.0]),
            ("b", 0, 1, 9.0, []),  # the costliest has no span: unknown
            ("b", 1, 0, 0.3, [0.3]),  # no more than its span
        ]
    )
    found = needless_steps(pd.concat([patches([("a", 0, 1.0, 1.0, 1.0)]), table]))
    assert found.to_numpy().tolist() == [
        ["a", 0, 1.0],
        ["a", 1, 0.0],
        ["a", 2, 0.5],
        ["b", 1, 1.0],
    ]


def test_where_one_step_matters_the_spans_that_hit_it_raise_no_doubt():
    """The control of every other step lies in the step that matters, and costs as much."""
    rows = [
        ("q", t, s, 7.0 if s == 2 else 0.1, [0.1 if s == 2 else 7.0])
        for t in range(9)
        for s in range(4)
    ]
    assert needless_steps(knockouts(rows))["needless"].eq(0).all()


def test_of_n_steps_that_do_not_matter_chance_leaves_a_doubt_of_one_in_n_and_one():
    random = np.random.default_rng(0)
    rows = [(f"q{t}", t, s, *random.normal(size=2)) for t in range(600) for s in range(3)]
    found = needless_steps(knockouts([(q, t, s, own, [span]) for q, t, s, own, span in rows]))
    assert found["needless"].mean() == pytest.approx(1 / 4, abs=0.06)


def group(answers, needless):
    """A question's traces as `doubts_of` takes them; all in one cluster, nothing else known."""
    return pd.DataFrame({"answer": list(answers), "needless": needless}).assign(
        cluster=0, n_reaching=0, n_checked=0, score=np.nan, faithfulness=np.nan
    )


def test_the_score_without_the_doubt_by_hand():
    groups = {"a": group("aab", [1.0, 0.0, 1.0]), "b": group("ab", np.nan), "c": group("", [])}
    found = knockout_scores(groups, {"a": "a", "b": "a", "c": None})
    # share and clusters' share: 1/3 each of a, 1/2 each of b
    assert found["suspicion_without_knockout"].to_list() == pytest.approx([1 / 3, 1 / 2, 1])
    assert found["n_doubts"].to_list() == [2, 2, 0]
    assert found["knockout_doubt"].fillna(-1).to_list() == [0.5, -1, -1]


def judged(doubt, correct, without=0.3):
    table = pd.DataFrame({"knockout_doubt": doubt, "correct": correct})
    return table.assign(
        question_id=[f"q{i}" for i in range(len(table))],
        share=0.7,
        suspicion_without_knockout=without,
        n_doubts=2,
        correct=table["correct"].astype("boolean"),
    )


def test_a_doubt_that_knows_helps_and_one_that_does_not_is_not_said_to():
    random = np.random.default_rng(0)
    correct = np.arange(40) % 2 == 0
    without = random.random(40)
    (base, gain), nulls = knockout_findings(judged(1.0 * ~correct, correct, without), 200, 0)
    assert (base.subject, gain.subject) == ("suspicion_without_knockout", "suspicion")
    assert gain.baseline == "suspicion_without_knockout"
    assert base.estimate == pytest.approx(auroc(~correct, without))
    of = (2 * without + 1.0 * ~correct) / 3
    assert gain.estimate == pytest.approx(auroc(~correct, of) - base.estimate)
    assert gain.low > 0
    assert gain.p == pytest.approx(1 / 501)
    assert gain.estimate > nulls[1][1] > nulls[1][0]
    (_, noise), _ = knockout_findings(judged(random.random(40), correct, without), 200, 0)
    assert noise.low < 0 < noise.high
    assert noise.p > 0.05


def test_the_gain_is_over_the_questions_of_which_the_doubt_is_known():
    doubt = [0.0, 1.0, np.nan, 1.0]
    (base, gain), _ = knockout_findings(judged(doubt, [True, False, True, None]), 20, 0)
    assert (gain.n_questions, gain.n_excluded) == (2, 2)
    assert (base.estimate, gain.estimate) == (0.5, 0.5)
    (base, gain), _ = knockout_findings(judged([0.0, 1.0], [True, True]), 20, 0)
    assert (base.estimate, gain.estimate, gain.p, gain.low) == (None, None, None, None)
    assert "undefined" in gain.method


def moved_run(path):
    """A planted run in which states move the answer of every other trace, and steps of none."""
    run = planted(path, labels(0), labels(1), labels(0))
    keys = run.table("answers")[TRACE_KEY].itertuples(index=False)
    keys = [(name, int(index)) for name, index in keys]
    table = pd.concat(
        [
            patches([(*key, 4.0 * (key[1] % 2), 0.1, 4.0) for key in keys]),
            knockouts([(*key, 0, 0.1, [0.2]) for key in keys]),
        ]
    )
    return run, table


@pytest.mark.slow
def test_agreement_lists_what_moved_the_answers(tmp_path):
    run, table = moved_run(tmp_path)
    without = analysis.agree(run)
    findings = run.table("findings_agree")
    write_table(run, "interventions", table, command="intervene", inputs=["answers"])
    place = effects_of(("patching", "recovered", 4, "pre_answer", "same_answer"))
    write_table(run, "intervention_effects", place, command="intervene", inputs=["answers"])
    found = analysis.agree(run)
    assert found["states_moved"].to_list() == [0.5] * N_QUESTIONS
    assert found["n_patched"].to_list() == [N_TRACES] * N_QUESTIONS
    assert found["knockout_doubt"].to_list() == [1.0] * N_QUESTIONS
    old = without["suspicion"]
    n = found["n_doubts"]
    assert found["suspicion_without_knockout"].to_list() == pytest.approx(old.to_list())
    assert found["suspicion"].to_list() == pytest.approx(((old * n + 1) / (n + 1)).to_list())
    # All else is as it was.
    kept = [name for name in without if name not in ("suspicion", "why")]
    pd.testing.assert_frame_equal(found[kept], without[kept])
    made = run.table("findings_agree")
    same = made["measure"].isin(findings["measure"]) & (made["baseline"] == "")
    same &= made["subject"].isin(set(findings["subject"]) - {"suspicion"})
    pd.testing.assert_frame_equal(
        made[same].reset_index(drop=True),
        findings[findings["subject"] != "suspicion"].reset_index(drop=True),
    )
    share = pick(made, "states_moved", "patching")
    assert (share["estimate"], share["null_mean"]) == (0.5, 0.0)
    assert pick(made, "states_moved", "patching", "same_answer")["estimate"] == 0.5
    gain = pick(made, "auroc", "suspicion", "suspicion_without_knockout")
    assert gain["n_questions"] == N_QUESTIONS
    shown = declared(analysis.agree).show(run, found).json
    assert shown["suspicious"][0]["states_moved"] == 0.5


@pytest.mark.slow
def test_without_interventions_agreement_is_as_before_and_names_nothing_missing(tmp_path):
    run, table = moved_run(tmp_path)
    without = analysis.agree(run)
    names = [name for name in run.tables() if name.startswith("agreement")] + ["findings_agree"]
    then = {name: run.table(name) for name in names}
    assert not {"states_moved", "knockout_doubt", "n_doubts"} & set(without)
    assert "interventions" not in set(run.table("agreement_missing")["what"])
    shown = declared(analysis.agree).show(run, without).json
    assert "states_moved" not in shown["suspicious"][0]
    write_table(run, "interventions", table, command="intervene", inputs=["answers"])
    analysis.agree(run)
    (run.path / "tables" / "interventions.parquet").unlink()
    analysis.agree(run)
    for name in names:
        pd.testing.assert_frame_equal(run.table(name), then[name])


@pytest.mark.slow
def test_stale_interventions_are_left_out_and_said(tmp_path):
    run, table = moved_run(tmp_path)
    write_table(run, "interventions", table, command="intervene", inputs=["answers"])
    changed = run.table("answers").assign(method="another")
    write_table(run, "answers", changed, command="answers", inputs=["traces", "questions"])
    write_table(run, "paths", run.table("paths"), command="paths", inputs=["answers"])
    assert not {"states_moved", "knockout_doubt"} & set(analysis.agree(run))
    missing = run.table("agreement_missing").set_index("what")
    assert missing.loc["interventions", "why"] == "stale, answers changed after it was made"
    assert missing.loc["interventions", "command"].startswith("cot intervene")


@pytest.mark.slow
def test_states_alone_or_steps_alone_are_read_too(tmp_path):
    run, table = moved_run(tmp_path)
    patched = table[table["method"] == "patching"]
    write_table(run, "interventions", patched, command="intervene", inputs=["answers"])
    place = effects_of(("patching", "recovered", 4, "pre_answer", "same_answer"))
    write_table(run, "intervention_effects", place, command="intervene", inputs=["answers"])
    found = analysis.agree(run)
    assert "states_moved" in found
    assert "knockout_doubt" not in found
    hidden = table[table["method"] == "knockout"]
    write_table(run, "interventions", hidden, command="intervene", inputs=["answers"])
    none = effects_of(("knockout", "log_odds", pd.NA, "step", "random_span"))
    write_table(run, "intervention_effects", none, command="intervene", inputs=["answers"])
    found = analysis.agree(run)
    assert "states_moved" not in found
    assert "knockout_doubt" in found
