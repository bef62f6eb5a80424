"""Weights rounded to 8 and 4 bits: on their grid, close by, and only where it was asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

import cot
from cot.engines.transformers import TransformersEngine
from cot.engines.vllm import VllmEngine
from cot.errors import InputError
from cot.models import DEFAULT_MODEL, fetch, load_model, load_tokenizer, resolve, resolve_run_model
from cot.quantized_models import GROUP, QUANTIZED, round_weight
from cot.sampling.settings import SampleSettings
from cot.store.identity import differences, identity_of
from cot.types import Request, Sampling

WIDTH = 40
"""No multiple of GROUP: each row ends in a group of 8."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two blocks in bfloat16, with files that are not weights."""
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=WIDTH,
        intermediate_size=72,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
    )
    AutoModelForCausalLM.from_config(config).to(torch.bfloat16).save_pretrained(folder)
    (folder / "generation_config.json").write_text('{"temperature": 0.6, "eos_token_id": 5}')
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def groups(weight: torch.Tensor) -> list[torch.Tensor]:
    """The values that share a step, row by row."""
    return [part for row in weight for part in row.split(GROUP)]


def test_rounding_is_to_multiples_of_a_seventh_of_the_groups_largest() -> None:
    row = [7.0, 3.4, -1.2, 0.49] + [0.0] * 28 + [0.14, -0.07, 0.011]
    expected = [7.0, 3.0, -1.0, 0.0] + [0.0] * 28 + [0.14, -0.08, 0.02]
    found = round_weight(torch.tensor([row]), bits=4)
    torch.testing.assert_close(found, torch.tensor([expected]))
    assert found.shape == (1, 35)


def test_zeros_stay_zeros_and_the_argument_is_not_changed() -> None:
    weight = torch.zeros(2, 33)
    weight[1, 32] = 0.3
    before = weight.clone()
    assert torch.equal(round_weight(weight, bits=8), before)
    assert torch.equal(weight, before)


@pytest.mark.parametrize(("quantize", "levels"), [("int8", 127), ("int4", 7)])
def test_every_weight_is_on_its_groups_grid_and_moved_by_half_a_step_at_most(
    checkpoint: Path, quantize: str, levels: int
) -> None:
    full = load_model(resolve(str(checkpoint)), device="cpu")
    rounded = load_model(resolve(str(checkpoint), quantize=quantize), device="cpu")
    layers = dict(full.named_modules())
    linear = [
        name
        for name, layer in layers.items()
        if isinstance(layer, torch.nn.Linear) and name != "lm_head"
    ]
    assert len(linear) == 2 * 7
    for name in linear:
        old, new = layers[name].weight, rounded.get_submodule(name).weight
        assert not torch.equal(old, new)
        for before, after in zip(groups(old), groups(new), strict=True):
            step = before.abs().max() / levels
            multiples = after / step
            torch.testing.assert_close(multiples, multiples.round(), atol=1e-4, rtol=0)
            assert (after - before).abs().max() <= step / 2 * (1 + 1e-5)
            assert multiples.abs().max().round() == levels, "the largest keeps its size"
    same = [
        name for name, _ in full.named_parameters() if name.removesuffix(".weight") not in linear
    ]
    assert {"lm_head.weight", "model.embed_tokens.weight", "model.norm.weight"} <= set(same)
    for name in same:
        assert torch.equal(full.get_parameter(name), rounded.get_parameter(name)), name


def test_a_model_that_is_not_quantised_is_the_checkpoint_bit_for_bit(
    checkpoint: Path, cache: Path
) -> None:
    stored = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    model = resolve(str(checkpoint), quantize="none")
    assert model == resolve(str(checkpoint))
    assert fetch(model) == checkpoint
    for name, weight in load_model(model, device="cpu").named_parameters():
        assert torch.equal(weight, stored.get_parameter(name))
    assert not cache.exists()


def test_the_rounded_folder_has_the_checkpoints_other_files_and_its_type(
    checkpoint: Path, cache: Path
) -> None:
    folder = fetch(resolve(str(checkpoint), quantize="int8"))
    assert folder.parent == cache
    assert [each.name for each in cache.iterdir()] == [folder.name], "nothing unfinished is left"
    for name in ("generation_config.json", "chat_template.jinja"):
        assert (folder / name).read_bytes() == (checkpoint / name).read_bytes()
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert fetch(resolve(str(checkpoint), quantize="int8")) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written, "it is written once"
    assert fetch(resolve(str(checkpoint), quantize="int4")) != folder


def test_rounded_weights_are_other_weights_of_the_same_checkpoint(checkpoint: Path) -> None:
    full, rounded = resolve(str(checkpoint)), resolve(str(checkpoint), quantize="int4")
    assert rounded.revision == f"{full.revision}+int4"
    assert rounded.checkpoint == full.checkpoint == full.revision
    identity = identity_of(
        {"model": str(checkpoint), "revision": full.revision, "quantize": "int4"}
    )
    assert resolve_run_model(identity) == rounded
    assert resolve_run_model(identity_of({"model": str(checkpoint)})) == full


