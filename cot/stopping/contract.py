"""What every stopping rule must do, as one check that you can call on your own.

def test_my_rule():
    check_stopping_rule(my_rule)
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from cot.stopping import Decision, StoppingRule
from cot.types import Ballot

__all__ = ["ballots_from", "check_on", "check_stopping_rule"]


def check_stopping_rule(rule: StoppingRule, cases: int = 100, seed: int = 0) -> None:
    """Raise an AssertionError at the first promise that the rule breaks on random answers."""
    draw = random.Random(seed)
    for _ in range(cases):
        alphabet = ["7", "8", "9", "x y", None][: draw.randint(1, 5)]
        check_on(rule, [draw.choice(alphabet) for _ in range(draw.randint(0, 24))])
    check_on(rule, [None] * 12)
    check_on(rule, ["7"] * 40)


def check_on(rule: StoppingRule, answers: Sequence[str | None]) -> None:
    """Raise an AssertionError at the first promise that the rule breaks on these answers.

    - Without ballots it does not stop.
    - The prefix decides: asked again, or after other questions, it says the same.
    - Its answer is one that was given, and there is one as soon as there is a valid ballot.
    - If all valid ballots agree, their answer is its answer.
      (These two up to its stop: nobody asks it about more.)
    - A ballot without an answer never votes: one more at the end doesn't change the answer.
    - Answers are labels: others in their place lead to the same decision.
    """
    assert rule(()) == Decision(stop=False, answer=None), "stops without a ballot"
    ballots = ballots_from(answers)
    decisions = [rule(ballots[:n]) for n in range(len(ballots) + 1)]
    end = next((n for n, decision in enumerate(decisions) if decision.stop), len(ballots))
    for n in reversed(range(len(ballots) + 1)):
        assert rule(ballots[:n]) == decisions[n], f"another decision on the same {n} ballots"
        if n > end:
            continue
        seen = {answer for answer in answers[:n] if answer is not None}
        answer = decisions[n].answer
        assert (answer in seen) if seen else (answer is None), f"{answer!r} was not given: {seen}"
        if len(seen) == 1:
            assert answer in seen, "not the answer of all valid ballots"
        more = rule(ballots_from([*answers[:n], None]))
        assert more.answer == answer, "a missing answer votes"
    names = {answer: f"other {-i}" for i, answer in enumerate(dict.fromkeys(answers)) if answer}
    renamed = rule(ballots_from([answer and names[answer] for answer in answers]))
    last = decisions[-1].answer
    expected = Decision(stop=decisions[-1].stop, answer=last and names[last])
    assert renamed == expected, "reads the labels"


def ballots_from(answers: Sequence[str | None]) -> tuple[Ballot, ...]:
    """One ballot of weight 1 an answer, in order."""
    return tuple(
        Ballot(answer=answer, weight=1.0, sample_index=index)
        for index, answer in enumerate(answers)
    )
