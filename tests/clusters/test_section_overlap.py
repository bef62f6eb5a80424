"""Long traces are compared by sections: closed forms, planted strategies, what is embedded."""

import logging

import numpy as np
import pandas as pd
import pytest
from clusters.test_paths import run_of
from sklearn.metrics import adjusted_rand_score

import analysis
import analysis.clusters.section_overlap as section_overlap
import analysis.clusters.section_texts as of_texts
from analysis.clusters.comparing import stored_vectors
from analysis.clusters.embedding import embed
from analysis.clusters.section_overlap import (
    QuestionSections,
    equation_vectors,
    fit_cut,
    overlap_vectors,
)
from analysis.clusters.section_texts import choose_sections, fit_budget, section_texts
from analysis.columns import columns
from cot.errors import InputError

SHARED = (
    "Okay, so I need to work out how many tiles of side {a} cover the hall. Let me try to figure it"
    " out step by step and read the problem once more, slowly, before I write anything down here.",
    "The problem says that the hall is {a} metres long and {b} metres wide, and that a tile costs a"
    " few dollars. Let me write down what is known before I go on, with the units beside each one.",
    "I want to be careful with the units here, because {a} centimetres are not {b} metres, and a "
    "slip there would spoil all that follows from it, as it so often does in such problems.",
    "Is {a} the right number there? Let me see once more: {a} and {b} are the two sides. Yes, that "
    "agrees with what I had before, so that I can go on from here without a change to the plan.",
    "Let me look at the result with a small example. If the hall were {a} by {b}, then I would need"
    " fewer tiles, which sounds right to me, and the larger hall is only more of the same thing.",
    "So far I have used the length {a} and the width {b}. What remains is the price, which is some "
    "dollars a tile, and the tiles that break on the way, of which the problem does not say more.",
)
STRATEGIES = (
    "I will count the tiles row by row: a row along the wall holds {a} tiles, and there are {b} "
    "rows, so that going row after row, each with its tiles, the count of all of them comes out.",
    "Instead of counting I divide areas: the floor's area is {a} square metres, the area of one "
    "tile is {b}, and their quotient is the number, which leaves no remainder at all in this case.",
)


def planted(seed, n_traces, n_sections, share):
    """Traces of two strategies, and the strategy of each. All have all shared sections, in
    proportions of their own; `share` of a trace's sections are its strategy's."""
    rng = np.random.default_rng(seed)
    texts, truth = [], []
    for trace in range(n_traces):
        way = trace % 2
        mix = 0.9 * rng.dirichlet(np.full(len(SHARED), 0.5)) + 0.1 / len(SHARED)
        own = set(rng.choice(n_sections, round(share * n_sections), replace=False).tolist())
        sections = []
        for i in range(n_sections):
            which = i if i < len(SHARED) else rng.choice(len(SHARED), p=mix)
            a, b = rng.integers(2, 99, 2).tolist()
            template = STRATEGIES[way] if i in own else SHARED[which]
            sections.append(template.format(a=a, b=b) + " I note that and go on from here.")
        texts.append("\n\n".join(sections))
        truth.append(way)
    return texts, truth


def test_the_overlap_of_two_traces_by_hand():
    trace, clusters = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 0, 2, 2])
    lengths = np.array([100.0, 50, 200, 10, 40])
    vectors = overlap_vectors(trace, clusters, lengths, 2)
    all_have, one_has = np.log(3 / 2), np.log(3)
    first = np.array([100 * all_have, 50 * one_has, 0])
    second = np.array([200 * all_have, 0, 50 * one_has])
    shares = [first / first.sum(), second / second.sum()]
    assert vectors**2 == pytest.approx(np.array(shares))
    assert vectors[0] @ vectors[1] == pytest.approx(np.sqrt(shares[0][0] * shares[1][0]))
    assert not overlap_vectors(np.zeros(0, int), np.zeros(0, int), np.zeros(0), 3).any()


def test_a_section_that_every_trace_has_counts_least():
    trace, clusters = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 0, 1, 0, 2])
    weights = overlap_vectors(trace, clusters, np.ones(6), 3) ** 2
    assert weights[0, 0] < weights[0, 1] < weights[2, 2]
    assert weights[0, 1] / weights[0, 0] == pytest.approx(np.log(4 / 2) / np.log(4 / 3))


