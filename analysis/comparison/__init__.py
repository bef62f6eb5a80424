"""Many runs side by side: what each one's tables hold, and how the runs differ.

Runs are paired by question id. A difference whose interval holds 0, or whose p_holm is above .05,
is not shown to be one.

    import analysis, cot

    run = cot.open_run("runs/full")
    table = analysis.compare(run, ["runs/int8", "runs/int4"], family=["accuracy", "agreement"])
    table[["run", "measure", "subject", "estimate", "low", "high", "p_holm"]]
    run.table("compared_measures")            # one row a run and measure
    analysis.figures.measure_over_setting(run, "quantize", measure="accuracy")
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.comparison import answer_measures, reasoning_measures, state_measures
from analysis.comparison.differences import differences_table, measures_table
from analysis.comparison.files import check_suffixes, write_files
from analysis.comparison.measure import Compared, Key, Measure
from analysis.comparison.page import write_comparison
from analysis.comparison.printed import show
from analysis.comparison.questions import check_same_questions, questions_table
from analysis.comparison.settings import differing, names_of, settings_of, settings_table
from analysis.comparison.tables import FAMILIES, MAKES, as_frame
from analysis.declaration import Shown, analysis
from cot.errors import InputError
from cot.store.run import Run, open_run

__all__ = ["compare"]

log = logging.getLogger("cot")


def _to(run: Run, to: Sequence[Path], **asked: Any) -> Shown:
    """Files to write the comparison to as well: .csv (all columns), .tex or .md (as printed)."""
    check_suffixes(to)  # before the work
    compare(run, **asked)
    files = write_files(run, to)
    return Shown(json={"files": files}, tables=[[{"file": each} for each in files]])


@analysis(
    makes=MAKES,
    choices={"family": lambda: "\n".join(f"{name}\n  {what}" for name, what in FAMILIES.items())},
    show=show,
    views={"to": _to},
)
def compare(
    run: Run,
    other: Sequence[str | Path],
    against: str | None = None,
    family: Sequence[str] | None = None,
    measure: Sequence[str] | None = None,
    over: str | None = None,
    out: str | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare runs of the same questions, paired by question id.

    What the runs' tables hold is compared: stale tables are made again, answers and votes are made
    where a run lacks them, and whatever else it lacks is named with the command that adds it.

    Writes into the first run's tables, and returns the first of these:

    `compared_differences`, one row a run and measure: run, against (the run it is compared with),
    family, measure, subject, n_samples (traces a question, of a curve's point and pass@k), unit;
    value, other (both runs' over the common questions), estimate (value - other), low, high (95%,
    paired bootstrap over questions), p (paired exchange test), p_holm (Holm's correction over the
    table), n_comparisons (that it counted), n_questions (common), n_excluded (questions of either
    run that aren't in both, or to which the measure doesn't apply in one), n_settings (in which the
    two runs differ), method, seed. What a run knows of no single question has an estimate alone.

    `compared_measures`, one row a run and measure: run, family, measure, subject, n_samples, unit,
    estimate, low, high, n_questions, n_traces, n_excluded, method, seed; over the run's own
    questions. `compared_settings`: run, path, setting, value, differs. `compared_questions`, one
    row a run and question: run, question_id, question, gold, answer (the majority's), correct,
    share, accuracy (of a single trace), n (traces). `compared_missing`: run, family, what, why,
    command.

    Also writes compare.html.

    Args:
        other: the other runs' folders.
        against: the name of the run that the others are compared with; by default the first.
        family: families of measures to compare; by default all. Fewer have fewer comparisons to
            correct for.
        measure: measures to compare, such as accuracy or auroc; by default all.
        over: a setting, such as temperature: measures are drawn against it.
        out: the folder of compare.html; by default the first run's.
        seed: seed of the bootstrap and the exchange test.

    Raises:
        InputError: a run that is given twice; a family, run, measure or setting that there is not;
            an id that stands for one question in one run and for another in another.
    """
    runs = _opened(run, [other] if isinstance(other, str | Path) else other)
    base = _named(against, list(runs)) if against is not None else next(iter(runs))
    families = _families(family)
    answers = {name: answer_measures.voting_answers(each) for name, each in runs.items()}
    asked = {name: each.run.questions() for name, each in runs.items()}
    check_same_questions(asked)
    k = _smallest(answers.values())
    readers = _readers(k)
    found = {
        name: _measures(each, [readers[one] for one in families]) for name, each in runs.items()
    }
    found = _chosen(measure, found)
    _name_missing(runs, found)
    settings = {
        name: settings_of(each.run, answers[name], each.read) for name, each in runs.items()
    }
    if over is not None:
        _check_setting(over, settings)
    questions = {name: pd.Index(frame["question_id"]) for name, frame in asked.items()}
    n_settings = {name: len(differing(settings[base], mine)) for name, mine in settings.items()}
    _warn(questions, base, n_settings, settings)
    for each in list(runs.values())[1:]:
        for file in each.files():
            run.reads(f"file:{file}")
    table = differences_table(found, questions, base, n_settings, seed)
    run.write_table("compared_differences", table)
    run.write_table("compared_measures", measures_table(found, questions, seed))
    paths = {name: each.run.path for name, each in runs.items()}
    run.write_table("compared_settings", settings_table(settings, paths))
    run.write_table("compared_questions", questions_table(asked, answers))
    missing = [asdict(each) for mine in runs.values() for each in mine.missing]
    run.write_table("compared_missing", as_frame("compared_missing", missing))
    page = write_comparison(run, None if out is None else Path(out))
    log.info("wrote %s", page)
    return table


