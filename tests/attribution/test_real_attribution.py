"""`cot attribute` on the bundled model: one trace that says 14, beside one that says 15."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.attribution import attribute
from cot.models import encode, load_tokenizer, resolve
from cot.store.run import Run, create_run
from cot.types import Completion, Question, Trace

pytestmark = pytest.mark.model
MODEL = "smollm2-135m-instruct"
QUESTION = "Hal has 9 stamps and gets 5 more. How many has he?"
PROMPT = f"Q: How many are 5 + 7?\nA: 5 + 7 = 12. The answer is 12.\n\nQ: {QUESTION}\nA:"
TEXTS = (
    " He starts with 9 stamps. He gets 5 more, so 9 + 5 = 14. The answer is 14.",
    " He starts with 9 stamps. He gets 5 more, so 9 + 5 = 15. The answer is 15.",
)
METHODS = ("grad_x_input", "integrated_gradients:steps=8", "shapley", "occlusion")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    tokenizer = load_tokenizer(resolve(MODEL))
    made = create_run(tmp_path_factory.mktemp("real") / "run", {"model": MODEL})
    with made.lock():
        made.add_questions([Question(id="hal", text=QUESTION, gold="14")])
        made.add_prompts({"one": (PROMPT, encode(tokenizer, PROMPT, None))})
        with made.writer() as writer:
            for index, text in enumerate(TEXTS):
                ids = tuple(tokenizer.encode(text, add_special_tokens=False))
                done = Completion(text=text, token_ids=ids, logprobs=None, finish_reason="stop")
                trace = Trace(
                    question_id="hal",
                    sample_index=index,
                    seed=index,
                    prompt_sha="one",
                    completion=done,
                )
                writer.add(trace)
    attribute(made, METHODS, checked=1)
    return made


def test_the_step_that_computes_the_answer_is_missed_most(run: Run) -> None:
    """Of gradients nothing of the kind is promised: they say what a small change would do."""
    values = run.table("attributions")
    steps = values[(values["part"] == "step") & (values["sample_index"] == 0)]
    assert set(steps["method"]) == set(METHODS)
    for method in ("shapley", "occlusion"):
        own = steps[steps["method"] == method]
        assert own.loc[own["value"].idxmax(), "step"] == 1


def test_what_the_values_lack_is_said(run: Run) -> None:
    traces = run.table("attribution_traces").set_index(["method", "sample_index"])
    sums = run.table("attributions").groupby(["method", "sample_index"])["value"].sum()
    lacking = traces["target"] - traces["baseline"] - sums
    for method in METHODS[:3]:
        assert traces["gap"].loc[method].to_numpy() == pytest.approx(
            lacking.loc[method].to_numpy(), abs=1e-4
        )
    assert (traces["gap"].abs().loc["shapley"] < 1e-4).all()
    # the same log-odds by an unchanged pass, from embeddings and under a mask
    targets = traces["target"].unstack("method")
    assert np.ptp(targets.to_numpy(), axis=1) == pytest.approx(0, abs=1e-3)


def test_the_prompt_has_its_parts(run: Run) -> None:
    values = run.table("attributions")
    parts = values[(values["method"] == "occlusion") & (values["sample_index"] == 0)]["part"]
    assert list(parts.unique()) == ["exemplars", "question", "instruction", "step"]
    tokens = run.table("attribution_tokens")
    own = tokens[(tokens["method"] == "grad_x_input") & (tokens["part"] == "question")]
    assert "".join(own["text"]).strip() == QUESTION
