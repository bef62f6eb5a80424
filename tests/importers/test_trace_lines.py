"""Lines read quickly, in blocks and over processes, are what the careful reader finds in them."""

import json
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cot.errors import InputError
from cot.importers import import_traces

GOOD = {"question_id": "q", "question": "5 + 7?", "sample_index": 0, "text": "The answer is 12."}
TEXT = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    ["q", "r", "\x00", "é\u2028", "𝔸", "\\ud800", "length"]
)
NUMBER = (
    st.integers(-3, 5)
    | st.sampled_from([2**31 - 1, 2**31, 2**63, -(2**63), 2**64, 10**30, 10**400, True, False])
    | st.floats()
    | st.sampled_from([-0.0, 1e300, -1e31, -9999, -9999.0, 0.0005, 0.5, float("nan")])
)
VALUE = st.none() | NUMBER | TEXT
DEEP = st.recursive(VALUE, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
    TEXT, inner, max_size=2), max_leaves=4)  # fmt: skip
TURN = st.fixed_dictionaries({"role": TEXT, "content": TEXT | VALUE})
FIELDS = {
    "question_id": st.sampled_from(["q", "r", 3, "3"]) | VALUE,
    "question": st.sampled_from(["5 + 7?", "5 + 8?"]) | VALUE,
    "sample_index": st.integers(0, 4) | VALUE,
    "text": TEXT | VALUE,
}
OPTIONAL = {
    "gold": st.sampled_from(["12", 12, 12.0, 2.5]) | VALUE | st.lists(VALUE, max_size=3),
    "choices": st.lists(TEXT, max_size=2) | VALUE,
    "answer": DEEP,
    "prompt": TEXT | VALUE | st.lists(TURN, max_size=2),
    "token_ids": st.lists(st.integers(0, 9), max_size=3) | st.lists(VALUE, max_size=3) | VALUE,
    "logprobs": st.lists(st.floats(-9, 0), max_size=3) | st.lists(VALUE, max_size=3) | VALUE,
    "finish_reason": st.sampled_from(["stop", "length", "eos", "LENGTH", "tired"])
    | VALUE
    | st.fixed_dictionaries({"type": st.just("stop")}),
    "seed": VALUE,
    "confidence": VALUE,
    "reasoning": TEXT | VALUE,
    "reasoning_content": TEXT | VALUE,
    "correct": st.booleans() | VALUE,
    "score": NUMBER | VALUE,
    "origin": DEEP,
    "": VALUE,
}
OBJECT = st.builds(
    lambda plain, needed, more: {**(GOOD | needed if plain else needed), **more},
    st.booleans(),
    st.fixed_dictionaries({}, optional=FIELDS),
    st.fixed_dictionaries({}, optional=OPTIONAL),
)
LINE = st.one_of(
    st.builds(lambda value: json.dumps(value).encode(), OBJECT),
    st.builds(lambda value: json.dumps(value, ensure_ascii=False).encode(), OBJECT),
    st.builds(lambda n: json.dumps({**GOOD, "sample_index": n}).encode(), st.integers(0, 5)),
    st.sampled_from(
        [
            b"",
            b" \t\r",
            b"\x0b",
            b"[1]",
            b"null",
            b"{}",
            b'{"a": 1',
            b'{"a": "1',
            b'{"a": "\x01"}',
            b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
            json.dumps(GOOD).encode() + b"\r",
            json.dumps(GOOD).encode() + b" x",
            json.dumps(GOOD).encode()[:-1] + b', "text": "12"}',
            b'{"question_id": "q", "question": "?", "sample_index": 1, "text": "\xff"}',
            b'{"question_id": "q", "question": "?", "sample_index": 1, "text": "\xed\xa0\x80"}',
            b'{"question_id": "q", "question": "?", "sample_index": 1, "text": "\\ud800"}',
            b'{"question_id": "q", "question": "?", "sample_index": 1.0, "text": ""}',
            b'{"question_id": "q", "question": "?", "sample_index": 1, "text": "", "o": 1e400}',
            b'{"question_id": "q", "question": "?", "sample_index": -0, "text": "", "o": -0.0}',
            json.dumps({**GOOD, "origin": json.loads("[" * 30 + "]" * 30)}).encode(),
            json.dumps({**GOOD, "origin": json.loads("[" * 31 + "]" * 31)}).encode(),
            b'{"a": ' + b"9" * 5000 + b"}",
            b'{"a": ' + b"[" * 3000 + b"]" * 3000 + b"}",
        ]
    ),
)


