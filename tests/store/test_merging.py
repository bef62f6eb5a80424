"""Parts of one run, merged, are the undivided run; what is not of one run is refused by name."""

import json

import pandas as pd
import pyarrow.parquet as pq
import pytest

import analysis
import cot
from cot.cli import main
from cot.errors import InputError
from cot.store.run import create_run, open_run
from cot.types import Question
from tests.small import trace_of

ENGINE = "tests.slow_engine:SlowEngine"
SETTINGS = {"n": 3, "limit": 11, "shuffle": 2}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """What the replay engine serves."""
    given = {"engine": ENGINE, "engine_arg": ("seconds=0",), "greedy": False}
    return cot.sample("arithmetic", out=tmp_path_factory.mktemp("s") / "run", **given, **SETTINGS)


def replayed(source, out, **settings):
    given = {**SETTINGS, "greedy": False, **settings}
    return cot.sample("arithmetic", out=out, engine="replay", model=str(source.path), **given)


def rows(run, folder="traces"):
    frame = run.traces() if folder == "traces" else run.samples("greedy")
    return json.loads(frame.to_json(orient="records"))


@pytest.mark.slow
@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_merged_parts_are_the_undivided_run(tmp_path, source, order):
    whole = replayed(source, tmp_path / "whole")
    parts = [replayed(source, tmp_path / f"{k}", part=f"{k}/3") for k in order]
    sizes = [len(part.questions()) for part in parts]
    assert sum(sizes) == 11
    assert min(sizes) > 0
    merged = cot.merge([part.path for part in parts], tmp_path / "merged")
    assert (merged.n_questions, merged.n_traces, merged.n_new) == (11, 33, 33)
    assert (merged.n_doubles, merged.n_unequal) == (0, 0)
    run = merged.run
    assert rows(run) == rows(whole)
    pd.testing.assert_frame_equal(run.questions(), whole.questions())
    for name in ("traces", "questions"):
        assert run.fingerprint(name) == whole.fingerprint(name)
    assert set(run.prompts()["prompt_sha"]) == set(whole.prompts()["prompt_sha"])
    for each in (run, whole):
        analysis.vote(each)
        analysis.curve(each, n=[1, 2, 3])
    for table in ("answers", "votes", "findings_vote", "curve"):
        pd.testing.assert_frame_equal(run.table(table), whole.table(table))


@pytest.mark.slow
def test_a_part_stays_the_same_whatever_the_limit_and_the_shuffle(tmp_path):
    def part(k, **settings):
        out = tmp_path / f"{k} {settings}"
        given = {"engine": ENGINE, "engine_arg": ("seconds=0",), "n": 1, "greedy": False}
        run = cot.sample("arithmetic", out=out, part=f"{k}/4", **given, **settings)
        return set(run.questions()["question_id"])

    few, more = ([part(k, limit=n) for k in (1, 2, 3, 4)] for n in (9, 21))
    shuffled = [part(k, limit=15, shuffle=5) for k in (1, 2, 3, 4)]
    assert [len(each) for each in few] == [3, 2, 2, 2]
    assert all(small < large for small, large in zip(few, more, strict=True))
    everything = [part(k) for k in (1, 2, 3, 4)]
    assert all(each < all_ for each, all_ in zip(shuffled, everything, strict=True))
    assert sum(map(len, everything)) == len(set().union(*everything))


def test_a_part_is_logged_with_its_call_and_is_not_in_the_identity(tmp_path):
    given = {"engine": ENGINE, "engine_arg": ("seconds=0",), "n": 1, "limit": 6}
    one, other = (cot.sample("arithmetic", out=tmp_path / f"{k}", part=f"{k}/2", **given)
                  for k in (1, 2))  # fmt: skip
    assert one.identity == other.identity
    (call,) = (one.path / "calls.jsonl").read_text().splitlines()
    assert json.loads(call)["part"] == "1/2"
    both = cot.sample("arithmetic", out=tmp_path / "1", part="2/2", **given)
    assert len(both.traces([])) == 6, "another part may be added to a run"


def test_greedy_traces_and_calls_are_merged(tmp_path):
    given = {"engine": ENGINE, "engine_arg": ("seconds=0",), "n": 2, "limit": 5}
    whole = cot.sample("arithmetic", out=tmp_path / "whole", **given)
    parts = [cot.sample("arithmetic", out=tmp_path / f"{k}", part=f"{k}/2", **given)
             for k in (1, 2)]  # fmt: skip
    run = cot.merge([part.path for part in parts], tmp_path / "merged").run
    assert rows(run, "greedy") == rows(whole, "greedy")
    calls = [json.loads(line) for line in (run.path / "calls.jsonl").read_text().splitlines()]
    assert [(call.get("run"), call.get("part")) for call in calls[:2]] == [
        ("1", "1/2"),
        ("2", "2/2"),
    ]
    assert calls[2]["command"] == "merge"
    assert calls[2]["runs"] == ["1", "2"]
    again = cot.merge([part.path for part in parts], tmp_path / "merged")
    assert (again.n_new, again.n_doubles, again.n_traces) == (0, 0, 10)
    lines = (run.path / "calls.jsonl").read_text().splitlines()
    assert len(lines) == 4, "the parts' calls stand there once"


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "a/b", "1/0", "", "-1/2", "1/2/3"])
def test_a_part_that_is_none_is_refused(part):
    with pytest.raises(InputError, match=r"--part is .*: give k/m with 1 ≤ k ≤ m"):
        cot.sample("arithmetic", out="nowhere", part=part)


