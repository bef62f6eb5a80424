"""Analyses that ask the model run through a server where it continues a prefix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import analysis
from analysis.answer_table import answers as extract_answers
from analysis.model_queries import ModelQueries
from analysis.model_queries.most_consistent import most_consistent
from analysis.model_queries.p_true import CUE, p_true
from cot.errors import ConsilienceError, InputError
from cot.store.run import create_run
from cot.types import Completion, Question, Trace
from tests.small import run_with_answers

GIVEN = {"a": ("7", ["7", "8", "7", "7"]), "b": ("3", ["3", None])}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The address stands in the environment."""

    def at(server: Any) -> None:
        monkeypatch.setenv("COT_ENDPOINT_URL", server.url)

    return at


@pytest.mark.slow
def test_p_true_is_the_servers_probability(
    serve: Any, asked: Any, tmp_path: Path, tiny: Path, tokenizer: Any
) -> None:
    server = serve()
    asked(server)
    run = run_with_answers(tmp_path, GIVEN)
    answers = extract_answers(run)
    with run.lock(), ModelQueries(run, model=str(tiny), engine_name="endpoint") as queries:
        found = p_true(run, answers, queries)
    cue = tokenizer(CUE, add_special_tokens=False)["input_ids"]
    zero, one = (
        tokenizer(CUE + digit, add_special_tokens=False)["input_ids"][len(cue)] for digit in "01"
    )
    expected = []
    for body in server.asked:
        chances = np.exp(server.model.logits(body["prompt"]))
        expected.append(chances[one] / (chances[zero] + chances[one]))
    ok = (answers["status"] == "ok").to_numpy()
    np.testing.assert_allclose(sorted(found[ok]), sorted(expected), rtol=1e-6)
    assert np.isnan(found[~ok]).all()
    assert len(server.asked) == ok.sum() == 5


@pytest.mark.slow
def test_the_most_consistent_response_is_asked_for(
    serve: Any, asked: Any, tmp_path: Path, tiny: Path, tokenizer: Any
) -> None:
    server = serve()
    asked(server)
    run = run_with_answers(tmp_path, GIVEN)
    answers = extract_answers(run)
    with run.lock(), ModelQueries(run, model=str(tiny), engine_name="endpoint") as queries:
        most_consistent(run, answers, queries)
    ends = {tokenizer.decode(body["prompt"])[-8:] for body in server.asked}
    assert ends == {"Response"}, "the model goes on from there"


@pytest.mark.slow
def test_a_trace_cut_short_is_continued(
    serve: Any, asked: Any, tmp_path: Path, tiny: Path, tokenizer: Any
) -> None:
    server = serve()
    asked(server)
    run = create_run(tmp_path / "run", {"model": None})
    text = "Tom has 3 apples.\nHe gets 4 more: 3 + 4 = 7.\nThe answer is 7."
    ids = tuple(tokenizer(text)["input_ids"])
    given = Completion(text=text, token_ids=ids, logprobs=None, finish_reason="stop")
    trace = Trace(question_id="a", sample_index=0, seed=1, prompt_sha="0" * 64, completion=given)
    with run.lock(), run.writer() as writer:
        run.add_questions([Question(id="a", text="3 + 4?", gold="7")])
        run.add_prompts({"0" * 64: ("Q: 3 + 4?\nA:", None)})
        writer.add(trace)
    extract_answers(run)
    analysis.faithfulness(
        run, test=["early_answering"], model=str(tiny), engine="endpoint", traces=1
    )
    assert server.asked
    begins = [tokenizer.decode(body["prompt"]) for body in server.asked]
    assert any("Tom has 3 apples." in begin for begin in begins), "it goes on from its prefix"
    assert len(run.samples("early_answering")) == len(server.asked)


@pytest.mark.parametrize(
    ("kind", "said"),
    [("other", "continues no prefix"), ("llama.cpp", "the probabilities of chosen tokens")],
)
def test_what_a_server_can_not_do_is_said(
    serve: Any, asked: Any, tmp_path: Path, tiny: Path, kind: str, said: str
) -> None:
    asked(serve(kind=kind))
    run = run_with_answers(tmp_path, GIVEN)
    answers = extract_answers(run)
    queries = ModelQueries(run, model=str(tiny), engine_name="endpoint")
    with run.lock(), queries, pytest.raises(InputError, match=said):
        p_true(run, answers, queries)
    assert not list((run.path / "samples").glob("*/part-*"))


@pytest.mark.slow
def test_queries_that_fail_end_the_analysis_and_the_others_are_kept(
    serve: Any, tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(mishap=lambda n, body: "400" if n == 2 else None)
    monkeypatch.setenv("COT_ENDPOINT_URL", server.url)
    run = run_with_answers(tmp_path, GIVEN)
    answers = extract_answers(run)
    with run.lock(), ModelQueries(run, model=str(tiny), engine_name="endpoint") as queries:
        with pytest.raises(ConsilienceError, match="p_true: 1 of 5 queries failed"):
            p_true(run, answers, queries)
        n = len(server.asked)
        found = p_true(run, answers, queries)
    assert len(server.asked) - n == 1, "what was answered is not asked for again"
    assert np.isfinite(found).sum() == 5
    assert "127.0.0.1" not in json.dumps(run.samples("p_true").astype(str).to_dict("records"))