def imported(file, out, skip_bad):
    """All that an import gives: what is stored, or what is wrong."""
    try:
        done = import_traces(file, out, format="jsonl", skip_bad=skip_bad)
    except InputError as error:
        return str(error)
    frames = [done.run.traces(), done.run.questions(), done.run.prompts()]
    counts = (done.n_questions, done.n_traces, done.n_new, done.n_rejected, done.lacks)
    stored = [json.loads(frame.to_json(orient="records")) for frame in frames]
    prints = [done.run.fingerprint("traces"), done.run.fingerprint("questions")]
    types = [type(value) for meta in frames[0]["meta"] for value in meta.values()]
    return counts, dict(done.left_out), stored, prints, types


@pytest.mark.slow
@settings(max_examples=150)
@given(st.lists(LINE, max_size=8), st.booleans(), st.booleans())
@example([json.dumps({**GOOD, "sample_index": n}).encode() for n in (0, 1, 0)], True, True)
def test_the_quick_reader_finds_what_the_careful_one_finds(tmp_path_factory, lines, end, skip):
    folder = tmp_path_factory.mktemp("lines")
    file = folder / "f.jsonl"
    file.write_bytes(b"\n".join(lines) + b"\n" * end)
    with (
        mock.patch("cot.importers.trace_lines.BLOCK", 150),
        mock.patch("cot.processes.n_processes", return_value=1),
    ):
        quick = imported(file, folder / "quick", skip)
    with mock.patch("cot.importers.is_lines", return_value=False):
        careful = imported(file, folder / "careful", skip)
    assert quick == careful
    left = {path.name for path in folder.iterdir()}
    assert left == {"f.jsonl"} | ({"quick", "careful"} if isinstance(quick, tuple) else set())


def test_plain_lines_take_the_quick_path(tmp_path, monkeypatch):
    more = {
        "gold": 12,
        "choices": ["12"],
        "answer": "12",
        "prompt": [{"role": "user", "content": ""}],
    }
    more |= {"token_ids": [1, 2], "logprobs": [-1, 0.0], "finish_reason": "eos", "seed": 3}
    more |= {
        "confidence": 0.5,
        "correct": True,
        "score": 1,
        "reasoning": None,
        "origin": {"a": [1]},
    }
    lines = [GOOD, {**GOOD, **more, "question_id": 7}]
    file = tmp_path / "f.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.setattr("cot.importers.trace_lines.trace_record", None)
    assert import_traces(file, tmp_path / "run").n_traces == 2


@pytest.mark.slow
def test_blocks_read_in_other_processes_are_one_file(tmp_path, monkeypatch):
    monkeypatch.setattr("cot.importers.trace_lines.BLOCK", 2_000)
    lines = [
        json.dumps({**GOOD, "question_id": f"q{n % 7}", "sample_index": n, "text": f"{n} " * 9})
        for n in range(100)
    ]
    file = tmp_path / "f.jsonl"
    file.write_text("\n".join(lines))
    found = []
    for n in (1, 2):
        monkeypatch.setattr("cot.processes.n_processes", lambda _, n=n: n)
        found.append(imported(file, tmp_path / f"{n}", False))
    assert found[0] == found[1]
    assert found[0][0][1] == 100
    assert len(list((tmp_path / "2/traces").iterdir())) > 3
    file.write_text("\n".join([*lines, "oops", lines[3]]))
    said = r"f\.jsonl:101: not JSON: .*f\.jsonl:102: duplicate of f\.jsonl:4: sample 3 of question"
    with pytest.raises(InputError, match=said):
        import_traces(file, tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


def test_an_import_that_was_killed_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("cot.importers.trace_lines.BLOCK", 300)
    monkeypatch.setattr("cot.processes.n_processes", lambda n: 1)
    file = tmp_path / "f.jsonl"
    lines = [{**GOOD, "sample_index": n} for n in range(20)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "run/.importing").mkdir(parents=True)  # of one killed while it read
    (tmp_path / "run/.importing/part-000000.parquet").write_text("torn")
    moved = []

    def killed(source, path):
        if len(moved) == 2:
            raise KeyboardInterrupt
        moved.append(path)
        path.parent.mkdir(exist_ok=True)
        source.rename(path)

    with monkeypatch.context() as patch:
        patch.setattr("cot.importers.move_file", killed)
        with pytest.raises(KeyboardInterrupt):
            import_traces(file, tmp_path / "run")
    done = import_traces(file, tmp_path / "run")
    assert 0 < done.n_new < 20
    assert done.run.traces()["sample_index"].to_list() == list(range(20))
    assert not (tmp_path / "run/.importing").exists()
