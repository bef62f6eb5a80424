"""Experiment files: the shipped ones are valid, stages run in order and are not repeated."""

import json
from pathlib import Path

import pytest

import analysis
import cot
from analysis.experiments import load_experiment
from cot.cli import main

ROOT = Path(__file__).parent.parent
STUDY = """
dataset = "arithmetic"
out = "unused"
[sample]
engine = "tests.slow_engine:SlowEngine"
n = 4
limit = 5
[answers]
[vote]
rule = ["majority"]
[curve]
n = [1, 4]
"""


@pytest.mark.parametrize(
    "path", sorted((ROOT / "experiments").glob("*.toml")), ids=lambda p: p.stem
)
def test_shipped_experiments_are_valid(path):
    experiment = load_experiment(path)
    assert experiment.stages
    assert path.name in (ROOT / "experiments" / "README.md").read_text()


@pytest.mark.slow
def test_stages_run_once_and_again_only_where_something_changed(tmp_path, capsys):
    study, out = tmp_path / "study.toml", tmp_path / "run"

    def said(content):
        study.write_text(content)
        assert main(["run", str(study), "--out", str(out), "--json"]) == 0
        return capsys.readouterr().err

    first = said(STUDY)
    assert "20 traces, 20 of them new" in first
    assert "nothing new" not in first
    run = cot.open_run(out)
    assert set(run.tables()) >= {"answers", "votes", "curve", "findings_vote"}
    assert run.table("curve")["n"].to_list() == [1, 4]
    assert said(STUDY).count("nothing new") == 3
    assert said(STUDY.replace("[1, 4]", "[1, 2]")).count("nothing new") == 2
    grown = said(STUDY.replace("n = 4", "n = 6"))
    assert "30 traces, 10 of them new" in grown
    assert "nothing new" not in grown


def test_stale_prerequisites_are_made_again_and_said(tmp_path, capsys):
    study = tmp_path / "study.toml"
    study.write_text(STUDY)
    run = analysis.run_experiment(study, tmp_path / "run")
    study.write_text(STUDY.split("[answers]")[0].replace("n = 4", "n = 6"))
    analysis.run_experiment(study, tmp_path / "run")
    assert "traces changed" in run.stale("answers")
    assert main(["vote", str(run.path), "--json"]) == 0
    captured = capsys.readouterr()
    assert "table answers is stale" in captured.err
    assert json.loads(captured.out)["rules"][0]["n_questions"] == 5
    assert run.stale("votes") is None
    assert run.table("votes")["n_ballots"].sum() == 30


@pytest.mark.slow
def test_stages_are_done_on_a_run_that_there_is(tmp_path, capsys):
    study = tmp_path / "study.toml"
    study.write_text(STUDY)
    run = analysis.run_experiment(study, tmp_path / "run")
    capsys.readouterr()
    study.write_text(STUDY.replace("n = 4", "n = 9").replace('["majority"]', '["all", "majority"]'))
    assert main(["run", str(study), "--on", str(run.path)]) == 0
    said = capsys.readouterr()
    assert "sampling" not in said.err
    assert "n=1" in said.out
    assert "accuracy: majority − single" in said.out
    assert "The majority vote is right on" in said.out
    assert max(len(line) for line in said.out.splitlines() if "cot " not in line) <= 80
    assert len(run.traces([])) == 20
    rules = run.table("votes")["rule"].unique().tolist()
    assert rules[:4] == ["centroid", "checked", "cisc", "cluster"]
    assert {"majority", "inverse_entropy"} <= set(rules)
    assert "deepconf" not in rules


def test_another_dataset_goes_into_a_folder_of_its_own(tmp_path, capsys):
    study = tmp_path / "study.toml"
    study.write_text(STUDY)
    own = tmp_path / "own.jsonl"
    own.write_text('{"id": "mine", "question": "1 + 1?", "answer": "2"}\n')
    assert main(["run", str(study), "--dataset", str(own)]) == 2
    assert "--dataset needs --out" in capsys.readouterr().err
    out = tmp_path / "run"
    assert main(["run", str(study), "--dataset", str(own), "--out", str(out), "--json"]) == 0
    assert cot.open_run(out).questions()["question_id"].tolist() == ["mine"]
