"""The methods section: what ran, from the tables' provenance, and what each number means."""

from __future__ import annotations

import json
from typing import Any

from analysis.report.data import Evidence
from analysis.report.text import number

__all__ = ["fidelity", "glossary", "provenance"]


def provenance(evidence: Evidence) -> dict[str, Any]:
    """One row a table (command, parameters, inputs, when), and the library versions used."""
    tables = []
    versions: dict[str, set[str]] = {}
    for name in evidence.tables:
        made = evidence.run.provenance(name)
        for library, version in made.versions.items():
            versions.setdefault(library, set()).add(version)
        tables.append(
            {
                "name": name,
                "command": f"cot {made.command}",
                "parameters": [
                    f"{key} = {json.dumps(value, ensure_ascii=False)}"
                    for key, value in made.parameters.items()
                ],
                "inputs": [f"{source} ({print_})" for source, print_ in made.inputs.items()],
                "created": made.created[:16].replace("T", " ") + " UTC",
                "stale": evidence.stale.get(name),
            }
        )
    used = {library: ", ".join(sorted(found)) for library, found in versions.items()}
    return {"tables": tables, "versions": used}


def fidelity(evidence: Evidence) -> dict[str, Any] | None:
    """How far replayed log-probabilities were from the stored ones, where there are any."""
    gaps = evidence.get("fidelity")
    if not len(gaps):
        return None
    known = gaps["max_logprob_gap"].dropna()
    return {
        "median": number(known.median()) if len(known) else None,
        "worst": number(known.max()) if len(known) else None,
        "n": len(known),
        "without": len(gaps) - len(known),
    }


def glossary() -> list[tuple[str, str]]:
    """Each kind of number on the page: what it means and what it does not."""
    return [
        (
            "Accuracy",
            "Correct answers over questions with gold. Answers are compared as equivalence classes "
            "(1/2 = 0.5), not as strings. A trace without a valid answer doesn't vote, and counts "
            "as not correct where single traces are scored; so does a question on which nothing "
            "voted.",
        ),
        (
            "Interval",
            "95%, by bootstrap over questions (traces of one question are not independent). It "
            "covers the choice of questions, not of the model, the prompt or the settings.",
        ),
        (
            "Share",
            "The winner's votes over all valid votes of the question. It is not a probability of "
            "being right.",
        ),
        (
            "Path",
            "A cluster of traces whose text, with the answer masked, has similar embeddings, cut "
            "at one threshold for the whole run. Paths compare wording as well as reasoning: two "
            "paths may compute the same thing in other words.",
        ),
        (
            "Signature and dataflow",
            "The operations that a trace's stated equations perform, and which numbers and earlier "
            "results each takes, with the operands of sums and products sorted. Two traces with "
            "one dataflow computed the same things from the same numbers, whatever the words. "
            "What a trace computes without writing an equation is not seen.",
        ),
        (
            "Wrong equation",
            "An equation as the trace states it, whose two sides differ. An equation that is right "
            "may still be the wrong one for the question, and one that can't be evaluated is "
            "neither right nor wrong.",
        ),
        (
            "Map",
            "A question's traces in two dimensions, from the same embedding as the paths, scaled "
            "to the picture. Points that lie together have similar text; the axes mean nothing, "
            "and distances of different questions can't be compared.",
        ),
        (
            "AMI",
            "Adjusted mutual information of two partitions of a question's traces: 1 if they are "
            "the same, 0 on average by chance. Averaged over the questions in which both have at "
            "least two classes; the null shuffles labels within questions.",
        ),
        (
            "AUROC",
            "The chance that a right trace scores above a wrong one. Pooled over all traces it "
            "also rewards knowing which questions are easy; within a question, difficulty is the "
            "same for all traces. Folds are grouped by question, so that a probe never scores a "
            "question that it was fitted on.",
        ),
        (
            "Confidence",
            "Whatever might predict that an answer is right. PRR is 1 for a perfect ranking and 0 "
            "for none, AURC the mean share wrong among the most confident, over all shares kept; "
            "WQD the share of pairs of a right and a wrong trace of one question in which the "
            "right one is the more confident. Brier score and ECE compare a probability with what "
            "came out, and are given only for what is meant as one.",
        ),
        (
            "Controls",
            "Labels shuffled over all traces (pooled AUROC should be 0.5) or within each question "
            "(within-question AUROC should be 0.5), and the length of the trace as the only "
            "feature. A probe is worth what it adds to them.",
        ),
        (
            "Lens",
            "What a layer would answer if it were the last: its state, normed and read with the "
            "model's own output words, over the answers that the question's traces state, told "
            "apart by their first token. Commitment layer: the lowest from which all later ones "
            "say what the last one says. A layer that the lens can't read may still know the "
            "answer, and one that it can need not be what the model acts on.",
        ),
        (
            "Geometry",
            "CKA and RSA compare which traces are near each other in two sets of states, whatever "
            "their rotation and scale. The intrinsic dimension says how many directions states "
            "spread in, seen from near. Whether right and wrong traces lie apart is asked within "
            "questions, beside what the same labels give when they are shuffled there.",
        ),
        (
            "Suspicion",
            "A score from 0 to 1 that sorts questions for people to look at: it is higher where "
            "answers, paths and hidden states part ways. It is not a probability of an error.",
        ),
    ]
