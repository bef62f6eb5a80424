"""Capture into a run: what is stored, what is missing, and what a kill leaves."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_models import (
    PROMPT,
    TEXTS,
    reference,
    save_model,
    small_run,
    smollm2_run,
    tokenizer,
)
from written import write_table

import analysis.hidden_states.places as places
import analysis.hidden_states.shared_pass as shared_pass
from analysis.answer_table import answers as extract_answers
from analysis.catalogue import find
from analysis.hidden_states import capture, estimate
from analysis.hidden_states.stored_states import captured, largest_gap, read_cell, within_gap
from analysis.steps import segment
from cot.errors import InputError
from cot.store.run import Run, open_run
from cot.store.vectors import read_about, read_index
from cot.types import TRACE_KEY

pytestmark = pytest.mark.slow

ALL = ["prompt_end", "step_end", "pre_answer", "answer", "mean"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("model")
    return folder, save_model(folder)


@pytest.fixture
def run(tmp_path: Path, model: tuple[Path, Any]) -> Run:
    folder, loaded = model
    return with_tables(small_run(tmp_path / "run", loaded, str(folder)))


def with_tables(run: Run) -> Run:
    extract_answers(run)
    segment(run)
    return run


def write_steps(run: Run, steps: pd.DataFrame) -> None:
    write_table(run, "steps", steps, command="paths", parameters={}, inputs=["traces"])


def expected(run: Run, model: Any, layer: int, spots: dict[Any, list[tuple[int, int]]]) -> Any:
    """Vectors by a plain forward of each trace's prompt and ids."""
    traces = run.traces(["token_ids", "prompt_sha"])
    rows = []
    for question_id, index, ids, sha in traces[
        ["question_id", "sample_index", "token_ids", "prompt_sha"]
    ].itertuples(index=False):
        prompt = tokenizer().encode(PROMPT + " " * int(sha[1:]))
        states, _ = reference(model, prompt, list(ids))
        rows += [
            states[layer, len(prompt) + a : len(prompt) + b].mean(axis=0)
            for a, b in spots.get((question_id, index), [])
        ]
    return np.stack(rows)


def test_vectors_are_those_of_the_tokens_that_wrote_the_text(
    run: Run, model: tuple[Path, Any]
) -> None:
    index = capture(run, layers="all", positions=ALL)
    words, traces = tokenizer(), run.traces(["text", "token_ids"])
    before, last, every = {}, {}, {}
    for question_id, sample, text, ids in traces.itertuples(index=False):
        written = "".join(words.decode([token]) for token in ids[:-1])
        assert written == text
        every[question_id, sample] = [(0, len(ids))]
        if "answer is" in text:
            at = [len(words.decode(ids[:n])) for n in range(len(ids) + 1)]
            start = text.rindex("answer is ") + len("answer is ")
            first = at.index(start) if start in at else at.index(start - 1)  # " 5" may be one token
            before[question_id, sample] = [(first - 1, first)]
            after = next(n for n in range(len(at)) if at[n] >= len(text) - 1)
            last[question_id, sample] = [(after - 1, after)]
    for layer in (0, 2, 3):
        for position, spots in (("pre_answer", before), ("answer", last), ("mean", every)):
            rows, vectors = run.activations(layer=layer, position=position)
            assert len(rows) == len(spots)
            np.testing.assert_allclose(
                vectors, expected(run, model[1], layer, spots), rtol=2e-3, atol=2e-3
            )
    assert vectors.dtype == np.float32
    assert set(index["layer"]) == {0, 1, 2, 3}
    ends = index[(index["position"] == "prompt_end") & (index["layer"] == 1)]
    assert ends["question_id"].tolist() == ["q0", "q1", "q2"]
    assert ends["sample_index"].isna().all()
    assert (ends["token"] == -1).all()


def test_step_ends(run: Run, model: tuple[Path, Any]) -> None:
    capture(run, layers=[2], positions=["step_end"])
    rows, vectors = run.activations(layer=2, position="step_end")
    steps = run.table("steps")
    assert rows["step"].tolist() == steps["step"].tolist()
    assert rows["token"].tolist() == (steps["token_end"] - 1).tolist()
    spots: dict[Any, list[tuple[int, int]]] = {}
    for question_id, sample, end in steps[["question_id", "sample_index", "token_end"]].itertuples(
        index=False
    ):
        spots.setdefault((question_id, sample), []).append((end - 1, end))
    np.testing.assert_allclose(vectors, expected(run, model[1], 2, spots), rtol=2e-3, atol=2e-3)


