"""`cot paths` on small runs: every table, by hand and on planted templates."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

import analysis
from analysis.answer_table import answers as extract_answers
from analysis.declaration import declared
from analysis.page import report
from cot.errors import InputError
from cot.store.run import create_run, open_run
from cot.types import Completion, Question, Trace

pytestmark = pytest.mark.slow

TABLES = {"steps", "step_checks", "paths", "cluster_names", "path_map", "path_questions"}


def run_of(path, texts, golds=None):
    """question_id to texts -> a run."""
    run = create_run(path / "run", {"model": None})
    with run.lock():
        run.add_questions([Question(id=q, text=f"{q}?", gold=(golds or {}).get(q)) for q in texts])
        with run.writer() as writer:
            for question, rows in texts.items():
                for index, text in enumerate(rows):
                    completion = Completion(
                        text=text, token_ids=None, logprobs=None, finish_reason="stop"
                    )
                    writer.add(
                        Trace(
                            question_id=question,
                            sample_index=index,
                            seed=None,
                            prompt_sha=None,
                            completion=completion,
                        )
                    )
    return open_run(run.path)


def test_every_table_by_hand(tmp_path):
    texts = {
        "q": [
            "Five pens and seven more: 5 + 7 = 12. Twice that is 12 * 2 = 24. The answer is 24.",
            "Seven pens and five more: 7 + 5 = 12. Doubled, 2 * 12 = 24. The answer is 24.",
            "Less: 7 - 5 = 3, so 3 * 8 = 24. No, 7 + 2 = 8. It is 7 + 2 = 9. The answer is 24.",
            "Nothing is known about the boxes here.",
        ]
    }
    run = run_of(tmp_path, texts, {"q": "24"})
    paths = analysis.paths(run, embedder="tfidf", threshold=0.9)
    assert set(run.tables()) >= TABLES | {"findings_paths"}
    assert paths["signature"].to_list() == ["add,mul", "add,mul", "sub,mul,add,add", ""]
    flows = paths["dataflow"].to_list()
    assert flows[0] == flows[1] != flows[2]
    assert flows[3] == ""
    assert paths[["n_checked", "n_wrong"]].to_numpy().tolist() == [[2, 0], [2, 0], [4, 2], [0, 0]]
    assert paths[["n_corrected", "n_reaching"]].to_numpy().tolist() == [
        [0, 0], [0, 0], [1, 1], [0, 0],
    ]  # fmt: skip
    assert paths["follows"].astype(object).where(paths["follows"].notna(), None).to_list() == [
        True, True, True, None,
    ]  # fmt: skip
    checks = run.table("step_checks")
    assert checks["verdict"].to_list() == ["right"] * 4 + [
        "wrong", "right", "wrong", "right",
    ]  # fmt: skip
    row = checks.iloc[4]
    assert texts["q"][2][row["start"] : row["end"]] == row["text"] == "7 - 5 = 3"
    assert (row["stated"], row["value"], row["operation"]) == ("3", "2", "sub")
    per = run.table("path_questions").iloc[0]
    assert per[["n_right", "right_checked", "right_over_wrong"]].to_list() == [3, 3, 1]
    found = run.table("findings_paths").set_index("measure")["estimate"]
    assert found["right_over_wrong_equation"] == pytest.approx(1 / 3)
    assert found["wrong_equations"] == pytest.approx(2 / 8)
    assert found["corrected_equations"] == pytest.approx(1 / 8)
    assert found["wrong_equations_reaching_answer"] == pytest.approx(1 / 8)
    assert found["answer_follows"] == 1


def test_cluster_numbers_by_hand(tmp_path):
    run = run_of(tmp_path, {"q": [f"5 + {i} = {5 + i}. The answer is {a}." for i, a in
                                  [(1, 3), (1, 3), (2, 3), (2, 4)]]}, {"q": "3"})  # fmt: skip
    paths = analysis.paths(run, embedder="tfidf", clusterer="dataflow")
    assert paths["cluster"].to_list() == [0, 0, 1, 1]
    assert paths["threshold"].isna().all()
    per = run.table("path_questions").iloc[0]
    assert per["n_clusters"] == 2
    assert per["cluster_entropy"] == pytest.approx(np.log(2))
    assert per["effective_clusters"] == pytest.approx(2)
    assert per["same_answer_different_cluster"] == pytest.approx(2 / 3)  # 1 of 3 pairs is in one
    assert per["same_cluster_different_answer"] == pytest.approx(1 / 2)


@pytest.mark.parametrize(
    "texts",
    [
        ["The answer is 3."],
        ["5 + 1 = 6. The answer is 6."] * 3,
        ["The answer is 3.", "I do not know at all."],
        ["", ""],
    ],
)
@pytest.mark.parametrize("clusterer", ["average_linkage", "hdbscan", "kmeans", "dataflow"])
def test_the_smallest_questions_are_defined(tmp_path, texts, clusterer):
    run = run_of(tmp_path, {"q": texts})
    paths = analysis.paths(run, embedder="tfidf", clusterer=clusterer)
    assert len(paths) == len(texts)
    if len(set(texts)) == 1:
        assert (paths["cluster"] == 0).all()
    assert len(run.table("path_map")) == len(texts)
    assert np.isfinite(run.table("path_map")[["x", "y"]].to_numpy()).all()


def test_masking_keeps_clusters_from_restating_answers(tmp_path):
    """One argument in the same words, ending in different answers: one cluster, unless unmasked."""
    texts = [f"She has some pens, and so we count them. The answer is {i % 4}." for i in range(8)]
    run = run_of(tmp_path, {"q": texts})
    assert analysis.paths(run, embedder="tfidf", threshold=0.05)["cluster"].nunique() == 1


def test_bad_settings(tmp_path):
    run = run_of(tmp_path, {"q": ["The answer is 3."]})
    for settings, said in (
        ({"threshold": 3.0}, "between 0 and 2"),
        ({"threshold": 0.5, "clusterer": "dataflow"}, "takes no threshold"),
        ({"clusterer": "nearest"}, "unknown clusterer 'nearest'"),
        ({"clusterer": "kmeans:n=3"}, "it takes k"),
        ({"layout": "circle"}, "choose from pca"),
    ):
        with pytest.raises(InputError, match=said):
            analysis.paths(run, embedder="tfidf", **settings)
    assert "paths" not in run.tables()


def planted(generator, k=3, each=8):
    """Traces of k ways to reckon, each in changing words and order; and the way of each."""
    a, b, c = (int(x) for x in generator.integers(2, 30, 3))
    ways = [
        [f"{a} + {b} = {a + b}", f"{b} + {a} = {a + b}"],
        [f"{a} * {c} = {a * c}", f"{c} * {a} = {a * c}"],
        [f"{b} * {c} = {b * c}", f"{c} * {b} = {b * c}"],
    ]
    openings = ["First we reckon", "So let us see that", "One finds", "It is clear that", "Now"]
    texts, truth = [], []
    for way in range(k):
        for _ in range(each):
            opening, told = generator.choice(openings), generator.choice(ways[way])
            texts.append(f"{opening} {told}. The answer is {generator.integers(1, 9)}.")
            truth.append(way)
    return texts, truth


def test_dataflow_alone_loads_no_embedder_and_finds_the_same_clusters(tmp_path, monkeypatch):
    generator = np.random.default_rng(3)
    made = {f"q{i}": planted(generator)[0] for i in range(4)}
    run = run_of(tmp_path, {**made, "r": ["", "2 + 3 = 5. The answer is 5.", "", "I do not know."]})
    embedded = analysis.paths(run, embedder="tfidf", clusterer="dataflow")
    kept = {name: run.table(name) for name in ("step_checks", "path_questions", "findings_paths")}
    monkeypatch.setattr("analysis.clusters.comparing.embed", None)
    paths = analysis.paths(run, clusterer="dataflow")
    same = [name for name in paths if name not in ("silhouette", "compared")]
    pd.testing.assert_frame_equal(paths[same], embedded[same])
    assert paths["silhouette"].isna().all()
    assert (paths["compared"] == "dataflow").all()
    for name, table in kept.items():
        pd.testing.assert_frame_equal(run.table(name), table)
    names = run.table("cluster_names")
    flows = paths.groupby(["question_id", "cluster"], sort=False)
    assert names["size"].to_list() == flows.size().to_list()
    assert names["medoid"].to_list() == flows["sample_index"].first().to_list()
    assert names.loc[names["question_id"] == "r", "terms"].to_list()[0] == "no equation"
    assert len(run.table("path_map")) == len(run.table("path_sections")) == 0
    shown = declared(analysis.paths).show(run, paths)
    assert shown.note == "nothing embedded"
    report(run)


def test_dataflow_recovers_planted_ways(tmp_path):
    generator = np.random.default_rng(1)
    made = {f"q{i}": planted(generator) for i in range(6)}
    run = run_of(tmp_path, {name: texts for name, (texts, _) in made.items()})
    extract_answers(run)
    paths = analysis.paths(run, embedder="tfidf", clusterer="dataflow")
    for name, (_, truth) in made.items():
        found = paths.loc[paths["question_id"] == name, "cluster"]
        assert adjusted_rand_score(truth, found) >= 0.9
