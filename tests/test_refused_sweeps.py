"""[sweep] in an experiment file: what can't be done is refused, by name."""

import pytest

import analysis
import cot
from cot.cli import main
from cot.errors import InputError
from tests.planted_sweeps import BASE, GRID, STAGES, run, write


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            BASE + "temperature = [0.7, 1.0]\n" + STAGES,
            "[sample] temperature is [0.7, 1.0]: one value belongs here; to run each of them, move "
            "it to [sweep]",
        ),
        (
            BASE + "[paths]\nclusterer = ['kmeans', 'hdbscan']\n",
            '[paths] clusterer is ["kmeans", "hdbscan"]: one value belongs here; to run each of '
            "them, move it to [sweep.paths]",
        ),
        (
            BASE + "[vote]\nrule = [['majority'], ['cisc']]\n",
            '[vote] rule is [["majority"], ["cisc"]]: a list belongs here; to run each of them',
        ),
        (
            BASE + "[sweep]\ntemperature = 0.7\n",
            "[sweep] temperature is 0.7: give a list of values",
        ),
        (BASE + "[sweep]\ntemperature = []\n", "temperature is an empty list"),
        (BASE + "[sweep]\n", "nothing to sweep over"),
        (BASE + "[sweep]\nseed = [1]\nzip = 1\n", "zip is 1: give true or false"),
        (
            BASE + "[sweep]\nzip = true\ntemperature = [0.4, 1.0]\nseed = [1, 2, 3]\n",
            "[sweep]: zip needs lists of one length: temperature has 2, seed has 3",
        ),
        (BASE + "[sweep]\ntemprature = [1]\n", "in [sweep]: did you mean 'temperature'?"),
        (BASE + "[sweep]\nseed = [1]\n[sweep.vot]\n", "unknown key 'vot' in [sweep]: did you mean"),
        (
            BASE + STAGES + "[sweep.vote]\nrules = [1]\n",
            "unknown key 'rules' in [sweep] vote: did you mean 'rule'?",
        ),
        (
            BASE + "[sweep.vote]\nrule = ['majority', 'cisc']\n",
            "[sweep] changes vote: add the section [vote] itself",
        ),
        (BASE + "[sweep]\nvote = ['majority']\n", 'vote is ["majority"]: write its parameters'),
        (
            BASE + "[sweep]\nn = [4, 8]\n",
            "n is in [sample] and in [sweep]: leave it in one of them",
        ),
        (BASE + "[sweep]\ndataset = ['a']\n", "dataset is in the file and in [sweep]"),
        (
            BASE + STAGES + "[sweep.vote]\nrule = ['cisc']\n",
            "vote.rule is in [vote] and in [sweep]: leave it in one of them",
        ),
        (
            BASE + "[sweep]\ntemperature = [0.4, -1]\n",
            "[sweep] temperature=-1: --temperature is -1.0: at least 0",
        ),
        (
            BASE + "[sweep]\ntemperature = [0.4, 'hot']\n",
            "[sweep] temperature=hot: --temperature is 'hot': give a number",
        ),
        (BASE + "[sweep]\nseed = [2026-01-01]\n", "is no value of a setting"),
        (BASE + "[sweep.points]\na = 1\n", "write [sweep.points.NAME] for each"),
        (BASE + "[sweep.points.a]\nsed = 1\n", "'sed' in [sweep.points.a]: did you mean 'seed'?"),
        (BASE + "[sweep]\nseed = [1]\n[sweep.points.a]\n", "give one of the two"),
        (BASE + GRID + "against = 'seed=7'\n", "no point 'seed=7': choose from temperature=0.4,"),
        (BASE + GRID + "[compare]\nother = ['x']\n", "[compare] other: a sweep sets it"),
        (
            BASE + "[sweep]\nseed = [1, 1]\n",
            "two points of the sweep are the same run: seed=1 and seed=1",
        ),
        (BASE + "[sweep.points.a]\n[sweep.points.b]\ntemperature = 0.7\n", "same run: a and b"),
        (BASE + "[sweep.points.a]\n[sweep.points.A]\nseed = 1\n", "same run: a and A"),
        ("sweep = [1]\n" + BASE, "sweep is not a section: write [sweep]"),
        (BASE + "temperature = 'hot'\n", "[sample]: --temperature is 'hot': give a number"),
    ],
)
def test_what_is_refused_and_what_is_said(tmp_path, capsys, content, said):
    assert run(tmp_path, content) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("cot: ")
    assert len(error.strip().splitlines()) == 1
    assert "study.toml" in error or "same run" in error
    assert not (tmp_path / "out").exists()


def test_options_that_a_sweep_does_not_take(tmp_path, capsys):
    content = BASE + GRID + STAGES
    assert run(tmp_path, content, "--on", tmp_path) == 2
    assert "has [sweep], whose runs are its own" in capsys.readouterr().err
    assert main(["run", str(write(tmp_path, content)), "--dataset", "arithmetic:level=2"]) == 2
    assert "--dataset needs --out" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"call analysis.run_sweep"):
        analysis.run_experiment(write(tmp_path, content))
    with pytest.raises(InputError, match=r"call analysis.run_experiment"):
        analysis.run_sweep(write(tmp_path, BASE + STAGES))
    cot.sample("arithmetic", out=tmp_path / "out", engine="tests.slow_engine:SlowEngine", limit=1)
    assert run(tmp_path, content) == 2
    assert "is a run, and a sweep is a folder of runs" in capsys.readouterr().err
