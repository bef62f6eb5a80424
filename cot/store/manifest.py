"""run.json: what a run was made with, written once, and never changed by a later call."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from cot.errors import InputError
from cot.store.atomic import replace_file
from cot.store.identity import Identity, as_mapping, differences, identity_of

__all__ = ["STAGING", "check_free", "check_manifest", "read_manifest", "write_manifest"]

NAME = "run.json"
STAGING = ".importing"
"""Folder in a run's in which an import collects what it has not yet checked whole."""


def read_manifest(path: Path) -> Identity:
    """The identity that a run was made with.

    Raises:
        InputError: the folder is not a run, or its manifest is not what this version writes.
    """
    try:
        manifest = json.loads((path / NAME).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        what = "is not a run: it has no run.json" if path.exists() else "does not exist"
        raise InputError(f"{path} {what}; `cot sample` or `cot import` makes a run") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path / NAME}:{error.lineno}: not JSON: {error.msg}") from None
    if not isinstance(manifest, dict) or "identity" not in manifest:
        raise InputError(f"{path / NAME}: no object with an identity in it")
    return identity_of(manifest["identity"], f"{path / NAME}: identity")


def check_manifest(path: Path, identity: Identity) -> None:
    """Refuse another identity than the run's.

    Raises:
        InputError: naming each field that differs, with both values.
    """
    differ = differences(read_manifest(path), identity)
    if differ:
        raise InputError(
            f"{path} was made with other settings: {'; '.join(differ)}; "
            "use the same settings or another --out"
        )


def check_free(path: Path) -> None:
    """Raise InputError if the folder holds something that is not a run."""
    ours = (".run.json.", "run.lock", "run.json", STAGING)
    if path.exists() and not (
        path.is_dir()
        and ((path / NAME).exists() or all(p.name.startswith(ours) for p in path.iterdir()))
    ):
        raise InputError(f"{path} exists and is not a run; choose another --out")


def write_manifest(path: Path, identity: Identity) -> None:
    """Write the manifest of a new run, whole or not at all."""
    manifest = {"format": 1, "created": datetime.now(UTC).isoformat(timespec="seconds")}
    content = json.dumps(
        {**manifest, "identity": as_mapping(identity)}, indent=2, ensure_ascii=False
    )
    with replace_file(path / NAME) as handle:
        handle.write(content.encode())
