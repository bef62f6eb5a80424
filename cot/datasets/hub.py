"""Rows of a dataset on the Hugging Face hub, read through the `datasets` library.

A dataset that was downloaded once is read from the library's cache; HF_HUB_OFFLINE is honoured.
A hub that does not answer within `PATIENCE` seconds is an error, never a wait without end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from cot.datasets.rows import Row
from cot.errors import InputError

__all__ = ["PATIENCE", "read_hub"]

PATIENCE = 25.0
"""Seconds to wait until the hub has said what a dataset holds."""
SPLITS = ("test", "validation", "train")
"""The first of these that there is, unless a split is named."""


def read_hub(name: str, subset: str | None, split: str | None) -> Iterator[Row]:
    """The rows of one split.

    Raises:
        InputError: no such dataset, subset or split, or the hub is out of reach.
    """
    import datasets
    from datasets.exceptions import DatasetNotFoundError

    def find() -> Any:
        return datasets.load_dataset_builder(name, subset)

    try:
        builder = _within(PATIENCE, find)
        builder.download_and_prepare()
    except DatasetNotFoundError:
        raise InputError(
            f"unknown dataset {name!r}: neither a file nor on the hub, or you may not read it"
        ) from None
    except (OSError, TimeoutError) as error:
        raise InputError(
            f"dataset {name!r}: the hub is out of reach ({_first_line(error)}) and it is not in "
            "the cache: give a file, or try again with a connection"
        ) from None
    except ValueError as error:
        raise InputError(f"dataset {name!r}: {_first_line(error)} (see --subset)") from None
    splits = list(builder.info.splits)
    chosen = split or next((each for each in SPLITS if each in splits), splits[0])
    if chosen not in splits:
        raise InputError(f"dataset {name!r} has no split {chosen!r}: give {', '.join(splits)}")
    for number, values in enumerate(builder.as_dataset(split=chosen), start=1):
        yield Row(f"{name} {chosen} row {number}", values)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _within(seconds: float, work: Callable[[], Any]) -> Any:
    """What `work` returns; TimeoutError if it takes longer: the library waits far longer itself."""
    outcome: list[tuple[Any, Exception | None]] = []

    def run() -> None:
        try:
            outcome.append((work(), None))
        except Exception as error:  # handed to the caller below
            outcome.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise TimeoutError(f"no answer in {seconds:.0f} s")
    result, error = outcome[0]
    if error is not None:
        raise error
    return result
