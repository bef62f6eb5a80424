"""Long traces, compared by the sections that they share.

A mean over a long trace's text is nearly the same vector for every trace. Here a trace is what its
sections say, each counted by how much of the trace it is and by how rare it is in the question:

1. A question's distinct section texts are clustered: average linkage on cosine distance, cut at one
   distance for the run (`section_cut`). Beyond `LINKED` distinct texts a sample chosen by their
   hash is linked, and each other text joins the cluster whose mean is nearest, where that is within
   the cut; else it is a cluster of its own.
2. Let l(t, c) be the characters of trace t in cluster c, n the question's traces, and df(c) those
   with a section in c. The weight of c in t is p(t, c) = l(t, c) idf(c) / Σ_c' l(t, c') idf(c'),
   with idf(c) = log((1 + n) / df(c)): what every trace has counts little, about 1 / n, and not
   nothing, so that traces that share all they say are alike; what one alone has counts log(1 + n).
3. The overlap of two traces is Σ_c √(p(s, c) p(t, c)) in [0, 1] (Bhattacharyya 1943): 1 where the
   same clusters have the same weights, 0 where no cluster is shared. Their distance is 1 - overlap.
4. With a share d of dataflow, the overlap is (1 - d) times that of the sections plus d times that
   of the equations, weighed in the same way: an equation is an operation on some numbers, of length
   1, and a trace without equations has one that says so.

The overlap is the cosine of the vectors √p, which are what is clustered, mapped and voted with: any
clusterer takes them. The order of the sections does not count. That reasoning is read in parts that
do different work follows arXiv 2506.19143; the measure is ours.

`fit_cut` takes the cut at which a trace is well told by half of itself: over the run, how often the
clusters of a trace's even sections overlap more with those of its own odd ones than with those of
another trace of the question (ties are ½). Lengths are left out of it, else cuts that only tell how
much of each common thing a trace says would win. By chance it is .5; what it is at the cut says how
much the comparison can be relied on.

    >>> vectors = overlap_vectors(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 2]), np.ones(4), 2)
    >>> (vectors @ vectors.T).round(3).tolist()  # idf: log 1.5, log 3, log 3; p = (.27, .73)
    [[1.0, 0.27], [0.27, 1.0]]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.clusters.clusterers import cosine_distances

__all__ = ["CUTS", "LINKED", "QuestionSections", "fit_cut", "overlap_vectors"]

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
CUTS = tuple(step / 20 for step in range(1, 20))
"""Cosine distances that `fit_cut` tries."""
FALLBACK = 0.3
"""The cut where no question has two traces of two sections."""
LINKED = 2_000
"""Distinct section texts of a question that are linked: time and memory grow with their square."""
BLOCK = 1_000
"""Texts that are matched to the clusters' means at a time."""


class QuestionSections:
    """One question's embedded sections, clustered at any cut.

    Attributes:
        trace: the row of each section's trace among the question's, shape [section].
        n_traces: traces of the question, with sections or without.
    """

    def __init__(
        self,
        texts: Sequence[str],
        vectors: NDArray[np.floating],
        trace: Labels,
        number: Labels,
        n_traces: int,
    ) -> None:
        """Link the sections.

        Args:
            texts: masked; shape [section].
            vectors: unit rows, equal for equal texts; shape [section, d].
            trace: shape [section].
            number: of the section in its trace; shape [section].
            n_traces: see above.
        """
        from scipy.cluster.hierarchy import average
        from scipy.spatial.distance import squareform

        self.trace, self.n_traces = trace, n_traces
        self._odd = number % 2
        self._lengths = np.array([len(text) for text in texts], dtype=float)
        codes, unique = pd.factorize(np.asarray(texts, dtype=object))
        # in the order of their hashes: the same clusters in whatever order the traces come
        hashes = [sha256(text.encode("utf-8", "surrogatepass")).digest() for text in unique]
        order = sorted(range(len(unique)), key=hashes.__getitem__)
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        self._code: Labels = place[codes]
        first = np.zeros(len(order), dtype=np.int64)
        first[self._code[::-1]] = np.arange(len(codes))[::-1]
        self._vectors = np.asarray(vectors, dtype=np.float64)[first]
        self.n_linked = min(len(order), LINKED)
        near = cosine_distances(self._vectors[: self.n_linked])
        self._link = average(squareform(near, checks=False)) if self.n_linked > 1 else None

    @property
    def n_distinct(self) -> int:
        """Distinct section texts."""
        return len(self._vectors)

    def clusters(self, cut: float) -> Labels:
        """Each section's cluster at a cut, 0, 1, ..., shape [section]."""
        labels = self._linked_clusters(cut)
        if self.n_distinct > self.n_linked:
            labels = np.concatenate([labels, self._matched(labels, cut)])
        return labels[self._code]

    def overlap(self, clusters: Labels) -> Floats:
        """Vectors √p of the question's traces, shape [trace, cluster]."""
        return overlap_vectors(self.trace, clusters, self._lengths, self.n_traces)

    def weights(self, clusters: Labels) -> Floats:
        """Each section's part of its trace's weight, shape [section]; they add up to 1 a trace."""
        df = _document_frequency(self.trace, clusters)
        raw = self._lengths * _idf(df, self.n_traces)[clusters]
        sums = np.bincount(self.trace, raw, minlength=self.n_traces)
        weights: Floats = raw / np.where(sums > 0, sums, 1)[self.trace]
        return weights

    def halves_recognised(self, cut: float) -> Floats:
        """Of each trace with sections in both halves, how often its own half is the nearer one.

        Texts beyond those linked are left out: they would only be matched at each cut again.
        """
        kept = self._code < self.n_linked
        trace, odd = self.trace[kept], self._odd[kept]
        clusters = self._linked_clusters(cut)[self._code[kept]]
        if not len(clusters):
            return np.zeros(0)
        idf = _idf(_document_frequency(trace, clusters), self.n_traces)
        there = np.zeros((2, self.n_traces, len(idf)))
        there[odd, trace, clusters] = 1  # lengths alone would tell traces by how they ramble
        whole = there.any(axis=2).all(axis=0)
        if whole.sum() < 2:
            return np.zeros(0)
        even_half, odd_half = (_unit_roots(half[whole] * idf) for half in there)
        overlaps = (even_half @ odd_half.T).round(9)
        own = np.diag(overlaps)[:, None]
        wins = (own > overlaps) + 0.5 * (own == overlaps)
        others: Floats = (wins.sum(axis=1) - 0.5) / (len(overlaps) - 1)
        return others

    def _linked_clusters(self, cut: float) -> Labels:
        """Of the linked texts, 0, 1, ..., in the order of the texts' hashes."""
        from scipy.cluster.hierarchy import fcluster

        if self._link is None:
            return np.zeros(self.n_linked, dtype=np.int64)
        labels: Labels = pd.factorize(fcluster(self._link, cut, "distance"))[0].astype(np.int64)
        return labels

    def _matched(self, labels: Labels, cut: float) -> Labels:
        """Clusters of the texts that were not linked."""
        means = np.zeros((labels.max() + 1, self._vectors.shape[1]))
        np.add.at(means, labels, self._vectors[: self.n_linked])
        norms = np.linalg.norm(means, axis=1, keepdims=True)
        means /= np.where(norms > 0, norms, 1)
        rest = self._vectors[self.n_linked :]
        found = np.arange(len(rest)) + len(means)
        for begin in range(0, len(rest), BLOCK):
            cosines = rest[begin : begin + BLOCK] @ means.T
            best = cosines.argmax(axis=1)
            near = cosines[np.arange(len(best)), best] >= 1 - cut
            found[begin : begin + BLOCK][near] = best[near]
        matched: Labels = found
        return matched


