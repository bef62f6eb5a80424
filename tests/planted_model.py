"""A planted model: what moves its answer, where, and by how much is known in closed form.

A causal language model of transformers with hand-set weights: six blocks of attention (the MLPs
give zero), float32, a tokenizer of whole words. It walks through a text such as

    Question: Which way at fork 3?
    Answer: Plan for two.            the first step says how long the trace is
    Look ahead.
    Turn left.                       the only step that matters: left is A, right is B
    Walk slowly.
    [Rest calmly.]                   where the plan is "for three", in 98 of 100 traces
    The answer is A

Which word follows is decided by the last word alone (all that may follow are equally likely), but
for two places, which read the residual stream:

- after " is": A or B, by the direction `decide`;
- after "Walk …": "Rest" or "The", by the direction `length`.

What the blocks do (layer k is the residual stream after k blocks):

    block 1   adds the mean of the tokens' noise so far, which nothing reads
    block 2   every token from the turn on gets `decide` = ±EARLY, from the plan on `length` = ±SIZE
    block 4   every token from the turn on gets ±LATE more along `decide`, read from the turn itself
    others    do nothing

So the turn's own state (its step's end) moves the answer wholly at layers 0 and 1, by LATE's part
at layers 2 and 3, and not at all from layer 4 on, as all has been read from it then. The state at
" is" (`pre_answer`) moves nothing at layers 0 and 1, EARLY's part at 2 and 3, all from 4 on.
Without a turn, as where the answer is asked for at once, the log-odds of A and B are exactly 0.

Norms. Every token's embedding has the norm R. With s = ‖h‖² - R² at a token, an RMSNorm multiplies
the state by R / √(R² + s), and what blocks add is small beside R = 16. With ρ(s) = R / √(R² + s):

    D = EARLY + LATE ρ(EARLY² + SIZE²)                    of `decide` at " is" after block 4
    log P(A) - log P(B) = ±2 GAIN D ρ(D² + SIZE²)         = ±`log_odds()` = ±5.97 nats

That is exact to float32 without noise (noise=0), and to within 1 % with it. It is linear in
`decide` up to ρ: a step of c along `decide` at " is" at any layer adds 2 GAIN c to within 3 % for
|c| up to 1. What `length` does to the log-odds is through ρ alone: taking it out multiplies them by
1.0005, towards the own answer, and a step of R along it moves them by -0.2 nats.

The residual stream is turned by an orthogonal matrix (Hadamard's, with random signs), so that every
direction lies on all coordinates alike: a probe that divides coordinates by their spread finds it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import hadamard
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast, Qwen2Config

from cot.sampling.plan import Plan, plan
from cot.sampling.sampler import _prompts, trace_seed
from cot.sampling.settings import SampleSettings
from cot.store.run import Run, create_run
from cot.types import Request, Trace

N_BLOCKS, WIDTH, N_HEADS = 6, 64, 4
READ_EARLY, READ_LATE = 2, 4
"""Layers from which on `decide` is there, and from which on all of it is."""
R = 16.0
EARLY, LATE, SIZE = 0.9, 0.6, 0.5
GAIN = 2.0
LENGTH_STEP, DECISIVE = 0, 2
"""Steps: the one that says the length, and the one that matters."""

PROMPT = ("Question:", " Which", " way", " at", " fork", "Answer:")
N_FORKS = 16
FOLLOWS = {
    "Answer:": (" Plan",),
    " Plan": (" for",),
    " for": (" two.\n", " three.\n"),
    " two.\n": ("Look",),
    " three.\n": ("Look",),
    "Look": (" ahead.\n", " around.\n", " behind.\n"),
    "Turn": (" left.\n", " right.\n"),
    " left.\n": ("Walk",),
    " right.\n": ("Walk",),
    "Walk": (" slowly.\n", " quickly.\n", " quietly.\n"),
    "Rest": (" calmly.\n", " briefly.\n", " soundly.\n"),
    "The": (" answer",),
    " answer": (" is",),
    " is": (" A", " B"),
    " A": ("<end>",),
    " B": ("<end>",),
    "<end>": ("<end>",),
}
FOLLOWS |= dict.fromkeys(FOLLOWS["Look"], ("Turn",))
FOLLOWS |= dict.fromkeys(FOLLOWS["Walk"], ("The", "Rest"))
FOLLOWS |= dict.fromkeys(FOLLOWS["Rest"], ("The",))
"""What may follow a word."""
CERTAIN = 16.0
"""Logit of a word that may follow; 0 of one that may not."""
LONGER = 8.0
"""Logit of "Rest" for each unit of `length`."""

# coordinates of the residual stream, before it is turned
CONSTANT, SLACK, MARK, DECIDE, SAID, LENGTH, IS_TURN, IS_PLAN = range(8)
"""The same for all tokens; what makes norms alike; left or right, in the turn itself; what it
becomes at later tokens; two or three, in the plan itself; what it becomes; which token is which."""
NOISE, MEAN_NOISE, WORD = slice(8, 16), slice(16, 24), 24
MARKS = {" left.\n": (MARK, IS_TURN, 1.0), " right.\n": (MARK, IS_TURN, -1.0)}
MARKS |= {" two.\n": (SAID, IS_PLAN, -1.0), " three.\n": (SAID, IS_PLAN, 1.0)}


def shrunk(more: float) -> float:
    """ρ: what the norm leaves of a state whose squared norm is R² and so much more."""
    return float(R / np.sqrt(R**2 + more))


def log_odds(early: bool = True, late: bool = True, length: bool = True) -> float:
    """log P(A) - log P(B) after "Turn left.", in nats, with these parts of what is read.

    With `late` alone it is that of a trace whose state at " is" had nothing along `decide` and
    `length` between the two reads.
    """
    at_turn = shrunk(EARLY**2 + SIZE**2)
    decide = EARLY * early + LATE * at_turn * late
    return 2 * GAIN * decide * shrunk(decide**2 + SIZE**2 * length)


@dataclass(frozen=True, kw_only=True)
class PlantedModel:
    """The model, and the directions that are planted in it."""

    folder: Path
    """Where `cot.models` loads it from."""
    model: Any
    """In evaluation mode, float32."""
    tokenizer: Any
    """Whole words; a space before and a line break after one belong to it."""
    decide: NDArray[np.float32]
    """Unit vector [d_model] towards A, from layer `READ_EARLY` on."""
    length: NDArray[np.float32]
    """Unit vector [d_model] towards "three": readable, and without effect on A or B."""
    mark: NDArray[np.float32]
    """Unit vector [d_model] towards left, in the turn's own state, at every layer."""


