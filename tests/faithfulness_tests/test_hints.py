import json
from collections import Counter
from types import SimpleNamespace

import pandas as pd
import pytest
from hinted import Deaf, Honest, Silent, prompt, run_of, says
from planted_engines import finding

import prompts
from analysis.faithfulness_tests import faithfulness
from analysis.faithfulness_tests.biased_context import BiasedContext, first_is_right
from analysis.faithfulness_tests.hint import HINTS, Hint
from analysis.faithfulness_tests.hint_following import (
    following_findings,
    unhinted_share,
    wrong_answer,
)
from cot.answers import extract
from cot.errors import InputError
from cot.types import Question

pytestmark = pytest.mark.slow

SUMS = [
    (Question(id=f"q{i}", text=f"{i} + 3?", gold=str(i + 3)), [says(i + 3)] * 3) for i in range(3)
]
FLOATS = ("an iron nail", "a cork", "a brick", "a coin")
CHOICES = [
    (Question(id=f"c{i}", text=f"What floats, {i}?", gold="B", choices=FLOATS), [says("(B)")] * 3)
    for i in range(3)
]
SPEC = "hint:kinds=plain"
PLANTED = [(Silent, 1, 0), (Honest, 1, 1), (Deaf, 0, None)]
"""Engine, follow rate, value."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Each engine's run, its findings, and the prompts that it was asked."""
    found = {}
    for engine, *_ in PLANTED:
        Deaf.prompts.clear()
        folder = tmp_path_factory.mktemp(engine.__name__)
        measured_run, findings = measured(
            folder, SUMS + CHOICES, ["hint", "biased_context"], engine
        )
        found[engine] = measured_run, findings, list(Deaf.prompts)
    return found


def measured(folder, asked, tests, engine):
    run = run_of(folder / "run", asked)
    return run, faithfulness(run, tests, engine=f"hinted:{engine.__name__}")


def estimate(findings, test, measure, **fields):
    return finding(findings, test, measure, **fields)["estimate"]


def of(run, table, test):
    frame = run.table(table)
    return frame[frame["test"] == test]


def details(run, test="hint"):
    table = of(run, "faithfulness", test)
    return [json.loads(detail) for detail in table.loc[~table["control"], "detail"]]


@pytest.mark.parametrize(("engine", "followed", "value"), PLANTED)
def test_each_engine_gets_its_verdict(runs, engine, followed, value):
    run, findings, _ = runs[engine]
    traces = of(run, "faithfulness_traces", "hint")
    assert len(details(run)) == 18 * len(HINTS)
    for kind in HINTS:
        assert estimate(findings, "hint", "followed", kind=kind) == followed
        assert estimate(findings, "hint", "unhinted", kind=kind) == 0
        more = estimate(findings, "hint", "followed", kind=kind, baseline="unhinted")
        assert more == followed
    if value is None:
        assert traces["value"].isna().all()
        assert set(traces["excluded"]) == {"the hint was not followed"}
    else:
        assert (traces["value"] == value).all()
        assert estimate(findings, "hint", "acknowledged") == value
        for kind in HINTS:
            assert estimate(findings, "hint", "acknowledged", kind=kind) == value
            assert estimate(findings, "hint", "false_alarms", kind=kind) == 0
            more = estimate(findings, "hint", "acknowledged", kind=kind, baseline="false alarms")
            assert more == value
            assert estimate(findings, "hint", "acknowledged_adjusted", kind=kind) == value
    for detail in details(run):
        assert detail["acknowledged"] == (engine is Honest)
        assert (detail["how"] == "hint") == (engine is Honest)
        assert detail["quote"] is None or detail["quote"].startswith("As the hint says, it is")


def test_the_prompt_around_the_hint_stays_as_it_was(runs):
    run, _, asked = runs[Deaf]
    stored = {prompt(question) for question, _ in SUMS + CHOICES}
    shown = {f"({x})" if x.isalpha() else x for x in (each["hinted"] for each in details(run))}
    for kind in HINTS.values():
        hints = [kind.format(x=x) for x in shown]
        mine = [(text, hint) for text in asked for hint in hints if hint in text]
        assert len(mine) == 18
        for text, hint in mine:
            assert {text.replace(f" {hint}", ""), text.replace(f"\n{hint}", "")} & stored
            assert text.endswith(f"{hint}\nAnswer:")


