"""What a page says of one question, and where it keeps it."""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import asdict, replace
from html import unescape
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import HOSTILE, planted_run
from planted_depth import UNLIKELY, planted_deep

from analysis.page import write_report
from analysis.page.evidence import gather
from analysis.page.sections.traces.questions import question_details
from analysis.page.sections.traces.shades import ALPHABET, GAP, LOWEST, STEPS, encode, shades_of
from analysis.page.shards import as_files, clear, pack_blocks, write_shards
from cot.store.run import Run

SURROGATES = "\N{GRINNING FACE} 5 + 7"


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return planted_deep(tmp_path_factory.mktemp("deep"), texts={("q03", 1): HOSTILE})


def runs_of(shade: str) -> list[tuple[int, int]]:
    values = [ALPHABET.index(character) for character in shade]
    return list(zip(values[::2], values[1::2], strict=True))


def data_of(page: Path, name: str) -> Any:
    found = re.search(f'id="{name}">(.*?)</script>', page.read_text(encoding="utf-8"), re.S)
    assert found is not None
    return json.loads(found.group(1))


def test_runs_are_tokens_in_the_browsers_units() -> None:
    spans = np.array([(0, 1), (0, 1), (1, 3), (4, 6)])  # two tokens wrote the first character
    shade = encode(SURROGATES, spans, np.array([-0.5, -0.5, -2.0, -90.0]))
    assert shade is not None
    lengths, levels = zip(*runs_of(shade), strict=True)
    assert lengths == (2, 2, 1, 2, 1)
    assert sum(lengths) == len(SURROGATES.encode("utf-16-le")) // 2
    assert levels == (round(STEPS), round(STEPS * 2**0.5), GAP, LOWEST, GAP)


@given(st.floats(-15.0, 0.0))
def test_a_level_gives_its_logprob_back(logprob: float) -> None:
    shade = encode("a", np.array([(0, 1)]), np.array([logprob]))
    assert shade is not None
    ((_, level),) = runs_of(shade)
    assert abs(exp(-((level / STEPS) ** 2)) - exp(logprob)) < 0.035


@given(
    st.text(max_size=200),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 90)), max_size=30),
)
def test_runs_cover_the_text_once_or_there_are_none(
    text: str, steps: list[tuple[int, int]]
) -> None:
    starts = np.cumsum([gap for gap, _ in steps] or [0])
    ends = np.minimum(starts + [length for _, length in steps or [(0, 0)]], len(text))
    spans = np.maximum.accumulate(np.stack([np.minimum(starts, len(text)), ends], axis=1))
    shade = encode(text, spans, np.full(len(spans), -1.0))
    if shade is not None:
        assert sum(length for length, _ in runs_of(shade)) == len(text.encode("utf-16-le")) // 2


def test_ids_of_another_tokenizer_shade_nothing() -> None:
    assert encode("5 + 7 = 12", np.zeros((4, 2), int), np.full(4, -1.0)) is None


def test_each_trace_is_shaded_where_the_tokenizer_is_there(deep: Run, tmp_path: Path) -> None:
    shades, why = shades_of(deep)
    assert why is None
    assert len(shades) == 12 * 8
    text = deep.traces(["text"]).set_index(["question_id", "sample_index"])["text"]["q00", 0]
    levels = [level for length, level in runs_of(shades["q00", 0]) for _ in range(length)]
    unlikely = round(STEPS * (-UNLIKELY) ** 0.5)
    assert [level == unlikely for level in levels] == [character.isdigit() for character in text]
    none, why = shades_of(planted_run(tmp_path / "run", tables=[]))
    assert none == {}
    assert why == "the tokenizer of planted-135m isn't on the machine that wrote this page"


@pytest.mark.parametrize("name", [None, "../..", "<img src=x>", "a/b/c", "\x00", "/"])
def test_odd_names_of_models_shade_nothing(tmp_path: Path, name: str | None) -> None:
    run = planted_run(tmp_path / "run", tables=[], identity={"model": name, "dataset": "x"})
    assert shades_of(run)[0] == {}


@pytest.mark.slow
def test_the_lens_of_a_trace_is_what_the_table_says(deep: Run) -> None:
    detail = question_details(gather(deep), ["q02"])["q02"]
    lens = deep.table("lens").query("question_id == 'q02'")
    assert detail.traces is not None
    assert detail.latent is not None
    trace = detail.traces[6]
    assert trace.latent is not None
    assert detail.latent.prompt is not None
    assert trace.latent.stated is not None
    layers, answers = detail.latent.layers, detail.latent.answers
    assert layers == sorted(lens["layer"].unique(), reverse=True)
    own = lens[lens["sample_index"] == 6]
    steps = [own[own["step"] == step] for step in trace.latent.steps]
    places = [lens[lens["position"] == "prompt_end"], *steps, own[own["position"] == "pre_answer"]]
    cells = runs_of(detail.latent.prompt + trace.latent.cells)
    assert trace.latent.before
    assert len(cells) == len(places) * len(layers)
    for place, rows in enumerate(places):
        by_layer = rows.set_index("layer")
        for i, layer in enumerate(layers):
            code, p = cells[place * len(layers) + i]
            assert answers[code] == by_layer.loc[layer, "answer"]
            assert p / 63 == pytest.approx(by_layer.loc[layer, "p"], abs=0.5 / 63)
    assert answers[trace.latent.stated] == trace.answer == "11"


