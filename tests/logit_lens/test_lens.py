"""Reading a run: the tables against a plain forward, what is read again, and what a kill leaves."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_models import PROMPT, reference, save_model, small_run, tokenizer
from written import write_table

import analysis.logit_lens
from analysis.answer_table import answers as extract_answers
from analysis.hidden_states.reading_store import ReadingStore
from analysis.logit_lens import lens
from analysis.logit_lens.chain_of_embedding import chain_of_embedding
from analysis.steps import segment
from cot.errors import InputError
from cot.store.run import Run, open_run
from cot.types import TRACE_KEY, Completion, Trace

TABLES = ("lens", "lens_traces", "lens_layers", "lens_tokens", "findings_lens")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("model")
    return folder, save_model(folder)


@pytest.fixture
def run(tmp_path: Path, model: tuple[Path, Any]) -> Run:
    folder, loaded = model
    return with_tables(small_run(tmp_path / "run", loaded, str(folder)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, model: tuple[Path, Any]) -> Run:
    """A run that was read in one go."""
    folder, loaded = model
    path = tmp_path_factory.mktemp("whole") / "run"
    made = with_tables(small_run(path, loaded, str(folder)))
    lens(made)
    return made


def with_tables(run: Run) -> Run:
    extract_answers(run)
    segment(run)
    return run


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many traces each reading ran through the model."""
    counts: list[int] = []
    plain = analysis.logit_lens.one_pass

    def counting(run: Any, readers: Any) -> None:
        counts.append(sum(len(task.job.traces) for each in readers for task in each.tasks))
        plain(run, readers)

    monkeypatch.setattr(analysis.logit_lens, "one_pass", counting)
    return counts


def by_hand(run: Run, model: Any) -> dict[Any, tuple[Any, Any, Any, list[int]]]:
    """Of each trace: states and logits [layer, token of prompt and trace], its prompt and ids."""
    found = {}
    for question_id, index, ids, sha in run.traces(["token_ids", "prompt_sha"])[
        [*TRACE_KEY, "token_ids", "prompt_sha"]
    ].itertuples(index=False):
        prompt = tokenizer().encode(PROMPT + " " * int(sha[1:]))
        states, _ = reference(model, prompt, list(ids))
        with torch.inference_mode():
            logits = model.lm_head(model.base_model.norm(torch.from_numpy(states)))
        found[question_id, index] = (states, logits, len(prompt), list(ids))
    return found


def first_answer_token(ids: list[int]) -> int:
    """Where " <answer>." begins: after the last "is" and its blank."""
    words = tokenizer()
    text = words.decode(ids[:-1])
    at = text.rindex("is ") + 3
    return next(n for n in range(len(ids)) if len(words.decode(ids[: n + 1])) > at)