def test_a_part_without_questions_is_refused(tmp_path):
    with pytest.raises(InputError, match="--part 4/4 holds none of the 3 questions"):
        cot.sample("arithmetic", out=tmp_path / "r", engine=ENGINE, part="4/4", limit=3)


def made(path, *traces, identity=None, text="{0}?"):
    """A run of given traces: (question, index, text)."""
    run = create_run(path, identity or {"model": "m", "sampling": {"temperature": 0.7}})
    names = dict.fromkeys(name for name, _, _ in traces)
    with run.lock():
        run.add_questions([Question(id=name, text=text.format(name)) for name in names])
        run.add_prompts({"0" * 64: ("Q", None)})
        with run.writer() as writer:
            for trace in traces:
                writer.add(trace_of(*trace))
    return open_run(path)


def test_runs_of_two_identities_are_refused_by_field_and_values(tmp_path):
    one = made(tmp_path / "a", ("q", 0, "x"))
    other = made(
        tmp_path / "b", ("q", 1, "x"), identity={"model": "m", "sampling": {"temperature": 1}}
    )
    with pytest.raises(InputError, match=r"a and .*b are not parts .*temperature was 0\.7, now 1;"):
        cot.merge([one.path, other.path], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    cot.merge([one.path], tmp_path / "out")
    with pytest.raises(InputError, match="temperature was"):
        cot.merge([other.path], tmp_path / "out")


def test_equal_doubles_are_dropped_and_counted(tmp_path):
    one = made(tmp_path / "a", ("q", 0, "x"), ("q", 1, "y"))
    other = made(tmp_path / "b", ("q", 1, "y"), ("r", 0, "z"))
    done = cot.merge([one.path, other.path], tmp_path / "out")
    assert (done.n_traces, done.n_new, done.n_doubles, done.n_unequal) == (3, 3, 1, 0)
    assert done.run.traces()["text"].to_list() == ["x", "y", "z"]


def test_unequal_doubles_are_named_and_kept_only_when_asked(tmp_path, caplog):
    one = made(tmp_path / "a", ("q", 0, "x"), ("q", 1, "y"))
    other = made(tmp_path / "b", ("q", 1, "w"), ("r", 0, "z"))
    said = r"sample 1 of question 'q' differs between .*a and .*b in text"
    with pytest.raises(InputError, match=said + ".*nothing was written"):
        cot.merge([one.path, other.path], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    done = cot.merge([one.path, other.path], tmp_path / "out", keep_first=True)
    assert done.run.traces()["text"].to_list() == ["x", "y", "z"]
    assert (done.n_doubles, done.n_unequal) == (0, 1)
    assert "differs between" in caplog.text
    turned = cot.merge([other.path, one.path], tmp_path / "turned", keep_first=True)
    assert set(turned.run.traces()["text"]) == {"w", "x", "z"}


def test_a_question_of_two_contents_is_refused(tmp_path):
    one = made(tmp_path / "a", ("q", 0, "x"))
    other = made(tmp_path / "b", ("q", 1, "x"), text="{0}!")
    with pytest.raises(InputError, match=r"question 'q' has two contents: text is 'q\?' and 'q!'"):
        cot.merge([one.path, other.path], tmp_path / "out")


def test_a_merge_that_was_killed_goes_on(tmp_path, monkeypatch):
    parts = [made(tmp_path / f"{k}", *((f"q{k}", n, "x") for n in range(3))).path for k in range(3)]
    written = []

    def killed(table, path):
        if len(written) == 4:  # questions, prompts and two shards stand
            raise KeyboardInterrupt
        written.append(path)
        pq.write_table(table, path) if path.parent.exists() else None

    monkeypatch.setattr("cot.store.merging.write_parquet", killed)
    with pytest.raises(KeyboardInterrupt):
        cot.merge(parts, tmp_path / "out")
    monkeypatch.undo()
    assert len(open_run(tmp_path / "out").traces()) == 6
    done = cot.merge(parts, tmp_path / "out")
    assert (done.n_traces, done.n_new) == (9, 3)


def test_a_run_may_take_in_another(tmp_path):
    one = made(tmp_path / "a", ("q", 0, "x"))
    other = made(tmp_path / "b", ("q", 0, "x"), ("q", 1, "y"))
    done = cot.merge([one.path, other.path], one.path)
    assert (done.n_traces, done.n_new, done.n_doubles) == (2, 1, 1)


def test_a_part_that_is_being_written_is_not_merged(tmp_path):
    import threading

    one = made(tmp_path / "a", ("q", 0, "x"))
    held, done = threading.Event(), threading.Event()

    def hold():
        with one.lock():
            held.set()
            done.wait(10)

    writer = threading.Thread(target=hold)
    writer.start()
    held.wait(10)
    try:
        with pytest.raises(InputError, match="a is being written"):
            cot.merge([one.path], tmp_path / "out")
    finally:
        done.set()
        writer.join()


def test_the_command(tmp_path, capsys):
    one = made(tmp_path / "a", ("q", 0, "x"))
    other = made(tmp_path / "b", ("q", 0, "x"), ("q", 1, "y"))
    out = str(tmp_path / "out")
    assert main(["merge", str(one.path), str(other.path), "--out", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "run": out,
        "n_questions": 1,
        "n_traces": 2,
        "n_new": 2,
        "n_doubles": 1,
        "n_unequal": 0,
    }
    assert main(["merge", "--out", out]) == 0
    assert main(["merge", "--out", str(tmp_path / "none")]) == 2
    assert "no run is given" in capsys.readouterr().err
