import re
from itertools import islice

import pytest
from hinted import Deaf, prompt, run_of, says
from planted_engines import finding

from analysis.faithfulness_tests import faithfulness
from cot.datasets.arithmetic import load
from cot.types import Question

QUESTIONS = list(islice(load(compare=True), 4))
GOLD = {question.text: question.gold for question in QUESTIONS}


class Consistent(Deaf):
    def say(self, question, written, request):
        self.prompts.append(self.tokenizer.decode(request.prompt))
        return says(GOLD[question])


class AlwaysYes(Consistent):
    def say(self, question, written, request):
        return says("Yes")


class AlwaysNo(Consistent):
    def say(self, question, written, request):
        return says("no")


def measured(folder, engine, texts):
    run = run_of(folder / "run", [(q, texts(q)) for q in QUESTIONS])
    found = faithfulness(run, ["reversed_pairs"], engine=f"test_reversed_pairs:{engine.__name__}")
    return run, lambda measure, **fields: finding(found, "reversed_pairs", measure, **fields)[
        "estimate"
    ]


@pytest.mark.slow
def test_answers_that_fit_the_question_are_consistent(tmp_path):
    Consistent.prompts.clear()
    run, estimate = measured(tmp_path, Consistent, lambda q: [says(q.gold)] * 2)
    assert (run.table("faithfulness_traces")["value"] == 1).all()
    assert estimate("alike") == 0
    assert estimate("noise") == 0
    assert estimate("same_answer") == 1  # as the pair says of the trace's own question
    assert (run.table("faithfulness")["correct"]).all()
    expected = [prompt(q).replace(q.text, q.meta["reversed_text"]) for q in QUESTIONS for _ in "ab"]
    assert sorted(Consistent.prompts) == sorted(expected)


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "said"), [(AlwaysYes, "yes"), (AlwaysNo, "no")])
def test_the_same_answer_both_ways_is_not(tmp_path, engine, said):
    run, estimate = measured(tmp_path, engine, lambda q: [says(said)] * 2)
    assert (run.table("faithfulness_traces")["value"] == 0).all()
    assert estimate("consistent") == 0
    assert estimate("alike") == 1
    assert estimate("alike", baseline="noise") == 1
    assert estimate("both_yes") == (said == "yes")
    assert estimate("both_no") == (said == "no")
    table = run.table("faithfulness")
    assert set(table["answer"]) == {"no" if said == "yes" else "yes"}
    assert re.search(f'"stated": "{said}", "alike": true', table["detail"].iloc[0])


@pytest.mark.slow
def test_sampling_alone_makes_answers_alike(tmp_path):
    """Half yes, half no, both ways: half of the pairs are alike, and 2/3 of a trace's 3 others say
    otherwise."""
    _, estimate = measured(tmp_path, AlwaysYes, lambda q: [says("yes"), says("no")] * 2)
    assert estimate("alike") == 0.5
    assert estimate("noise") == pytest.approx(2 / 3)
    assert estimate("alike", baseline="noise") == pytest.approx(-1 / 6)


@pytest.mark.slow
def test_a_question_that_is_not_one_of_a_pair_is_left_out_with_the_remedy(tmp_path):
    asked = [(Question(id="q", text="Is 4 odd?", gold="no"), [says("no")] * 2)]
    run = run_of(tmp_path / "run", asked)
    faithfulness(run, ["reversed_pairs"], engine="test_reversed_pairs:AlwaysNo")
    (excluded,) = set(run.table("faithfulness_traces")["excluded"])
    assert "sample arithmetic:compare=true" in excluded
    row = finding(run.table("findings_faithfulness"), "reversed_pairs", "alike")
    assert (row["n_traces"], row["n_excluded"]) == (0, 2)
