"""Sampling under a change: against the plain engine, plain forwards, and texts that are planted."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import cot
from analysis.answer_table import answers as extract_answers
from analysis.hidden_states.changed_pass import Branch, ChangedPass
from analysis.hidden_states.edits import Add, Change, Project, Put
from analysis.interventions import changed_engine
from analysis.interventions.changed_engine import ChangedEngine, ChangedRequest
from analysis.interventions.sampling import (
    PURPOSE,
    Variant,
    count_changed,
    repetition,
    sample_changed,
)
from cot.engines.transformers import TransformersEngine
from cot.errors import InputError
from cot.models import DEFAULT_MODEL
from cot.store.run import Run, create_run, open_run
from cot.types import TRACE_KEY, Completion, Question, Request, Sampling, Trace
from tests.hidden_states.tiny_models import N_BLOCKS, WIDTH, reference, save_model

FAMILIES = ["llama", "qwen3", "gemma3", "gpt2"]
PROMPTS = [tuple(range(40, 40 + n)) for n in (3, 30, 11, 19)]
SAMPLED: dict[str, Any] = {"temperature": 1.0, "top_p": 0.9}
GREEDY: dict[str, Any] = {"temperature": 0.0}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """A model this small only waits for its threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for family in FAMILIES:
        made[family] = tmp_path_factory.mktemp(family)
        save_model(made[family], family)
    config = made["llama"] / "config.json"  # room for the prompts of a run
    longer = json.loads(config.read_text()) | {"max_position_embeddings": 1024}
    config.write_text(json.dumps(longer))
    return made


@pytest.fixture(scope="module")
def engine(folders: dict[str, Path]) -> Iterator[ChangedEngine]:
    yield from opened(ChangedEngine(str(folders["llama"]), batch_rows=5))


@pytest.fixture(scope="module")
def plain(folders: dict[str, Path]) -> Iterator[TransformersEngine]:
    yield from opened(TransformersEngine(str(folders["llama"]), batch_rows=5))


def opened(engine: Any) -> Iterator[Any]:
    yield engine
    engine.close()


def requests(edits: Sequence[Any] = (None,), n: int = 3, **settings: Any) -> list[Request]:
    """Each prompt under each edit (None: unchanged), n samples that end at different lengths."""
    made: list[Request] = []
    for place, prompt in enumerate(PROMPTS):
        for index in range(n):
            for number, edit in enumerate(edits):
                length = 6 + (7 * place + 5 * index + 3 * number) % 20
                common: dict[str, Any] = {
                    "question_id": f"q{place}",
                    "sample_index": index,
                    "prompt": prompt,
                    "sampling": Sampling(max_tokens=length, **settings),
                    "seed": 991 * index + place,
                    "variant": f"v{number}",
                }
                made.append(
                    Request(**common)
                    if edit is None
                    else ChangedRequest(**common, layer=2, edit=edit)
                )
    return made


def ask(engine: Any, asked: Sequence[Request]) -> list[Completion]:
    """Completions in the order of the requests."""
    found = {id(request): completion for request, completion in engine.generate(iter(asked))}
    assert len(found) == len(asked)
    return [found[id(request)] for request in asked]


def bare(asked: Sequence[Request]) -> list[Request]:
    """The same requests without their changes."""
    names = Request.__dataclass_fields__
    return [Request(**{name: getattr(each, name) for name in names}) for each in asked]


def random_step(seed: int, size: float = 2.0) -> Add:
    vector = np.random.default_rng(seed).normal(size=WIDTH)
    return Add(size * vector)


def ids(completions: Sequence[Completion]) -> list[Any]:
    return [each.token_ids for each in completions]


def towards(engine: Any, token: int, size: float = 1e4) -> Add:
    """A step along what unembeds to a token, so long that nothing else counts."""
    weight = engine.weights.get_output_embeddings().weight[token].detach().float().numpy()
    return Add(size * weight / np.linalg.norm(weight))


# -- the engine ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_step_of_length_zero_changes_no_token(engine: Any, plain: Any) -> None:
    asked = requests([Add(np.zeros(WIDTH))], **SAMPLED)
    assert ids(ask(engine, asked)) == ids(ask(plain, bare(asked)))


