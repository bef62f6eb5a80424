"""Each bad input: one clear line on stderr, exit code 2, nothing half-written."""

import json
import os
import subprocess
import sys

import pytest

from analysis.answer_table import answers as extract_answers
from cot.cli import main
from tests.small import run_with_answers

GOOD = {"question_id": "q", "question": "5 + 7?", "sample_index": 0, "text": "The answer is 12."}
ARITHMETIC = ["sample", "arithmetic", "--engine", "transformers", "--limit", "2"]


def refused(capsys, arguments, *said, code=2):
    """The command fails with this code and one line that says all of `said`."""
    assert main([str(argument) for argument in arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    for words in said:
        assert words in lines[0]


@pytest.fixture
def out(tmp_path):
    """Where a run would go; nothing may be there afterwards."""
    yield tmp_path / "run"
    assert not (tmp_path / "run").exists()


@pytest.fixture
def made(tmp_path):
    run = run_with_answers(tmp_path, {"a": ("7", ["7", "8"])})
    extract_answers(run)
    return run.path


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def test_no_such_file(capsys, out):
    refused(capsys, ["sample", "questions.jsonl", "--out", out], "questions.jsonl", "no such file")
    refused(capsys, ["import", "traces.jsonl", "--out", out], "traces.jsonl", "no such file")
    refused(capsys, ["run", "study.toml"], "study.toml", "no such file")


def test_a_line_that_is_not_json(capsys, out, tmp_path):
    questions = write(tmp_path / "q.jsonl", '{"question": "1 + 1?", "answer": "2"}', "{oops")
    refused(capsys, ["sample", questions, "--out", out], "q.jsonl:2", "JSON")
    traces = write(tmp_path / "t.jsonl", json.dumps(GOOD), "{oops")
    refused(
        capsys, ["import", traces, "--out", out], "t.jsonl:2", "not JSON", "nothing was written"
    )


def test_a_missing_column(capsys, out, tmp_path):
    questions = write(tmp_path / "q.jsonl", '{"frage": "1 + 1?", "antwort": "2"}')
    refused(capsys, ["sample", questions, "--out", out], "frage", "antwort", "--question-column")
    asked = ["sample", questions, "--out", out, "--question-column", "ask"]
    refused(capsys, asked, "ask", "frage", "antwort")


def test_a_duplicate_key(capsys, out, tmp_path):
    traces = write(tmp_path / "t.jsonl", json.dumps(GOOD), json.dumps(GOOD))
    refused(
        capsys,
        ["import", traces, "--out", out],
        "t.jsonl:2",
        "duplicate of t.jsonl:1",
        "sample 0 of question 'q'",
    )


def test_an_empty_dataset(capsys, out, tmp_path):
    (tmp_path / "q.jsonl").write_text("")
    refused(capsys, ["sample", tmp_path / "q.jsonl", "--out", out], "q.jsonl", "empty")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("-n", "0", "-n is 0: at least 1"),
        ("--temperature", "-1", "--temperature is -1.0: at least 0"),
        ("--top-p", "0", "--top-p is 0.0"),
        ("--max-tokens", "0", "--max-tokens is 0"),
        ("--limit", "0", "--limit is 0"),
        ("--top-logprobs", "1", "--top-logprobs is 1"),
        ("-n", "many", "many"),
        ("--flavour", "sweet", "--flavour"),
        (
            "--engine",
            "abacus",
            "unknown engine 'abacus': choose from endpoint, ray, replay, transformers, vllm",
        ),
        ("--prompt", "haiku", "answer_only, few_shot_cot, zero_shot"),
        ("--exemplars", "haiku", "arithmetic, multiple_choice, yes_no"),
        ("--form", "verse", "unknown --form 'verse'"),
        ("--engine-arg", "x", "write it as key=value"),
    ],
)
def test_bad_settings(capsys, out, option, value, said):
    usual = [] if option in ("--engine", "--limit") else ARITHMETIC[2:]
    refused(capsys, ["sample", "arithmetic", *usual, "--out", out, option, value], said)


