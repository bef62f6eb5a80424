"""Rows of a dataset on the Hugging Face hub, read through the `datasets` library.

What was downloaded once is read from the library's cache when the hub is out of reach, and
HF_HUB_OFFLINE is honoured. Without a copy, a hub that can't be reached is an error within seconds:
the library alone would try again for half a minute, and wait for minutes where nothing answers.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from cot.datasets.rows import Row
from cot.errors import InputError

__all__ = ["PATIENCE", "read_hub"]

PATIENCE = 10.0
"""Seconds to wait for the hub's first answer."""
SPLITS = ("test", "validation", "train")
"""The first of these that there is, unless a split is named."""


def read_hub(name: str, subset: str | None, split: str | None) -> Iterator[Row]:
    """The rows of one split.

    Raises:
        InputError: no such dataset, subset or split, or the hub is out of reach.
    """
    from huggingface_hub import is_offline_mode

    out_of_reach = (
        f"dataset {name!r} is neither a file nor in the local cache, and the hub can't be reached: "
        "give a file, or try again with a connection"
    )
    if is_offline_mode() or not _reachable():
        if not _cached(name):
            raise InputError(out_of_reach)
        logging.getLogger("cot").info("the hub can't be reached: reading %s from the cache", name)

    import datasets
    from datasets.exceptions import DatasetNotFoundError

    try:
        builder = datasets.load_dataset_builder(name, subset)
        builder.download_and_prepare()
    except DatasetNotFoundError:
        raise InputError(
            f"unknown dataset {name!r}: no such file, and the hub has none that you may read"
        ) from None
    except OSError as error:
        raise InputError(f"{out_of_reach} ({_first_line(error)})") from None
    except ValueError as error:
        raise InputError(f"dataset {name!r}: {_first_line(error)} (see --subset)") from None
    splits = list(builder.info.splits)
    chosen = split or next((each for each in SPLITS if each in splits), splits[0])
    if chosen not in splits:
        raise InputError(f"dataset {name!r} has no split {chosen!r}: give {', '.join(splits)}")
    for number, values in enumerate(builder.as_dataset(split=chosen), start=1):
        yield Row(f"{name} {chosen} row {number}", values)


def _reachable() -> bool:
    """Whether the hub answers anything at all; a name look-up obeys no time limit of its own."""
    from urllib.error import HTTPError
    from urllib.request import urlopen

    from huggingface_hub import constants

    answers: list[bool] = []

    def ask() -> None:
        try:
            urlopen(constants.ENDPOINT, timeout=PATIENCE).close()
            answers.append(True)
        except OSError as error:
            answers.append(isinstance(error, HTTPError))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return answers == [True]


def _cached(name: str) -> bool:
    """Whether the library's cache has a folder for this dataset: `openai___gsm8k`."""
    from huggingface_hub import constants

    folder = Path(os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME) / "datasets")
    wanted = name.replace("/", "___").replace("_", "").casefold()
    return folder.is_dir() and any(
        each.name.replace("_", "").casefold() == wanted for each in folder.iterdir()
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