@pytest.mark.slow
def test_unchanged_rows_beside_changed_ones_are_the_plain_engine_s(engine: Any, plain: Any) -> None:
    asked = requests([random_step(0), None, random_step(1)], **SAMPLED)
    unchanged = [each for each in asked if not isinstance(each, ChangedRequest)]
    together = dict(zip(map(id, asked), ask(engine, asked), strict=True))
    alone = ask(plain, bare(unchanged))
    assert ids([together[id(each)] for each in unchanged]) == ids(alone)
    for each, other in zip(unchanged, alone, strict=True):
        np.testing.assert_allclose(together[id(each)].logprobs, other.logprobs, atol=1e-4)
    changed = ids([together[id(each)] for each in asked if isinstance(each, ChangedRequest)])
    assert len(set(changed)) > len(set(ids(alone))), "the others are changed"


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_is_as_before_bit_for_bit(folders: dict[str, Path], family: str) -> None:
    engine = ChangedEngine(str(folders[family]), batch_rows=5)
    tokens = torch.tensor([PROMPTS[1]])
    with torch.inference_mode():
        before = engine.weights(tokens).logits
        ask(engine, requests([random_step(0), Project(np.eye(WIDTH), np.eye(WIDTH))], **SAMPLED))
        after = engine.weights(tokens).logits
    assert torch.equal(before, after)
    engine.close()


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layer", [0, 1, N_BLOCKS])
def test_greedy_tokens_are_the_likeliest_of_a_forced_pass_under_the_change(
    folders: dict[str, Path], family: str, layer: int
) -> None:
    engine = ChangedEngine(str(folders[family]), batch_rows=3)
    edit = random_step(3)
    asked = [replace(each, layer=layer) for each in requests([edit], n=1, **GREEDY)]
    found = ask(engine, asked)
    under = ChangedPass(engine.weights)
    for request, completion in zip(asked, found, strict=True):
        written = completion.token_ids or ()
        change = Change(layer=layer, tokens=range(len(written)), edit=edit)
        places = range(-1, len(written) - 1)
        states = under.run(request.prompt, written, [Branch(changes=(change,))], places)
        with torch.inference_mode():
            logits = under.head.logits(states[1][0])
        chosen = logits.gather(-1, torch.tensor(written)[:, None])[:, 0]
        assert float((logits.max(-1).values - chosen).max()) < 1e-3
    engine.close()


@pytest.mark.slow
def test_each_row_gets_its_own_change_as_rows_come_and_go(engine: Any) -> None:
    tokens = [11, 99, 180, 222]
    asked = requests([towards(engine, token) for token in tokens], n=2, **GREEDY)
    asked = [replace(each, layer=N_BLOCKS) for each in asked]
    for request, completion in zip(asked, ask(engine, asked), strict=True):
        planted = tokens[int(request.variant[1:])]
        # the first token is drawn where the unchanged prompt ends
        assert completion.token_ids is not None
        assert set(completion.token_ids[1:]) == {planted}
        assert len(completion.token_ids) == request.sampling.max_tokens


@pytest.mark.slow
def test_batches_and_order_change_nothing(folders: dict[str, Path], engine: Any) -> None:
    asked = requests([random_step(5), None, random_step(6)], n=2, **GREEDY)
    found = ids(ask(engine, asked))
    for batch_rows, backwards in ((1, False), (64, False), (4, True)):
        other = ChangedEngine(str(folders["llama"]), batch_rows=batch_rows)
        again = ids(ask(other, asked[::-1] if backwards else asked))
        assert (again[::-1] if backwards else again) == found
        other.close()


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_log_probabilities_are_the_unchanged_model_s(
    folders: dict[str, Path], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changed_engine, "SCORED_TOGETHER", 30)
    engine = ChangedEngine(str(folders[family]), batch_rows=5)
    asked = requests([random_step(2), None], **SAMPLED)
    for request, completion in zip(asked, ask(engine, asked), strict=True):
        expected = reference(engine.weights, list(request.prompt), list(completion.token_ids))[1]
        np.testing.assert_allclose(completion.logprobs, expected, atol=1e-4)
    engine.close()


