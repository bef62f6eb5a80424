"""What is stored comes back, whatever is interrupted and however often it is written."""

import os
import shutil
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written import write_table

import cot.store.shards
from cot.errors import InputError
from cot.store.run import create_run, open_run
from cot.store.shards import ShardWriter, read_shards, row_digest
from cot.types import Completion, Question, Trace
from tests.small import trace_of

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
TRACE = st.builds(
    lambda question, index, seed, text, ids, reason: Trace(
        question_id=question,
        sample_index=index,
        seed=seed,
        prompt_sha="s",
        completion=Completion(
            text=text,
            token_ids=tuple(ids),
            logprobs=-np.arange(len(ids), dtype=np.float32),
            finish_reason=reason,
        ),
    ),
    TEXT,
    st.integers(0, 2**31 - 1),
    st.none() | st.integers(0, 2**63 - 1),
    TEXT,
    st.lists(st.integers(0, 2**31 - 1), max_size=4),
    st.sampled_from(["stop", "length"]),
)


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(st.lists(TRACE, max_size=12, unique_by=lambda trace: trace.key), st.integers(1, 5))
def test_traces_come_back_as_they_went_in(tmp_path_factory, traces, flush_rows):
    folder = tmp_path_factory.mktemp("store")
    with ShardWriter(folder, flush_rows=flush_rows) as writer:
        for trace in traces:
            writer.add(trace)
    rows = {
        (row["question_id"], row["sample_index"]): row for row in read_shards(folder).to_pylist()
    }
    assert rows.keys() == {trace.key for trace in traces}
    for trace in traces:
        row = rows[trace.key]
        assert (row["text"], row["seed"]) == (trace.completion.text, trace.seed)
        assert tuple(row["token_ids"]) == trace.completion.token_ids
        assert np.array_equal(np.float32(row["logprobs"]), trace.completion.logprobs)
    assert len(list(folder.glob("part-*"))) <= 1, "small shards are merged on closing"


def test_a_key_in_two_shards_is_read_once(tmp_path):
    with ShardWriter(tmp_path) as writer:
        writer.add(trace_of("a", 0, "first"))
    shutil.copy(tmp_path / "part-000000.parquet", tmp_path / "part-000001.parquet")
    assert len(read_shards(tmp_path)) == 1
    before = cot.store.shards.fingerprint(tmp_path)
    with ShardWriter(tmp_path) as writer:
        writer.add(trace_of("a", 1, "second"))
    assert len(read_shards(tmp_path)) == 2
    os.unlink(tmp_path / "part-000000.parquet")
    assert before != cot.store.shards.fingerprint(tmp_path)