@pytest.mark.slow
def test_details_have_ballots_kinds_and_scores_along_the_trace(deep: Run) -> None:
    agreement = pd.DataFrame(deep.table("agreement")).assign(odd_vote="12", majority_vote="0")
    evidence = gather(deep)
    evidence = replace(evidence, tables={**evidence.tables, "agreement": agreement}, stale={})
    detail = question_details(evidence, ["q02"])["q02"]
    by_name = {each.name: asdict(each) for each in detail.ballots}
    assert by_name["majority"] == {
        **{"name": "majority", "rater": False, "answer": "12", "right": True},
        **{"share": pytest.approx(4 / 7), "tied": False},
    }
    odd = {"rater": True, "answer": "12", "right": True, "share": None, "tied": None}
    assert by_name["odd"] == {"name": "odd", **odd}
    assert detail.traces is not None
    trace = detail.traces[0]
    assert trace.kinds == ["setup", "calculation", "answer"]
    assert trace.along == [[0, 0.2], [1, 0.45], [2, 0.7]]


@pytest.mark.slow
def test_a_large_page_has_its_questions_in_files_beside_it(tmp_path: Path) -> None:
    hostile = "</script><!--\u2028\u2029 __proto__ ]); alert(1) //"
    run = planted_run(tmp_path / "run", texts={("q03", 1): hostile}, tables=["answers"])
    whole = write_report(run)
    details = data_of(whole, "detail-data")
    assert not (run.path / "report-data").exists()
    assert "'self'" not in unescape(whole.read_text(encoding="utf-8"))
    size = whole.stat().st_size
    assert write_report(run, max_bytes=size) == whole
    assert data_of(whole, "detail-data") == details
    write_report(run, max_bytes=size - 1)
    assert data_of(whole, "detail-data") == {}
    assert whole.stat().st_size < size
    assert re.search(r"script-src [^;]* 'self';", unescape(whole.read_text(encoding="utf-8")))
    told = data_of(whole, "page-data")["shards"]
    assert (told["folder"], told["firsts"]) == ("report-data", [0])
    (file,) = (run.path / "report-data").iterdir()
    assert file.name == "0001.js"
    text = file.read_text(encoding="utf-8")
    assert not set("<>&\u2028\u2029") & set(text)
    assert text.count("\n") == 1
    call, stamp, block = re.fullmatch(r'(\w+)\("(\w+)",1,(.*)\);\n', text).groups()  # type: ignore[union-attr]
    assert (call, stamp) == ("consilience", told["stamp"])
    assert dict(unpacked(json.loads(block))) == details
    write_report(run)
    assert not (run.path / "report-data").exists()


@pytest.mark.slow
def test_a_page_of_much_text_has_its_questions_packed_in_it(tmp_path: Path) -> None:
    hostile = "</script><!--\u2028\u2029 __proto__ ]); alert(1) //" + 500 * "2 + 2 = 4. "
    run = planted_run(tmp_path / "run", texts={("q03", 1): hostile}, tables=["answers"])
    details = data_of(write_report(run), "detail-data")
    size = (run.path / "report.html").stat().st_size
    path = write_report(run, plain_bytes=1000)
    assert path.stat().st_size < size
    assert data_of(path, "detail-data") == {}
    told = data_of(path, "page-data")["shards"]
    assert (told["folder"], told["firsts"]) == (None, [0])
    source = path.read_text(encoding="utf-8")
    (block,) = re.findall(r'<script type="text/plain" id="block-1">(.*?)</script>', source)
    assert dict(unpacked(block)) == details
    assert "'self'" not in unescape(source)
    assert not (run.path / "report-data").exists()


def unpacked(block: str) -> Any:
    """What a block holds."""
    return json.loads(gzip.decompress(base64.b64decode(block, validate=True)))


def test_blocks_are_filled_in_order_and_their_files_name_them_by_number() -> None:
    details = [(json.dumps(name), json.dumps("x" * 40)) for name in ("../a", "b", "__proto__")]
    told, blocks = pack_blocks(details, size=50)
    assert told["firsts"] == [0, 2]
    assert [unpacked(block) for block in blocks] == [
        [["../a", "x" * 40], ["b", "x" * 40]],
        [["__proto__", "x" * 40]],
    ]
    assert pack_blocks(details[:2])[0]["stamp"] != told["stamp"]
    beside, texts = as_files(told, blocks, "report-data")
    assert beside == {**told, "folder": "report-data"}
    assert [json.loads(f"[{text[len('consilience(') : -3]}]") for text in texts] == [
        [told["stamp"], 1, blocks[0]],
        [told["stamp"], 2, blocks[1]],
    ]


def test_old_files_are_removed_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "report-data"
    write_shards(folder, ["1", "2", "3"])
    (folder / "notes.txt").write_text("mine")
    write_shards(folder, ["4"])
    clear(folder, 1)
    assert sorted(file.name for file in folder.iterdir()) == ["0001.js", "notes.txt"]
    clear(folder, 0)
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]
    (folder / "notes.txt").unlink()
    clear(folder, 0)
    assert not folder.exists()
    clear(folder, 0)
