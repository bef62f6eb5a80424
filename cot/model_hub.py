"""The model hub: where a repository lies in the local cache, and how it gets there.

The cache is asked first, so that what was downloaded once loads without a network. A hub that
can't be reached is an error within seconds, not a command that hangs.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cot.errors import InputError

__all__ = ["download", "find"]

PATIENCE = 15.0
"""Seconds to wait for the hub's answer about a repository."""


def find(repository: str) -> Path:
    """The folder of the repository's snapshot, named by its commit; it may be yet to download.

    Raises:
        InputError: no such repository, no access to it, or no answer from the hub.
    """
    from huggingface_hub import HfApi, constants, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError
    from huggingface_hub.file_download import repo_folder_name

    try:
        cached = try_to_load_from_cache(repository, "config.json")
        if isinstance(cached, str) and _complete(Path(cached).parent):
            return Path(cached).parent
        commit = _within(PATIENCE, lambda: HfApi().model_info(repository, timeout=PATIENCE).sha)
    except HFValidationError:
        raise InputError(f"unknown model {repository!r}: no such folder, nor a hub id") from None
    except RepositoryNotFoundError:
        raise InputError(
            f"unknown model {repository!r}: no such folder, and the hub has none of that name "
            "that you can read"
        ) from None
    except HfHubHTTPError as error:
        raise InputError(f"model {repository!r}: the hub refuses: {error}") from None
    except (OSError, _network_error()) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"model {repository!r} is neither a folder nor in the local cache, and the hub can't "
            f"be reached ({reason}): give a folder, or try again with a connection"
        ) from None
    name = repo_folder_name(repo_id=repository, repo_type="model")
    return Path(constants.HF_HUB_CACHE) / name / "snapshots" / str(commit)


def download(repository: str, snapshot: Path) -> None:
    """Fill the snapshot's folder with what loading a model needs, if anything is missing."""
    if _complete(snapshot):
        return
    from huggingface_hub import HfApi, snapshot_download

    files = HfApi().list_repo_files(repository, revision=snapshot.name)
    safe = any(file.endswith(".safetensors") for file in files)
    snapshot_download(
        repository,
        revision=snapshot.name,
        allow_patterns=["*.json", "*.txt", "*.model", "*.jinja", "*.py", "*.safetensors"]
        + ([] if safe else ["*.bin"]),
        ignore_patterns=["onnx/*", "openvino/*", "original/*"],
    )


def _complete(folder: Path) -> bool:
    """Whether a snapshot's folder holds its configuration and all its weights."""
    if not (folder / "config.json").is_file():
        return False
    for kind in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{kind}.index.json"
        if index.is_file():
            shards = set(json.loads(index.read_text())["weight_map"].values())
            return all((folder / shard).is_file() for shard in shards)
        if (folder / kind).is_file():
            return True
    return False


def _network_error() -> type[Exception]:
    """What the hub's client raises when a connection fails."""
    from huggingface_hub.utils import _http

    client: Any = getattr(_http, "httpx2", None) or getattr(_http, "httpx", None)
    return client.HTTPError  # type: ignore[no-any-return]


def _within(seconds: float, ask: Callable[[], Any]) -> Any:
    """What `ask` returns, or a TimeoutError: name look-ups obey no timeout of their own."""
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome.append((ask(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise TimeoutError(f"no answer in {seconds:.0f} s")
    value, error = outcome[0]
    if error is not None:
        raise error
    return value