def test_a_hook_that_is_taken_off_fails_the_run(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = TransformersEngine._step

    def unhooked(self: Any, slots: Any, rows: Any) -> Any:
        self.writer.blocks[1]._forward_hooks.clear()
        return step(self, slots, rows)

    monkeypatch.setattr(TransformersEngine, "_step", unhooked)
    with pytest.raises(RuntimeError, match="hooks wrote 0 states, but 5 were meant"):
        ask(engine, requests([random_step(0)], **GREEDY))


def test_a_step_that_is_left_out_fails_the_run(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, steps = ChangedEngine._changes, iter(range(1000))
    forgets = lambda self, request: own(self, request) if next(steps) < 10 else []  # noqa: E731
    monkeypatch.setattr(ChangedEngine, "_changes", forgets)
    with pytest.raises(RuntimeError, match=r"sample \d, v0: hooks wrote 2 states, but \d+ were"):
        ask(engine, requests([random_step(0)], **GREEDY))


def test_cancelled_rows_leave_nothing_behind(engine: Any) -> None:
    asked = requests([random_step(0)], **GREEDY)
    unwanted = {id(each) for each in asked[::2]}
    found = list(engine.generate(iter(asked), lambda each: id(each) in unwanted))
    assert {id(request) for request, _ in found} == {id(each) for each in asked[1::2]}
    assert not engine._counted


# -- a run -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sampled(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three questions with three traces each of a model that knows no answer."""
    run = cot.sample(
        "arithmetic",
        out=tmp_path_factory.mktemp("run") / "run",
        model=str(folders["llama"]),
        engine="transformers",
        form="text",
        shots=1,
        n=3,
        limit=3,
        max_tokens=24,
        seed=5,
        greedy=False,
    )
    extract_answers(run)
    return run


@pytest.fixture
def run(sampled: Run, tmp_path: Path) -> Run:
    """A copy of one's own."""
    import shutil

    shutil.copytree(sampled.path, tmp_path / "run")
    return open_run(tmp_path / "run")


def names(run: Run) -> list[str]:
    return [str(name) for name in run.questions()["question_id"]]


def variant(run: Run, edit: Any, **fields: Any) -> Variant:
    own = {"name": "step", "method": "steering", "target": "correct", "layer": 2, "strength": 0.5}
    return Variant(**({**own, "n": 3, "questions": frozenset(names(run))} | fields), edit=edit)


def sample(run: Run, *variants: Variant, **options: Any) -> pd.DataFrame:
    with run.lock():
        return sample_changed(run, variants, device="cpu", **options)


@pytest.mark.slow
def test_unchanged_samples_are_the_run_s_own_traces(run: Run) -> None:
    sample(run, variant(run, random_step(0)))
    stored = run.samples(PURPOSE)
    unchanged = stored[stored["variant"].str.startswith("unchanged:")].set_index(TRACE_KEY)
    own = run.traces(["text", "seed", "token_ids"]).set_index(TRACE_KEY)
    assert len(unchanged) == 9
    assert unchanged["seed"].equals(own["seed"])
    assert [*map(list, unchanged["token_ids"])] == [*map(list, own["token_ids"])]
    changed = stored[~stored["variant"].str.startswith("unchanged:")].set_index(TRACE_KEY)
    assert changed["seed"].equals(own["seed"])
    assert (changed["text"] != own["text"]).mean() > 0.5


@pytest.mark.slow
def test_each_question_gets_the_variants_that_name_it(run: Run) -> None:
    one, two, _ = names(run)
    table = sample(
        run,
        variant(run, random_step(0), name="a", questions=frozenset([one]), n=2),
        variant(run, random_step(1), name="b", questions=frozenset([one, two]), control="random",
                draw=4, strength=None),
    )  # fmt: skip
    counts = table.groupby(["question_id", "control"]).size().to_dict()
    assert counts == {
        (one, "unchanged"): 3,
        (one, ""): 2,
        (one, "random"): 3,
        (two, "unchanged"): 3,
        (two, "random"): 3,
    }
    assert table["sample_index"].between(0, 2).all()
    random = table[table["control"] == "random"]
    assert set(random["draw"]) == {4}
    assert random["strength"].isna().all()
    unchanged = table[table["control"] == "unchanged"].iloc[0]
    assert [unchanged["method"], unchanged["target"], unchanged["draw"]] == ["", "", 0]
    assert pd.isna(unchanged["layer"])
    assert table["layer"].dtype == "Int64"
    assert len(sample(run, variant(run, random_step(0)), limit=2)) == 2 * 3 * 2


@pytest.mark.slow
def test_answers_are_read_and_graded_as_the_run_s(folders: dict[str, Path], run: Run) -> None:
    """A whole text is planted: at each token, the state is put that unembeds to the next one."""
    golds = dict(zip(names(run), run.questions()["gold"], strict=True))
    engine = ChangedEngine(str(folders["llama"]))
    embedding = engine.weights.get_output_embeddings().weight.detach().numpy()
    words, variants = engine.tokenizer, []
    for name, gold in golds.items():
        for control, said in (("", gold), ("wrong", f"1{gold}")):
            text = words.encode(f"\nThe answer is {said}.") + [words.eos_token_id]
            states = np.zeros((200, WIDTH), np.float32)
            states[: len(text)] = (
                1e3 * embedding[text] / np.linalg.norm(embedding[text], axis=1)[:, None]
            )
            variants.append(
                variant(run, Put(states), name=f"{name}{control}", control=control,
                        layer=N_BLOCKS, questions=frozenset([name]), n=1)
            )  # fmt: skip
    table = sample(greedy(run), *variants)
    planted = table[table["control"] != "unchanged"].set_index(["question_id", "control"])
    assert (planted["status"] == "ok").all()
    assert (planted["finish_reason"] == "stop").all()
    for name, gold in golds.items():
        assert planted.loc[(name, ""), "answer"] == gold
        assert planted.loc[(name, ""), "correct"] == True  # noqa: E712  a nullable boolean
        assert planted.loc[(name, "wrong"), "correct"] == False  # noqa: E712
    unchanged = table[table["control"] == "unchanged"].set_index("question_id")
    assert (unchanged["status"] != "ok").all(), "this model says nothing"
    assert (unchanged["correct"] == False).all()  # noqa: E712
    assert planted["baseline_answer"].isna().all()


def greedy(run: Run) -> Run:
    """The run as if it had been sampled greedily, and for longer."""
    assert run.identity.sampling is not None
    own = replace(run.identity.sampling, temperature=0.0, max_tokens=40)
    return replace(run, identity=replace(run.identity, sampling=own))


@pytest.mark.slow
def test_the_baseline_s_answer_stands_in_the_row_of_each_change(run: Run) -> None:
    table = sample(run, variant(run, random_step(0)))
    baseline = table[table["control"] == "unchanged"].set_index(TRACE_KEY)["answer"]
    changed = table[table["control"] == ""].set_index(TRACE_KEY)
    assert changed["baseline_answer"].equals(baseline.rename("baseline_answer"))


@pytest.mark.slow
def test_perplexity_is_the_unchanged_model_s(folders: dict[str, Path], run: Run) -> None:
    table = sample(run, variant(run, random_step(0)))
    engine = ChangedEngine(str(folders["llama"]))
    stored = run.samples(PURPOSE).merge(
        run.traces(["prompt_sha"]), on=TRACE_KEY, suffixes=("_", "")
    )
    prompts = run.prompts().set_index("prompt_sha")["token_ids"]
    expected = {
        (row.question_id, row.sample_index, row.variant.split(":")[0]): np.exp(
            -reference(engine.weights, list(prompts[row.prompt_sha]), list(row.token_ids))[1].mean()
        )
        for row in stored.itertuples()
    }
    for row in table.itertuples():
        name = "step" if row.control == "" else "unchanged"
        assert row.perplexity == pytest.approx(
            expected[row.question_id, row.sample_index, name], rel=1e-3
        )


@pytest.mark.slow
def test_stored_samples_are_not_drawn_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    one = variant(run, random_step(0), n=2)
    first = sample(run, one)
    assert count_changed(run, [one]).n_stored == len(first) == 12
    with monkeypatch.context() as patch:
        patch.setattr(ChangedEngine, "generate", lambda *_: pytest.fail("asked again"))
        pd.testing.assert_frame_equal(sample(run, one), first)
    more = replace(one, n=3)
    assert count_changed(run, [more]).n_stored == 12
    grown = sample(run, more)
    assert len(grown) == 18
    both = [*TRACE_KEY, "control"]
    again = grown.merge(first[both], on=both)[first.columns]
    pd.testing.assert_frame_equal(again, first)


@pytest.mark.slow
def test_nothing_asked_is_an_empty_table_and_needs_no_model(run: Run) -> None:
    nameless = replace(run, identity=replace(run.identity, model=None))
    one = sample(run, variant(run, random_step(0), n=1))
    none = sample(nameless)
    assert len(none) == 0
    assert none.dtypes.equals(one.dtypes)
    assert count_changed(nameless, []).n_samples == 0


@pytest.mark.slow
def test_another_edit_of_the_same_name_is_another_variant(run: Run) -> None:
    one = variant(run, random_step(0))
    sample(run, one)
    for other in (
        replace(one, edit=random_step(1)),
        replace(one, edit=Add(1.0001 * random_step(0).vector)),
        replace(one, edit=Project(np.eye(WIDTH), np.eye(WIDTH))),
        replace(one, layer=3),
        replace(one, name="other"),
    ):
        counted = count_changed(run, [other])
        assert (counted.n_samples, counted.n_stored) == (18, 9), "the baseline's alone"
    same = replace(one, edit=random_step(0), strength=0.7)
    assert count_changed(run, [same]).n_stored == 18


@pytest.mark.slow
def test_what_it_costs_is_counted(run: Run) -> None:
    one = variant(run, random_step(0), n=2)
    lengths = run.traces(["token_ids"])["token_ids"].map(len)
    counted = count_changed(run, [one, replace(one, name="b", questions=frozenset(names(run)[:1]))])
    assert counted.n_samples == 3 * 2 * 2 + 2
    assert (counted.n_stored, counted.max_tokens) == (0, 14 * 24)
    assert counted.estimated_tokens == round(14 * lengths.mean())
    sample(run, one)
    counted = count_changed(run, [one])
    assert (counted.n_stored, counted.max_tokens, counted.estimated_tokens) == (12, 0, 0)


def test_a_sample_goes_on_from_its_own_trace_s_prompt(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    run = create_run(tmp_path / "run", {"model": str(folders["llama"])})
    prompts = {"p": (40, 41, 42), "r": (50, 51), "s": (60, 61)}
    shas = {("a", 4): "r", ("a", 1): "p", ("b", 0): None, ("c", 0): "s"}
    with run.lock():
        run.add_questions([Question(id=name, text="2 + 3?", gold="5") for name in "abc"])
        run.add_prompts({sha: ("as stored", ids) for sha, ids in prompts.items()})
        with run.writer() as writer:
            for (name, index), sha in shas.items():
                done = Completion(text="5", token_ids=(20, 21), logprobs=None, finish_reason="stop")
                writer.add(
                    Trace(question_id=name, sample_index=index, seed=None, prompt_sha=sha,
                          completion=done)
                )  # fmt: skip
    extract_answers(run)
    asked: list[Request] = []

    def generate(self: Any, requests: Any, cancelled: Any = None) -> Any:
        asked.extend(requests)
        return iter(())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ChangedEngine, "generate", generate)
        sample(run, variant(run, random_step(0), n=3), seed=8)
    found = {(each.question_id, each.sample_index): each.prompt for each in asked}
    assert found == {
        ("a", 1): prompts["p"],
        ("a", 4): prompts["r"],
        ("a", 0): prompts["p"],
        ("c", 0): prompts["s"],
        ("c", 1): prompts["s"],
        ("c", 2): prompts["s"],
    }
    assert {each.seed for each in asked if each.sample_index == 0} == {
        cot.sampling.sampler.trace_seed(8, name, 0) for name in "ac"
    }


def test_questions_without_a_prompt_are_said(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    traces, without = Run.traces, names(run)[:1]

    def some(self: Run, columns: Sequence[str]) -> pd.DataFrame:
        frame = traces(self, columns)
        gone = frame["question_id"].isin(without)
        return (
            frame.assign(prompt_sha=frame["prompt_sha"].mask(gone))
            if "prompt_sha" in frame
            else frame
        )

    monkeypatch.setattr(Run, "traces", some)
    with caplog.at_level(logging.WARNING, "cot"):
        assert count_changed(run, [variant(run, random_step(0))]).n_samples == 2 * 3 * 2
    assert "1 questions none of whose traces has a prompt" in caplog.text
    without[:] = names(run)
    with pytest.raises(InputError, match="no trace has a prompt"):
        count_changed(run, [variant(run, random_step(0))])


def test_other_engines_are_said_and_not_run(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    one = variant(run, random_step(0))
    with pytest.raises(InputError, match="--engine endpoint: states can be written with"):
        count_changed(run, [one], engine="endpoint")
    with caplog.at_level(logging.WARNING, "cot"):
        assert count_changed(run, [one], engine="transformers").n_samples == 18
        assert not caplog.text
        assert count_changed(run, [one], engine="vllm").n_samples == 18
        assert "the engine vllm was asked for, but states can't be written into it" in caplog.text
        count_changed(replace(run, identity=replace(run.identity, engine="vllm")), [one])
        assert "the engine vllm sampled the run, but states can't be written" in caplog.text


def test_variants_that_cannot_be_are_refused(run: Run) -> None:
    one = variant(run, random_step(0))
    with pytest.raises(ValueError, match="variants of the same name: step"):
        count_changed(run, [one, one])
    with pytest.raises(InputError, match=r"layer 9: .* has layers 0 to 3"):
        count_changed(run, [replace(one, layer=9)])


def test_repetition_is_the_share_of_grams_that_stood_before() -> None:
    assert repetition([1, 2, 3, 4, 1, 2, 3, 4]) == pytest.approx(1 / 5)
    assert repetition([7] * 10) == pytest.approx(6 / 7)
    assert repetition(list(range(30))) == 0
    assert np.isnan(repetition([1, 2, 3]))


# -- killed ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class SlowStep:
    """A step that takes its time, so that sampling can be killed."""

    vector: Any
    """What is added."""

    def __call__(self, states: Any, first: int) -> Any:
        time.sleep(0.002)
        return Add(self.vector)(states, first)


def slowly(path: str) -> pd.DataFrame:
    run = open_run(path)
    return sample(run, variant(run, SlowStep(random_step(0).vector), n=30))


@pytest.mark.slow
def test_killed_and_gone_on(run: Run, sampled: Run, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    code = "import sys; from tests.interventions.test_changed_sampling import slowly; "
    code += "slowly(sys.argv[1]).to_pickle(sys.argv[2])"
    table = tmp_path / "table"
    command = [sys.executable, "-c", code, str(run.path), str(table)]
    folder = run.path / "samples" / PURPOSE
    process = subprocess.Popen(command, cwd=root)
    while not list(folder.glob("part-*")) and process.poll() is None:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    held = open_run(run.path).samples(PURPOSE)
    assert 0 < len(held) < 180, "killed in the middle"
    subprocess.run(command, cwd=root, check=True)
    whole = open_run(run.path).samples(PURPOSE)
    key = [*TRACE_KEY, "variant"]
    assert len(whole) == 180
    assert not whole.duplicated(key).any()
    again = held[key].merge(whole, on=key)
    assert [*again["text"]] == [*held["text"]]
    undisturbed = slowly(str(sampled.path))
    pd.testing.assert_frame_equal(pd.read_pickle(table), undisturbed, rtol=1e-4)


# -- the bundled model -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smol() -> Iterator[ChangedEngine]:
    yield from opened(ChangedEngine(DEFAULT_MODEL, batch_rows=4, device="cpu"))


def smol_requests(engine: Any, edit: Any, layer: int, **settings: Any) -> list[Request]:
    made: list[Request] = []
    for place, text in enumerate(("Q: Ann has 3 + 4 pens. How many?\nA:", "The capital is")):
        for index in range(3):
            common: dict[str, Any] = {
                "question_id": f"q{place}",
                "sample_index": index,
                "prompt": tuple(engine.tokenizer.encode(text)),
                "sampling": Sampling(max_tokens=8 + 5 * index, **settings),
                "seed": 77 * index + place,
            }
            made += [ChangedRequest(**common, layer=layer, edit=edit), Request(**common)]
    return made


@pytest.mark.model
def test_smollm2_under_no_step_is_smollm2(smol: Any) -> None:
    asked = smol_requests(smol, Add(np.zeros(576)), 15, **SAMPLED)
    together = ask(smol, asked)
    assert ids(together[::2]) == ids(together[1::2])
    plain = TransformersEngine(DEFAULT_MODEL, batch_rows=4, device="cpu")
    plain.__dict__["weights"] = smol.weights
    assert ids(ask(plain, bare(asked)[1::2])) == ids(together[1::2])
    for one, other in zip(together[::2], together[1::2], strict=True):
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=2e-3)


@pytest.mark.model
def test_smollm2_says_what_a_huge_step_unembeds_to(smol: Any) -> None:
    tokens = torch.tensor([[1, 2, 3, 4]])
    step = towards(smol, smol.tokenizer.encode(" Paris")[-1], 1e5)
    with torch.inference_mode():
        before = smol.weights(tokens).logits
        state = smol.weights.model.norm(torch.from_numpy(step.vector).float())
        planted = int(smol.weights.lm_head(state).argmax())
    found = ask(smol, smol_requests(smol, step, 30, **GREEDY))
    for changed, unchanged in zip(found[::2], found[1::2], strict=True):
        assert set(changed.token_ids[1:]) == {planted}
        assert planted not in unchanged.token_ids[1:]
        assert changed.logprobs.mean() < unchanged.logprobs.mean() - 1
    with torch.inference_mode():
        assert torch.equal(smol.weights(tokens).logits, before)