def test_the_tables_are_those_of_a_plain_forward(whole: Run, model: tuple[Path, Any]) -> None:
    lens, traces = whole.table("lens"), whole.table("lens_traces")
    hand = by_hand(whole, model[1])
    assert traces[TRACE_KEY].to_numpy().tolist() == [
        [f"q{i}", j] for i in range(3) for j in range(3)
    ]
    one, five, twelve = (tokenizer().convert_tokens_to_ids(piece) for piece in ("1", "5", "12"))
    firsts = {ids[first_answer_token(ids)] for (_, j), (_, _, _, ids) in hand.items() if j == 1}
    assert firsts == {one}  # as sampled; the tokenizer would write 12 as one token
    for (question_id, index), (states, logits, n_prompt, ids) in hand.items():
        if index == 3:  # says that it doesn't know
            continue
        at = n_prompt + first_answer_token(ids)
        p = logits[..., [five, one]].softmax(-1).numpy()
        own = 1 if index == 1 else 0
        rows = lens[(lens["question_id"] == question_id) & (lens["sample_index"] == index)]
        here = rows[rows["position"] == "pre_answer"]
        names = np.array(["5", "12"])
        assert here["layer"].tolist() == [0, 1, 2, 3]
        np.testing.assert_allclose(here["p_stated"], p[:, at - 1, own], atol=1e-4)
        np.testing.assert_allclose(here["p"], p[:, at - 1].max(-1), atol=1e-4)
        assert here["answer"].tolist() == names[p[:, at - 1].argmax(-1)].tolist()
        words = logits[:, at - 1].softmax(-1)
        np.testing.assert_allclose(here["p_vocab"], words[:, ids[at - n_prompt]], atol=1e-5)
        np.testing.assert_allclose(here["entropy_vocab"], -(words * words.log()).sum(-1), atol=1e-3)
        trace = traces[(traces["question_id"] == question_id) & (traces["sample_index"] == index)]
        trace = trace.iloc[0]
        said = p[:, at - 1].argmax(-1)
        assert trace["consistency"] == pytest.approx((said[1:-1] == said[-1]).mean())
        assert trace["lens_answer"] == names[said[-1]]
        assert trace["candidate"] == trace["answer"] == names[own]
        assert trace["decided_at_prompt"] == (p[-1, n_prompt - 1].argmax() == own)
        mean = states[:, n_prompt:].mean(axis=1)
        assert (trace["coe_r"], trace["coe_c"]) == pytest.approx(chain_of_embedding(mean), rel=1e-3)
        steps = rows[(rows["position"] == "step_end") & (rows["layer"] == 3)]
        ends = whole.table("steps")
        ends = ends[(ends["question_id"] == question_id) & (ends["sample_index"] == index)]
        at_ends = p[-1, n_prompt + ends["token_end"].to_numpy(int) - 1]
        assert steps["answer"].tolist() == names[at_ends.argmax(-1)].tolist()
        before = ends["token_end"].to_numpy(int) <= at - n_prompt
        assert trace["n_steps"] == before.sum()
        kept = [*(at_ends[before].argmax(-1) == said[-1]), True]
        first = next(step for step in range(len(kept)) if all(kept[step:]))
        assert trace["emergence_step"] == first
        settled = next(k for k in range(len(said)) if len(set(said[k:])) == 1)
        assert trace["commitment_layer"] == settled
    assert twelve not in {token for _, _, _, ids in hand.values() for token in ids[-3:]}


def test_the_prompts_end_is_read_once_and_beside_another(
    whole: Run, model: tuple[Path, Any]
) -> None:
    lens, hand = whole.table("lens"), by_hand(whole, model[1])
    ends = lens[(lens["position"] == "prompt_end") & (lens["layer"] == 3)].set_index("question_id")
    assert ends.index.tolist() == ["q0", "q1", "q2"]
    assert ends["sample_index"].isna().all()
    assert ends["p_stated"].isna().all()
    traces = whole.table("lens_traces")
    for question_id, mine in traces.groupby("question_id"):
        said = {name: ends.loc[name, "answer"] for name in ends.index}
        _, logits, n_prompt, _ = hand[question_id, 0]
        five, one = (tokenizer().convert_tokens_to_ids(piece) for piece in "51")
        p = logits[-1, n_prompt - 1, [five, one]].softmax(-1)
        assert ends.loc[question_id, "p"] == pytest.approx(float(p.max()), abs=1e-4)
        others = {answer for name, answer in said.items() if name != question_id}
        controls = set(mine.loc[mine["decided_control"], "candidate"])
        assert controls <= others  # the candidates are the same in all questions


def test_findings_stand_beside_their_controls(whole: Run) -> None:
    findings = whole.table("findings_lens")
    estimates = findings.set_index(["measure", "subject", "baseline"])["estimate"]
    traces = whole.table("lens_traces")
    for name in ("consistency", "consistency_calibrated"):
        assert estimates[name, "", ""] == pytest.approx(traces[name].mean())
    difference = estimates["consistency", "", ""] - estimates["consistency", "control", ""]
    assert estimates["consistency", "", "control"] == pytest.approx(difference)
    assert estimates["decided_at_prompt", "guess", ""] == pytest.approx(1 / 3)
    assert estimates["separable", "", ""] == 1
    assert (findings["n_excluded"] == 0).all()


def test_agreement_by_layer_is_that_of_the_tables(whole: Run) -> None:
    layers = whole.table("lens_layers").set_index(["measure", "position", "layer"])
    places, traces = whole.table("lens"), whole.table("lens_traces")
    here = places[places["position"] == "pre_answer"].merge(traces[[*TRACE_KEY, "candidate"]])
    own = here["answer"] == here["candidate"]
    for layer, mine in own.groupby(here["layer"]):  # as many traces a question: a plain mean
        assert layers.loc[("stated", "pre_answer", layer), "estimate"] == pytest.approx(mine.mean())
        committed = (traces["commitment_layer"] <= layer).mean()
        shown = layers.loc[("committed", "pre_answer", layer), "estimate"]
        assert shown == pytest.approx(committed)
    means = places.groupby(["position", "layer"])["p_stated"].mean()
    assert layers.loc[("p_stated", "pre_answer", 2), "estimate"] == pytest.approx(
        means["pre_answer", 2]
    )
    last = layers.loc[("agreement", "pre_answer", 3)]
    assert (last["estimate"], last["low"], last["high"]) == (1, 1, 1)