def _opened(run: Run, others: Sequence[str | Path]) -> dict[str, Compared]:
    """Name to run, the first one first."""
    if not others:
        raise InputError("name at least one other run to compare with: cot compare RUN OTHER")
    opened = [run, *map(open_run, others)]
    paths = [each.path.resolve() for each in opened]
    for path in paths:
        if paths.count(path) > 1:
            raise InputError(f"{path} is given twice: name different runs")
    names = names_of(paths)
    return {name: Compared(name=name, run=one) for name, one in zip(names, opened, strict=True)}


def _named(name: str, names: Sequence[str]) -> str:
    if name not in names:
        raise InputError(f"--against {name}: no run of this name: choose from {', '.join(names)}")
    return name


def _families(given: Sequence[str] | None) -> list[str]:
    unknown = [each for each in given or () if each not in FAMILIES]
    if unknown:
        raise InputError(
            f"unknown family {', '.join(map(repr, unknown))}: choose from {', '.join(FAMILIES)}"
        )
    return list(FAMILIES) if given is None else [each for each in FAMILIES if each in given]


def _readers(k: int) -> dict[str, Callable[[Compared], Iterator[Measure]]]:
    return {
        "accuracy": partial(answer_measures.accuracy, k=k),
        "curve": answer_measures.curve,
        "agreement": reasoning_measures.agreement,
        "calibration": answer_measures.calibration,
        "faithfulness": reasoning_measures.faithfulness,
        "steps": reasoning_measures.steps,
        "causal": state_measures.causal,
        "depth": state_measures.depth,
        "cost": answer_measures.cost,
    }


def _smallest(answers: Any) -> int:
    """The fewest traces that a question with gold has, in any run; 0 where none has gold."""
    known = [each[each["correct"].notna()] for each in answers if each is not None]
    sizes = [each["question_id"].value_counts().min() for each in known if len(each)]
    return int(min(sizes, default=0))


def _measures(
    compared: Compared,
    readers: Sequence[Callable[[Compared], Iterator[Measure]]],
) -> dict[Key, Measure]:
    found: dict[Key, Measure] = {}
    for reader in readers:
        for each in reader(compared):
            assert each.key not in found, f"two measures {each.key}"
            found[each.key] = each
    return found


def _chosen(
    names: Sequence[str] | None, found: dict[str, dict[Key, Measure]]
) -> dict[str, dict[Key, Measure]]:
    """The measures of these names; all where None."""
    there = {each.measure for mine in found.values() for each in mine.values()}
    for name in names or ():
        if name not in there:
            raise InputError(
                f"--measure {name}: no run has it in the families compared: choose from "
                f"{', '.join(sorted(there)) or 'none'}"
            )
    if names is None:
        return found
    return {
        run: {key: each for key, each in mine.items() if each.measure in names}
        for run, mine in found.items()
    }


def _check_setting(over: str, settings: dict[str, dict[str, str]]) -> None:
    names = dict.fromkeys(name for mine in settings.values() for name in mine)
    if over not in names:
        raise InputError(f"--over {over}: no setting of the runs: choose from {', '.join(names)}")


def _name_missing(runs: dict[str, Compared], found: dict[str, dict[Key, Measure]]) -> None:
    """Note the measures that some run has and another lacks, unless its whole family is noted."""
    every = dict.fromkeys(key for mine in found.values() for key in mine)
    for name, compared in runs.items():
        noted = {each.family for each in compared.missing if each.what.startswith("table ")}
        for key in every:
            family, measure, subject, n_samples = key
            if key not in found[name] and family not in noted:
                at = "" if n_samples is None else f" at {n_samples} traces"
                what = " ".join(filter(None, [measure, subject])) + at
                compared.lacks(family, what, "another run has it, this one doesn't")


def _warn(
    questions: dict[str, pd.Index[Any]],
    base: str,
    n_settings: dict[str, int],
    settings: dict[str, dict[str, str]],
) -> None:
    for name, ids in questions.items():
        if name == base:
            continue
        common = len(ids.intersection(questions[base]))
        if not common:
            log.warning("%s and %s have no question in common: nothing is paired", name, base)
        elif common < len(ids) or common < len(questions[base]):
            log.warning(
                "%s and %s have %d questions in common, of %d and %d: differences are over these",
                *(name, base, common, len(ids), len(questions[base])),
            )
        if n_settings[name] > 1:
            log.warning(
                "%s differs from %s in %d settings, so that a difference is not of one of them: %s",
                *(name, base, n_settings[name]),
                ", ".join(differing(settings[base], settings[name])),
            )
