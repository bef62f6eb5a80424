"""Features of the bundled model's own states, with injection and a concept's test."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import cot
from analysis.hidden_states import capture
from analysis.state_features import features
from cot.store.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = cot.sample(
        "arithmetic:level=1",
        engine="transformers",
        form="text",
        shots=3,
        n=4,
        limit=5,
        max_tokens=40,
        greedy=False,
        out=tmp_path_factory.mktemp("real") / "run",
    )
    capture(made, layers=[15], positions=["step_end", "every 8 tokens"])
    return made


@pytest.mark.model
def test_real_states_have_features_with_tokens_and_injection(run: Run) -> None:
    traces = run.traces(["text"])
    even = pd.DataFrame(traces[["question_id", "sample_index"]])
    even["label"] = even["sample_index"] % 2 == 0
    file = run.path.parent / "even.csv"
    even.to_csv(file, index=False)
    table = features(
        run, method=["snmf", "topk:k=2", "cav"], n_features=4, labels=str(file), inject=True
    )
    assert table.groupby("method").size().to_dict() == {
        **{"snmf": 4, "topk:k=2": 4, "pca": 4, "random": 4},
        "cav": 1,
    }
    own = table[~table["baseline"]]
    assert set(own["position"]) == {"step_end"}
    assert own["injected"].notna().any()
    assert own.loc[own["injected"].notna(), "injection_q"].between(0, 1).all()
    assert table.loc[table["method"] == "pca", "injected"].isna().all()
    assert own["token_r2"].notna().any()
    tokens, steps = run.table("feature_tokens"), run.table("feature_steps")
    assert tokens["text"].str.len().gt(0).all()
    texts = traces.set_index(["question_id", "sample_index"])["text"]
    for row in steps.head(20).itertuples():
        piece = texts[row.question_id, row.sample_index][row.start : row.end]
        assert piece.strip()
    left = run.table("findings_features")
    assert left.loc[left["measure"] == "unexplained", "estimate"].between(0, 1).any()
    (test,) = left[left["measure"] == "tcav"].to_dict("records")
    assert test["n_traces"] == 0 or 0 <= test["estimate"] <= 1


@pytest.mark.model
def test_pieces_of_every_8_tokens_are_8_tokens(run: Run) -> None:
    features(run, method=["pca"], position="every 8 tokens", n_features=3)
    values = run.table("feature_values")
    texts = run.traces(["text"]).set_index(["question_id", "sample_index"])["text"]
    for _, rows in values[values["feature"] == 0].groupby(["question_id", "sample_index"]):
        ordered = rows.sort_values("token")
        assert (np.diff(ordered["token"]) == 8).all()
        assert ordered["start"].iloc[0] == 0
        # pieces follow one another
        assert (ordered["start"].to_numpy()[1:] == ordered["end"].to_numpy()[:-1]).all()
        whole = texts[ordered["question_id"].iloc[0], ordered["sample_index"].iloc[0]]
        assert ordered["end"].max() <= len(whole)
