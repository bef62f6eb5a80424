"""The page as a file: whole for whatever tables exist, escaped, written at once or not at all."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import HOSTILE, INPUTS, planted_run
from written import write_table

import analysis.page
from analysis.page import as_json, write_report
from analysis.page.evidence import Evidence, gather, overview
from analysis.page.figures import Embedded, embedded
from analysis.page.section import Section
from analysis.page.sections.questions import question_rows
from analysis.page.sections.traces.questions import question_details
from cot.store.run import Run, create_run, open_run
from cot.types import Completion, Question, Trace


class Page(HTMLParser):
    """Scripts and visible text of a page, as an HTML parser sees them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.tags: list[str] = []
        self.policy = ""
        self.words = ""
        self._script: dict[str, str | None] | None = None
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        if tag == "script":
            self._script = given
            self.scripts.append((given, ""))
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""
        assert not any(name.startswith("on") or name == "style" for name in given)
        assert not str(given.get("href", "#")).startswith(("http:", "https:", "//"))
        assert "src" not in given

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        else:
            self.words += " " + data

    def json(self, name: str) -> Any:
        (text,) = [text for given, text in self.scripts if given.get("id") == name]
        return json.loads(text)


def page_of(run: Run) -> Page:
    return Page(write_report(run))


@pytest.fixture(scope="module")
def planted(report: Path) -> Run:
    return open_run(report.parent)


@pytest.fixture(scope="module")
def page(report: Path) -> Page:
    return Page(report)


def test_policy_names_every_script_that_runs_and_no_other(page: Page) -> None:
    running = [text for given, text in page.scripts if given.get("type") != "application/json"]
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in running]
    assert re.findall(r"'sha256-([^']+)'", page.policy) == [digest.decode() for digest in digests]
    assert "default-src 'none'" in page.policy
    for word in ("unsafe-eval", "http", "*", "connect-src"):
        assert word not in page.policy
    script_rule = next(rule for rule in page.policy.split(";") if "script-src" in rule)
    assert "unsafe-inline" not in script_rule


def test_hostile_text_stays_inside_its_json(planted: Run, page: Page) -> None:
    assert len(page.scripts) == 5  # three of data, plotly, the page's own
    traces = page.json("detail-data")["q03"]["traces"]
    assert "".join(text for _, text, *_ in traces[1]["pieces"]) == HOSTILE
    assert "img" not in page.tags
    source = (planted.path / "report.html").read_text(encoding="utf-8")
    assert "onerror=window" in source  # in the JSON,
    assert "<img" not in source.replace(page.scripts[3][1], "")  # where nothing is a tag
    assert "\x1b" not in source.replace(page.scripts[3][1], "")


def test_hostile_settings_and_commands_are_escaped(tmp_path: Path) -> None:
    identity = {"model": "<img src=x>", "dataset": "</title><script>", "prompt": "\x1b[31m"}
    run = planted_run(tmp_path / "run", tables=["answers"], identity=identity)
    page = page_of(run)
    assert "img" not in page.tags
    assert "<img src=x>" in page.words
    assert "\\x1b[31m" in page.words


@pytest.mark.slow
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_survives_and_cannot_end_its_element(value: Any) -> None:
    text = str(as_json(value))
    assert json.loads(text) == value
    assert not set("<>&\u2028\u2029") & set(text)


def test_json_refuses_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json([float("nan")])


DRAWN: dict[tuple[str, ...], dict[str, Embedded]] = {}
"""A section's figures, by its name and the tables that it reads and that are there."""


def drawn_once(evidence: Evidence, sections: Sequence[Section]) -> dict[str, Embedded]:
    """`embedded`, where every run's tables are the same."""
    found: dict[str, Embedded] = {}
    for each in sections:
        key = (each.name, *(name for name in each.reads if name in evidence.tables))
        if key not in DRAWN:
            DRAWN[key] = embedded(evidence, [each])
        found |= DRAWN[key]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("count", range(0, len(INPUTS) + 1, 3))
def test_any_prefix_of_the_pipeline_gives_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(analysis.page, "embedded", drawn_once)
    there = list(INPUTS)[:count]
    page = page_of(planted_run(tmp_path / "run", tables=there))
    assert len(page.json("page-data")["questions"]) == 12
    assert len(page.json("detail-data")["q03"]["traces"]) == 8
    for table, verb in {"votes": "vote", "curve": "curve", "probes": "probe"}.items():
        assert (f"There is no table {table} yet." in page.words) == (table not in there)
        if table not in there:
            assert f"cot {verb} {tmp_path / 'run'}" in page.words


def test_without_tables_a_run_still_shows_its_traces(tmp_path: Path) -> None:
    page = page_of(planted_run(tmp_path / "run", tables=[]))
    assert page.json("page-data")["figures"] == {}
    row = page.json("page-data")["questions"][0]
    assert (row["id"], row["n_traces"], row["majority"], row["suspicion"]) == ("q00", 8, None, None)
    trace = page.json("detail-data")["q00"]["traces"][0]
    assert trace["pieces"][0][1].startswith("Ada starts with 3 pens.")
    assert len(page.scripts) == 4  # no figure, no plotly
    assert "cut off" in page.words


