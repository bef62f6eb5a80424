"""Tables come out whole; what a spreadsheet would run is defused."""

import csv
import json

import pandas as pd

import analysis
from analysis.answer_table import answers as extract_answers
from cot.store.run import create_run
from cot.types import Question
from tests.small import trace_of

FORMULA = '=HYPERLINK("http://x")'
TEXTS = [FORMULA, "+1", "-2 apples", "@SUM(A1)", "\t=1", 'plain, with "quotes"\nand lines']


def made(tmp_path):
    run = create_run(tmp_path / "run", {})
    with run.lock():
        run.add_questions([Question(id="q", text="=1+1", gold="2", choices=("=a", "b"))])
        with run.writer() as writer:
            for index, text in enumerate(TEXTS):
                writer.add(trace_of("q", index, text))
    extract_answers(run)
    return run


def test_csv_defuses_formulas_and_keeps_numbers(tmp_path):
    run = made(tmp_path)
    files = {path.stem: path for path in analysis.export(run, to="csv")}
    assert set(files) == {"questions", "traces", "answers"}
    with open(files["traces"], newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["text"] for row in rows] == ["'" + text for text in TEXTS[:5]] + TEXTS[5:]
    assert json.loads(rows[0]["logprobs"]) == [-0.5, -0.25, -1.0]
    cells = []
    for path in files.values():
        with open(path, newline="", encoding="utf-8") as handle:
            cells += [cell for row in csv.reader(handle) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "@", "\t"))]


def test_jsonl_and_parquet_hold_the_same(tmp_path):
    run = made(tmp_path)
    (traces,) = (p for p in analysis.export(run, to="jsonl") if p.stem == "traces")
    rows = [json.loads(line) for line in traces.read_text().splitlines()]
    assert [row["text"] for row in rows] == TEXTS
    assert rows[0]["token_ids"] == [0, 1, 2]
    analysis.export(run, to="parquet", out=tmp_path / "out")
    assert pd.read_parquet(tmp_path / "out" / "traces.parquet")["text"].to_list() == TEXTS


def test_a_stale_table_is_exported_and_said(tmp_path, caplog):
    run = made(tmp_path)
    with run.lock(), run.writer() as writer:
        writer.add(trace_of("q", len(TEXTS), "The answer is 2."))
    caplog.clear()
    files = analysis.export(run, to="csv")
    assert "answers.csv" in {path.name for path in files}
    assert "table answers is stale" in caplog.text
