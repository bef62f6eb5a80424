"""A file is replaced whole or not at all, and a full disk is said as such."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from written import write_table

import analysis
from analysis.exporting import FORMATS
from cot.cli import main
from cot.errors import ConsilienceError, InputError
from cot.store.atomic import replace_file
from cot.store.run import create_run, open_run
from cot.store.shards import ShardWriter, read_shards
from cot.store.vectors import Place, VectorWriter, read_vectors
from tests.small import run_with_answers, trace_of

ROOT = Path(__file__).parent.parent.parent


class FullDisk:
    """Syncing fails, as a file system says that delays writing."""

    def __init__(self, monkeypatch, code=errno.ENOSPC):
        self.patch, self.code = monkeypatch, code

    def __enter__(self):
        def fail(_):
            raise OSError(self.code, os.strerror(self.code))

        self.patch.setattr("os.fsync", fail)

    def __exit__(self, *_):
        self.patch.setattr("os.fsync", lambda _: None)


def write(path, content):
    with replace_file(path) as handle:
        handle.write(content)


def names(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "made" / "file"
    write(path, b"old")

    def interrupted():
        with replace_file(path) as handle:
            handle.write(b"new")
            handle.flush()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"], "no temporary file is left"


def test_another_error_keeps_its_type(tmp_path, monkeypatch):
    with FullDisk(monkeypatch, errno.EIO), pytest.raises(OSError, match="Input/output"):
        write(tmp_path / "file", b"x")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("code", "said"), [(errno.ENOSPC, "disk full: free"), (errno.EDQUOT, "the quota is used up")]
)
def test_a_full_disk_names_the_file_and_what_to_do(tmp_path, monkeypatch, code, said):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with FullDisk(monkeypatch, code), pytest.raises(ConsilienceError, match=said) as caught:
        write(path, b"new")
    assert str(path) in str(caught.value)
    assert "run the same command again" in str(caught.value)
    assert not isinstance(caught.value, InputError), "the caller is not to blame: exit code 1"
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_device_that_is_really_full(tmp_path, monkeypatch):
    import pyarrow as pa

    from cot.store.shards import write_parquet

    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    real = open

    def on_full_device(file, *rest, **named):
        return real("/dev/full" if str(file).endswith(".tmp") else file, *rest, **named)

    monkeypatch.setattr("builtins.open", on_full_device)
    with pytest.raises(ConsilienceError, match="disk full"):
        write_parquet(pa.table({"x": np.arange(100_000)}), tmp_path / "big.parquet")
    with pytest.raises(ConsilienceError, match="disk full"):
        write(tmp_path / "text", b"x" * 1_000_000)


def test_traces_written_before_the_disk_was_full_stay(tmp_path, monkeypatch):
    writer = ShardWriter(tmp_path, flush_rows=1)
    writer.add(trace_of("a", 0, "x"))
    with FullDisk(monkeypatch), pytest.raises(ConsilienceError, match=r"part-000001\.parquet"):
        writer.add(trace_of("a", 1, "y"))
    assert read_shards(tmp_path)["text"].to_pylist() == ["x"]
    assert names(tmp_path) == ["part-000000.parquet"]


def test_a_flush_by_the_clock_tells_the_next_trace(tmp_path, monkeypatch):
    writer = ShardWriter(tmp_path, flush_seconds=3600)
    writer.add(trace_of("a", 0, "x"))
    with FullDisk(monkeypatch):
        writer._flush_late()
    with pytest.raises(ConsilienceError, match="disk full"):
        writer.add(trace_of("a", 1, "y"))


def test_vectors_written_before_the_disk_was_full_stay(tmp_path, monkeypatch):
    def place(index):
        return Place("q", index, "mean", None, None)

    with VectorWriter(tmp_path, model="m", revision="r") as writer:
        writer.add([place(0)], {1: np.ones((1, 2))})
    writer.add([place(1)], {1: np.ones((1, 2))})
    with FullDisk(monkeypatch), pytest.raises(ConsilienceError, match="vectors-000001"):
        writer.flush()
    assert len(read_vectors(tmp_path, layer=1, position="mean")[1]) == 1


def test_a_table_stays_as_it_was(tmp_path, monkeypatch):
    run = create_run(tmp_path / "run", {})
    write_table(run, "votes", pd.DataFrame({"x": [1]}))
    with FullDisk(monkeypatch), pytest.raises(ConsilienceError, match=r"votes\.parquet: disk full"):
        write_table(run, "votes", pd.DataFrame({"x": [2]}))
    assert open_run(run.path).table("votes")["x"].tolist() == [1]


def test_the_manifest_is_written_through_it(tmp_path, monkeypatch):
    with FullDisk(monkeypatch), pytest.raises(ConsilienceError, match=r"run\.json: disk full"):
        create_run(tmp_path / "run", {"model": "m"})
    assert create_run(tmp_path / "run", {"model": "m"}).path.exists()


@pytest.mark.parametrize("form", FORMATS)
def test_exports_are_written_through_it(tmp_path, monkeypatch, form):
    run = run_with_answers(tmp_path, {"a": ("7", ["7", "8"])})
    with FullDisk(monkeypatch), pytest.raises(ConsilienceError, match="disk full"):
        analysis.export(run, to=form)
    assert names(run.path / "export") == []


def test_a_command_says_it_in_one_line(tmp_path, monkeypatch, capsys):
    run = run_with_answers(tmp_path, {"a": ("7", ["7", "8"])})
    with FullDisk(monkeypatch):
        assert main(["answers", str(run.path)]) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith(f"cot: {run.path}")
    assert "disk full" in said


def test_no_other_code_renames_a_file_into_place():
    for room in ("cot", "analysis", "prompts"):
        for path in (ROOT / room).rglob("*.py"):
            if path.name != "atomic.py":
                assert "os.replace" not in path.read_text(), f"{path} has its own replace_file"


def test_a_killed_writer_leaves_no_lock(tmp_path):
    run = create_run(tmp_path / "run", {})
    script = f"""
import sys, time
from cot.store.run import open_run
with open_run({str(run.path)!r}).lock():
    print("held", flush=True)
    time.sleep(600)
"""
    held = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE)
    assert held.stdout.readline() == b"held\n"
    with pytest.raises(InputError) as caught, run.lock():
        pass
    assert f"{run.path} is being written by another process (pid {held.pid})" in str(caught.value)
    held.kill()
    held.wait()
    held.stdout.close()
    with run.lock():
        assert (run.path / "run.lock").read_text() == str(os.getpid())
