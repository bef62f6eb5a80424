"""`cot show FOLDER`: the runs below a folder."""

import json

import pytest

from cot.cli import main
from tests.planted_sweeps import BASE, GRID, STAGES, points, run

pytestmark = pytest.mark.slow


def test_the_runs_below_a_folder_are_listed(tmp_path, capsys):
    run(tmp_path, BASE + GRID + STAGES)
    (tmp_path / "out/more/broken").mkdir(parents=True)
    (tmp_path / "out/more/broken/run.json").write_text("no")
    capsys.readouterr()
    assert main(["show", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "temperature=1.0,seed=1" in printed
    assert (
        "same in all: model smollm2-135m-instruct, prompt few_shot_cot, dataset arithmetic"
        in printed
    )
    assert "left out: more/broken:" in printed
    assert main(["show", str(tmp_path / "out"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["differ"] == ["seed", "temperature"] or shown["differ"] == ["temperature", "seed"]
    names = [each["name"] for each in shown["runs"]]
    assert names == [*points(tmp_path / "study.toml"), "more/broken"]
    assert [each["n_traces"] for each in shown["runs"]] == [12, 12, 12, 12, 0]
    assert main(["show", str(tmp_path)]) == 0, "runs further down are found too"
    assert "out/temperature=1.0,seed=1" in capsys.readouterr().out


def test_what_a_sweep_set_of_an_analysis_is_listed_too(tmp_path, capsys):
    sweep = "[sweep.curve]\nn = [[1], [1, 4]]\n"
    run(tmp_path, BASE + sweep + "[answers]\n[curve]\n")
    capsys.readouterr()
    assert main(["show", str(tmp_path / "out"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["differ"] == ["curve.n"]
    assert [each["settings"]["curve.n"] for each in shown["runs"]] == ["[1]", "[1, 4]"]


def test_a_folder_without_runs_is_no_run(tmp_path, capsys):
    assert main(["show", str(tmp_path)]) == 2
    assert "is not a run" in capsys.readouterr().err
