"""Sentences that claim no more than their intervals.

A difference whose interval includes 0, an AUROC whose interval includes its control, an agreement
that the permutation null explains, are said to be nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis.page.text import chance, decimal, interval, number, percent, points

__all__ = [
    "agreement_claim",
    "agrees",
    "confidence_claim",
    "gain_claim",
    "gains_claims",
    "geometry_claims",
    "lens_claims",
    "paths_claims",
    "probe_claim",
    "rank_claim",
    "sentence",
    "votes_cast",
]


def gain_claim(rule: str, gain: Mapping[Any, Any]) -> str:
    """Whether a vote beats the mean single trace, from their paired difference."""
    value, low, high = (number(gain[name]) for name in ("estimate", "low", "high"))
    if value is None or low is None or high is None:
        return "No question has gold, so that nothing can be said about accuracy."
    span = f"{points(low)} to {points(high)}"
    tail = f"95% interval {span}, paired over {gain['n_questions']} questions"
    if low > 0:
        return f"The {rule} vote beats a single trace by {points(value)} points ({tail})."
    if high < 0:
        return f"The {rule} vote is worse than a single trace by {points(-value)} points ({tail})."
    return (
        f"The {rule} vote is not shown to beat a single trace: the difference is {points(value)} "
        f"points, and its interval includes 0 ({tail})."
    )


def gains_claims(gains: Mapping[str, Mapping[Any, Any]]) -> Iterator[str]:
    """A sentence on one or two rules; on more, one on the first of all and one on the rest."""
    if len(gains) <= 2:
        yield from (gain_claim(rule, gain) for rule, gain in gains.items())
        return
    first = "majority" if "majority" in gains else next(iter(gains))
    yield gain_claim(first, gains[first])
    better = [rule for rule, gain in gains.items() if (number(gain["low"]) or 0) > 0]
    named = f": {', '.join(better)}" if better else ""
    yield (
        f"Rules shown to beat a single trace: {len(better)} of {len(gains)}{named}. The more rules "
        "are tried, the more of them look good by chance."
    )


def votes_cast(votes: Mapping[str, Mapping[Any, Any]]) -> Iterator[str]:
    """Ties and what they decide, abstentions, and traces that did not vote."""
    for rule, vote in votes.items():
        if vote["ties"]:
            yield (
                f"{rule}: {vote['ties']} ties, broken by the lowest sample index; breaking them by "
                f"lot would give {percent(number(vote['by_lot']))}."
            )
    if votes:
        vote = next(iter(votes.values()))
        yield (
            f"Questions without any valid answer, which count as not correct: {vote['abstained']}; "
            f"traces without a valid answer, which don't vote: {vote['excluded']}."
        )


TEXT = {
    "length": "the length of the trace",
    "TF-IDF": "its words",
    "embedding": "its embedding",
    "position alone": "how far into it the state stands",
}
"""What a baseline of a probe knows."""


def probe_claim(
    finding: Mapping[Any, Any],
    control: Any,
    baselines: Mapping[str, float],
    target: str = "correct",
) -> str:
    """What the lower end of a within-question AUROC allows to say, given its controls.

    Args:
        control: the same with shuffled labels.
        baselines: probes of the text alone, by name; `length` is among them.
    """
    least, shuffled = number(finding["low"]), number(control)
    if target == "correct":
        whose, does = "the probe", "tell right traces from wrong ones"
    else:
        whose, does = f"the probe for {target}", "tell its traces apart"
    if least is None:
        of = "" if target == "correct" else f" of {target}"
        return f"Nothing can be said of what the hidden states know{of}: {finding['method']}."
    if least <= max(0.5, shuffled or 0.5):
        return (
            f"Within a question, {whose} is not shown to {does}: the interval reaches down to "
            "chance."
        )
    above = [TEXT.get(name, name) for name, value in baselines.items() if least > value]
    below = [TEXT.get(name, name) for name, value in baselines.items() if least <= value]
    claim = f"Within a question, {whose} {does.replace('tell', 'tells', 1)} better than chance"
    if below:
        return f"{claim}, but is not shown to know more than {listed(below)}."
    if not above:
        return f"{claim}; no baseline stands beside it."
    return f"{claim} and than {listed(above)}."


def lens_claims(findings: Mapping[str, Mapping[Any, Any]]) -> Iterator[str]:
    """Whether the answer is there before the reasoning, and whether layers agree by more than the
    question explains; from the paired differences to the controls."""
    for name in ("decided_at_prompt", "consistency"):
        if name in findings:
            yield _rate_claim(name, findings)


RATES = {
    "decided_at_prompt": (
        "At the prompt's end the last layer already says the answer that the trace will state in "
        "{share} of traces",
        {
            "control": "what it says at another question's prompt",
            "guess": "a guess by the question's own answers",
        },
    ),
    "consistency": (
        "Of the layers between the first and the last, {share} say what the last one says",
        {"control": "what it says in another trace of the question"},
    ),
}
"""What a rate of the lens is, and what each of its controls is."""


def _rate_claim(name: str, findings: Mapping[str, Mapping[Any, Any]]) -> str:
    said, controls = RATES[name]
    value, low, high = (number(findings[name][key]) for key in ("estimate", "low", "high"))
    if value is None or low is None or high is None:
        return f"{sentence(name.replace('_', ' '))}: undefined, as no question can be compared."
    more: list[str] = []
    nothing: list[str] = []
    for label, words in controls.items():
        gap = findings.get(f"{name} - {label}", {})
        least = number(gap.get("low"))
        if least is not None:
            numbers = f"{points(number(gap['estimate']))} points, 95% interval "
            numbers += interval(least, number(gap["high"]), points)
            (more if least > 0 else nothing).append(f"{words} ({numbers})")
    claim = f"{said.format(share=percent(value))} (95% interval {interval(low, high, percent)})"
    if not more and not nothing:
        return f"{claim}; without a control this says nothing."
    if not nothing:
        return f"{claim}, more than {listed(more)}."
    but = f", more than {listed(more)}," if more else ","
    return f"{claim}{but} but not shown to be more than {listed(nothing)}: that part is nothing."


GEOMETRY = {
    "right_wrong_cka_loss": "right and wrong traces of a question are less alike than two random "
    "parts of its traces",
    "right_wrong_gap": "right and wrong traces of a question go different ways, step by step",
    "right_wrong_gap_same_length": "they do so among traces with as many steps",
}
"""What a finding of geometry would say, if shuffled labels did not explain it."""


def geometry_claims(findings: Mapping[str, Mapping[Any, Any]]) -> Iterator[str]:
    """Whether right and wrong traces lie apart by more than shuffled labels do."""
    for name, said in GEOMETRY.items():
        if name in findings:
            yield _null_claim(said, findings[name])


def _null_claim(said: str, finding: Mapping[Any, Any]) -> str:
    value, low, high = (number(finding[key]) for key in ("estimate", "low", "high"))
    null, p = number(finding["null_mean"]), number(finding["p"])
    if value is None or low is None or null is None or p is None:
        return f"Whether {said}: undefined."
    numbers = f"{decimal(value)}, 95% interval {interval(low, high, decimal)}"
    numbers += f", shuffled {decimal(null)}, p {chance(p)}"
    if p > 0.05:
        return (
            f"It is not shown that {said}: shuffled labels explain the difference, so this is "
            f"nothing ({numbers})."
        )
    if low <= null:
        return (
            f"It is not shown that {said}: the interval reaches down to what shuffled labels give "
            f"({numbers})."
        )
    return f"{sentence(said)} ({numbers})."


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def agrees(finding: Mapping[Any, Any]) -> bool | None:
    """Whether partitions agree by more than permuted labels; None where it is undefined."""
    names = ("estimate", "low", "null_mean", "p")
    value, low, null, p = (number(finding[name]) for name in names)
    if value is None or low is None or null is None or p is None:
        return None
    return p <= 0.05 and low > null


def agreement_claim(name: str, finding: Mapping[Any, Any]) -> str:
    """Whether two partitions agree more than the permutation null."""
    subject = sentence(name.replace(" × ", " and "))
    more = agrees(finding)
    if more is None:
        return f"{subject}: undefined, as no question has at least two classes of both."
    value, null, p = (number(finding[key]) for key in ("estimate", "null_mean", "p"))
    numbers = f"mean AMI {decimal(value)}, shuffled {decimal(null)}, p {chance(p)}"
    if more:
        return f"{subject} agree more than chance ({numbers})."
    return f"{subject}: the null explains their agreement, so this is nothing ({numbers})."


def rank_claim(name: str, finding: Mapping[Any, Any]) -> str:
    """Whether a score of questions ranks wrong majorities above right ones, by its AUROC."""
    subject = sentence(name.split(" → ")[0])
    value, low, high = (number(finding[key]) for key in ("estimate", "low", "high"))
    if value is None or low is None or high is None:
        return f"{subject}: undefined, as all majorities are right or all are wrong."
    numbers = f"AUROC {decimal(value)}, 95% interval {interval(low, high, decimal)}"
    if low > 0.5:
        return f"{subject} ranks wrong majorities above right ones ({numbers})."
    return f"{subject} is not shown to rank wrong majorities above right ones ({numbers})."


def confidence_claim(name: str, finding: Mapping[Any, Any]) -> str:
    """Whether a signal ranks what is right above what is wrong, by its AUROC."""
    signal, _, of = name.partition(" → right ")
    things = "majorities" if of == "majority" else "traces"
    subject = sentence(signal.replace("_", " "))
    value, low, high = (number(finding[key]) for key in ("estimate", "low", "high"))
    if value is None or low is None or high is None:
        return f"{subject}: undefined, as all {things} are right or all are wrong."
    numbers = f"AUROC {decimal(value)}, 95% interval {interval(low, high, decimal)}"
    if low > 0.5:
        return f"{subject} ranks right {things} above wrong ones ({numbers})."
    if high < 0.5:
        return f"{subject} ranks wrong {things} above right ones ({numbers})."
    return f"{subject} is not shown to tell right {things} from wrong ones ({numbers})."


def paths_claims(findings: Mapping[str, Mapping[Any, Any]]) -> Iterator[str]:
    """How often traces share an answer but not a path, and the other way round; and how often a
    right answer stands over a wrong equation."""
    said = {
        "same_answer_different_path": "with the same answer take different paths",
        "same_path_different_answer": "on the same path end in different answers",
    }
    for name, what in said.items():
        finding = findings.get(name, {})
        share, low, high = (number(finding.get(key)) for key in ("estimate", "low", "high"))
        if share is not None:
            span = interval(low, high, percent)
            often = f"{percent(share)} of the time (95% interval {span})"
            yield f"Two traces of a question {what} {often}."
    over = findings.get("right_over_wrong_step", {})
    share, low, high = (number(over.get(key)) for key in ("estimate", "low", "high"))
    if share is not None:
        yield (
            f"Of a question's right answers over equations, {percent(share)} stand over a wrong "
            f"one (mean over questions; 95% interval {interval(low, high, percent)})."
        )


def sentence(words: str) -> str:
    """With a capital."""
    return words[:1].upper() + words[1:]
