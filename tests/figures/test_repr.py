"""A run in a notebook: what it is, and nothing of it obeyed."""

import re
import shutil

import pandas as pd
from planted import IDENTITY, planted_run
from written import write_table

from cot.store.run import create_run

HOSTILE = "<script>alert(1)</script><img src=x onerror='x()'>\"&\u202egnp.\x1b[31m"


def test_name_counts_and_tables(tmp_path):
    run = planted_run(tmp_path / "demo", tables=["answers", "votes"])
    shown = run._repr_html_()
    assert "<caption>demo</caption>" in shown
    for name, value in {
        "model": "planted-135m",
        "dataset": "arithmetic",
        "questions": 12,
        "traces": 96,
        "tables": "answers, votes",
    }.items():
        assert f"<th>{name}</th><td>{value}</td>" in shown


def test_stale_tables_are_said(tmp_path):
    run = planted_run(tmp_path / "run", tables=["answers", "votes"])
    changed = run.table("answers").iloc[1:]
    write_table(run, "answers", changed, command="answers", parameters={}, inputs=["traces"])
    shown = run._repr_html_()
    assert "<th>tables</th><td>answers</td>" in shown
    assert "<th>stale: votes</th><td>answers changed after it was made</td>" in shown


def test_hostile_names_are_inert(tmp_path):
    hostile = {**IDENTITY, "model": HOSTILE, "dataset": HOSTILE}
    folder = tmp_path / "<b onclick=x()>run"
    run = planted_run(folder, tables=["answers"], identity=hostile)
    own = folder / "tables" / "answers.parquet"
    shutil.copy(own, folder / "tables" / "<img src=x onerror=y()>.parquet")
    source = HOSTILE.replace("/", "")
    write_table(
        run,
        "made",
        pd.DataFrame({"x": [1]}),
        command="c",
        parameters={},
        inputs=["answers", source],
    )
    shown = run._repr_html_()
    assert set(re.findall(r"<[^>]*>", shown)) == {
        f"<{end}{tag}>" for tag in ("table", "caption", "tr", "th", "td") for end in ("", "/")
    }
    assert shown.isprintable()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "&lt;img src=x onerror=y()&gt;" in shown


def test_a_run_without_anything_yet(tmp_path):
    shown = create_run(tmp_path / "run", {"model": None})._repr_html_()
    assert "<th>model</th><td>not named</td>" in shown
    assert "<th>tables</th><td>none</td>" in shown