def test_equations_overlap_as_sections_do_and_their_absence_is_one():
    vectors = equation_vectors(np.array([0, 1, 1]), ["add(5,7)", "add(5,7)", "mul(2,3)"], 4)
    overlaps = vectors @ vectors.T
    assert np.diag(overlaps) == pytest.approx(1)
    assert overlaps[2, 3] == pytest.approx(1), "both state none"
    assert overlaps[0, 2] == 0
    shared, own = np.log(5 / 2), np.log(5)
    assert overlaps[0, 1] == pytest.approx(np.sqrt(shared / (shared + own)))


def question(texts, trace, number, n_traces):
    return QuestionSections(texts, embed(texts, "tfidf"), trace, number, n_traces)


def test_the_cut_is_where_a_trace_is_told_by_half_of_itself():
    """Two kinds of sections in changing numbers; each trace is of one kind."""
    rng = np.random.default_rng(0)
    texts = [
        SHARED[trace].format(a=a, b=b)
        for trace in range(3)
        for a, b in rng.integers(2, 99, (4, 2)).tolist()
    ]
    trace, number = np.repeat(np.arange(3), 4), np.tile(np.arange(4), 3)
    made = question(texts, trace, number, 3)
    found = fit_cut([made])
    assert found.recognised.tolist() == [1.0]
    clusters = made.clusters(found.distance)
    assert adjusted_rand_score(trace, clusters) == 1
    assert made.halves_recognised(1e-9).tolist() == [0.5, 0.5, 0.5], "nothing is shared: ties"
    alone = question(texts[:4], trace[:4], number[:4], 1)
    assert np.isnan(fit_cut([alone]).recognised).all()
    assert fit_cut([alone], 0.4).distance == 0.4


def test_texts_beyond_those_linked_join_the_nearest_cluster(monkeypatch):
    texts, _ = planted(0, 6, 24, 0.25)
    sections = [(part, t, i) for t, text in enumerate(texts)
                for i, part in enumerate(text.split("\n\n"))]  # fmt: skip
    words, trace, number = zip(*sections, strict=True)
    arrays = np.array(trace), np.array(number)
    whole = question(list(words), *arrays, 6)
    monkeypatch.setattr(section_overlap, "LINKED", 60)
    part = question(list(words), *arrays, 6)
    assert part.n_linked == 60 < part.n_distinct
    assert adjusted_rand_score(whole.clusters(0.8), part.clusters(0.8)) > 0.95


def test_the_order_of_the_traces_changes_no_overlap():
    texts, _ = planted(1, 5, 12, 0.25)
    sections = [(part, t, i) for t, text in enumerate(texts)
                for i, part in enumerate(text.split("\n\n"))]  # fmt: skip
    words, trace, number = (list(each) for each in zip(*sections, strict=True))
    made = question(words, np.array(trace), np.array(number), 5)
    turned = question(words[::-1], 4 - np.array(trace[::-1]), np.array(number[::-1]), 5)
    for cut in (0.3, 0.7):
        one, other = (each.overlap(each.clusters(cut)) for each in (made, turned))
        assert one @ one.T == pytest.approx((other @ other.T)[::-1, ::-1])


def mean_of_sections(texts, embedder):
    """Unit means of each trace's section vectors, all weighed alike."""
    parts = [text.split("\n\n") for text in texts]
    vectors = embed([part for each in parts for part in each], embedder)
    ends = np.cumsum([len(each) for each in parts])
    means = np.stack([part.mean(axis=0) for part in np.split(vectors, ends[:-1])])
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def by_mean(texts, embedder):
    """Clusters of the means, at the threshold that is fitted to them."""
    from analysis.clusters.clusterers import AverageLinkage, cosine_distances, fit_threshold

    means = mean_of_sections(texts, embedder)
    return AverageLinkage(fit_threshold([cosine_distances(means)])).fit_predict(means)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_strategies_in_few_sections_are_told_apart_and_a_mean_cannot(tmp_path, seed):
    texts, truth = planted(seed, 10, 50, 0.14)
    paths = analysis.paths(run_of(tmp_path, {"q": texts}), embedder="tfidf")
    assert set(paths["compared"]) == {"sections"}
    assert adjusted_rand_score(truth, paths["cluster"]) == 1
    assert adjusted_rand_score(truth, by_mean(texts, "tfidf")) < 0.5