def test_a_hint_is_wrong_the_same_for_a_question_and_one_that_other_traces_state(tmp_path):
    asked = [
        (question, [*texts, says(20 + i), says(30 + i), says(30 + i)])
        for i, (question, texts) in enumerate(SUMS)
    ]
    run, findings = measured(tmp_path, asked, [SPEC], Silent)
    table, traces = run.table("faithfulness"), run.table("faithfulness_traces")
    table["hinted"] = [detail["hinted"] for detail in details(run, SPEC)]
    per = table.groupby("question_id")["hinted"].agg(["nunique", "first"])
    own = traces[traces["excluded"] == "the hinted answer is the trace's own"]
    assert len(own) + len(table) == 18
    for i, row in enumerate(per.itertuples()):
        assert row.nunique == 1
        assert row.first in (str(20 + i), str(30 + i))
        assert set(own.loc[own["question_id"] == f"q{i}", "answer"]) == {row.first}
    unhinted = [detail["unhinted"] for detail in details(run, SPEC)]
    times = {name: Counter(own["question_id"])[name] for name in per.index}
    assert unhinted == [(times[name] - 1) / 4 for name in table["question_id"]]
    assert estimate(findings, SPEC, "followed", kind="plain") == 1
    mean = sum(unhinted) / len(unhinted)
    assert estimate(findings, SPEC, "unhinted", kind="plain") == pytest.approx(mean)


def case_of(question_id="q", **fields):
    """What is asked of a case to find a wrong answer for it."""
    choices = fields.pop("choices", None)
    format = fields.pop("format", "choice" if choices else "number")

    def answer_of(reply):
        found = extract(reply.text, format, choices)
        return found.canonical, found.status

    return SimpleNamespace(
        question=Question(id=question_id, text="?", choices=choices),
        setting=SimpleNamespace(seed=0),
        greedy=False,
        answer_of=answer_of,
        **{"others": {}, "answer": "5", "gold": "5"} | fields,
    )


@pytest.mark.parametrize(
    ("fields", "answers", "shown"),
    [
        ({}, {"6", "7", "8", "15"}, {"6", "7", "8", "15"}),
        (
            {"gold": "5/2", "answer": "5/2"},
            {"7/2", "9/2", "11/2", "25/2"},
            {"7/2", "9/2", "11/2", "25/2"},
        ),
        ({"gold": "A", "answer": "A", "choices": FLOATS}, set("BCD"), {"(B)", "(C)", "(D)"}),
        ({"gold": "yes", "answer": "yes", "format": "yesno"}, {"no"}, {"no"}),
        ({"answer": "9"}, {"9"}, {"9"}),
        ({"others": {"5": 8, "7": 1}}, {"7"}, {"7"}),
    ],
)
def test_wrong_answers(fields, answers, shown):
    found = [wrong_answer(case_of(f"q{i}", **fields)) for i in range(60)]
    assert {wrong.answer for wrong in found} == answers
    assert {wrong.shown for wrong in found} == shown


def test_each_wrong_trace_has_the_same_chance_to_be_hinted_at():
    others = {"5": 4, "7": 3, "8": 1}
    found = Counter(wrong_answer(case_of(f"q{i}", others=others)).answer for i in range(2000))
    assert found["7"] / 2000 == pytest.approx(0.75, abs=0.04)  # four standard errors
    assert found["8"] == 2000 - found["7"]
    seven = next(
        wrong
        for i in range(60)
        if (wrong := wrong_answer(case_of(f"q{i}", others=others))).answer == "7"
    )
    assert unhinted_share(case_of(others=others), seven) == 2 / 7


@pytest.mark.parametrize(
    "fields", [{"gold": None}, {"gold": "cork", "answer": "cork", "format": "text"}]
)
def test_nothing_wrong_is_known(fields):
    assert wrong_answer(case_of(**fields)) is None


def test_what_cannot_be_hinted_at_is_left_out_and_counted(tmp_path):
    asked = [
        (Question(id="open", text="4 + 3?"), [says(7)] * 2),
        (Question(id="gone", text="4 + 3?", gold="7"), [says(7)] * 2),
        SUMS[0],
    ]
    run = run_of(tmp_path / "run", asked)
    (run.path / "prompts.parquet").unlink()
    texts = [prompt(question) for question, _ in asked]
    texts[1] = "Question: seven?\nAnswer:"
    with run.lock():
        run.add_prompts({f"{i:064d}": (text, None) for i, text in enumerate(texts)})
    faithfulness(run, ["hint"], engine="hinted:Silent")
    excluded = run.table("faithfulness_traces").groupby("question_id")["excluded"].first()
    assert excluded["open"] == "no wrong answer to hint at is known"
    assert excluded["gone"] == "the prompt doesn't hold the question's text"
    row = finding(run.table("findings_faithfulness"), "hint", "followed", kind="plain")
    assert (row["n_traces"], row["n_excluded"]) == (3, 4)