def test_interrupted_merge_loses_nothing(tmp_path, monkeypatch):
    writer = ShardWriter(tmp_path, flush_rows=1)
    for index in range(4):
        writer.add(trace_of("a", index, str(index)))

    def die(self, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.unlink", die)
        with pytest.raises(KeyboardInterrupt):
            writer.close()
    assert len(list(tmp_path.glob("part-*"))) == 4
    assert sorted(read_shards(tmp_path)["text"].to_pylist()) == ["0", "1", "2", "3"]


def test_a_torn_temporary_file_is_removed_and_never_read(tmp_path):
    (tmp_path / ".part-000000.parquet.1.tmp").write_bytes(b"PAR1 torn")
    assert len(read_shards(tmp_path)) == 0
    with ShardWriter(tmp_path) as writer:
        writer.add(trace_of("a", 0, "x"))
    assert [path.name for path in tmp_path.iterdir()] == ["part-000000.parquet"]


def test_a_slow_engine_is_flushed_by_the_clock(tmp_path):
    import time

    writer = ShardWriter(tmp_path, flush_seconds=0.05)
    writer.add(trace_of("a", 0, "x"))
    for _ in range(100):
        if list(tmp_path.glob("part-*")):
            break
        time.sleep(0.05)
    assert len(read_shards(tmp_path)) == 1
    writer.close()


def test_a_key_twice_is_refused(tmp_path):
    with ShardWriter(tmp_path) as writer:
        writer.add(trace_of("a", 0, "x"))
        with pytest.raises(ValueError, match=r"duplicate trace .* added twice"):
            writer.add(trace_of("a", 0, "y"))


def test_fingerprint_follows_contents_not_shards(tmp_path):
    for name, order in (("one", (0, 1, 2)), ("other", (2, 0, 1))):
        with ShardWriter(tmp_path / name, flush_rows=1 + len(name) % 2) as writer:
            for index in order:
                writer.add(trace_of("a", index, str(index)))
    assert cot.store.shards.fingerprint(tmp_path / "one") == cot.store.shards.fingerprint(
        tmp_path / "other"
    )


def test_seeds_of_63_bits_survive_missing_ones(tmp_path):
    run = create_run(tmp_path / "r", {})
    run.add_questions([Question(id="a", text="?")])
    seeds = [2**63 - 1, None, 2**62 + 1]
    with run.lock(), run.writer() as writer:
        for index, seed in enumerate(seeds):
            trace = trace_of("a", index, "x")
            writer.add(Trace(**{**_fields(trace), "seed": seed}))
    stored = run.traces()["seed"]
    assert stored.dtype == "Int64"
    assert [
        None if each is not each or str(each) == "<NA>" else int(each) for each in stored
    ] == seeds


def _fields(trace):
    return {name: getattr(trace, name) for name in trace.__dataclass_fields__}


def test_another_identity_is_refused_naming_field_and_values(tmp_path):
    create_run(tmp_path / "r", {"model": "x", "sampling": {"temperature": 0.7}})
    with pytest.raises(InputError, match=r"sampling.temperature was 0.7, now 1.0"):
        create_run(tmp_path / "r", {"model": "x", "sampling": {"temperature": 1.0}})
    with pytest.raises(InputError, match="model was 'x', now 'y'"):
        create_run(tmp_path / "r", {"model": "y", "sampling": {"temperature": 0.7}})


def test_a_second_writer_is_refused(tmp_path):
    run = create_run(tmp_path / "r", {})
    with run.lock():
        with run.lock():
            pass
        caught = []

        def write():
            try:
                with run.lock():
                    caught.append(None)
            except InputError as error:
                caught.append(str(error))

        other = threading.Thread(target=write)
        other.start()
        other.join()
        assert f"another thread of this process (pid {os.getpid()})" in caught[0]
        assert str(run.path) in caught[0]
    with run.lock():
        pass


def test_a_folder_that_is_no_run(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is not a run"):
        open_run(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        open_run(tmp_path / "none")
    with pytest.raises(InputError, match="exists and is not a run"):
        create_run(tmp_path, {})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_stale_tables_are_seen_through_their_inputs(tmp_path):
    import pandas as pd

    run = create_run(tmp_path / "r", {})
    run.add_questions([Question(id="a", text="?")])
    with run.lock(), run.writer() as writer:
        writer.add(trace_of("a", 0, "x"))
    frame = pd.DataFrame({"x": [1, 2]})
    write_table(run, "answers", frame, command="answers", parameters={}, inputs=["traces"])
    write_table(run, "votes", frame, command="vote", parameters={"k": 1}, inputs=["answers"])
    assert run.stale("answers") is None
    assert run.stale("votes") is None
    assert run.provenance("votes").parameters == {"k": 1}
    with run.lock(), run.writer() as writer:
        writer.add(trace_of("a", 1, "y"))
    assert "traces changed" in run.stale("answers")
    assert "answers is stale" in run.stale("votes")
    write_table(run, "answers", frame, command="answers", parameters={}, inputs=["traces"])
    assert run.stale("votes") is None, "the same contents again"
    write_table(run, "answers", frame + 1, command="answers", parameters={}, inputs=["traces"])
    assert "answers changed" in run.stale("votes")


def test_unknown_table_lists_those_there(tmp_path):
    run = create_run(tmp_path / "r", {})
    with pytest.raises(InputError, match="has no table 'votes'; it has: none yet"):
        run.table("votes")


ROW = st.tuples(
    *(TEXT, st.integers(0, 3), TEXT, st.none() | st.integers(-2, 2), st.none() | TEXT, TEXT),
    *(st.none() | st.lists(st.integers(0, 3), max_size=2),) * 3,
    *(st.none() | TEXT, st.sampled_from(["stop", "length"]), TEXT),
)


@pytest.mark.slow
@settings(max_examples=200)
@given(ROW, ROW, st.integers(0, 11))
def test_rows_that_differ_in_one_value_have_two_digests(row, other, n):
    changed = (*row[:n], other[n], *row[n + 1 :])
    assert (row_digest(row) == row_digest(changed)) == (row == changed)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({0: "ab", 5: "c"}, {0: "a", 5: "bc"}),
        ({4: None}, {4: ""}),
        ({4: "x", 5: ""}, {4: "", 5: "x"}),
        ({6: None}, {6: []}),
        ({6: [1], 7: None}, {6: None, 7: [1]}),
        ({9: None}, {9: ""}),
        ({1: 1, 3: None}, {1: 1, 3: 0}),
        ({5: "1 2"}, {5: "2 1"}),
    ],
)
def test_values_that_run_together_have_two_digests(one, other):
    row = ("", 0, "", None, None, "", None, None, None, None, "stop", "{}")
    rows = [[change.get(n, value) for n, value in enumerate(row)] for change in (one, other)]
    assert row_digest(rows[0]) != row_digest(rows[1])