def test_every_so_many_tokens(run: Run, model: tuple[Path, Any]) -> None:
    index = capture(run, layers=[2], positions=["every 5 tokens"])
    rows, vectors = run.activations(layer=2, position="every 5 tokens")
    spots = {
        (question_id, sample): [(token, token + 1) for token in range(4, len(ids), 5)]
        for question_id, sample, ids in run.traces(["token_ids"]).itertuples(index=False)
    }
    assert rows["token"].tolist() == [start for some in spots.values() for start, _ in some]
    assert rows["step"].isna().all()
    assert len(index) == len(rows)
    np.testing.assert_allclose(vectors, expected(run, model[1], 2, spots), rtol=2e-3, atol=2e-3)
    cell = read_cell(run, run.traces([]), 2, "every 5 tokens")
    last = np.cumsum([len(some) for some in spots.values()]) - 1
    assert cell.row.tolist() == last.tolist()
    capture(run, layers=[2], positions=["mean"])
    assert captured(run, None, None) == [(2, "mean"), (2, "every 5 tokens")]


def test_a_users_spans(run: Run, model: tuple[Path, Any]) -> None:
    words, text = tokenizer(), TEXTS[0]
    start, end = text.index("So"), text.index("So") + len("So it")
    spans = pd.DataFrame(
        [("q0", 0, start, end, None), ("q0", 0, 0, 1, "first"), ("q2", 3, 0, 1, "first")],
        columns=["question_id", "sample_index", "start", "end", "name"],
    )
    file = run.path / "spans.parquet"
    spans.to_parquet(file)
    index = capture(run, layers=[1], positions=[], spans=file)
    assert sorted(index["position"]) == ["first", "first", "span"]
    assert set(run.provenance("logprob_gaps").parameters) >= {"layers", "max_gap"}
    ids = run.traces(["token_ids"])["token_ids"][0]
    token = next(n for n in range(len(ids)) if len(words.decode(ids[: n + 1])) >= end)
    rows, vectors = run.activations(layer=1, position="span")
    assert rows["token"].tolist() == [token]
    spots = {("q0", 0): [(token, token + 1)]}
    np.testing.assert_allclose(vectors, expected(run, model[1], 1, spots), rtol=2e-3, atol=2e-3)
    spans.assign(start=0, end=2)[:1].to_parquet(file)
    capture(run, layers=[1], positions=["mean"], spans=file)
    assert run.activations(layer=1, position="span")[0]["token"].tolist() == [1]
    assert len(run.activations(layer=1, position="first")[0]) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question_id": "q9"}, "spans.jsonl:1: question_id 'q9', sample_index 0: there is no"),
        ({"end": 900}, r"start 1, end 900: give 0 <= start < end <= 39"),
        ({"start": 3}, r"start 3, end 3: give 0 <= start"),
        ({"start": "x"}, "start is 'x': give a whole number"),
        ({"sample_index": 0.5}, "sample_index is 0.5: give a whole number"),
        ({"name": "mean"}, "name 'mean' can't be that of spans"),
        ({"name": "every 3 tokens"}, "can't be that of spans"),
    ],
)
def test_wrong_spans(run: Run, change: dict[str, Any], message: str) -> None:
    row = {"question_id": "q0", "sample_index": 0, "start": 1, "end": 3} | change
    file = run.path / "spans.jsonl"
    file.write_text(json.dumps(row))
    with pytest.raises(InputError, match=message):
        capture(run, spans=file)
    file.write_text(json.dumps({name: row[name] for name in row if name != "start"}))
    with pytest.raises(InputError, match=r"spans.jsonl:1: there is no column 'start'"):
        capture(run, spans=file)


