"""The curve in file order against ten lines that share no code with it."""

import numpy as np
import pytest

import analysis
from tests.small import run_with_answers


def by_hand(answers, gold, n):
    """Accuracy of the majority of the first n; ties to the answer that came first."""
    right = []
    for question, given in answers.items():
        said = [answer for answer in given[:n] if answer is not None]
        names, first, count = np.unique(said, return_index=True, return_counts=True)
        best = np.lexsort((first, -count))
        right.append(len(said) > 0 and names[best[0]] == gold[question])
    return np.mean(right)


def test_the_first_n_of_each_question(tmp_path):
    generator = np.random.default_rng(7)
    choices = np.array(["1", "2", "3", None], dtype=object)
    answers = {f"q{i}": list(generator.choice(choices, 12)) for i in range(30)}
    gold = {question: str(generator.integers(1, 4)) for question in answers}
    run = run_with_answers(tmp_path, {q: (gold[q], given) for q, given in answers.items()})
    points = analysis.curve(run, n=range(1, 13), order="file").set_index("n")["accuracy"]
    for n in range(1, 13):
        assert points[n] == pytest.approx(by_hand(answers, gold, n))