def test_a_stale_table_is_said_where_it_is_shown(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=["answers", "steps", "votes"])
    with run.lock(), run.writer() as writer:
        completion = Completion(text="More", token_ids=None, logprobs=None, finish_reason="stop")
        late = {"question_id": "q00", "sample_index": 8, "seed": None, "prompt_sha": "planted"}
        writer.add(Trace(**late, completion=completion))
    page = page_of(run)
    assert "The table answers is stale: traces changed after it was made." in page.words
    trace = page.json("detail-data")["q00"]["traces"][8]
    assert (trace["status"], trace["answer"], trace["right"]) == (None, None, None)


def test_an_imported_run_without_gold(tmp_path: Path) -> None:
    imported = {
        "imported": {"file": "far/away/traces.jsonl", "format": "jsonl", "sha256": "0" * 64}
    }
    run = create_run(tmp_path / "run", {"model": None, **imported})
    with run.lock():
        run.add_questions([Question(id="</script>", text="Why?")])
        with run.writer() as writer:
            completion = Completion(text="", token_ids=None, logprobs=None, finish_reason="stop")
            key = {"question_id": "</script>", "sample_index": 0, "seed": None}
            writer.add(Trace(**key, prompt_sha="", completion=completion))
    page = page_of(run)
    assert "traces.jsonl" in page.words
    assert "an unnamed model" in page.words
    assert list(page.json("detail-data")) == ["</script>"]


@pytest.mark.slow
def test_the_page_says_how_answers_were_read(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run")
    said = overview(gather(run))
    assert ("answers read by", f"cue {int((run.table('answers')['status'] == 'ok').sum())}") in [
        (name, text) for name, text in said.settings
    ]
    assert "weakly read" not in [name for name, _, _ in said.counts]
    answers = run.table("answers")
    answers.loc[answers["status"] == "ok", "pattern"] = "last_number"
    with run.lock():
        write_table(run, "answers", answers, command="answers", parameters={}, inputs=["traces"])
    weak = {name: n for name, n, _ in overview(gather(run)).counts}["weakly read"]
    assert weak == int((answers["status"] == "ok").sum())


def test_rows_say_what_the_tables_say(planted: Run, page: Page) -> None:
    rows = {row["id"]: row for row in page.json("page-data")["questions"]}
    votes = planted.table("votes").set_index("question_id")
    for key, row in rows.items():
        assert row["majority"] == votes.loc[key, "answer"]
        assert row["share"] == pytest.approx(votes.loc[key, "share"])
    assert rows["q03"]["right"] is False
    assert rows["q00"]["right"] is True
    assert rows["q11"]["right"] is None
    assert rows["q11"]["gold"] is None


def test_details_count_answers_paths_and_what_did_not_vote(page: Page) -> None:
    detail = page.json("detail-data")["q02"]
    assert detail["answers"][0] == {"answer": "12", "n": 4, "right": True}
    assert detail["excluded"] == {"truncated": 1}
    assert sum(entry["n"] for entry in detail["answers"]) + 1 == 8
    for path in detail["clusters"]:
        assert sum(path["counts"]) + path["none"] == path["n"]
    assert sum(path["n"] for path in detail["clusters"]) == 8
    assert detail["traces"][0]["score"] == pytest.approx(0.65)


@pytest.mark.slow
def test_past_the_budget_the_least_suspicious_keep_their_counts(
    planted: Run,
) -> None:
    evidence = gather(planted)
    ids = [row.id for row in question_rows(evidence)]
    details = question_details(evidence, ids, budget=1500)
    kept = [details[key].traces is not None for key in ids]
    assert kept[0]
    assert not kept[-1]
    assert kept == sorted(kept, reverse=True)
    assert details[ids[-1]].answers


def test_a_failed_write_leaves_the_old_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planted_run(tmp_path / "run", tables=["answers"])
    path = write_report(run)
    before = path.read_bytes()

    def fail(*_: Any) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        write_report(run)
    assert path.read_bytes() == before


WITNESSES = ["answers", "votes", "findings_vote", "probes", "probe_scores", "findings_probe"]
WITNESSES += [name for name in INPUTS if name.startswith("agreement")] + ["findings_agree"]


@pytest.mark.slow
def test_undefined_findings_are_dashes_and_claim_nothing(tmp_path: Path, page: Page) -> None:
    run = planted_run(tmp_path / "run", tables=WITNESSES)
    for name in ("findings_vote", "findings_probe", "findings_agree"):
        frame = run.table(name)
        columns = ["estimate", "low", "high", *(["p"] if name == "findings_agree" else [])]
        frame[columns] = float("nan")
        write_table(run, name, pd.DataFrame(frame), command="x", parameters={}, inputs=[])
    words = page_of(run).words
    for said in (words, page.words):
        assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", said.lower())
    assert "No question has gold" in words
    assert "undefined" in words


@pytest.mark.slow
def test_a_probe_that_could_not_be_tested_says_why(tmp_path: Path) -> None:
    run = planted_run(tmp_path / "run", tables=WITNESSES)
    reason = "undefined: all 88 traces are positive"
    nothing = {"best": False, "method": reason, "auroc": float("nan"), "low": float("nan")}
    probes = run.table("probes").assign(**nothing)
    write_table(run, "probes", probes, command="probe", parameters={}, inputs=[])
    findings = run.table("findings_probe")
    findings[["estimate", "low", "high"]] = float("nan")
    findings["method"] = reason
    write_table(run, "findings_probe", findings, command="probe", parameters={}, inputs=[])
    assert f"what the hidden states know: {reason}." in page_of(run).words