@pytest.mark.slow
def test_strategies_in_8000_tokens_are_told_apart_by_sections_alone(tmp_path):
    """With the default embedder: the wholes are means over their pieces."""
    texts, truth = planted(0, 8, 190, 0.1)
    run = run_of(tmp_path, {"q": texts})
    assert adjusted_rand_score(truth, analysis.paths(run)["cluster"]) == 1
    assert adjusted_rand_score(truth, analysis.paths(run, compare="whole")["cluster"]) < 0.5


@pytest.mark.slow
def test_short_traces_are_compared_whole_and_settings_of_sections_refused(tmp_path):
    run = run_of(tmp_path, {"q": ["5 + 1 = 6. The answer is 6.", "The answer is 3."]})
    paths = analysis.paths(run, embedder="tfidf")
    assert paths["compared"].to_list() == ["whole", "whole"]
    assert paths["section_cut"].isna().all()
    assert len(run.table("path_sections")) == 0
    for settings, said in (
        ({"most_sections": 3}, "add compare=sections"),
        ({"most_sections": 0}, "at least 1"),
        ({"section_cut": 2.5}, "between 0 and 2"),
        ({"budget": -1.0}, "seconds above 0"),
        ({"budget": 5.0, "most_sections": 3}, "both given"),
        ({"dataflow_share": 1.5}, r"in \[0, 1\]"),
        ({"compare": "halves"}, "choose from auto, whole, sections"),
    ):
        with pytest.raises(InputError, match=said):
            analysis.paths(run, embedder="tfidf", **settings)
    by_sections = analysis.paths(run, embedder="tfidf", compare="sections", most_sections=1)
    assert set(by_sections["compared"]) == {"sections"}


@pytest.mark.slow
def test_what_was_embedded_is_stored_and_a_choice_is_seeded(tmp_path):
    texts, _ = planted(2, 4, 12, 0.25)
    run = run_of(tmp_path, {"q": texts})
    analysis.paths(run, embedder="tfidf")
    every = run.table("path_sections")
    assert every["embedded"].all()
    assert every.groupby("sample_index")["weight"].sum().to_list() == pytest.approx([1] * 4)
    found = run.table("findings_paths").set_index("measure")["estimate"]
    assert found["sections_per_trace"] == 12
    assert found["embedded_share"] == 1
    chosen = {}
    for seed, most in ((0, 3), (0, 5), (1, 3)):
        paths = analysis.paths(run, embedder="tfidf", most_sections=most, seed=seed)
        assert set(paths["most_sections"]) == {most}
        table = run.table("path_sections")
        assert (table.groupby("sample_index")["embedded"].sum() == most).all()
        assert table["section_cluster"].isna().equals(~table["embedded"])
        kept = table[table["embedded"]]
        chosen[seed, most] = set(zip(kept["sample_index"], kept["section"], strict=True))
        share = kept["characters"].sum() / table["characters"].sum()
        found = run.table("findings_paths").set_index("measure")
        assert found.loc["embedded_share", "estimate"] == pytest.approx(share)
        assert f"at most {most} sections a trace" in found.loc["embedded_share", "method"]
    assert chosen[0, 3] < chosen[0, 5], "a larger number adds"
    assert chosen[0, 3] != chosen[1, 3]


def test_the_answer_is_masked_in_every_section_in_its_place(tmp_path):
    text = "First, 5 + 7 = 12, as I see it.\n\nThe answer is 12"
    end = len(text)
    traces = pd.DataFrame({"question_id": ["q"], "sample_index": [0], "text": [text],
                           "stated": ["12"], "start": [end - 2], "end": [end]})  # fmt: skip
    spans = pd.DataFrame({"question_id": ["q"] * 2, "sample_index": [0, 0], "section": [0, 1],
                          "start": [0, 33], "end": [31, end],
                          "token_start": pd.array([0, 9], "Int64"),
                          "token_end": pd.array([9, 13], "Int64")})  # fmt: skip
    found = section_texts(traces, spans, numbers=False)
    assert found["text"].to_list() == [
        "First, 5 + 7 = [answer], as I see it.",
        "The answer is [answer]",
    ]
    assert found["characters"].to_list() == [31, 16]
    assert found["tokens"].to_list() == [9, 4]
    numbers = section_texts(traces, spans, numbers=True)["text"]
    assert numbers[0].startswith("First, [number] + [number] = [answer]")