def test_a_capture_with_spans_is_current_until_their_file_changes(run: Run) -> None:
    file = run.path / "spans.csv"
    file.write_text("question_id,sample_index,start,end\nq0,0,0,5\n")
    asked: dict[str, Any] = {"layers": [1], "positions": ["pre_answer"], "spans": file}
    capture(run, **asked)
    made = find("capture")
    assert made.is_current(open_run(run.path), asked)
    assert not made.is_current(open_run(run.path), {**asked, "spans": None})
    assert f"file:{file.resolve()}" in run.provenance("logprob_gaps").inputs
    file.write_text("question_id,sample_index,start,end\nq0,0,0,6\n")
    assert not made.is_current(open_run(run.path), asked)
    assert "spans.csv changed" in str(open_run(run.path).stale("logprob_gaps"))
    capture(run, **asked)
    assert made.is_current(open_run(run.path), asked)
    file.unlink()
    assert "spans.csv is gone" in str(open_run(run.path).stale("logprob_gaps"))


def test_the_largest_gap_allowed_is_the_users(run: Run) -> None:
    capture(run, layers=[1])
    assert len(within_gap(run)) == 12
    gaps = run.table("logprob_gaps")["max_logprob_gap"]
    bar = float(gaps.max()) / 2  # some machines give one gap to most traces
    capture(run, layers=[1], max_gap=bar)
    table = run.table("logprob_gaps")
    assert table["flagged"].tolist() == (gaps > bar).tolist()
    assert len(within_gap(run)) == int((gaps <= bar).sum()) < 12


def test_gaps_count_what_is_known_on_both_sides() -> None:
    assert largest_gap([1.0, 2.0], [1.5, 2.0]) == 0.5
    assert largest_gap([1.0, 2.0], [np.nan, 2.25]) == 0.25
    assert np.isnan(largest_gap([1.0], [np.nan]))
    assert np.isnan(largest_gap(None, [1.0]))
    assert np.isnan(largest_gap([1.0], [1.0, 2.0]))


def test_a_dry_run_says_what_is_missing_and_writes_nothing(run: Run) -> None:
    asked: dict[str, Any] = {"layers": [1, 2], "positions": ["prompt_end", "mean"]}
    before = contents(run)
    said = estimate(run, **asked)
    assert contents(run) == before
    n_tokens = run.traces(["token_ids"])["token_ids"].map(len).sum()
    n_prompt = sum(len(tokenizer().encode(PROMPT + " " * i)) for i in range(3))
    assert (said.n_vectors, said.n_traces, said.n_tokens) == (30, 12, n_tokens + n_prompt)
    assert said.bytes == 30 * 32 * 2
    assert said.exact
    capture(run, limit=1, **asked)
    assert estimate(run, **asked).n_vectors == 20
    assert len(capture(run, **asked)) == said.n_vectors
    left = estimate(run, **asked)
    assert (left.n_vectors, left.n_traces, left.n_tokens) == (0, 0, 0)


def test_a_dry_run_decodes_nothing_and_is_right(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    file = run.path / "spans.csv"
    file.write_text("question_id,sample_index,start,end,name\nq0,0,0,5,plan\nq0,0,0,9,plan\n")
    asked: dict[str, Any] = {"positions": [*ALL, "section_end", "every:3"], "spans": file}
    asked |= {"layers": [1, 2], "steps_per_trace": 2}
    with monkeypatch.context() as patch:
        patch.setattr(places, "token_spans", lambda *_: pytest.fail("a trace was decoded"))
        patch.setattr(shared_pass, "borrow_model", lambda *_, **__: pytest.fail("model loaded"))
        said = estimate(run, **asked)
    assert (said.exact, said.note) == (True, "")
    assert len(capture(run, **asked)) == said.n_vectors
    assert estimate(run, **asked).n_vectors == 0


def test_a_dry_run_without_tables_gives_upper_bounds(run: Run) -> None:
    said = estimate(run, layers=[1])
    for name in ("steps", "answers"):
        (run.path / "tables" / f"{name}.parquet").unlink()
    before = contents(run)
    bound = estimate(run, layers=[1], steps_per_trace=3)
    assert contents(run) == before
    assert not bound.exact
    assert "step_end: 3 a trace, as there is no table steps yet (`cot segment" in bound.note
    assert bound.n_vectors == 3 + 12 * 3 + 12
    assert bound.n_vectors >= said.n_vectors
    assert (bound.n_traces, bound.n_tokens) == (said.n_traces, said.n_tokens)
    lengths = run.traces(["token_ids"])["token_ids"].map(len)
    every = estimate(run, layers=[1], positions=["step_end"], steps_per_trace=0)
    assert every.n_vectors == lengths.sum()


def contents(run: Run) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in run.path.rglob("*")}


