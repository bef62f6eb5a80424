"""`cot vote` and `cot curve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

import analysis
from cot.console import Output, emit, listen
from cot.errors import InputError
from cot.registry import describe
from cot.store.run import open_run

__all__ = ["curve", "vote"]

RULES = f"""A vote rule, majority by default; may be given again.
With parameters: --rule cisc:T=2,confidence=p_true

{describe("votes")}
all
  Every one that asks no model and whose inputs the run has.
package.module:function
  Your own."""


def vote(
    run: Path,
    /,
    *,
    rule: Annotated[tuple[str, ...], Parameter(help=RULES, show_default=False)] = ("majority",),
    seed: int = 0,
    limit: int | None = None,
    model: str | None = None,
    engine: str | None = None,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Vote on each question's answer; accuracy beside that of a single trace.

    Parameters
    ----------
    run
        The run's folder.
    seed
        Of the bootstrap.
    limit
        Only the first questions.
    model
        Asked by p_true and universal; the run's own by default.
    engine
        Runs that model: transformers or vllm.
    """
    listen()
    opened = open_run(run)
    with opened.lock():
        votes = analysis.vote(
            opened, rules=rule, seed=seed, limit=limit, model=model, engine=engine
        )
    findings = opened.table("findings_vote").set_index("name")
    names = {"estimate": "accuracy"}
    columns = ["estimate", "low", "high", "by_lot", "n_questions", "ties", "abstained"]
    columns.append("excluded")
    table = findings[columns].rename(columns=names)
    rows = [{"rule": name, **row} for name, row in table.to_dict("index").items()]
    by_name = {row["rule"]: row for row in rows}
    result = {
        "rules": [by_name[each] for each in votes["rule"].unique()],
        "single": by_name["single"]["accuracy"],
        "greedy": by_name["greedy"]["accuracy"] if "greedy" in by_name else None,
        "gains": [row for name, row in by_name.items() if name.endswith(" - single")],
    }
    emit(output, result, rows=rows)


def curve(
    run: Path,
    other: Path | None = None,
    /,
    *,
    rule: tuple[str, ...] = ("majority",),
    n: Annotated[str | None, Parameter(name=("-n", "--n"))] = None,
    order: str = "random",
    subsets: int = 200,
    seed: int = 0,
    model: str | None = None,
    engine: str | None = None,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Expected accuracy against the number of samples; or two runs compared at each.

    Parameters
    ----------
    run
        The run's folder.
    other
        Another run's: then the differences, paired by question.
    rule
        A vote rule (see cot vote), or pass@k; may be given again: each is compared with the first.
    n
        Numbers of samples, such as 1,5,10; a spread up to all by default.
    order
        random: the mean over random subsets; file: the first n.
    subsets
        Random subsets a question, where there is no closed form.
    seed
        Of subsets and bootstrap.
    model
        Asked by p_true; the run's own by default.
    engine
        Runs that model: transformers or vllm.
    """
    listen()
    opened = open_run(run)
    counts = _counts(n)
    if other is not None:
        with opened.lock():
            pairs = analysis.compare_curves(
                opened, open_run(other), rule, n=counts, order=order, subsets=subsets, seed=seed
            )
        rows = pairs.to_dict("records")
        emit(output, {"differences": rows}, rows=rows)
        return
    with opened.lock():
        table = analysis.curve(
            opened,
            rules=rule,
            n=counts,
            order=order,
            subsets=subsets,
            seed=seed,
            model=model,
            engine=engine,
        )
    points = table.to_dict("records")
    gains = opened.table("findings_curve").to_dict("records")
    shown = ("rule", "n", "accuracy", "low", "high", "n_questions", "method")
    emit(
        output,
        {"points": points, "differences": gains},
        rows=[{name: row[name] for name in shown} for row in points],
    )


def _counts(n: str | None) -> list[int] | None:
    if n is None:
        return None
    try:
        return [int(part) for part in n.split(",")]
    except ValueError:
        raise InputError(
            f"-n is {n!r}: whole numbers separated by commas, such as 1,5,10"
        ) from None
