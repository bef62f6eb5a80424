"""run.json: what a run was made with, written once, and never changed by a later call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cot.errors import InputError
from cot.store.atomic import replace_file

__all__ = ["check_free", "check_identity", "read_identity", "write_identity"]

NAME = "run.json"


def read_identity(path: Path) -> Mapping[str, Any]:
    """The identity that a run was made with.

    Raises:
        InputError: the folder is not a run, or its manifest is not JSON.
    """
    try:
        manifest = json.loads((path / NAME).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        what = "is not a run: it has no run.json" if path.exists() else "does not exist"
        raise InputError(f"{path} {what}; `cot sample` or `cot import` makes a run") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path / NAME}:{error.lineno}: not JSON: {error.msg}") from None
    identity: Mapping[str, Any] = manifest["identity"]
    return identity


def check_identity(path: Path, identity: Mapping[str, Any]) -> None:
    """Refuse another identity than the run's.

    Raises:
        InputError: naming each field that differs, with both values.
    """
    differences = _differences(read_identity(path), identity)
    if differences:
        raise InputError(
            f"{path} was made with other settings: {'; '.join(differences)}; "
            "use the same settings or another --out"
        )


def check_free(path: Path) -> None:
    """Raise InputError if the folder holds something that is not a run."""
    ours = (".run.json.", "run.lock", "run.json")
    if path.exists() and not (
        path.is_dir()
        and ((path / NAME).exists() or all(p.name.startswith(ours) for p in path.iterdir()))
    ):
        raise InputError(f"{path} exists and is not a run; choose another --out")


def write_identity(path: Path, identity: Mapping[str, Any]) -> None:
    """Write the manifest of a new run, whole or not at all."""
    manifest = {"format": 1, "created": datetime.now(UTC).isoformat(timespec="seconds")}
    content = json.dumps({**manifest, "identity": identity}, indent=2, ensure_ascii=False)
    with replace_file(path / NAME) as handle:
        handle.write(content.encode())


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name in [*old, *(name for name in new if name not in old)]:
        before, after = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += _differences(before, after, f"{prefix}{name}.")
        elif before != after:
            found.append(f"{prefix}{name} was {before!r}, now {after!r}")
    return found
