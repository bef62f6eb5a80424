"""The stages of an experiment: the analyses of one run, in the order of the file."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import takewhile
from typing import Any

from analysis.catalogue import find
from cot.store.run import Run

__all__ = ["do_stage"]

log = logging.getLogger("cot")
Stages = Mapping[str, Mapping[str, Any]]


def do_stage(run: Run, stages: Stages, name: str, shared: set[str], of: str = "") -> None:
    """Do one analysis of a run, unless its tables are current.

    Args:
        stages: all analyses of the run, with their parameters.
        name: the one to do.
        shared: those that a pass was shared with; they are added to.
        of: the point of a sweep, for what is logged.
    """
    label = f"[{list(stages).index(name) + 1}/{len(stages)}] {name}" + (f" of {of}" if of else "")
    if find(name).is_current(run, stages[name]):
        log.info("%s: nothing new", label)
        return
    log.info("%s", label)
    with run.lock():
        if name not in shared:
            shared |= _share_pass(run, stages, name)
        find(name).function(run, **stages[name])


def _share_pass(run: Run, stages: Stages, first: str) -> set[str]:
    """Let an analysis that reads a teacher-forced pass, and those right after it in the file that
    read one too, store what they need of it; each then makes its tables from what is stored.

    Returns:
        Names of the analyses, none where it is alone.
    """
    following = list(stages)[list(stages).index(first) :]
    chosen = list(takewhile(lambda name: find(name).reader is not None, following))
    asking = [name for name in chosen if not find(name).is_current(run, stages[name])]
    if len(asking) < 2:
        return set()
    from analysis.hidden_states.shared_pass import one_pass

    with ExitStack() as stack:
        readers = [find(name).read_pass(run, **stages[name]) for name in asking]
        one_pass(run, [stack.enter_context(reader) for reader in readers])
    return set(asking)