def test_tokens_are_read_one_by_one(whole: Run, model: tuple[Path, Any]) -> None:
    tokens, hand = whole.table("lens_tokens"), by_hand(whole, model[1])
    chosen = tokens[TRACE_KEY].drop_duplicates()
    assert len(chosen) == 4
    judged = chosen.merge(whole.table("answers"), on=TRACE_KEY)
    assert judged.groupby("question_id")["correct"].nunique().tolist() == [2, 2]
    for key, mine in tokens.groupby(TRACE_KEY):
        _, logits, n_prompt, ids = hand[key]
        assert mine["token"].unique().tolist() == list(range(-1, len(ids)))
        last = mine[mine["layer"] == 3]
        p = logits[-1, n_prompt - 1 :].softmax(-1)
        np.testing.assert_allclose(last["p_top"], p.max(-1).values, atol=1e-5)
        np.testing.assert_allclose(last["p_stated"], p[:, ids[first_answer_token(ids)]], atol=1e-5)
        assert "".join(last["text"].iloc[1:-1]) == tokenizer().decode(ids[:-1])
        assert last["top"].tolist() == [tokenizer().decode([int(k)]) for k in p.argmax(-1)]


def test_a_trace_can_be_named(run: Run) -> None:
    lens(run, trace=["q1:1"], limit=2)
    assert run.table("lens_tokens")[TRACE_KEY].drop_duplicates().to_numpy().tolist() == [["q1", 1]]
    for wrong in ("q1:3", "q2:0"):
        with pytest.raises(InputError, match=rf"no trace {wrong} that the lens can"):
            lens(run, trace=[wrong], limit=2)


@pytest.mark.slow
def test_what_a_kill_leaves_is_not_read_again(
    run: Run, whole: Run, ran: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    add = ReadingStore.add
    added: list[Any] = []

    def dying(self: Any, key: Any, reading: Any) -> None:
        add(self, key, reading)
        self.flush()
        added.append(key)
        if len(added) == 6:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ReadingStore, "add", dying)
        with pytest.raises(KeyboardInterrupt):
            lens(run)
    (run.path / "activations/lens/.part-000009.parquet.1.tmp").write_bytes(b"torn")
    assert "lens" not in run.tables()
    lens(open_run(run.path))
    traces = [key for key in added if key[1] is not None]
    assert ran == [9, 9 - len(traces)]
    lens(run)
    assert ran[2:] == [0]
    for name in TABLES:
        pd.testing.assert_frame_equal(run.table(name), whole.table(name), rtol=1e-3, atol=1e-5)
    assert not list((run.path / "activations/lens").glob(".*"))


@pytest.mark.slow
def test_only_what_changed_is_read_again(run: Run, ran: list[int]) -> None:
    lens(run, limit=1)
    lens(run)
    assert ran == [3, 6]
    answers = run.table("answers")
    moved = (answers["question_id"] == "q0") & (answers["sample_index"] == 0)
    answers.loc[moved, ["start", "end"]] -= 6  # elsewhere, by another token: another candidate
    write_table(run, "answers", answers, command="answers", parameters={}, inputs=["traces"])
    lens(run)
    assert ran[2:] == [3]
    lens(run, limit=1)  # drops nothing of the others
    lens(run)
    assert ran[3:] == [0, 0]


