"""Tiny random models, a tokenizer for them, and runs of traces for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from cot.store.run import Run, create_run
from cot.types import Completion, Question, Trace

N_BLOCKS, WIDTH, N_TOKENS = 3, 32, 280
SIZE = {
    "vocab_size": N_TOKENS,
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": N_BLOCKS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
CONFIGS = {
    "llama": lambda: LlamaConfig(**SIZE),
    "qwen2": lambda: Qwen2Config(**SIZE),
    "qwen3": lambda: Qwen3Config(**SIZE, head_dim=8),
    "gemma": lambda: GemmaConfig(**SIZE, head_dim=8),
    "gemma2": lambda: Gemma2Config(**SIZE, head_dim=8, sliding_window=12),
    "gemma3": lambda: Gemma3TextConfig(**SIZE, head_dim=8, sliding_window=12),
    "gpt2": lambda: GPT2Config(
        vocab_size=N_TOKENS, n_embd=WIDTH, n_layer=N_BLOCKS, n_head=4, n_positions=128
    ),
}
PROMPT = "Q: 2 + 3?\nA:"


def tiny_model(family: str, seed: int = 0) -> Any:
    """Random weights, large enough that layers and tokens differ."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(CONFIGS[family]())
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(std=0.15)
    return model.eval()


def tokenizer() -> Any:
    """Bytes, and a few words of several bytes, so that text has several tokenisations."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: number for number, piece in enumerate(alphabet)}
    merges = [("1", "2"), ("Ġ", "i"), ("Ġi", "s"), (".", "Ċ")]
    for left, right in merges:
        vocabulary[left + right] = len(vocabulary)
    forcing = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    forcing.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    forcing.decoder = decoders.ByteLevel()
    forcing.add_special_tokens([AddedToken("<end>", special=True)])
    return PreTrainedTokenizerFast(tokenizer_object=forcing, eos_token="<end>")


def save_model(folder: Path, family: str = "llama", seed: int = 0) -> Any:
    """A model folder that `cot.models` loads, and its model."""
    model = tiny_model(family, seed)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return model


TEXTS = [
    "2 + 3 = 5.\nSo it is 5.\nThe answer is 5.",
    "It is 12.\nThe answer is 12.",
    "Two and three, that is 5.\nThe answer is 5.",
    "I do not know.",
]


def small_run(
    folder: Path, model: Any = None, name: str | None = None, n_questions: int = 3
) -> Run:
    """Questions with the same traces each; the second trace's ids are not what its text encodes to.

    Args:
        model: log-probabilities are stored as it gives them; none where None.
        name: the model of the run's identity; None is an import.
    """
    words = tokenizer()
    run = create_run(folder, {"model": name})
    with run.lock():
        run.add_questions(
            [Question(id=f"q{i}", text="2 + 3?", gold="5") for i in range(n_questions)]
        )
        prompts = {f"p{i}": PROMPT + " " * i for i in range(n_questions)}
        run.add_prompts({sha: (text, None) for sha, text in prompts.items()})
        with run.writer() as writer:
            for i, (sha, prompt) in enumerate(prompts.items()):
                for index, text in enumerate(TEXTS):
                    ids = words.encode(text)
                    if index == 1:  # one token a byte, where the tokenizer would merge
                        ids = [token for byte in text for token in words.encode(byte)]
                    ids.append(words.eos_token_id)
                    if model is None:
                        logprobs = None
                    else:
                        logprobs = reference(model, words.encode(prompt), ids)[1]
                    writer.add(
                        Trace(
                            question_id=f"q{i}",
                            sample_index=index,
                            seed=index,
                            prompt_sha=sha,
                            completion=Completion(
                                text=text,
                                token_ids=tuple(ids),
                                logprobs=logprobs,
                                finish_reason="stop",
                            ),
                        )
                    )
    return run


def reference(model: Any, prompt: list[int], ids: list[int]) -> tuple[Any, Any]:
    """Hidden states [layer, token of prompt and trace, d_model] of a plain forward, and the
    log-probability of each id. The last layer's is taken before the final norm."""
    before: list[Any] = []
    norm = next(
        module for name, module in model.base_model.named_children() if name in ("norm", "ln_f")
    )
    handle = norm.register_forward_pre_hook(lambda module, args: before.append(args[0]))
    with torch.inference_mode():
        out = model(torch.tensor([[*prompt, *ids]]), output_hidden_states=True)
    handle.remove()
    states = torch.cat([*out.hidden_states[:-1], before[0]]).numpy()
    logprobs = out.logits[0].float().log_softmax(-1)
    at = np.arange(len(ids)) + len(prompt) - 1
    return states, logprobs.numpy()[at, ids].astype(np.float32)


def smollm2_run(folder: Path) -> Run:
    """A question with two traces of the bundled model, with the log-probabilities that it gives
    and with answers."""
    from analysis.answer_table import answers as extract_answers
    from cot.models import DEFAULT_MODEL, borrow_model, load_tokenizer, resolve

    source = resolve(DEFAULT_MODEL)
    loan, words = borrow_model(source, device="cpu"), load_tokenizer(source)
    start = words.encode("Q: Ann has 3 pens and buys 4 more. How many pens?\nA:")
    texts = [" Ann has 3 + 4 = 7 pens. The answer is 7.", " 3 + 4 = 8. The answer is 8."]
    run = create_run(folder, {"model": DEFAULT_MODEL})
    with run.lock():
        run.add_questions([Question(id="q", text="Ann?", gold="7")])
        run.add_prompts({"p": (words.decode(start), start)})
        with run.writer() as writer:
            for index, text in enumerate(texts):
                ids = words.encode(text)
                with torch.inference_mode():
                    logits = loan.value(torch.tensor([start + ids])).logits[0]
                at = torch.arange(len(ids)) + len(start) - 1
                done = Completion(
                    text=text,
                    token_ids=tuple(ids),
                    logprobs=logits.log_softmax(-1)[at, ids].numpy(),
                    finish_reason="stop",
                )
                writer.add(
                    Trace(
                        question_id="q",
                        sample_index=index,
                        seed=0,
                        prompt_sha="p",
                        completion=done,
                    )
                )
    loan.close()
    extract_answers(run)
    return run
