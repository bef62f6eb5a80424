"""[sweep] in an experiment file: a run a point, analysed and compared."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import analysis
import cot.models
from cot import kept_models
from cot.sampling.point_names import point_settings
from cot.store.run import open_run
from tests.planted_model import plant
from tests.planted_sweeps import BASE, GRID, STAGES, points, run, write
from tests.slow_engine import SlowEngine

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent


class Failing(SlowEngine):
    """Breaks down above a temperature."""

    def generate(self, requests, cancelled=lambda request: False):
        for request, completion in super().generate(requests):
            if request.sampling.temperature > 1:
                raise RuntimeError("out of memory")
            yield request, completion


# -- what is done ----------------------------------------------------------------------------------


def test_each_point_is_sampled_analysed_and_compared(tmp_path, capsys):
    assert run(tmp_path, BASE + GRID + STAGES, "--json") == 0
    captured = capsys.readouterr()
    printed = json.loads(captured.out)
    names = [f"temperature={t},seed={s}" for t in ("0.4", "1.0") for s in (0, 1)]
    assert [each["run"] for each in printed["runs"]] == names
    assert [each["settings"] for each in printed["runs"]] == [point_settings(n) for n in names]
    assert {each["n_traces"] for each in printed["runs"]} == {12}
    assert {"answers", "votes", "curve", "compared_differences"} <= set(printed["tables"])
    assert printed["failed"] == {}
    for name in names:
        assert open_run(tmp_path / "out" / name).table("curve")["n"].to_list() == [1, 4]
    measures = open_run(tmp_path / "out" / names[0]).table("compared_measures")
    assert set(measures["run"]) == set(names)
    assert {row["run"] for row in printed["differences"]} == set(names[1:])
    assert "comparing 4 runs" in captured.err

    assert run(tmp_path, BASE + GRID + STAGES) == 0
    said = capsys.readouterr().err
    assert said.count("nothing new") == 4 * 3 + 1
    assert "12 traces, 0 of them new" in said


def test_a_sweep_is_resumed_and_grows(tmp_path, capsys):
    assert run(tmp_path, BASE + "[sweep]\ntemperature = [0.4]\n" + STAGES) == 0
    assert "comparing" not in capsys.readouterr().err, "one run is compared with none"
    assert run(tmp_path, BASE + "[sweep]\ntemperature = [0.4, 1.0]\n" + STAGES) == 0
    said = capsys.readouterr().err
    assert "temperature=0.4: 12 traces, 0 of them new" in said
    assert "temperature=1.0: 12 traces, 12 of them new" in said
    assert said.count("of temperature=0.4: nothing new") == 3


def test_points_are_compared_with_the_one_that_is_named(tmp_path, capsys):
    sweep = '[sweep]\nagainst = "warm"\n[sweep.points.cold]\ntemperature = 0.1\n'
    sweep += "[sweep.points.warm]\n[compare]\nfamily = ['accuracy']\n"
    assert run(tmp_path, BASE + sweep + STAGES, "--json") == 0
    differences = json.loads(capsys.readouterr().out)["differences"]
    assert {(row["run"], row["against"]) for row in differences} == {("cold", "warm")}
    assert {row["family"] for row in differences} == {"accuracy"}


def test_an_analysis_is_swept_over_and_its_traces_are_sampled_once(tmp_path, capsys):
    sweep = "[sweep]\ntemperature = [0.4, 1.0]\n[sweep.curve]\nn = [[1], [1, 4]]\n"
    stages = STAGES.replace("n = [1, 4]", "")
    assert run(tmp_path, BASE + sweep + stages) == 0
    said = capsys.readouterr().err
    assert said.count("12 of them new") == 2
    assert "its traces are those of temperature=0.4,curve.n=1+, linked" in said
    one, other = (
        open_run(tmp_path / "out" / f"temperature=0.4,curve.n={n}") for n in ("1+", "1+4")
    )
    pd.testing.assert_frame_equal(one.traces(), other.traces())
    assert one.table("curve")["n"].to_list() == [1]
    assert other.table("curve")["n"].to_list() == [1, 4]
    shards = [next((each.path / "traces").iterdir()) for each in (one, other)]
    assert shards[0].samefile(shards[1])


def test_imported_traces_are_swept_over_by_analyses(tmp_path, capsys):
    lines = [
        {
            "question_id": "q",
            "question": "1 + 1?",
            "gold": "2",
            "sample_index": i,
            "text": "It is 2.",
        }
        for i in range(4)
    ]
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, lines)))
    content = (
        'file = "own.jsonl"\nout = "unused"\n[answers]\n[curve]\n[sweep.curve]\nn = [[1], [4]]\n'
    )
    assert run(tmp_path, content, "--json") == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert [(each["run"], each["n_traces"]) for each in runs] == [
        ("curve.n=1+", 4),
        ("curve.n=4+", 4),
    ]
    assert run(tmp_path, content) == 0
    assert (
        run(tmp_path, content.replace("[sweep.curve]", "[sweep]\nseed = [1]\n[sweep.curve]")) == 2
    )
    assert "[sweep] seed: traces are imported, and not sampled" in capsys.readouterr().err


def test_a_point_that_fails_is_named_and_the_others_go_on(tmp_path, capsys):
    failing = BASE.replace("tests.slow_engine:SlowEngine", f"{__name__}:Failing")
    sweep = "[sweep]\ntemperature = [0.4, 1.5, 0.7]\n"
    assert run(tmp_path, failing + sweep + STAGES, "--json") == 1
    captured = capsys.readouterr()
    printed = json.loads(captured.out)
    assert printed["failed"] == {"temperature=1.5": "RuntimeError: out of memory"}
    assert [each["run"] for each in printed["runs"]] == ["temperature=0.4", "temperature=0.7"]
    assert "1 of 3 points failed: temperature=1.5: RuntimeError: out of memory" in captured.err
    assert {row["run"] for row in printed["differences"]} == {"temperature=0.7"}

    # an analysis that fails for one of the points
    assert run(tmp_path, BASE + sweep.replace("1.5, ", "") + "[curve]\nn = [1, 9]\n") == 1
    assert "2 of 2 points failed" in capsys.readouterr().err


def test_runs_that_can_t_be_compared_are_listed_all_the_same(tmp_path, capsys):
    content = BASE + GRID + "[compare]\nmeasure = ['no such']\n" + STAGES
    assert run(tmp_path, content, "--json") == 2
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)["runs"]) == 4
    assert "no such" in captured.err.splitlines()[-1]


def test_a_dry_run_counts_what_is_missing_and_writes_nothing(tmp_path, capsys):
    assert run(tmp_path, BASE + GRID + STAGES, "--dry-run", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert [each["n_missing"] for each in printed["points"]] == [12] * 4
    assert {each["tokens_are"] for each in printed["points"]} == {"at most"}
    assert printed["tokens"] == 4 * 12 * 256
    assert not (tmp_path / "out").exists()

    run(tmp_path, BASE + "[sweep]\ntemperature = [0.4]\nseed = [0]\n" + STAGES)
    mean = open_run(tmp_path / "out/temperature=0.4,seed=0").traces(["token_ids"])
    mean = mean["token_ids"].map(len).mean()
    capsys.readouterr()
    assert run(tmp_path, BASE + GRID + STAGES, "--dry-run", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert [each["n_missing"] for each in printed["points"]] == [0, 12, 12, 12]
    assert printed["tokens"] == sum(round(12 * mean) for _ in range(3))

    single = BASE + STAGES
    assert run(tmp_path / "..", single, "--out", tmp_path / "one", "--dry-run") == 0
    assert "12 traces are missing" in capsys.readouterr().out


def test_another_dataset_goes_into_folders_of_its_own(tmp_path, capsys):
    assert run(tmp_path, BASE + GRID, "--dataset", "arithmetic:level=2") == 0
    names = {
        open_run(tmp_path / "out" / name).identity.dataset
        for name in points(tmp_path / "study.toml")
    }
    assert names == {"arithmetic:level=2"}


# -- one load a model ------------------------------------------------------------------------------


@pytest.fixture
def loads(monkeypatch):
    """The models that were loaded, by name; none is there from other tests."""
    found = []
    plain = cot.models.load_model

    def counting(model, **options):
        found.append(Path(model.name).name)
        return plain(model, **options)

    monkeypatch.setattr(cot.models, "load_model", counting)
    token = kept_models.SHELF.set(None)
    yield found
    kept_models.SHELF.reset(token)


def test_a_grid_of_12_points_loads_each_model_once(tmp_path, loads):
    for number, name in enumerate(("a", "b")):
        plant(tmp_path / name, seed=number)
    prompts = []
    for word in ("one", "two"):
        prompts.append(str(tmp_path / f"{word}.md"))
        Path(prompts[-1]).write_text(
            f'+++\ndescription = "{word}"\n+++\n## user\n{word} {{{{ question }}}}\n'
        )
    file = write(
        tmp_path,
        f"""
