"""Plug-ins that tests name by `module:attribute`; a test's own module would be run twice."""

from cot.stopping import Decision, leader


def three_in_a_row(ballots, length=3):
    last = [ballot.answer for ballot in ballots][-length:]
    alike = len(last) == length and None not in last and len(set(last)) == 1
    return Decision(stop=alike, answer=leader(ballots))
