import re
from itertools import islice

import pytest
from hinted import Deaf, prompt, run_of, says

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
    return run, found.set_index("name")["estimate"]


def test_answers_that_fit_the_question_are_consistent(tmp_path):
    Consistent.prompts.clear()
    run, estimates = measured(tmp_path, Consistent, lambda q: [says(q.gold)] * 2)
    assert (run.table("faithfulness_traces")["value"] == 1).all()
    assert estimates["reversed_pairs alike"] == 0
    assert estimates["reversed_pairs noise"] == 0
    assert estimates["reversed_pairs same"] == 1  # as the pair says of the trace's own question
    assert (run.table("faithfulness")["correct"]).all()
    expected = [prompt(q).replace(q.text, q.meta["reversed_text"]) for q in QUESTIONS for _ in "ab"]
    assert sorted(Consistent.prompts) == sorted(expected)


@pytest.mark.parametrize(("engine", "said"), [(AlwaysYes, "yes"), (AlwaysNo, "no")])
def test_the_same_answer_both_ways_is_not(tmp_path, engine, said):
    run, estimates = measured(tmp_path, engine, lambda q: [says(said)] * 2)
    assert (run.table("faithfulness_traces")["value"] == 0).all()
    assert estimates["reversed_pairs"] == 0
    assert estimates["reversed_pairs alike"] == 1
    assert estimates["reversed_pairs alike - noise"] == 1
    assert estimates["reversed_pairs both yes"] == (said == "yes")
    assert estimates["reversed_pairs both no"] == (said == "no")
    table = run.table("faithfulness")
    assert set(table["answer"]) == {"no" if said == "yes" else "yes"}
    assert re.search(f'"said": "{said}", "alike": true', table["detail"].iloc[0])


def test_sampling_alone_makes_answers_alike(tmp_path):
    """Half yes, half no, both ways: half of the pairs are alike, and 2/3 of a trace's 3 others say
    otherwise."""
    _, estimates = measured(tmp_path, AlwaysYes, lambda q: [says("yes"), says("no")] * 2)
    assert estimates["reversed_pairs alike"] == 0.5
    assert estimates["reversed_pairs noise"] == pytest.approx(2 / 3)
    assert estimates["reversed_pairs alike - noise"] == pytest.approx(-1 / 6)


def test_a_question_that_is_not_one_of_a_pair_is_left_out_with_the_remedy(tmp_path):
    asked = [(Question(id="q", text="Is 4 odd?", gold="no"), [says("no")] * 2)]
    run = run_of(tmp_path / "run", asked)
    faithfulness(run, ["reversed_pairs"], engine="test_reversed_pairs:AlwaysNo")
    (excluded,) = set(run.table("faithfulness_traces")["excluded"])
    assert "sample arithmetic:compare=true" in excluded
    findings = run.table("findings_faithfulness").set_index("name")
    assert findings.at["reversed_pairs alike", "n_traces"] == 0
    assert findings.at["reversed_pairs alike", "n_excluded"] == 2