dataset = "arithmetic"
out = "unused"
[sample]
engine = "transformers"
form = "text"
n = 2
limit = 2
max_tokens = 4
[sweep]
temperature = [0.4, 0.7, 1.0]
model = {json.dumps([str(tmp_path / name) for name in ("a", "b")])}
prompt = {json.dumps(prompts)}
[answers]
[capture]
layers = [1]
positions = ["prompt_end"]
[compare]
family = ["accuracy"]
""",
    )
    done = analysis.run_sweep(file, tmp_path / "out")
    assert not done.failed
    assert len(done.runs) == 12
    assert list(done.runs) == points(file)
    assert loads == ["a", "b"]
    for each in done.runs.values():
        assert each.table("logprob_gaps")["max_logprob_gap"].max() < 1e-3


@pytest.mark.model
def test_the_bundled_model_is_loaded_once_for_sampling_and_capture(tmp_path, loads):
    file = write(
        tmp_path,
        """
dataset = "arithmetic"
out = "unused"
[sample]
engine = "transformers"
form = "text"
shots = 2
n = 1
limit = 1
max_tokens = 8
greedy = false
[sweep]
temperature = [0.4, 1.0]
[capture]
layers = [30]
positions = ["prompt_end"]
[compare]
family = ["cost"]
""",
    )
    done = analysis.run_sweep(file, tmp_path / "out")
    assert not done.failed
    assert loads == ["smollm2-135m-instruct"]
    for name, each in done.runs.items():
        assert len(each.traces([])) == 1
        assert each.table("logprob_gaps")["max_logprob_gap"].max() < 1e-3
        alone = cot.sample(
            "arithmetic",
            out=tmp_path / "alone" / name,
            engine="transformers",
            form="text",
            shots=2,
            n=1,
            limit=1,
            max_tokens=8,
            greedy=False,
            **point_settings(name),
        )
        pd.testing.assert_frame_equal(
            each.traces(["text", "token_ids"]), alone.traces(["text", "token_ids"])
        )


# -- killed ----------------------------------------------------------------------------------------

KILLED = (
    BASE.replace("n = 4", "n = 8\nengine_arg = ['seconds=0.01']").replace("limit = 3", "limit = 6")
    + "[sweep]\ntemperature = [0.4, 1.0]\n[sweep.curve]\nn = [[1], [1, 4]]\n[answers]\n[curve]\n"
)


def test_a_sweep_that_is_killed_ends_as_one_that_is_not(tmp_path):
    file = write(tmp_path, KILLED)

    def start(name):
        command = [sys.executable, "-m", "cot.cli", "run", str(file), "--out", str(tmp_path / name)]
        return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE)

    out = tmp_path / "killed"
    moments = (
        lambda: any(out.glob("*/traces/part-*")),
        lambda: any(out.glob("temperature=0.4,curve.n=1+4/run.json")),
        lambda: any(out.glob("temperature=1.0*/tables/answers.parquet")),
    )
    for reached in moments:
        process = start("killed")
        while process.poll() is None and not reached():
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    for name in ("killed", "whole"):
        process = start(name)
        _, errors = process.communicate()
        assert process.returncode == 0, errors.decode()
    folders = [sorted(os.listdir(tmp_path / name)) for name in ("killed", "whole")]
    assert folders[0] == folders[1]
    for name in points(file):
        one, other = (open_run(tmp_path / folder / name) for folder in ("killed", "whole"))
        pd.testing.assert_frame_equal(one.traces(), other.traces())
        pd.testing.assert_frame_equal(one.table("curve"), other.table("curve"))
        assert one.tables() == other.tables()
        assert len(one.traces([])) == 48
