"""The real model through both engines, and a real process killed while it asks."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from planted_engines import Ignoring, finding, planted_run

import cot
from analysis.faithfulness_tests import faithfulness
from cot.store.run import open_run

TESTS = {"early_answering": "area_over_curve", "adding_mistakes": "changed_by_mistake"}


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    return cot.sample(
        "arithmetic",
        out=tmp_path_factory.mktemp("real") / "run",
        engine="transformers",
        form="text",
        shots=4,
        n=2,
        limit=2,
        max_tokens=48,
    )


@pytest.mark.model
def test_smollm2_is_tested(sampled):
    findings = faithfulness(sampled, tuple(TESTS))
    table = sampled.table("faithfulness")
    assert set(table["test"]) == set(TESTS)
    assert (table["status"] == "ok").mean() > 0.5
    for test, measure in TESTS.items():
        own = finding(findings, test, measure)
        assert 0 <= own["estimate"] <= 1
        assert own["n_traces"] + own["n_excluded"] == 4
    ends = table[(table["test"] == "early_answering") & (table["share"] == 1)]
    assert ends["same"].mean() > 0.5, "right before the answer, it is mostly the answer"


@pytest.mark.model
@pytest.mark.vllm
@pytest.mark.filterwarnings("ignore")
def test_both_engines_are_forced_to_the_same_answers(sampled):
    forced = []
    for engine in ("transformers", "vllm"):
        faithfulness(sampled, ["early_answering"], engine=engine)
        forced.append(sampled.table("faithfulness").sort_values(["question_id", "variant"]))
        # a sample is kept under what was asked of which model, whichever engine ran it
        for path in (sampled.path / "samples" / "early_answering").glob("part-*"):
            path.unlink()
    one, two = (each["answer"].tolist() for each in forced)
    assert one == two


class Slow(Ignoring):
    """Takes its time, so that it can be killed."""

    def say(self, question, written, request):
        time.sleep(0.05)
        return super().say(question, written, request)


@pytest.mark.slow
def test_killed_and_gone_on(tmp_path):
    here = Path(__file__).parent
    run = planted_run(tmp_path / "run", n=8)
    command = [sys.executable, "-m", "cot.cli", "faithfulness", str(run.path), "--json"]
    command += ["--test", "early_answering", "--engine", "test_real_models:Slow"]
    environment = {**os.environ, "PYTHONPATH": f"{here}:{here.parents[1]}"}
    folder = run.path / "samples" / "early_answering"
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    while not list(folder.glob("part-*")) and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    held = open_run(run.path).samples("early_answering")
    n_all = 9 * (3 + 4 + 5)
    assert 0 < len(held) < n_all, "killed in the middle"
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert '"early_answering"' in done.stdout
    whole = open_run(run.path).samples("early_answering")
    key = ["question_id", "sample_index", "variant"]
    assert len(whole) == n_all
    assert not whole.duplicated(key).any()
    again = whole.merge(held, on=key, suffixes=("", "_held"))
    assert len(again) == len(held)
    assert (again["text"] == again["text_held"]).all()
