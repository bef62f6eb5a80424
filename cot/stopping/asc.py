r"""Adaptive-Consistency: stop when the leading answer is probably the model's most frequent one.

Aggarwal et al. 2023, arXiv 2305.11860. The model's chances of giving each answer are unknown, with
a uniform prior; after counts $v_1 \ge v_2 \ge \dots$ their posterior is Dirichlet$(v + 1)$, and the
rule stops when $P(p_1 > \max_{i>1} p_i) \ge$ threshold.

asc_beta        keeps the two largest counts a, b:  $P = I_{1/2}(b + 1, a + 1)$
                1, 2, 3, 4 alike: .75, .875, .9375, .96875; 5 against 2: 219/256
asc_dirichlet   keeps the five largest

The paper, and its code, integrate over the simplex by Monte Carlo. A Dirichlet is independent gamma
variables over their sum, and which is largest doesn't depend on the sum; so the same probability is
one integral, taken here by quadrature to better than 1e-9, without draws and without a seed:

$P = \int_0^\infty f_{v_1+1}(x) \prod_{i>1} F_{v_i+1}(x)\, dx$, with f and F the density and the
distribution function of a gamma variable of that shape. With fewer than three answers seen, it
equals asc_beta (as in their code).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cot.errors import InputError
from cot.stopping.codes import Codes, CountingRule, Integers, first_stop, largest_counts

__all__ = ["AscBeta", "AscDirichlet", "beta_chance", "dirichlet_chance"]

Floats = NDArray[np.float64]
NODES = 64
"""Points of the quadrature (Gauss-Legendre)."""
TAIL = 1e-13
"""Probability left out at each end of the integral."""
ROUNDING = 1e-9
"""A chance this little below the threshold reaches it."""


class AscBeta(CountingRule):
    """Stop when P(leader beats the runner-up) passes `threshold`.

    Args:
        threshold: probability, above 0.5 and below 1; 0.95 in the paper.
    """

    def __init__(self, threshold: float = 0.95) -> None:
        if not 0.5 < threshold < 1:
            raise InputError(f"threshold is {threshold}: above 0.5 and below 1")
        self.threshold = threshold - ROUNDING

    def stops_after(self, codes: Codes) -> Integers:
        """The first prefix of each row that is certain enough."""
        return first_stop(self._is_certain(largest_counts(codes, 2)))

    def _is_certain(self, largest: Codes) -> NDArray[np.bool_]:
        """Whether two counts suffice; [row, sample, 2] -> [row, sample]."""
        each = np.arange(int(largest.max(initial=0)) + 1)
        certain = beta_chance(each[:, None], each) >= self.threshold
        answer: NDArray[np.bool_] = certain[largest[..., 0], largest[..., 1]]
        return answer


class AscDirichlet(AscBeta):
    """Stop when P(leader beats the four next) passes `threshold`.

    Args:
        threshold: probability, above 0.5 and below 1; 0.95 in the paper.
    """

    def stops_after(self, codes: Codes) -> Integers:
        """The first prefix of each row that is certain enough.

        To beat four is less probable than to beat one: only where that is certain is it asked.
        """
        largest = largest_counts(codes, 5)
        enough = self._is_certain(largest[..., :2])
        counts = largest[enough]
        case = np.zeros(len(counts), dtype=np.int64)  # equal for equal counts
        for count in counts.T:
            case = np.unique(case * (int(counts.max(initial=0)) + 1) + count, return_inverse=True)[
                1
            ]
        _, first = np.unique(case, return_index=True)
        enough[enough] = (dirichlet_chance(counts[first]) >= self.threshold)[case]
        return first_stop(enough)


def beta_chance(a: ArrayLike, b: ArrayLike) -> Floats:
    """P(leader more frequent than runner-up) after a and b votes."""
    from scipy.special import betainc

    a, b = np.asarray(a), np.asarray(b)
    chance: Floats = betainc(b + 1.0, a + 1.0, 0.5)
    return chance


def dirichlet_chance(counts: ArrayLike) -> Floats:
    """P(leader is the most frequent) after these votes, descending; [case, answer] -> [case].

    An answer with no votes doesn't count as seen, but for the second.
    """
    from scipy.special import gammainc, gammainccinv, gammaincinv, gammaln

    given = np.asarray(counts, dtype=float)
    leading, which = np.unique(given[:, :1], return_inverse=True)
    shape = leading[:, None] + 1
    low, high = gammaincinv(shape, TAIL), gammainccinv(shape, TAIL)
    nodes, weights = _quadrature()
    x = low + (high - low) * (nodes + 1) / 2
    density = np.exp((shape - 1) * np.log(x) - x - gammaln(shape)) * (high - low) / 2
    x, product = x[which.ravel()], (density * weights)[which.ravel()]
    product *= gammainc(given[:, 1, None] + 1, x)
    for other in given[:, 2:].T:
        seen = other > 0
        product[seen] *= gammainc(other[seen, None] + 1, x[seen])
    chance: Floats = product.sum(axis=1)
    return chance


@cache
def _quadrature() -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return nodes, weights
