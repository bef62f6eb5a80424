"""Do the witnesses agree? Answers, reasoning and hidden states of the same traces, lined up.

`agree` compares them on one run, `compare_agreement` one run's with another's. What each file adds:
`partitions.py` the classes, `coefficients.py` and `threeway.py` how far they agree and what chance
explains, `raters.py` what each witness would answer, `kinds.py` in which way they part,
`suspicion.py` which question to look at first.
"""

from analysis.agreement.agreeing import agree
from analysis.agreement.comparison import compare_agreement

__all__ = ["agree", "compare_agreement"]