def test_a_budget_becomes_the_largest_number_that_fits(tmp_path, monkeypatch, caplog):
    """A second a character: ten characters a section, five traces of forty sections."""
    monkeypatch.setattr(of_texts, "seconds_to_embed", lambda texts, model: sum(map(len, texts)))
    monkeypatch.setattr(of_texts, "is_cached", lambda texts, *_: np.zeros(len(texts), dtype=bool))
    keys = [(t, s) for t in range(5) for s in range(40)]
    sections = pd.DataFrame(keys, columns=["sample_index", "section"]).assign(question_id="q")
    texts = [f"{t:04d} {s:05d}" for t, s in keys]
    ranks = choose_sections(sections, 0)
    assert sorted(ranks.tolist()) == sorted(list(range(40)) * 5)
    with caplog.at_level(logging.INFO, "cot"):
        assert fit_budget(texts, ranks, 350.0, "model", tmp_path) == 7  # 5 x 7 x 10 s
    assert "--most-sections 7 repeats" in caplog.text
    assert fit_budget(texts, ranks, 349.0, "model", tmp_path) == 6
    assert fit_budget(texts, ranks, 2000.0, "model", tmp_path) is None
    assert fit_budget(texts, ranks, 1.0, "model", tmp_path) == 1
    assert fit_budget(texts, ranks, 1.0, "tfidf", tmp_path) is None


@pytest.mark.slow
def test_the_same_budget_gives_the_number_of_before(tmp_path, monkeypatch):
    texts, _ = planted(5, 4, 12, 0.25)
    run = run_of(tmp_path, {"q": texts})
    monkeypatch.setattr("analysis.clusters.comparing.fit_budget", lambda *_: 4)
    assert set(analysis.paths(run, embedder="tfidf", budget=9.0)["most_sections"]) == {4}
    chosen = run.table("path_sections")["embedded"]
    monkeypatch.setattr("analysis.clusters.comparing.fit_budget", lambda *_: 7)
    assert set(analysis.paths(run, embedder="tfidf", budget=9.0)["most_sections"]) == {4}
    assert run.table("path_sections")["embedded"].equals(chosen)
    assert set(analysis.paths(run, embedder="tfidf", budget=99.0)["most_sections"]) == {7}


@pytest.mark.slow
def test_a_share_of_dataflow_tells_the_same_words_over_other_numbers_apart(tmp_path):
    filler = "\n\n".join(each.format(a="some", b="other") for each in SHARED)
    ways = ("It is 5 + 7 = 12 in all, then.", "It is 4 * 3 = 12 in all, then.")
    texts = [f"{filler}\n\n{ways[i % 2]} {SHARED[0].format(a='a', b='b')}" for i in range(6)]
    run = run_of(tmp_path, {"q": texts})
    alone = analysis.paths(run, embedder="tfidf", section_cut=0.6, threshold=0.1)
    assert alone["cluster"].nunique() == 1
    both = analysis.paths(run, embedder="tfidf", section_cut=0.6, threshold=0.1, dataflow_share=0.5)
    assert both["cluster"].to_list() == [0, 1, 0, 1, 0, 1]


@pytest.mark.slow
def test_centroid_votes_and_signals_read_the_stored_overlaps(tmp_path):
    texts, _ = planted(4, 6, 10, 0.2)
    run = run_of(tmp_path, {"q": [f"{text}\n\nThe answer is {i}." for i, text in enumerate(texts)]})
    analysis.paths(run, embedder="tfidf")
    answers = analysis.answers(run)
    found = np.stack(columns(run, answers, ["embedding"])["embedding"].to_list())
    assert np.linalg.norm(found, axis=1) == pytest.approx(1)
    assert found == pytest.approx(stored_vectors(run.table("path_sections"), answers))
