"""Word problems made from a seed, with the value of every step: level L has L steps.

    >>> question = make(level=2, seed=0, index=0)
    >>> len(question.meta["gold_steps"]), question.gold == str(question.meta["gold_steps"][-1])
    (2, True)

Question (level, seed, index) is the same everywhere and whatever else is made: its random numbers
come from a hash of the three. Level 1 adds (twice as often) and subtracts numbers under 10, so that
a very small model is sometimes right; from level 2 on stories multiply and divide too. No two
questions of a level share both a situation and a person, so none is asked twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from random import Random

from cot.datasets.situations import NAMES, SITUATIONS, Operation, Situation
from cot.errors import InputError
from cot.types import Question

__all__ = ["LEVELS", "PER_LEVEL", "load", "make"]

LEVELS = range(1, 7)
PER_LEVEL = 200
LARGEST = 200
"""No value of a story exceeds it."""


def load(level: str = "1", seed: str = "0") -> Iterator[Question]:
    """200 questions a level; several levels take turns, so that any first part holds all evenly.

    Args:
        level: one level, `2`, or a range, `1-3`.
        seed: an integer.

    Raises:
        InputError: no such level, or a seed that is not an integer.
    """
    span = re.fullmatch(r"([1-6])(?:-([1-6]))?", level)
    if span is None or int(span[2] or span[1]) < int(span[1]):
        raise InputError(f"arithmetic: level={level}: give a level of 1 to 6, or a range as in 1-3")
    if not re.fullmatch(r"-?\d{1,18}", seed):
        raise InputError(f"arithmetic: seed={seed}: give an integer")
    for index in range(PER_LEVEL):
        for each in range(int(span[1]), int(span[2] or span[1]) + 1):
            yield make(each, int(seed), index)


def make(level: int, seed: int, index: int) -> Question:
    """The question of this level, seed and index (from 0, below 200)."""
    turn, place = divmod(index, len(SITUATIONS))
    order = _random("situations", level, seed, turn).sample(SITUATIONS, len(SITUATIONS))
    people = _random("people", level, seed).sample(NAMES, len(NAMES))
    situation = order[place]
    name = people[(SITUATIONS.index(situation) + turn) % len(people)]
    story = _tell(situation, name, level, _random("question", level, seed, index))
    return Question(
        id=f"arithmetic-{level}-{seed}-{index:03d}",
        text=" ".join(story.sentences),
        gold=str(story.values[-1]),
        dataset="arithmetic",
        meta={
            "gold_steps": story.values,
            "level": level,
            "situation": situation.name,
            "solution": "\n".join([*story.work, f"The answer is {story.values[-1]}."]),
        },
    )


@dataclass(frozen=True, slots=True)
class Story:
    """A told situation."""

    sentences: list[str]
    """The question's text, the asking sentence last."""
    values: list[int]
    """Value of each step, in order."""
    work: list[str]
    """One line a step, each with one equation `a + b = c`."""


def _tell(situation: Situation, name: str, level: int, random: Random) -> Story:
    while True:
        story = _try(situation, name, level, random)
        if story is not None:
            return story


def _try(situation: Situation, name: str, level: int, random: Random) -> Story | None:
    """One story, or None where it ran into a value from which no move is left."""
    words = {"name": name, "item": random.choice(situation.items)}
    value = random.randint(3, 9) if level == 1 else random.randint(4, 24)
    sentences = [situation.start.format(v=value, **words)]
    values: list[int] = []
    work: list[str] = []
    untold = [(operation, text) for operation, texts in situation.moves.items() for text in texts]
    while len(values) < level:
        moves = {
            move: numbers
            for move in untold
            if (numbers := _numbers(move[0], value, level, level - len(values), random))
        }
        if not moves:
            return None
        likely = [2 if level == 1 and operation == "+" else 1 for operation, _ in moves]
        operation, text = random.choices(list(moves), likely)[0]
        untold.remove((operation, text))
        numbers = moves[operation, text]
        sentence = text.format(k=numbers[0], n=numbers[-1], **words)
        sentences.append(sentence)
        change = numbers[0]
        lead = f"{sentence[:-1]}, so"
        if len(numbers) == 2:
            change = numbers[0] * numbers[1]
            values.append(change)
            work.append(f"{lead} {numbers[0]} * {numbers[1]} = {change}.")
            lead = "Then"
        result = _apply(operation[0], value, change)
        work.append(f"{lead} {value} {operation[0]} {change} = {result}.")
        values.append(result)
        value = result
    sentences.append(situation.ask.format(**words))
    return Story(sentences, values, work)


def _numbers(
    operation: Operation, value: int, level: int, steps_left: int, random: Random
) -> tuple[int, ...] | None:
    """A move's numbers, or None where it does not suit the value or the steps left."""
    if level == 1 and operation not in ("+", "-"):
        return None
    if len(operation) == 2:
        pair = (random.randint(2, 5), random.randint(2, 9))
        fits = _apply(operation[0], value, pair[0] * pair[1]) in range(1, LARGEST + 1)
        return pair if steps_left >= 2 and fits else None
    if operation == "/":
        divisors = [k for k in range(2, 7) if value % k == 0 and value // k > 1]
        return (random.choice(divisors),) if divisors else None
    if operation == "*":
        k = random.randint(2, 5)
        return (k,) if value * k <= LARGEST else None
    most = 9 if level == 1 else 30
    most = min(most, value - 1 if operation == "-" else LARGEST - value)
    return (random.randint(2, most),) if most >= 2 else None


def _apply(operator: str, left: int, right: int) -> int:
    results = {"+": left + right, "-": left - right, "*": left * right, "/": left // right}
    return results[operator]


def _random(*key: object) -> Random:
    """Random numbers of their own for each key, the same in every process and on every machine."""
    return Random(sha256(repr(key).encode()).digest())