def test_long_traces_are_looked_at_evenly(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "cot"):
        index = capture(run, layers=[1], positions=["step_end", "section_end"], steps_per_trace=1)
    assert "step_end: 12 of 21 are taken, at most 1 a trace, evenly by tokens" in caplog.text
    steps, sections = run.table("steps"), run.table("sections")
    last = steps.groupby(TRACE_KEY, sort=False).tail(1)
    rows = index[index["position"] == "step_end"]
    assert rows["step"].tolist() == last["step"].tolist()
    assert rows["token"].tolist() == (last["token_end"] - 1).tolist()
    ends = index[index["position"] == "section_end"]
    assert ends["step"].tolist() == sections["section"].tolist()
    assert ends["token"].tolist() == (sections["token_end"] - 1).tolist()
    everything = capture(run, layers=[1], positions=["step_end"], steps_per_trace=0)
    assert len(everything) == len(steps)
    with pytest.raises(InputError, match="--steps-per-trace is -1: give 1 or more, or 0 for all"):
        capture(run, steps_per_trace=-1)


def test_steps_without_tokens_are_found_in_the_text(run: Run) -> None:
    sure = capture(run, layers=[1], positions=["step_end"])
    steps = run.table("steps").astype({"token_start": "Int64", "token_end": "Int64"})
    write_steps(run, steps.assign(token_start=pd.NA, token_end=pd.NA))
    pd.testing.assert_frame_equal(capture(run, layers=[1], positions=["step_end"]), sure)


