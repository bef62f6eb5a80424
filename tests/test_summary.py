"""A run in about five sentences, and what is typed next."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from written import write_table

from analysis.commands.run import WIDTH, _ending, _shown
from analysis.findings import as_table, extent, verdict_claim
from analysis.summary import following_commands, summary
from cot.console import Output, emit
from cot.store.run import Run, create_run
from cot.types import Finding, Question


def finding(measure: str, subject: str, numbers: tuple[Any, Any, Any], **more: Any) -> Finding:
    estimate, low, high = numbers
    counts = {"n_questions": 3, "n_traces": 12, "n_excluded": 0, "method": "planted"}
    return Finding(
        measure=measure, subject=subject, estimate=estimate, low=low, high=high, **counts | more
    )


def planted(
    folder: Path,
    gain: tuple[Any, Any, Any] = (0.1, 0.02, 0.2),
    vote: tuple[Any, Any, Any] = (0.75, 0.5, 0.917),
    answers_hidden: tuple[Any, Any, Any] = (0.36, 0.27, 0.47),
    probe: tuple[Any, Any, Any] = (0.78, 0.68, 0.86),
    p: float | None = 0.002,
) -> Run:
    """Three questions; only the tables that the summary reads."""
    run = create_run(folder / "run", {"model": "planted-135m"})
    with run.lock():
        run.add_questions([Question(id=f"q {i}", text=f"{i}?", gold="1") for i in range(3)])
    write_table(run, "answers", pd.DataFrame({"status": ["ok", "ok", "missing"]}))
    votes = [
        finding("accuracy", "cisc", (0.5, 0.4, 0.6)),
        finding("accuracy", "majority", vote),
        finding("accuracy", "single", (0.65, 0.5, 0.8)),
        finding("accuracy", "cisc", (-0.1, -0.2, -0.01), baseline="single"),
        finding("accuracy", "majority", gain, baseline="single"),
    ]
    write_table(run, "findings_vote", as_table("vote", votes))
    pairs = [
        finding("ami", "answers × clusters", (0.04, 0.01, 0.07), p=0.02),
        finding("ami", "answers × hidden states", answers_hidden, p=p),
    ]
    write_table(run, "findings_agree", as_table("agree", pairs, null_mean=[0.0, 0.0]))
    agreement = pd.DataFrame(
        {
            "question_id": ["q 0", "q 1", "q 2"],
            "kinds": [["right for the wrong reason"], ["split answers"], []],
            "correct": pd.array([True, True, False], dtype="boolean"),
            "n_checked": [2, 4, 3],
            "suspicion": [0.4, 0.9, 0.2],
            "why": ["a", "b", "c"],
        }
    )
    write_table(run, "agreement", agreement)
    probes = [finding("within_question_auroc", "correct", probe)]
    write_table(run, "findings_probe", as_table("probe", probes, tfidf=[0.77], length=[0.5]))
    return run


def test_five_sentences_say_what_was_found_and_how_large_it_is(tmp_path: Path) -> None:
    assert summary(planted(tmp_path)) == [
        "Sampled: 0 traces of planted-135m, questions: 3, traces with a valid answer: 2.",
        "The majority vote is right on 75.0% [50.0, 91.7] of 3 questions, a single trace on 65.0%: "
        "a gain of 10.0 points [2.0, 20.0].",
        "Answers and clusters of reasoning hardly agree (AMI .04 [.01, .07]); answers and hidden "
        "states moderately agree (AMI .36 [.27, .47]); clusters of reasoning and hidden states "
        "were not compared. An AMI of 0 is chance, 1 is the same grouping.",
        "Of 2 right majorities whose equations can be checked, 1 is right for the wrong reason: at "
        "least half of their traces with such an equation take the answer from a false one.",
        "Hidden states tell right traces of a question from wrong ones better than chance (AUROC "
        ".78 [.68, .86]; chance is .50; TF-IDF has .77).",
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gain": (0.1, -0.1, 0.3)}, "so that a difference is not shown."),
        ({"vote": (None, None, None)}, "No question has a reference answer"),
        ({"p": 0.3}, "answers and hidden states are not shown to agree beyond chance (AMI .36"),
        ({"answers_hidden": (0.2, -0.1, 0.4)}, "are not shown to agree beyond chance (AMI .20"),
        ({"answers_hidden": (None, None, None), "p": None}, "answers and hidden states is not"),
        ({"probe": (0.55, 0.45, 0.65)}, "Hidden states are not shown to tell right traces"),
        ({"probe": (None, None, None)}, "is unknown"),
    ],
)
def test_no_more_is_claimed_than_the_intervals_show(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    assert said in " ".join(summary(planted(tmp_path, **change)))


def test_a_probe_is_causal_or_diagnostic_where_it_was_steered(tmp_path: Path) -> None:
    run = planted(tmp_path)
    row = {"target": "correct", "layer": 4, "effect": 2.0, "control_effect": 0.1}
    other = row | {"target": "majority", "verdict": "causal"}
    verdicts = pd.DataFrame([row | {"verdict": "causal"}, other])
    write_table(run, "probe_verdicts", verdicts)
    assert summary(run)[-1] == (
        "The probe is causal at layer 4: steering along its direction moves the answer further "
        "than random directions do (2.00 nats per σ, random 0.10)."
    )
    write_table(run, "probe_verdicts", verdicts.assign(verdict="diagnostic"))
    assert "The probe is diagnostic: steering along its direction at layer 4" in summary(run)[-1]
    before = summary(planted(tmp_path / "before"))
    write_table(run, "probe_verdicts", verdicts.assign(effect=float("nan")))
    assert summary(run) == before
    assert verdict_claim(other | {"effect": None}) == (
        "The probe for majority is diagnostic: nothing was steered along its direction"
    )


def test_a_run_without_tables_says_what_was_sampled_and_nothing_else(tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", {"model": None})
    with run.lock():
        run.add_questions([Question(id="q", text="?")])
    assert summary(run) == ["Sampled: 0 traces of a model that is not named, questions: 1."]


def test_an_agreement_below_a_tenth_is_called_hardly_any() -> None:
    assert [extent(value) for value in (0.04, 0.1, 0.3, 0.6, 1.0)] == [
        "hardly",
        "weakly",
        "moderately",
        "strongly",
        "strongly",
    ]


def test_the_next_command_shows_the_most_suspicious_question(tmp_path: Path) -> None:
    run = planted(tmp_path)
    assert next(iter(following_commands(run))) == f"cot show {run.path} 'q 1'"


def test_the_end_fits_80_columns_and_gives_the_page_a_line_of_its_own(tmp_path: Path) -> None:
    run = planted(tmp_path)
    (run.path / "report.html").write_text("")
    lines = _ending(run).splitlines()
    assert (run.path / "report.html").as_uri() in lines
    sentences = lines[: lines.index("The page:")]
    assert sentences
    assert max(map(len, sentences)) <= WIDTH
    assert len([line for line in lines if line.startswith("  cot ")]) == 3


def test_a_finding_in_the_longest_words_fits_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    longest = finding("three_way", "answers × clusters × hidden states", (0.6244, 0.4771, 0.7604))
    emit(Output(), {}, rows=[_shown(asdict(longest))])
    printed = capsys.readouterr().out
    assert "three_way: answers × clusters × hidden states" in printed
    assert max(map(len, printed.splitlines())) <= 80
    assert _shown(asdict(replace(longest, baseline="single")))["finding"].endswith("− single")
