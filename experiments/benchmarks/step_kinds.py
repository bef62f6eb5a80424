"""How well rules tell what a step does: precision and recall against published labels.

    git clone --depth 1 https://github.com/interp-reasoning/thought-anchors.com
    python experiments/benchmarks/step_kinds.py thought-anchors.com/src/app/data

The folder holds, for each model, solution and problem, a file `chunks_labeled.json`: a list of
sentences of a reasoning model's solution, in order, each with one of eight categories that a
language model gave (arXiv 2506.19143). The rules read each sentence as a step; `backtrack` counts
as uncertainty management, which it is part of there, and `other` as no category. Problems in turn
of their names make a development half, on which the rules were written, and a held-out half. Only
folders named `problem_N` are read. Labels are a language model's: agreement with them is no
accuracy, and the same sentence has several labels in them.
The last line is JSON: agreement, Cohen's kappa and each category's numbers, for both halves.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cot.errors import InputError
from cot.steps import kinds_of

CATEGORIES = {
    "problem_setup": "setup",
    "plan_generation": "plan",
    "fact_retrieval": "fact",
    "active_computation": "calculation",
    "uncertainty_management": "uncertainty",
    "self_checking": "check",
    "result_consolidation": "result",
    "final_answer_emission": "answer",
}
"""The published name of each category, and the kind of step that it is."""
HALVES = ("development", "held out")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where files chunks_labeled.json are")
    folder = parser.parse_args(arguments).folder
    found = evaluate(folder)
    for half, numbers in found.items():
        print(
            f"{half}: {numbers['n_problems']} problems, {numbers['n_traces']} traces, "
            f"{numbers['n']} sentences; agreement {numbers['agreement']:.3f}, "
            f"kappa {numbers['kappa']:.3f}; no category {numbers['n_other']}"
        )
        print(f"{'':14}{'n':>6}{'precision':>11}{'recall':>8}")
        for kind, row in numbers["kinds"].items():
            print(f"{kind:14}{row['n']:6}{row['precision']:11.2f}{row['recall']:8.2f}")
    print(json.dumps(found))


def evaluate(folder: Path) -> dict[str, dict[str, Any]]:
    """Both halves' numbers."""
    files = sorted(folder.glob("**/problem_*/chunks_labeled.json"))
    if not files:
        raise InputError(f"{folder}: no file problem_*/chunks_labeled.json in it")
    problems = sorted({file.parent.name for file in files})
    halves = [set(problems[0::2]), set(problems[1::2])]
    return {
        name: _numbers([file for file in files if file.parent.name in half])
        for name, half in zip(HALVES, halves, strict=True)
        if half
    }


def read(file: Path) -> tuple[list[str], list[str]]:
    """The sentences of a file, and the kind that each label stands for."""
    sentences, labels = [], []
    for number, row in enumerate(json.loads(file.read_text(encoding="utf-8"))):
        tags = row.get("function_tags") or ["none"]
        if len(tags) != 1 or tags[0] not in CATEGORIES:
            raise InputError(
                f"{file}: item {number}, function_tags {tags}: there must be one, of "
                f"{', '.join(CATEGORIES)}"
            )
        sentences.append(row["chunk"])
        labels.append(CATEGORIES[tags[0]])
    return sentences, labels


def _numbers(files: Sequence[Path]) -> dict[str, Any]:
    from sklearn.metrics import cohen_kappa_score, precision_recall_fscore_support

    labels: list[str] = []
    told: list[str] = []
    for file in files:
        sentences, given = read(file)
        labels += given
        told += ["uncertainty" if kind == "backtrack" else kind for kind in kinds_of(sentences)]
    kinds = list(CATEGORIES.values())
    precision, recall, _, support = precision_recall_fscore_support(
        labels, told, labels=kinds, zero_division=0
    )
    rows = zip(kinds, support.tolist(), precision.tolist(), recall.tolist(), strict=True)
    return {
        "n_problems": len({file.parent.name for file in files}),
        "n_traces": len(files),
        "n": len(labels),
        "n_other": told.count("other"),
        "agreement": sum(a == b for a, b in zip(labels, told, strict=True)) / len(labels),
        "kappa": float(cohen_kappa_score(labels, told)),
        "kinds": {kind: {"n": n, "precision": p, "recall": r} for kind, n, p, r in rows},
    }


if __name__ == "__main__":
    main()