def test_a_run_from_before_the_setting_goes_on_and_one_that_differs_stops() -> None:
    older = identity_of({"model": "m"})
    assert differences(older, identity_of({"model": "m", "quantize": "none"})) == []
    assert differences(older, identity_of({"model": "m", "quantize": "int8"})) == [
        "quantize was 'none', now 'int8'"
    ]


def test_an_unknown_value_names_those_that_there_are(checkpoint: Path) -> None:
    expected = r"unknown --quantize 'int3': choose from none, int8, int4"
    with pytest.raises(InputError, match=expected):
        SampleSettings(quantize="int3")
    with pytest.raises(InputError, match=expected):
        TransformersEngine(str(checkpoint), quantize="int3")
    with pytest.raises(InputError, match=r"--quantize is 8: give a text"):
        SampleSettings(quantize=8)


def spoilt(checkpoint: Path, folder: Path, more: dict[str, Any]) -> str:
    folder.mkdir()
    for file in checkpoint.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | more))
    return str(folder)


def test_what_can_not_be_rounded_is_refused(checkpoint: Path, tmp_path: Path, cache: Path) -> None:
    quantised = spoilt(checkpoint, tmp_path / "q", {"quantization_config": {"quant_method": "awq"}})
    with pytest.raises(InputError, match=r"is quantised already \(awq\)"):
        fetch(resolve(quantised, quantize="int8"))
    with_code = spoilt(checkpoint, tmp_path / "c", {"auto_map": {"AutoModelForCausalLM": "m.M"}})
    with pytest.raises(InputError, match="brings its own code"):
        fetch(resolve(with_code, quantize="int8"))
    convolutions = tmp_path / "gpt2"  # GPT-2's layers are of a class of their own
    config = GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=2, n_positions=16)
    AutoModelForCausalLM.from_config(config).save_pretrained(convolutions)
    with pytest.raises(InputError, match=r"only 0 of the 12,288 weights of .*gpt2"):
        fetch(resolve(str(convolutions), quantize="int8"))
    assert not cache.exists() or not list(cache.iterdir())


def test_a_replay_has_no_weights_to_round(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--quantize int8: engine 'replay' takes none"):
        cot.sample(
            "arithmetic",
            out=tmp_path / "run",
            model=str(tmp_path),
            engine="replay",
            quantize="int8",
        )


@pytest.mark.model
@pytest.mark.slow
def test_the_bundled_model_in_8_and_4_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight bits change the next token's distribution little, four bits more."""
    monkeypatch.delenv("COT_CACHE")  # the folders are kept for the next time
    text = (
        "Question: Ann has 3 pens and buys 4 more. How many pens?\nAnswer: Ann has 3 + 4 = 7 pens."
    )
    ids = torch.tensor([load_tokenizer(resolve(DEFAULT_MODEL))(text)["input_ids"]])
    chances = {}
    for quantize in QUANTIZED:
        model = load_model(resolve(DEFAULT_MODEL, quantize=quantize), device="cpu")
        with torch.inference_mode():
            chances[quantize] = model(ids).logits[0].double().log_softmax(-1)
    divergence = {
        name: float((chances["none"].exp() * (chances["none"] - each)).sum(-1).mean())
        for name, each in chances.items()
    }
    assert divergence["none"] == 0
    assert 0 < divergence["int8"] < 0.01 < divergence["int4"] < 1


@pytest.mark.vllm
@pytest.mark.model
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what vLLM and its compiler warn of is theirs
def test_vllm_runs_the_rounded_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COT_CACHE")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    asked = Request(
        question_id="q",
        sample_index=0,
        prompt="Q: Ann has 3 pens and buys 4 more. How many pens?\nA: Ann has",
        sampling=Sampling(temperature=0.0, max_tokens=12),
        seed=0,
    )
    engine = VllmEngine(DEFAULT_MODEL, quantize="int4", max_model_len=128)
    ((_, completion),) = engine.generate([asked])
    engine.close()
    prompt = engine.tokenizer(asked.prompt)["input_ids"]
    ids = torch.tensor([[*prompt, *(completion.token_ids or ())]])
    gaps = {}
    for quantize in ("int4", "none"):
        model = load_model(resolve(DEFAULT_MODEL, quantize=quantize), device="cpu")
        with torch.inference_mode():
            logprobs = model(ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        own = logprobs.gather(-1, ids[0, len(prompt) :, None])[:, 0].numpy()
        gaps[quantize] = float(abs(own - completion.logprobs).max())
    assert gaps["int4"] < 1e-3 < 0.1 < gaps["none"]
