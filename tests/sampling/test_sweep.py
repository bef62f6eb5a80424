"""A sweep is a folder of runs: each point once, resumed, named for its settings."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import cot
from cot.errors import ConsilienceError, InputError
from cot.sampling.sweep import name_points
from cot.store.links import link_run
from cot.store.run import open_run
from tests.slow_engine import SlowEngine

ROOT = Path(__file__).parent.parent.parent
ENGINE = "tests.slow_engine:SlowEngine"


class Failing(SlowEngine):
    """Breaks down above a temperature."""

    def generate(self, requests, cancelled=lambda request: False):
        for request, completion in super().generate(requests):
            if request.sampling.temperature > 1:
                raise RuntimeError("out of memory")
            yield request, completion


class Counted(SlowEngine):
    """Notes each trace that is asked for."""

    asked = 0

    def complete(self, request):
        type(self).asked += 1
        return super().complete(request)


def sweep(path, **settings):
    given = {"engine": ENGINE, "n": 2, "limit": 2, "greedy": False, **settings}
    dataset = given.pop("dataset", "arithmetic")
    return cot.sweep(dataset, out=path / "sweep", **given)


def test_each_combination_is_a_run_of_its_own(tmp_path):
    runs = sweep(tmp_path, temperature=[0.4, 1.0], top_k=[0, 5])
    assert list(runs) == [
        "temperature=0.4,top_k=0",
        "temperature=0.4,top_k=5",
        "temperature=1.0,top_k=0",
        "temperature=1.0,top_k=5",
    ]
    for name, run in runs.items():
        assert run.path == tmp_path / "sweep" / name
        assert len(run.traces([])) == 4
        assert f"temperature={run.identity.sampling.temperature}" in name
        assert f"top_k={run.identity.sampling.top_k}" in name
    points = json.loads((tmp_path / "sweep/sweep.json").read_text())["points"]
    assert points["temperature=1.0,top_k=0"] == {"temperature": 1.0, "top_k": 0}


def test_what_is_there_is_not_sampled_again_and_more_is_added(tmp_path):
    own = f"{__name__}:Counted"
    Counted.asked = 0
    sweep(tmp_path, engine=own, temperature=[0.4, 1.0])
    assert Counted.asked == 8
    sweep(tmp_path, engine=own, temperature=[0.4, 1.0])
    assert Counted.asked == 8
    runs = sweep(tmp_path, engine=own, temperature=[0.4, 0.7, 1.0], n=3)
    assert Counted.asked == 8 + 2 + 6 + 2
    assert {len(run.traces([])) for run in runs.values()} == {6}
    points = json.loads((tmp_path / "sweep/sweep.json").read_text())["points"]
    assert set(points) == set(runs)


def test_lists_go_side_by_side_with_zip(tmp_path):
    runs = sweep(tmp_path, zip=True, temperature=[0.4, 1.0], top_k=[0, 5])
    assert list(runs) == ["temperature=0.4,top_k=0", "temperature=1.0,top_k=5"]


def test_lists_of_different_lengths_are_refused_with_zip(tmp_path):
    with pytest.raises(InputError, match="temperature has 2, top_k has 3"):
        sweep(tmp_path, zip=True, temperature=[0.4, 1.0], top_k=[0, 5, 9])
    assert not (tmp_path / "sweep").exists()


def test_points_have_names_of_their_own(tmp_path):
    runs = sweep(tmp_path, points={"cold": {"temperature": 0.1}, "7/8": {"top_k": 5}})
    assert list(runs) == ["cold", "7%2F8"]
    assert runs["cold"].identity.sampling.temperature == 0.1
    assert runs["7%2F8"].identity.sampling.temperature == 0.7
    with pytest.raises(InputError, match="one of the two"):
        sweep(tmp_path, points={"cold": {"temperature": 0.1}}, top_k=[0, 5])
    with pytest.raises(InputError, match=r"point hot: there is no setting 'temprature': did you"):
        sweep(tmp_path, points={"hot": {"temprature": 2}})


def test_a_dataset_is_swept_over_and_a_tuple_is_one_value(tmp_path):
    levels = ["arithmetic:level=1", "arithmetic:level=2"]
    runs = sweep(tmp_path, dataset=levels, stop=("\n\n", "Q:"))
    assert list(runs) == ["dataset=arithmetic%3Alevel=1", "dataset=arithmetic%3Alevel=2"]
    assert [run.identity.dataset for run in runs.values()] == levels
    assert all(run.identity.sampling.stop[:2] == ("\n\n", "Q:") for run in runs.values())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"temperature": [0.4, 0.4]}, "temperature=0.4 and temperature=0.4"),
        ({"points": {"a": {}, "b": {"temperature": 0.7}}}, "a and b"),
        ({"temperature": [1, 1.0]}, "temperature=1 and temperature=1.0"),
    ],
)
def test_two_points_that_are_the_same_run_are_refused(tmp_path, settings, said):
    with pytest.raises(InputError, match=f"the same run: {said}"):
        sweep(tmp_path, **settings)
    assert not (tmp_path / "sweep").exists()


def test_points_that_differ_beside_the_identity_are_two_runs(tmp_path):
    runs = sweep(tmp_path, n=[1, 2], engine_arg=["seconds=0", "seconds=0.001"])
    assert [len(run.traces([])) for run in runs.values()] == [2, 2, 4, 4]


def test_a_point_that_fails_is_named_and_the_others_go_on(tmp_path):
    own = f"{__name__}:Failing"
    with pytest.raises(ConsilienceError, match=r"1 of 3 points failed: temperature=1\.5: Runtime"):
        sweep(tmp_path, engine=own, temperature=[0.4, 1.5, 0.7])
    for name in ("temperature=0.4", "temperature=0.7"):
        assert len(open_run(tmp_path / "sweep" / name).traces([])) == 4
    with pytest.raises(ConsilienceError, match="1 of 2 points failed: prompt=none: unknown prompt"):
        sweep(tmp_path, prompt=["none", "few_shot_cot"])
    assert len(open_run(tmp_path / "sweep/prompt=few_shot_cot").traces([])) == 4


def test_bad_input_is_said_before_anything_is_sampled(tmp_path):
    with pytest.raises(InputError, match=r"point temperature=-1: --temperature is -1\.0"):
        sweep(tmp_path, temperature=[0.4, -1])
    with pytest.raises(InputError, match="temperature is an empty list"):
        sweep(tmp_path, temperature=[])
    with pytest.raises(InputError, match="nothing to sweep over"):
        sweep(tmp_path, temperature=0.4)
    with pytest.raises(InputError, match="did you mean 'temperature'"):
        sweep(tmp_path, temprature=[0.4])
    assert not (tmp_path / "sweep").exists()
    cot.sample("arithmetic", out=tmp_path / "sweep", engine=ENGINE, n=1, limit=1)
    with pytest.raises(InputError, match="is a run, and a sweep is a folder of runs"):
        sweep(tmp_path, temperature=[0.4])


def test_names_keep_the_order_of_the_lists():
    given = name_points({"prompt": ["a", "b"], "n": [1, 2]})
    assert list(given) == ["prompt=a,n=1", "prompt=a,n=2", "prompt=b,n=1", "prompt=b,n=2"]


KILLED = """
import cot
cot.sweep(
    "arithmetic", out=__OUT__, temperature=[0.4, 1.0], top_k=[0, 5], n=8, limit=12,
    engine="tests.slow_engine:SlowEngine", engine_arg=("seconds=0.01",),
)
"""


def swept(folder):
    """Everything that a sweep holds: files by name, traces by point."""
    points = sorted(path.parent.name for path in folder.glob("*/run.json"))
    return points, {name: open_run(folder / name).traces() for name in points}


@pytest.mark.slow
def test_a_sweep_that_is_killed_at_any_point_ends_as_one_that_is_not(tmp_path):
    def start(name):
        code = KILLED.replace("__OUT__", repr(str(tmp_path / name)))
        return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE)

    for least in (0, 70, 160, 250):  # of 4 x (96 + 12) traces
        process = start("killed")
        while process.poll() is None and written(tmp_path / "killed") < least:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    for name in ("killed", "whole"):
        process = start(name)
        _, errors = process.communicate()
        assert process.returncode == 0, errors.decode()
    points, traces = swept(tmp_path / "killed")
    expected_points, expected = swept(tmp_path / "whole")
    assert points == expected_points
    assert len(points) == 4
    for name in points:
        pd.testing.assert_frame_equal(traces[name], expected[name])
        assert len(traces[name]) == 96
    names = [sorted(os.listdir(tmp_path / name)) for name in ("killed", "whole")]
    assert names[0] == names[1]


def written(folder):
    """Traces in all shards so far."""
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(shard).num_rows for shard in folder.glob("*/**/part-*.parquet"))


def test_linked_traces_are_the_source_s_and_take_no_space_twice(tmp_path):
    source = cot.sample("arithmetic", out=tmp_path / "a", engine=ENGINE, n=2, limit=2)
    other = link_run(source, tmp_path / "b")
    pd.testing.assert_frame_equal(other.traces(), source.traces())
    pd.testing.assert_frame_equal(other.samples("greedy"), source.samples("greedy"))
    pd.testing.assert_frame_equal(other.questions(), source.questions())
    assert shard(tmp_path / "a").samefile(shard(tmp_path / "b"))
    assert other.fingerprint("traces") == source.fingerprint("traces")

    cot.sample("arithmetic", out=tmp_path / "a", engine=ENGINE, n=3, limit=3)
    assert len(other.traces([])) == 4, "the other run is not changed behind its back"
    link_run(source, tmp_path / "b")
    pd.testing.assert_frame_equal(other.traces(), source.traces())
    pd.testing.assert_frame_equal(other.questions(), source.questions())
    assert shard(tmp_path / "a").samefile(shard(tmp_path / "b"))

    cot.sample("arithmetic", out=tmp_path / "b", engine=ENGINE, n=5, limit=3)
    link_run(source, tmp_path / "b")
    assert len(other.traces([])) == 15
    assert len(source.traces([])) == 9


def test_where_there_are_no_hard_links_shards_are_copied(tmp_path, monkeypatch):
    source = cot.sample("arithmetic", out=tmp_path / "a", engine=ENGINE, n=2, limit=2)

    def refuse(*_):
        raise OSError("no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    other = link_run(source, tmp_path / "b")
    link_run(source, tmp_path / "b")
    pd.testing.assert_frame_equal(other.traces(), source.traces())
    assert not shard(tmp_path / "a").samefile(shard(tmp_path / "b"))


def test_another_run_is_not_linked_into(tmp_path):
    source = cot.sample("arithmetic", out=tmp_path / "a", engine=ENGINE, n=1, limit=1)
    cot.sample("arithmetic", out=tmp_path / "b", engine=ENGINE, n=1, limit=1, seed=1)
    with pytest.raises(InputError, match="seed was 1, now 0"):
        link_run(source, tmp_path / "b")


def shard(run):
    (path,) = (run / "traces").glob("part-*.parquet")
    return path