def overlap_vectors(trace: Labels, clusters: Labels, lengths: Floats, n_traces: int) -> Floats:
    """Vectors whose cosines are the overlaps; unit rows, zero for a trace without sections.

    Args:
        trace: each section's trace, shape [section].
        clusters: each section's cluster, 0, 1, ..., shape [section].
        lengths: each section's length, shape [section].
        n_traces: the number of rows.

    Returns:
        √p, shape [trace, cluster].
    """
    if not len(clusters):
        return np.zeros((n_traces, 1))
    df = _document_frequency(trace, clusters)
    sizes = np.zeros((n_traces, len(df)))
    np.add.at(sizes, (trace, clusters), lengths)
    return _unit_roots(sizes * _idf(df, n_traces))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The cut of a run's section clusters."""

    distance: float
    """Cosine distance."""
    recognised: Floats
    """Of each question, how often a trace's half is nearer to its own other half than to another
    trace's; NaN where it has no two traces of two sections. Shape [question]."""


def fit_cut(questions: Sequence[QuestionSections], cut: float | None = None) -> Cut:
    """The largest of CUTS whose mean over questions of `halves_recognised` is within one standard
    error (over traces) of the best; or what a given cut reaches.

    Of cuts that do equally well the coarsest is taken, as trees are pruned (Breiman et al. 1984):
    fine ones match by chance wordings.
    """
    distances = CUTS if cut is None else (cut,)
    each = [[question.halves_recognised(d) for question in questions] for d in distances]
    recognised = np.array(
        [[values.mean() if len(values) else np.nan for values in row] for row in each]
    )
    if np.isnan(recognised).all():
        return Cut(distance=FALLBACK if cut is None else cut, recognised=recognised[0])
    means = np.nanmean(recognised, axis=1)
    best = np.concatenate(each[int(means.argmax())])
    error = best.std(ddof=1) / np.sqrt(len(best))
    chosen = int(np.flatnonzero(means >= means.max() - error - 1e-9)[-1])
    return Cut(distance=distances[chosen], recognised=recognised[chosen])


def equation_vectors(trace: Labels, items: Sequence[Any], n_traces: int) -> Floats:
    """As `overlap_vectors`, of each trace's equations; unit rows.

    Args:
        trace: each equation's trace, shape [equation].
        items: what each equation computes, equal for equal computations; shape [equation].
        n_traces: the number of rows.
    """
    without = np.setdiff1d(np.arange(n_traces), trace)
    codes = pd.factorize(np.asarray(items, dtype=object))[0].astype(np.int64)
    none = codes.max(initial=-1) + 1
    clusters = np.concatenate([codes, np.full(len(without), none)])
    where = np.concatenate([trace, without]).astype(np.int64)
    return overlap_vectors(where, clusters, np.ones(len(where)), n_traces)


def _document_frequency(trace: Labels, clusters: Labels) -> Labels:
    """Traces with a section in each cluster, at least 1; shape [cluster]."""
    pairs = np.unique(np.stack([trace, clusters]), axis=1)
    return np.maximum(np.bincount(pairs[1], minlength=clusters.max(initial=-1) + 1), 1)


def _idf(df: Labels, n_traces: int) -> Floats:
    """How much a section of each cluster counts, nats."""
    idf: Floats = np.log((1 + n_traces) / df)
    return idf


def _unit_roots(sizes: Floats) -> Floats:
    """√p of each row; zero rows stay zero."""
    sums = sizes.sum(axis=1, keepdims=True)
    roots: Floats = np.sqrt(sizes / np.where(sums > 0, sums, 1))
    return roots
