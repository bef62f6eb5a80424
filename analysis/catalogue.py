"""The analyses that there are, by name and by the tables that they make.

A name is looked up in `cot.registry`: among the project's own, among installed entry points (group
`cot.analyses`), and among those whose modules were imported, as `--plugin package.module` does.
Nothing is imported before it is asked for.

    >>> find("vote").makes["votes"]
    "one row a question and rule: the vote's answer, share and margin"
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.declaration import DECLARED, Analysis, Shown, declared
from cot import registry
from cot.errors import InputError
from cot.store.run import Run, open_run

__all__ = ["analyses", "compared", "find", "first_questions", "maker_of", "names", "need"]

log = logging.getLogger("cot")


def names() -> list[str]:
    """Names of all analyses: the project's in their order, then those of plug-ins."""
    return list(dict.fromkeys([*registry.ANALYSES, *registry.names("analyses")]))


def find(name: str) -> Analysis:
    """The analysis of this name.

    Raises:
        InputError: there is none (the message lists those there are).
    """
    if name not in registry.names("analyses"):
        raise InputError(
            f"unknown analysis {name!r}: choose from {', '.join(names())}; "
            "--plugin package.module adds one of your own"
        )
    return declared(registry.find("analyses", name))


def analyses() -> list[Analysis]:
    """All analyses, imported."""
    return [find(name) for name in names()]


def maker_of(table: str) -> Analysis:
    """The analysis that makes a table.

    Raises:
        InputError: none that is known does.
    """
    imported = [name for name in names() if name in DECLARED]
    for name in dict.fromkeys([*imported, *names()]):
        if table in find(name).makes:
            return find(name)
    raise InputError(f"no analysis makes a table {table!r}: --plugin package.module adds yours")


def need(run: Run, table: str) -> pd.DataFrame:
    """A table, current with its inputs.

    A missing table is made with defaults; a stale one is made again with its own parameters. Both
    are said.
    """
    if table not in run.tables():
        maker = maker_of(table)
        log.info("%s has no table %s yet: cot %s makes it", run.path, table, maker.name)
        maker.function(run)
    elif reason := run.stale(table):
        made = run.provenance(table)
        log.info("table %s is stale (%s): cot %s makes it again", table, reason, made.command)
        find(made.command).function(run, **made.parameters)
    return run.table(table)


def compared(name: str, family: str, run: Run, other: Sequence[str | Path], **asked: Any) -> Shown:
    """An analysis made on this run and on others, where it isn't current, and the runs compared by
    one family of measures: what `cot agree RUN OTHER` shows.

    Args:
        name: of the analysis.
        family: of measures of `cot compare`.
        asked: the analysis's parameters.
    """
    analysis, compare = find(name), find("compare")
    for each in (run, *map(open_run, other)):
        if not analysis.is_current(each, asked):
            log.info("cot %s is made on %s", name, each.path)
            analysis.function(each, **asked)
    table = compare.function(run, other=[str(each) for each in other], family=[family])
    assert compare.show is not None
    return compare.show(run, table)


def first_questions(answers: pd.DataFrame, limit: int | None) -> pd.DataFrame:
    """The rows of the first `limit` questions; all where it is None.

    Raises:
        InputError: a limit below 1.
    """
    if limit is None:
        return answers
    if limit < 1:
        raise InputError(f"--limit is {limit}, but must be at least 1")
    first = answers["question_id"].unique()[:limit]
    return answers[answers["question_id"].isin(first)].reset_index(drop=True)