@pytest.mark.slow
def test_another_model_is_noticed(
    run: Run, tmp_path: Path, ran: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    lens(run)
    other = tmp_path / "other"
    save_model(other, seed=5)
    with pytest.raises(
        InputError, match=r"teacher forcing gave no trace .* give its name with --model"
    ):
        lens(run, model=str(other))
    assert ran == [9, 9]  # nothing of the first model's is taken for the second's


@pytest.mark.slow
def test_a_trace_beyond_the_log_probability_gap_is_left_out(
    run: Run, model: tuple[Path, Any], caplog: pytest.LogCaptureFixture
) -> None:
    traces = run.traces()
    first = traces.iloc[0]
    with run.lock(), run.writer() as writer:
        writer.add(
            Trace(
                question_id="q0",
                sample_index=9,
                seed=None,
                prompt_sha="p0",
                completion=Completion(
                    text=first["text"],
                    token_ids=tuple(first["token_ids"].tolist()),
                    logprobs=first["logprobs"] - 3,
                    finish_reason="stop",
                ),
            )
        )
    with_tables(run)
    with caplog.at_level(logging.WARNING, "cot"):
        table = lens(run)
    assert "1 of 10 traces are left out" in caplog.text
    assert len(table) == 9
    assert 9 not in set(run.table("lens")["sample_index"].dropna())


@pytest.mark.slow
def test_where_there_is_nothing_to_decide(tmp_path: Path, model: tuple[Path, Any]) -> None:
    run = small_run(tmp_path / "run", name=str(model[0]))
    with_tables(run)
    answers = run.table("answers")
    lone = answers["question_id"].eq("q0") & answers["sample_index"].eq(1)
    answers.loc[lone, "status"] = "unparsed"
    imported = answers["question_id"].eq("q1")
    answers.loc[imported, ["start", "end"]] = pd.NA
    write_table(run, "answers", answers, command="answers", parameters={}, inputs=["traces"])
    table = lens(run).set_index("question_id")
    assert table.loc["q0", "n_candidates"].tolist() == [1, 1]
    assert table.loc["q0", "lens_answer"].tolist() == ["5", "5"]
    assert table.loc["q1", "n_candidates"].tolist() == [0, 0, 0]
    assert (
        table.loc[["q0", "q1"], ["consistency", "commitment_layer", "decided_at_prompt"]]
        .isna()
        .all(axis=None)
    )
    assert table["coe_r"].notna().all()
    assert table["decided_control"].isna().all()  # one question with something to decide
    findings = run.table("findings_lens").drop_duplicates("measure").set_index("measure")
    assert findings.loc["commitment_depth", ["n_questions", "n_excluded"]].tolist() == [1, 2]
    assert pd.isna(findings.loc["decided_at_prompt", "estimate"])
    answers[["start", "end"]] = pd.NA
    write_table(run, "answers", answers, command="answers", parameters={}, inputs=["traces"])
    with pytest.raises(InputError, match="no trace states its answer in its text"):
        lens(run)


@pytest.mark.slow
def test_an_import_must_name_its_model(tmp_path: Path, model: tuple[Path, Any]) -> None:
    run = with_tables(small_run(tmp_path / "run"))
    with pytest.raises(InputError, match="give --model"):
        lens(run)
    assert len(lens(run, model=str(model[0]))) == 9


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gpt2", "gemma2", "qwen2"])
def test_other_families_are_read_too(tmp_path: Path, family: str) -> None:
    loaded = save_model(tmp_path / "model", family)
    run = with_tables(small_run(tmp_path / "run", loaded, str(tmp_path / "model"), n_questions=2))
    assert len(lens(run)) == 6


@pytest.mark.model
def test_smollm2_says_what_it_wrote(tmp_path: Path) -> None:
    from cot.models import load_tokenizer, resolve
    from cot.store.run import create_run
    from cot.types import Question

    name = "smollm2-135m-instruct"
    words = load_tokenizer(resolve(name))
    prompt = "Q: Ann has 3 pens and buys 4 more. How many pens?\nA:"
    texts = [" Ann has 3 + 4 = 7 pens. The answer is 7.", " 3 + 4 = 8. The answer is 8."]
    run = create_run(tmp_path / "run", {"model": name})
    with run.lock():
        run.add_questions([Question(id="q", text="Ann?", gold="7")])
        run.add_prompts({"p": (prompt, words.encode(prompt))})
        with run.writer() as writer:
            for index, text in enumerate(texts):
                done = Completion(
                    text=text,
                    token_ids=tuple(words.encode(text)),
                    logprobs=None,
                    finish_reason="stop",
                )
                key = {"question_id": "q", "sample_index": index, "seed": None, "prompt_sha": "p"}
                writer.add(Trace(**key, completion=done))
    table = lens(with_tables(run), device="cpu")
    assert table["lens_answer"].tolist() == ["7", "8"]
    assert (table["commitment_layer"] > 10).all()
    places = run.table("lens")
    assert places["layer"].max() == 30
    last = places[(places["position"] == "pre_answer") & (places["layer"] == 30)]
    assert (last["p_vocab"] > 0.5).all()