@pytest.mark.slow
def test_an_unknown_model_with_the_hub_out_of_reach(out):
    command = [sys.executable, "-m", "cot.cli", *ARITHMETIC, "--model", "no-one/no-model"]
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(
        [*command, "--out", out], capture_output=True, text=True, timeout=60, env=environment
    )
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "no-one/no-model" in done.stderr


def test_vllm_not_installed_names_the_extra(capsys, out, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    refused(
        capsys,
        ["sample", "arithmetic", "--engine", "vllm", "--out", out],
        "vllm",
        "consilience[vllm]",
    )


@pytest.mark.parametrize(
    "command",
    ["answers", "segment", "vote", "curve", "stop", "calibrate", "paths", "capture", "probe"]
    + ["lens", "states", "geometry", "agree", "report", "show"],
)
def test_a_folder_that_is_not_a_run(capsys, tmp_path, command):
    refused(capsys, [command, tmp_path], "is not a run")
    refused(capsys, [command, tmp_path / "none"], "does not exist")
    assert not list(tmp_path.iterdir())


def test_sampling_into_a_folder_that_is_not_a_run(capsys, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    refused(capsys, [*ARITHMETIC, "--out", tmp_path], "exists and is not a run")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.slow
def test_a_run_made_with_other_settings(capsys, made):
    refused(capsys, [*ARITHMETIC, "--out", made], "made with other settings", "model was None")


def test_a_second_writer(capsys, made):
    import fcntl

    with open(made / "run.lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        refused(capsys, ["vote", made], "being written by another process")
    assert not (made / "tables" / "votes.parquet").exists()


def test_unknown_rule_format_order_and_n(capsys, made):
    refused(
        capsys, ["vote", made, "--rule", "dictator"], "unknown vote rule 'dictator'", "majority"
    )
    refused(capsys, ["answers", made, "--format", "rhyme"], "unknown format", "number, choice")
    refused(capsys, ["curve", made, "--order", "alphabetic"], "choose from random, file")
    refused(capsys, ["curve", made, "-n", "0,1"], "between 1 and 2")
    refused(capsys, ["curve", made, "-n", "x"], "-n is 'x': whole numbers, with commas between")
    refused(capsys, ["export", made, "--to", "punchcards"], "choose from parquet, csv, jsonl")
    refused(capsys, ["show", made, "b"], "'b'")


@pytest.mark.slow
def test_an_unknown_layer_and_position(capsys, made):
    model = ["--model", "smollm2-135m-instruct"]
    refused(capsys, ["capture", made, *model, "--layers", "99"], "99", "30")
    refused(capsys, ["capture", made, *model, "--positions", "middle"], "middle", "prompt_end")


def test_an_imported_run_does_not_say_its_model(capsys, made):
    refused(capsys, ["capture", made], "--model")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("dataset = ", "not TOML"),
        ('dataset = "arithmetic"', "no `out`"),
        ('out = "x"', "either a dataset to sample or a file to import"),
        ('dataset = "arithmetic"\nout = "x"\n[sampel]\nn = 1', "did you mean 'sample'"),
        ('dataset = "arithmetic"\nout = "x"\n[sample]\nm = 1', "unknown key 'm' in [sample]"),
        ('dataset = "arithmetic"\nout = "x"\n[vote]\nrules = []', "did you mean 'rule'"),
        ('dataset = "arithmetic"\nout = "x"\nvote = 1', "write [vote]"),
        ('dataset = "arithmetic"\nout = "x"\n[sample]\nn = 0', "-n is 0"),
    ],
)
def test_bad_experiments(capsys, tmp_path, content, said):
    path = tmp_path / "study.toml"
    path.write_text(content)
    refused(capsys, ["run", path], "study.toml" if "-n" not in said else "", said)


def test_no_such_command(capsys):
    refused(capsys, ["votes", "x"], "votes")
