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

__all__ = ["ADAPTER", "MODEL", "download", "find"]

PATIENCE = 15.0
"""Seconds to wait for the hub's answer about a repository."""


MODEL, ADAPTER = "config.json", "adapter_config.json"
"""The file by which a folder is known for a model's or an adapter's."""
WEIGHTS = {
    MODEL: ("model.safetensors", "pytorch_model.bin"),
    ADAPTER: ("adapter_model.safetensors", "adapter_model.bin"),
}
"""What their weights are called, where they are in one file."""


def find(repository: str, revision: str | None = None, kind: str = MODEL) -> Path:
    """The folder of the repository's snapshot, named by its commit; it may be yet to download.

    Args:
        revision: a branch, a tag or a commit; by default the main branch.
        kind: MODEL or ADAPTER.

    Raises:
        InputError: no such repository or revision, no access to it, or no answer from the hub.
    """
    from huggingface_hub import HfApi, constants, try_to_load_from_cache
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.file_download import repo_folder_name

    which: dict[str, Any] = {} if revision is None else {"revision": revision}
    try:
        cached = try_to_load_from_cache(repository, kind, **which)
        if isinstance(cached, str) and _complete(Path(cached).parent, kind):
            return Path(cached).parent
        commit = _within(
            PATIENCE, lambda: HfApi().model_info(repository, timeout=PATIENCE, **which).sha
        )
    except HFValidationError:
        raise InputError(f"unknown model {repository!r}: no such folder, nor a hub id") from None
    except RepositoryNotFoundError:
        raise InputError(
            f"unknown model {repository!r}: no such folder, and the hub has none of that name "
            "that you can read"
        ) from None
    except RevisionNotFoundError:
        raise InputError(
            f"model {repository!r} has no revision {revision!r} on the hub: give a branch, a tag "
            "or a commit"
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


def download(repository: str, snapshot: Path, kind: str = MODEL) -> None:
    """Fill the snapshot's folder with what loading needs, if anything is missing."""
    if _complete(snapshot, kind):
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


def _complete(folder: Path, kind: str) -> bool:
    """Whether a snapshot's folder holds its configuration and all its weights."""
    if not (folder / kind).is_file():
        return False
    for name in WEIGHTS[kind]:
        index = folder / f"{name}.index.json"
        if index.is_file():
            shards = set(json.loads(index.read_text())["weight_map"].values())
            return all((folder / shard).is_file() for shard in shards)
        if (folder / name).is_file():
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