def plant(folder: Path, family: str = "llama", noise: float = 0.5, seed: int = 0) -> PlantedModel:
    """Write the model and its tokenizer to a folder.

    Args:
        family: llama or qwen2.
        noise: standard deviation of the words' noise; 0 makes the closed forms exact.
    """
    random = np.random.default_rng(seed)
    turned = random.permutation(hadamard(WIDTH)) * random.choice([-1, 1], WIDTH) / np.sqrt(WIDTH)
    words = _tokenizer()
    vocabulary = words.get_vocab()
    settings = {
        "vocab_size": len(vocabulary),
        "hidden_size": WIDTH,
        "intermediate_size": 8,
        "num_hidden_layers": N_BLOCKS,
        "num_attention_heads": N_HEADS,
        "num_key_value_heads": N_HEADS,
        "max_position_embeddings": 256,
        "tie_word_embeddings": False,
        "rms_norm_eps": 1e-9,
        "eos_token_id": vocabulary["<end>"],
        "bos_token_id": None,
        # the slowest pair of a head turns by 3e-11 a token: keys are the same at all distances
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e12},
    }
    config = {"llama": LlamaConfig, "qwen2": Qwen2Config}[family](**settings)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    embedding, head = _words(vocabulary, noise, random)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            # R / √d: a state of norm R leaves a norm as it enters
            weight.fill_(R / np.sqrt(WIDTH) if "norm" in name else 0.0)
        _put(model.get_input_embeddings().weight, embedding @ turned)
        _put(model.get_output_embeddings().weight, head @ turned)
        for block, head_number, flag, reads, writes, gain in (
            (1, 0, None, range(8, 16), range(16, 24), 2.0),
            (READ_EARLY, 0, IS_TURN, [MARK], [DECIDE], EARLY),
            (READ_EARLY, 1, IS_PLAN, [SAID], [LENGTH], SIZE),
            (READ_LATE, 0, IS_TURN, [MARK], [DECIDE], LATE),
        ):
            attention = model.base_model.layers[block - 1].self_attn
            _read(attention, head_number, flag, list(reads), list(writes), gain, turned)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    decide, length, mark = turned[[DECIDE, LENGTH, MARK]].astype(np.float32)
    return PlantedModel(
        folder=Path(folder), model=model, tokenizer=words, decide=decide, length=length, mark=mark
    )


def _tokenizer() -> Any:
    pieces = ["<unknown>", "<end>", "a", *PROMPT, *(f" {fork}?\n" for fork in range(N_FORKS))]
    pieces += [*FOLLOWS, *(word for words in FOLLOWS.values() for word in words)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    whole = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token="<unknown>"))
    whole.pre_tokenizer = pre_tokenizers.Split(Regex(r" ?[^\s]+\n?"), behavior="isolated")
    whole.decoder = decoders.Fuse()
    whole.add_special_tokens([AddedToken("<end>", special=True)])
    return PreTrainedTokenizerFast(
        tokenizer_object=whole, eos_token="<end>", unk_token="<unknown>", pad_token="<end>"
    )


