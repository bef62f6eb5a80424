"""Do the witnesses agree? Answers, reasoning and hidden states of the same traces, lined up.

`agree` compares them on one run. What each file adds:
`partitions.py` the classes, `coefficients.py` and `threeway.py` how far they agree and what chance
explains, `raters.py` what each witness would answer, `kinds.py` in which way they part,
`suspicion.py` which question to look at first.
"""

from analysis.agreement.agreeing import agree

__all__ = ["agree"]