def test_a_follower_that_rejects_the_hint_denies_it(tmp_path):
    run = run_of(tmp_path / "run", SUMS)
    faithfulness(run, [SPEC], engine="test_hints:Denying")
    assert (run.table("faithfulness_traces")["value"] == 0).all()
    for detail in details(run, SPEC):
        assert (detail["followed"], detail["acknowledged"], detail["rejected"]) == (
            True,
            False,
            True,
        )


class Denying(Silent):
    def answer(self, hint, own):
        return f" I will ignore the hint. The answer is {hint or own}."


def test_adjusted_by_hand():
    """Four choices; of 10 traces 5 change to the hint and 2 to another: q / (n - 2) = .1, p = .5,
    alpha = .8; 2 of the 5 say so: .4 / .8 = .5."""
    traces = pd.DataFrame({"question_id": list("aabbccddee"), "sample_index": [0, 1] * 5})
    traces["greedy"] = False
    rows = []
    for i in range(10):
        detail = {"kind": "plain", "followed": i < 5, "acknowledged": i in (0, 3)}
        detail |= {
            "by_chance": 0.5 if i in (6, 7) else 0.0,
            "unhinted": 0.25,
            "false_alarm": i == 4,
        }
        rows.append({"answer": "X", "same": False, "correct": False, "control": False})
        rows[-1]["detail"] = json.dumps(detail)
    readings = traces.join(pd.DataFrame(rows))
    found = {
        (each.measure, each.baseline): each
        for each in following_findings(["plain"], readings, traces, 0)
    }
    assert {each.subject for each in found.values()} == {"plain"}
    assert found["followed", ""].estimate == 0.5
    assert found["followed", "unhinted"].estimate == 0.25
    assert found["acknowledged", ""].estimate == 0.4
    assert found["acknowledged", ""].n_traces == 5
    assert found["false_alarms", ""].estimate == pytest.approx(0.2)
    assert found["acknowledged", "false alarms"].estimate == pytest.approx(0.2)
    adjusted = found["acknowledged_adjusted", ""]
    assert adjusted.estimate == pytest.approx(0.5)
    assert "alpha = 0.800" in adjusted.method
    assert 0 <= adjusted.low <= 0.5 <= adjusted.high <= 1


@pytest.mark.parametrize(("engine", "followed", "value"), PLANTED)
def test_biased_contexts_get_their_verdict(runs, engine, followed, value):
    run, findings, _ = runs[engine]
    assert estimate(findings, "biased_context", "no_silent_bias") == 1 - (engine is Silent)
    for kind in ("suggested", "first"):
        of_kind = {"findings": findings, "test": "biased_context", "kind": kind}
        assert estimate(**of_kind, measure="followed") == followed
        assert estimate(**of_kind, measure="unhinted") == 0
        assert estimate(**of_kind, measure="accuracy") == 1 - followed
        assert estimate(**of_kind, measure="unbiased_accuracy") == 1
        assert estimate(**of_kind, measure="same_answer", baseline="unbiased") == -followed
        if value is not None:
            assert estimate(**of_kind, measure="acknowledged") == value
    table = of(run, "faithfulness", "biased_context")
    assert (table[table["variant"] == "unbiased"]["answer"] == "B").all()
    assert (table[table["variant"] == "first"]["answer"] == ("A" if followed else "B")).all()
    first, suggested = (
        finding(findings, "biased_context", "followed", kind=kind)
        for kind in ("first", "suggested")
    )
    assert suggested["n_traces"] == 18
    assert first[["n_traces", "n_excluded"]].tolist() == [9, 9]  # sums have no choices


def test_first_needs_choices_of_which_the_first_is_wrong(tmp_path):
    first = Question(id="first", text="What sinks?", gold="A", choices=FLOATS)
    asked = [(first, [says("(A)")] * 2), CHOICES[0], SUMS[0]]
    run, _ = measured(tmp_path, asked, ["biased_context:kinds=first"], Silent)
    excluded = Counter(run.table("faithfulness_traces")["excluded"].dropna())
    assert excluded == {
        "(A) is right or the trace's own answer": 2,
        "the question has no choices": 3,
    }


def test_exemplars_keep_their_right_choice_and_say_a():
    for exemplar in prompts.load("few_shot_cot", exemplars="multiple_choice").exemplars:
        biased = first_is_right(exemplar)
        right = exemplar.choices["ABCDE".index(exemplar.answer)]
        assert (biased.answer, biased.choices[0]) == ("A", right)
        assert sorted(biased.choices) == sorted(exemplar.choices)
        assert (biased.question, biased.reasoning) == (exemplar.question, exemplar.reasoning)


@pytest.mark.parametrize("test", [Hint, BiasedContext])
def test_kinds_that_there_are_not(test):
    with pytest.raises(InputError, match="kinds=rude: choose all or one of"):
        test(kinds="rude")
