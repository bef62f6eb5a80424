"""The script that makes checkpoints: what it learns from, that it learns, and what it saves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

import prompts
from cot import datasets
from cot.errors import InputError
from cot.models import load_model, resolve
from experiments.make_checkpoints import PROMPT, held_apart, main, saved_steps

ASKED = "arithmetic:level=1"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of one block and of single bytes."""
    folder = tmp_path_factory.mktemp("tiny")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = Tokenizer(models.BPE(vocab={each: n for n, each in enumerate(letters)}, merges=[]))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    words.add_special_tokens([AddedToken("<end>", special=True)])
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>").save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(letters) + 1,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    file = tmp_path / "asks.toml"
    file.write_text(f'dataset = "{ASKED}"\nout = "runs/x"\n[sample]\nlimit = 2\n')
    return file


def call(tiny: Path, experiment: Path, out: Path, *more: str) -> None:
    given = [f"--out={out}", f"--model={tiny}", f"--held-out={experiment}", "--batch=2"]
    main([*given, "--steps=16", "--checkpoints=3", "--rate=0.01", *more])


def test_no_question_that_the_experiment_asks_is_learnt_from() -> None:
    asked = datasets.load(ASKED)
    other = datasets.load("arithmetic:level=1,seed=1")
    learnt = held_apart([*asked[:50], *other, *other], asked)
    assert not {question.text for question in learnt} & {question.text for question in asked}
    assert 190 <= len(learnt) <= len(other), "each question once"
    with pytest.raises(InputError, match="no question is left"):
        held_apart(asked, asked)


def test_checkpoints_are_saved_at_halves_of_the_last_step() -> None:
    assert saved_steps(96, 4) == [12, 24, 48, 96]
    with pytest.raises(InputError, match="can't be halved so often"):
        saved_steps(4, 4)


def test_what_is_learnt_is_the_form_in_which_the_experiment_asks() -> None:
    question = datasets.load(ASKED)[0]
    asked = prompts.load("few_shot_cot", exemplars="arithmetic", shots=1).text(question.text, ())
    assert asked.endswith(PROMPT.format(question=question.text))


@pytest.mark.slow
def test_the_model_learns_and_each_checkpoint_is_a_model(
    tiny: Path, experiment: Path, tmp_path: Path
) -> None:
    out = tmp_path / "checkpoints"
    call(tiny, experiment, out)
    assert sorted(each.name for each in out.iterdir()) == ["step-04", "step-08", "step-16"]
    notes = [json.loads((each / "training.json").read_text()) for each in sorted(out.iterdir())]
    assert notes[0]["loss"] > notes[-1]["loss"] + 0.5
    assert [note["step"] for note in notes] == [4, 8, 16]
    weights = [
        load_model(resolve(str(each)), device="cpu").model.layers[0].mlp.up_proj.weight
        for each in (tiny, out / "step-04", out / "step-16")
    ]
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])
    with pytest.raises(SystemExit, match="exists: choose another --out"):
        call(tiny, experiment, out)


@pytest.mark.slow
def test_the_seed_decides_the_training(tiny: Path, experiment: Path, tmp_path: Path) -> None:
    def last(name: str, *more: str) -> torch.Tensor:
        call(tiny, experiment, tmp_path / name, *more)
        model = load_model(resolve(str(tmp_path / name / "step-16")), device="cpu")
        return model.model.layers[0].mlp.up_proj.weight

    first = last("a")
    assert torch.equal(first, last("b"))
    assert not torch.equal(first, last("c", "--seed=1"))