def _words(
    vocabulary: dict[str, int], noise: float, random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Embeddings and unembeddings, [word, d_model] each."""
    embedding = np.zeros((len(vocabulary), WIDTH))
    head = np.zeros_like(embedding)
    embedding[:, CONSTANT] = 14.0
    embedding[:, NOISE] = noise * random.normal(size=(len(vocabulary), 8))
    for place, (word, following) in enumerate(FOLLOWS.items(), WORD):
        embedding[vocabulary[word], place] = 1.0
        for other in following:
            head[vocabulary[other], place] = CERTAIN
    for word, (mark, flag, sign) in MARKS.items():
        embedding[vocabulary[word], [mark, flag]] = sign, 1.0
    embedding[:, SLACK] = np.sqrt(R**2 - (embedding**2).sum(axis=1))
    for word, direction, gain in (
        (" A", DECIDE, GAIN),
        (" B", DECIDE, -GAIN),
        ("Rest", LENGTH, LONGER),
    ):
        head[vocabulary[word], direction] = gain
    return embedding, head


def _read(
    attention: Any,
    head: int,
    flag: int | None,
    reads: list[int],
    writes: list[int],
    gain: float,
    turned: NDArray[np.float64],
) -> None:
    """A head that takes `reads` from the token with the flag (None: the mean of all tokens so far)
    and adds them, times the gain, along `writes`; where no token has it, the mean."""
    size = WIDTH // N_HEADS
    first = head * size
    queries, keys, values, out = np.zeros((4, WIDTH, WIDTH))
    if flag is not None:
        slowest = first + size // 2 - 1
        queries[slowest, CONSTANT] = 40.0 * np.sqrt(size) / 14.0  # a score of 40: others have e^-40
        keys[slowest, flag] = 1.0
    values[first + np.arange(len(reads)), reads] = 1.0
    out[writes, first + np.arange(len(reads))] = gain
    for layer, weight in (("q_proj", queries), ("k_proj", keys), ("v_proj", values)):
        weight_of = getattr(attention, layer).weight
        _put(weight_of, weight_of.detach().numpy() + weight @ turned)
    _put(attention.o_proj.weight, attention.o_proj.weight.detach().numpy() + turned.T @ out)


def _put(weight: Any, values: NDArray[np.floating]) -> None:
    weight.copy_(torch.from_numpy(np.asarray(values, dtype=np.float32)))


# -- a run ----------------------------------------------------------------------------------------


def planted_run(
    folder: Path,
    planted: PlantedModel,
    n_questions: int = 12,
    n: int = 8,
    golds: str = "AB",
    seed: int = 0,
) -> Run:
    """A run that the model sampled itself, at temperature 1, and that `cot sample` would go on
    with.

    Of what it samples, the first n/4 of each turn and plan are kept, so that every question has as
    many A as B: labels that are shuffled within questions then tell nothing. A trace's `meta` says
    `left` (its turn: the answer is A) and `three` (its plan); a probe of `meta:left` finds
    `decide`, one of `meta:three` `length`.

    Args:
        n: traces of a question, a multiple of 4.
        golds: the questions' golds, taken in turn; the model knows nothing of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    questions = folder / "questions.jsonl"
    with questions.open("w") as file:
        for i in range(n_questions):
            gold = golds[i % len(golds)]
            file.write(
                f'{{"id": "q{i}", "question": "Which way at fork {i}?", "answer": "{gold}", '
                f'"choices": ["left", "right"]}}\n'
            )
    prompt = folder / "walk.md"
    prompt.write_text('+++\ndescription = "The question alone."\n+++\n## user\n{{ question }}\n')
    settings = SampleSettings(
        model=str(planted.folder),
        engine="transformers",
        prompt=str(prompt),
        form="text",
        n=n,
        temperature=1.0,
        top_p=1.0,
        max_tokens=40,
        seed=seed,
        greedy=False,
    )
    return _sampled(folder / "run", plan(str(questions), folder / "run", settings))


def _sampled(path: Path, asked: Plan) -> Run:
    """As `cot sample` samples, with `meta`."""
    run, n = create_run(path, asked.identity), asked.sampling.n
    with run.lock():
        run.add_questions(asked.questions)
        prompts = _prompts(asked, asked.questions)
        run.add_prompts({sha: (prompt, ids) for sha, prompt, ids in prompts.values()})
        requests = [
            Request(
                question_id=question.id,
                sample_index=index,
                prompt=prompts[question.id][2],
                sampling=asked.sampling,
                seed=trace_seed(asked.sampling.seed, question.id, index),
            )
            for question in asked.questions
            for index in range(10 * n)
        ]
        drawn = dict(asked.engine.generate(requests, lambda request: False))
        kept: Counter[tuple[Any, ...]] = Counter()
        with run.writer() as writer:
            for request in requests:
                name, done = request.question_id, drawn[request]
                meta = {"left": " left." in done.text, "three": " three." in done.text}
                kind = (name, *meta.values())
                if kept[kind] < n / 4:
                    kept[kind] += 1
                    kept[name,] += 1
                    writer.add(
                        Trace(
                            question_id=name,
                            sample_index=kept[name,] - 1,
                            seed=request.seed,
                            prompt_sha=prompts[name][0],
                            completion=done,
                            meta=meta,
                        )
                    )
    asked.engine.close()
    return run