def test_certainty_is_read_once_and_stays(
    run: Run, model: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    capture(run, layers=[1], positions=["mean"])
    assert "token_certainty" not in run.tables()
    capture(run, layers=[1], positions=["mean"], certainty=True)
    table = run.table("token_certainty")
    assert table.columns.tolist() == [*TRACE_KEY, "self_certainty", "mean_entropy", "n_tokens"]
    traces = run.traces(["token_ids", "prompt_sha"])
    assert table[TRACE_KEY].equals(traces[TRACE_KEY])
    words = tokenizer()
    for row, ids, sha in zip(
        table.itertuples(), traces["token_ids"], traces["prompt_sha"], strict=True
    ):
        prompt = words.encode(PROMPT + " " * int(sha[1:]))
        with torch.inference_mode():
            log_p = model[1](torch.tensor([[*prompt, *ids]])).logits[0].double().log_softmax(-1)
        log_p = log_p[len(prompt) - 1 : -1]
        assert row.n_tokens == len(ids) == len(log_p)
        kl = -(log_p + np.log(log_p.shape[1])).mean()
        assert row.self_certainty == pytest.approx(float(kl), rel=1e-4)
        assert row.mean_entropy == pytest.approx(-float((log_p.exp() * log_p).sum(-1).mean()), 1e-4)
    monkeypatch.setattr(shared_pass, "borrow_model", lambda *_, **__: pytest.fail("model loaded"))
    capture(run, layers=[1], positions=["mean"], certainty=True)
    pd.testing.assert_frame_equal(run.table("token_certainty"), table)
    with pytest.raises(InputError, match="--certainty needs the whole vocabulary"):
        capture(run, engine="vllm", certainty=True)


def test_the_gap_is_small_and_another_models_is_not(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    capture(run, layers=[1])
    table = run.table("logprob_gaps")
    assert len(table) == 3 * len(TEXTS)
    assert table["max_logprob_gap"].max() < 1e-3
    assert table["n_tokens"].tolist() == run.traces(["token_ids"])["token_ids"].map(len).tolist()
    other = tmp_path / "other"
    save_model(other, "qwen2", seed=9)
    with pytest.raises(InputError, match=r"holds hidden states of .*delete the folder"):
        capture(run, layers=[1], model=str(other))
    fresh = with_tables(small_run(tmp_path / "fresh", save_model(tmp_path / "third"), str(other)))
    with caplog.at_level(logging.WARNING, "cot"):
        capture(fresh, layers=[1])
    assert fresh.table("logprob_gaps")["max_logprob_gap"].min() > 0.5
    assert "another model, precision or prompt?" in caplog.text


def test_a_model_that_accelerate_places(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    capture(run, layers=[2], positions=["pre_answer"])
    before = run.activations(layer=2, position="pre_answer")[1]
    shutil.rmtree(run.path / "activations")
    capture(run, layers=[2], positions=["pre_answer"], device="auto")
    np.testing.assert_array_equal(run.activations(layer=2, position="pre_answer")[1], before)
    shutil.rmtree(run.path / "activations")
    monkeypatch.setattr("cot.models.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'consilience\[accelerate\]'"):
        capture(run, layers=[2], positions=["pre_answer"], device="auto")


def test_what_is_there_is_not_captured_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first = capture(run, layers=[1, 2], positions=["pre_answer"])
    before = run.activations(layer=1, position="pre_answer")[1]
    monkeypatch.setattr(shared_pass, "borrow_model", lambda *_, **__: pytest.fail("model loaded"))
    pd.testing.assert_frame_equal(first, capture(run, layers=[1, 2], positions=["pre_answer"]))
    capture(run, layers=[2], positions=["pre_answer"], limit=1)
    monkeypatch.undo()
    capture(run, layers=[1, 3], positions=["pre_answer", "mean"])
    for layer in (1, 2, 3):
        assert len(run.activations(layer=layer, position="pre_answer")[0]) == 9
    np.testing.assert_allclose(
        run.activations(layer=1, position="pre_answer")[1], before, atol=2e-3
    )
    assert len(run.activations(layer=3, position="mean")[0]) == 12
    with pytest.raises(InputError, match="nothing of layer 0 at 'mean'; it has layers 1, 2, 3 at"):
        run.activations(layer=0, position="mean")


def test_limit_counts_questions_and_the_rest_comes_later(run: Run) -> None:
    assert set(capture(run, layers=[1], limit=2)["question_id"]) == {"q0", "q1"}
    assert len(run.table("logprob_gaps")) == 8
    capture(run, layers=[1])
    rows, _ = run.activations(layer=1, position="pre_answer")
    assert rows["question_id"].tolist() == ["q0"] * 3 + ["q1"] * 3 + ["q2"] * 3
    assert rows["sample_index"].tolist() == [0, 1, 2] * 3


def test_an_answer_read_differently_moves_its_vector(run: Run) -> None:
    capture(run, layers=[1], positions=["answer", "step_end"])
    answers, steps = run.table("answers"), run.table("steps")
    old = run.activations(layer=1, position="answer")
    answers.loc[0, ["start", "end"]] = [0, 1]
    answers.loc[1, ["start", "end"]] = pd.NA
    write_table(run, "answers", answers, command="answers", parameters={}, inputs=["traces"])
    write_steps(run, steps.drop(index=0))
    capture(run, layers=[1], positions=["answer", "step_end"])
    rows, vectors = run.activations(layer=1, position="answer")
    assert len(rows) == 8
    assert rows["token"][0] == 0
    np.testing.assert_array_equal(vectors[1:], old[1][2:])
    assert len(run.activations(layer=1, position="step_end")[0]) == len(steps) - 1


def test_traces_that_cannot_be_run_again_are_counted(
    tmp_path: Path, model: tuple[Path, Any], caplog: pytest.LogCaptureFixture
) -> None:
    run = small_run(tmp_path / "run", name=str(model[0]))
    add_odd_traces(run)
    with_tables(run)
    with caplog.at_level(logging.WARNING, "cot"):
        index = capture(run, layers=[1], positions=["mean"])
    assert "1 traces without token ids are left out" in caplog.text
    assert "1 traces without a prompt are left out" in caplog.text
    assert "1 traces longer than the model's context of 128 tokens" in caplog.text
    assert len(index) == 12
    assert run.table("logprob_gaps")["max_logprob_gap"].isna().all()


def add_odd_traces(run: Run) -> None:
    from cot.types import Completion, Trace

    odd = {10: (None, "p0"), 11: ((5, 6), None), 12: ((5,) * 125, "p0")}
    with run.lock(), run.writer() as writer:
        for index, (ids, sha) in odd.items():
            done = Completion(text="x", token_ids=ids, logprobs=None, finish_reason="stop")
            writer.add(
                Trace(
                    question_id="q0", sample_index=index, seed=None, prompt_sha=sha, completion=done
                )
            )


def test_an_import_needs_its_model_named_once(tmp_path: Path, model: tuple[Path, Any]) -> None:
    run = with_tables(small_run(tmp_path / "run"))
    with pytest.raises(InputError, match="give --model"):
        capture(run, layers=[1])
    capture(run, layers=[1], model=str(model[0]))
    assert len(capture(run, layers=[2])) > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": [9]}, r"no layer 9: the model has layers 0 \(embeddings\) to 3"),
        ({"engine": "llama"}, "unknown engine 'llama': choose from transformers, vllm"),
        ({"engine": "vllm", "device": "cpu"}, "vLLM chooses its device"),
        ({"positions": ["end"]}, "unknown position 'end': choose from prompt_end, step_end"),
    ],
)
def test_wrong_use_leaves_nothing(run: Run, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        capture(run, **arguments)
    assert not (run.path / "activations").exists()


def test_an_encoder_decoder_is_refused(run: Run, tmp_path: Path) -> None:
    from transformers import T5Config

    T5Config(vocab_size=280, d_model=32, num_layers=2).save_pretrained(tmp_path / "t5")
    with pytest.raises(InputError, match=r"cannot capture from .*: t5 is not a decoder-only model"):
        capture(run, model=str(tmp_path / "t5"))


def test_tokens_of_another_model_are_noticed(tmp_path: Path, model: tuple[Path, Any]) -> None:
    run = small_run(tmp_path / "run", name=str(model[0]))
    config = model[0] / "config.json"
    before = config.read_text()
    config.write_text(json.dumps(json.loads(before) | {"vocab_size": 100}))
    try:
        with pytest.raises(InputError, match="the model knows 100 tokens"):
            capture(with_tables(run), layers=[1], positions=["mean"])
    finally:
        config.write_text(before)


KILLED = """
import sys, time

import cot.store.vectors
from analysis.hidden_states import capture, estimate
from analysis.hidden_states.stored_states import captured, read_cell
from analysis.hidden_states.stored_states import within_gap, largest_gap
from cot.store.run import open_run

cot.store.vectors.FLUSH_BYTES = 1
add = cot.store.vectors.VectorWriter.add
def slow(self, *args):
    time.sleep(0.02)
    add(self, *args)
cot.store.vectors.VectorWriter.add = slow
capture(open_run(sys.argv[1]), layers=[1, 2])
"""


@pytest.mark.slow
def test_a_killed_capture_goes_on_where_it_was(run: Run, tmp_path: Path) -> None:
    whole = with_tables(small_run(tmp_path / "whole", name=run.identity.model))
    capture(whole, layers=[1, 2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    index = run.path / "activations" / "index.parquet"
    command = [sys.executable, "-c", KILLED, str(run.path)]
    with subprocess.Popen(command, env=environment) as process:
        while process.poll() is None and not index.exists():
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert 0 < len(read_index(index.parent)) < len(read_index(whole.path / "activations"))
    capture(open_run(run.path), layers=[1, 2])
    named = {f"vectors-{int(n):06d}.safetensors" for n in read_about(index.parent)["shards"]}
    assert {path.name for path in index.parent.glob("*.safetensors")} == named
    for position in ("prompt_end", "step_end", "pre_answer"):
        for layer in (1, 2):
            rows, vectors = run.activations(layer=layer, position=position)
            sure_rows, sure = whole.activations(layer=layer, position=position)
            pd.testing.assert_frame_equal(rows, sure_rows)
            np.testing.assert_allclose(vectors, sure, atol=2e-3)
    assert len(run.table("logprob_gaps")) == 12


@pytest.mark.model
def test_smollm2_gives_what_it_wrote_the_same_log_probabilities(tmp_path: Path) -> None:
    run = smollm2_run(tmp_path / "run")
    capture(run, layers="every 10th", positions=["pre_answer"], device="cpu")
    assert run.table("logprob_gaps")["max_logprob_gap"].max() < 1e-3
    _, vectors = run.activations(layer=30, position="pre_answer")
    assert vectors.shape == (2, 576)
