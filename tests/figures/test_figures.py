"""Figures show what the tables say, beside their controls, and obey nothing."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted import planted_run
from written import write_table

from analysis import figures
from analysis.agreement.question_kinds import KINDS
from analysis.calibration import calibrate
from analysis.figures.look import COLOURS, NEUTRAL, shown
from cot.errors import InputError
from cot.store.run import create_run

ROOT = Path(__file__).parent.parent.parent
HOSTILE = '<a href="https://x.test">$x$</a>\n\u202e<script>'
PAIRS = ("answers × paths", "answers × hidden states", "paths × hidden states")
COEFFICIENTS = pd.DataFrame(
    [
        {"name": name, "measure": measure, "estimate": 0.1 * i, "low": 0.1 * i - 0.05}
        | {"high": 0.1 * i + 0.08, "null_mean": 0.01, "null_low": -0.04, "null_high": 0.06}
        | {"p": 0.5, "n_questions": 9, "n_traces": 70, "n_excluded": 3, "seed": 0}
        for measure in ("ami", "ari", "vi")
        for i, name in enumerate(PAIRS)
    ]
    + [
        {"name": "answers × paths × hidden states", "measure": "three_way", "estimate": np.nan}
        | {"low": np.nan, "high": np.nan, "null_mean": np.nan, "null_low": np.nan}
        | {"null_high": np.nan, "p": np.nan, "n_questions": 0, "n_traces": 70}
        | {"n_excluded": 12, "seed": 0}
    ]
)
RATERS = pd.DataFrame(
    {
        "rater": ["majority", "path", "probe"],
        "accuracy": [0.8, 0.7, 0.9],
        "low": [0.6, 0.5, 0.7],
        "high": [0.9, 0.85, 1.0],
        "difference": [0.0, -0.1, 0.1],
        "difference_low": [0.0, -0.2, 0.0],
        "difference_high": [0.0, 0.0, 0.2],
        "rescued": [0, 0, 1],
        "n_wrong": 2,
        "lost": [0, 1, 0],
        "n_questions": 11,
        "seed": 0,
    }
)
RATER_PAIRS = pd.DataFrame(
    {
        "rater": ["majority", "majority", "path"],
        "other": ["path", "probe", "probe"],
        "agreement": [0.9, 0.9, 0.8],
        "chance": 0.6,
        "kappa": [0.75, 0.75, 0.5],
        "low": [0.5, 0.5, 0.2],
        "high": [0.9, 0.95, 0.8],
        "n_questions": 12,
        "n_same": 3,
        "seed": 0,
    }
)
ARGUMENTS = {"paths": ("q03",), "lens": ("q01", 0), "importance": ("q00", 2)}


def write(run, name, frame, inputs=()):
    write_table(run, name, frame, command="planted", parameters={}, inputs=inputs)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = planted_run(tmp_path_factory.mktemp("plot") / "run")
    calibrate(run)
    write(run, "agreement_coefficients", COEFFICIENTS)
    write(run, "agreement_raters", RATERS)
    write(run, "agreement_rater_pairs", RATER_PAIRS)
    return run


def draw(run, name):
    arguments = ARGUMENTS.get(name, ())
    if name == "lens":
        first = run.table("lens_tokens").iloc[0]
        arguments = (first["question_id"], int(first["sample_index"]))
    return getattr(figures, name)(run, *arguments)


def caption(figure):
    return figure.layout.title.subtitle.text.replace("<br>", " ")


def dots(figure, value):
    """Name to (x, low, high) of the series whose marker is a circle, in one panel."""
    found = {}
    for series in figure.data:
        if series.xaxis == value and series.marker.symbol in ("circle", "diamond"):
            low = np.subtract(series.x, series.error_x.arrayminus)
            high = np.add(series.x, series.error_x.array)
            found |= dict(zip(series.y, zip(series.x, low, high, strict=True), strict=True))
    return found


def same(found, table, names, columns):
    assert list(found) == list(names)
    expected = table[list(columns)].to_numpy(float)
    np.testing.assert_allclose(np.array(list(found.values()), dtype=float), expected, atol=1e-12)


@pytest.mark.parametrize("name", figures.__all__)
def test_each_is_a_figure_that_says_n_interval_and_control(run, name):
    import plotly.graph_objects as go

    figure = draw(run, name)
    assert isinstance(figure, go.Figure)

    def refuse(constant):
        raise AssertionError(f"{constant} in the figure's JSON")

    json.loads(figure.to_json(), parse_constant=refuse)
    said = caption(figure)
    assert "n = " in said
    assert any(word in said for word in ("95%", "no interval", "not an estimate"))
    assert any(word in said for word in ("ontrol", "95%", "shuffled"))
    assert figure.layout.paper_bgcolor == "rgba(0, 0, 0, 0)"


@pytest.fixture
def bare(tmp_path):
    """A run without any table, for those written by hand."""
    return create_run(tmp_path / "run", {"model": None})


@pytest.mark.parametrize("name", figures.__all__)
def test_a_missing_table_names_the_command(bare, name):
    arguments = ARGUMENTS.get(name, ())
    with pytest.raises(InputError, match=rf"has no table \w+ to draw: `cot \w+ {bare.path}"):
        getattr(figures, name)(bare, *arguments)


def test_curve(run):
    table = run.table("curve")
    (series,) = figures.curve(run).data
    assert list(series.x) == list(table["n"])
    np.testing.assert_allclose(series.y, table["accuracy"])
    np.testing.assert_allclose(np.add(series.y, series.error_y.array), table["high"])
    np.testing.assert_allclose(np.subtract(series.y, series.error_y.arrayminus), table["low"])


def test_votes(run):
    table = run.table("findings_vote")
    own = table[~table["name"].str.contains(" - ")]
    figure = figures.votes(run)
    same(dots(figure, "x"), own, ["majority", "single", "greedy"], ("estimate", "low", "high"))
    gain = table[table["name"] == "majority - single"]
    same(dots(figure, "x2"), gain, ["majority"], ("estimate", "low", "high"))


def test_calibration(run):
    curves = run.table("calibration_curves")
    mine = curves[curves["signal"] == "vote_share"]
    figure = figures.calibration(run, "vote_share")
    bars, risk = (mine[mine["kind"] == kind] for kind in ("reliability", "risk_coverage"))
    np.testing.assert_allclose(figure.data[1].y, bars["y"])
    np.testing.assert_allclose(figure.data[-1].y, risk["y"])
    score = run.table("calibration").set_index("signal").loc["vote_share"]
    np.testing.assert_allclose(figure.data[2].y, 1 - score["prevalence"])
    assert figure.data[3].y[-1] == pytest.approx(1 - score["prevalence"])
    assert f"AUROC {score['auroc']:.2f}" in caption(figure)
    with pytest.raises(
        InputError, match="has no signal 'vote_shar' to draw: did you mean 'vote_sh"
    ):
        figures.calibration(run, "vote_shar")


def test_paths(run):
    figure = figures.paths(run, "q03")
    places = run.table("path_map").query("question_id == 'q03'")
    points = [pair for series in figure.data for pair in zip(series.x, series.y, strict=True)]
    assert sorted(points) == sorted(zip(places["x"], places["y"], strict=True))
    assert [series.name for series in figure.data] == ["path 0", "path 1"]
    symbols = [symbol for series in figure.data for symbol in series.marker.symbol]
    assert (symbols.count("circle"), symbols.count("x")) == (2, 6)
    with pytest.raises(InputError, match="no question_id 'q3' to draw: did you mean"):
        figures.paths(run, "q3")


def test_answers_that_are_not_judged_are_not_wrong(run):
    (_, *rest) = figures.paths(run, "q11").data
    assert set(rest[-1].marker.symbol) == {"circle-open"}, "q11 has no gold"


def test_probes_and_their_controls_have_one_colour_scale(run):
    table = run.table("probes").query("target == 'correct'")
    figure = figures.probes(run)
    columns = ("auroc", "within_question_auroc", "control", "control_within")
    assert [title.text for title in figure.layout.annotations] == [
        "pooled",
        "within questions",
        "pooled, labels shuffled",
        "within questions, labels shuffled",
    ]
    for heat, column in zip(figure.data, columns, strict=True):
        cells = table.set_index(["layer", "position"])[column]
        for i, layer in enumerate(heat.y):
            for j, position in enumerate(heat.x):
                assert heat.z[i][j] == cells[int(layer), position]
    assert {(heat.zmin, heat.zmax) for heat in figure.data} == {(0.4, 1.0)}
    assert len({heat.colorscale for heat in figure.data}) == 1
    assert "(0.520 to 0.680), n = 88" in figure.data[0].text[0][0]
    with pytest.raises(InputError, match="no target 'length'"):
        figures.probes(run, "length")


def test_the_colours_reach_down_to_the_lowest_value(run, bare):
    table = run.table("probes").query("target == 'correct'")
    write(bare, "probes", table.assign(control=[0.21, *[np.nan] * (len(table) - 1)]))
    assert {heat.zmin for heat in figures.probes(bare).data} == {0.21}


def test_lens(run):
    table = run.table("lens_tokens")
    question_id, index = table.iloc[0][["question_id", "sample_index"]]
    rows = table[(table["question_id"] == question_id) & (table["sample_index"] == index)]
    (heat,) = figures.lens(run, question_id, int(index)).data
    layers, tokens = [int(layer) for layer in heat.y], list(heat.x)
    for row in rows.to_dict("records"):
        i, j = layers.index(row["layer"]), tokens.index(row["token"])
        short = row["top"] if len(row["top"]) <= 7 else row["top"][:6] + "…"
        assert (heat.z[i][j], heat.text[i][j]) == (row["p_top"], shown(short))
        assert tuple(heat.customdata[i][j]) == (row["p_stated"], row["entropy"], shown(row["top"]))
    assert np.size(heat.z) == len(rows)
    with pytest.raises(InputError, match=r"trace q99:4 .* choose from .*--trace q99:4"):
        figures.lens(run, "q99", 4)


def test_consistency_by_hand(bare):
    """Two traces of a; b has one candidate only, and says nothing."""
    said = {("a", 0): "112", ("a", 1): "222", ("b", 0): "111", ("b", 1): "111"}
    rows = [
        {"question_id": question, "sample_index": index, "position": position, "layer": layer}
        | {"answer": answer if position == "pre_answer" else "9", "answer_calibrated": answers[-1]}
        for (question, index), answers in said.items()
        for layer, answer in enumerate(answers)
        for position in ("step_end", "pre_answer")
    ]
    traces = [
        {"question_id": name, "sample_index": i, "n_candidates": 1 + (name == "a")}
        for name, i in said
    ]
    write(bare, "lens", pd.DataFrame(rows))
    write(bare, "lens_traces", pd.DataFrame(traces))
    figure = figures.consistency(bare)
    own, other, calibrated, _ = (list(series.y) for series in figure.data)
    assert (own, other) == ([0.5, 0.5, 1.0], [0.5, 0.5, 1.0])
    assert calibrated == [1.0, 1.0, 1.0]
    assert "n = 1 questions" in caption(figure)
    assert "1 left out" in caption(figure)


def test_consistency_control_is_another_trace(bare):
    """Every trace says one thing at all layers; two of the three say the same."""
    rows = [
        {"question_id": "a", "sample_index": i, "position": "pre_answer", "layer": layer}
        | {"answer": str(min(i, 1)), "answer_calibrated": str(i)}
        for i in range(3)
        for layer in range(2)
    ]
    write(bare, "lens", pd.DataFrame(rows))
    traces = pd.DataFrame({"question_id": "a", "sample_index": range(3), "n_candidates": 3})
    write(bare, "lens_traces", traces)
    own, other, _, calibrated_other = (list(series.y) for series in figures.consistency(bare).data)
    assert own == [1.0, 1.0]
    assert other == pytest.approx([1 / 3, 1 / 3]), "of 6 ordered pairs, 2 are alike"
    assert calibrated_other == [0.0, 0.0]


def test_trajectories(run):
    table = run.table("trajectories")
    figure = figures.trajectories(run)
    drawn = sum(int(np.isfinite(np.array(series.x, dtype=float)).sum()) for series in figure.data)
    assert drawn == len(table)
    gaps = sum(int(np.isnan(np.array(series.x, dtype=float)).sum()) for series in figure.data)
    assert gaps == len(table.drop_duplicates(["question_id", "sample_index"]))
    begins = sum(list(series.marker.symbol).count("diamond") for series in figure.data)
    assert begins == (table["step"] == -1).sum()
    one = table[table["question_id"] == "q03"]
    wrong, right = figures.trajectories(run, "q03").data
    assert (wrong.name, right.name) == ("wrong", "right"), "the fewest on top"
    assert len(right.x) + len(wrong.x) == len(one) + one["sample_index"].nunique()


def test_agreement(run):
    figure = figures.agreement(run)
    three = "answers × paths × hidden states"
    first = COEFFICIENTS[COEFFICIENTS["measure"].isin(["ami", "three_way"])]
    same(dots(figure, "x"), first, [*PAIRS, three], ("estimate", "low", "high"))
    last = COEFFICIENTS[COEFFICIENTS["measure"] == "vi"]
    same(dots(figure, "x3"), last, PAIRS, ("estimate", "low", "high"))
    null = next(series for series in figure.data if series.marker.symbol == "line-ns-open")
    np.testing.assert_allclose(np.add(null.x, null.error_x.array)[:3], 0.06)
    np.testing.assert_allclose(np.subtract(null.x, null.error_x.arrayminus)[:3], -0.04)
    assert "n = 0 to 9 questions" in caption(figure)


def test_kinds(run):
    table = run.table("agreement")
    figure = figures.kinds(run)
    found = dots(figure, "x")
    assert set(found) == {kind for kinds in table["kinds"] for kind in kinds}
    there = [kind for kind in KINDS if kind in found]
    assert list(figure.layout.yaxis.categoryarray) == there
    split = table["kinds"].map(lambda kinds: "split answers" in kinds).mean()
    value, low, high = found["split answers"]
    assert value == split
    assert low < value < high
    assert found["same answer, different reasoning"] == (1.0, 1.0, 1.0)


def test_kinds_beside_their_control(run, bare):
    table = run.table("agreement").assign(decided_control=[True] * 3 + [False] * 5 + [None] * 4)
    table["kinds"] = [["decided before reasoning"]] * 12
    write(bare, "agreement", table.astype({"decided_control": "boolean"}))
    figure = figures.kinds(bare)
    assert [(list(series.x), list(series.y)) for series in figure.data] == [
        ([0.375], ["decided before reasoning"]),
        ([1.0], ["decided before reasoning"]),
    ]
    assert "8 questions" in caption(figure)


def test_raters(run):
    figure = figures.raters(run)
    by_control = RATERS.iloc[[1, 2, 0]]
    names = by_control["rater"]
    same(dots(figure, "x"), by_control, names, ("accuracy", "low", "high"))
    differences = ("difference", "difference_low", "difference_high")
    same(dots(figure, "x2"), by_control, names, differences)
    pairs = ["majority × path", "majority × probe", "path × probe"]
    same(dots(figure, "x3"), RATER_PAIRS, pairs, ("kappa", "low", "high"))


def test_a_run_in_which_no_question_has_gold(bare):
    blank = RATERS.assign(n_questions=0, n_wrong=0, rescued=0, lost=0)
    numbers = ["accuracy", "low", "high", "difference", "difference_low", "difference_high"]
    write(bare, "agreement_raters", blank.assign(**dict.fromkeys(numbers, np.nan)))
    write(bare, "agreement_rater_pairs", RATER_PAIRS)
    assert "n = 0 questions with gold" in caption(figures.raters(bare))


def test_hostile_text_is_shown_not_obeyed(run, bare):
    curve = run.table("curve").assign(rule=HOSTILE)
    tokens = run.table("lens_tokens").assign(text=HOSTILE, top=HOSTILE, question_id=HOSTILE)
    answers = run.table("answers").assign(answer=HOSTILE)
    made = {"curve": curve, "lens_tokens": tokens, "answers": answers}
    made |= {name: run.table(name) for name in ("paths", "path_map")}
    for name, frame in made.items():
        write(bare, name, frame)
    index = int(tokens["sample_index"].iloc[0])
    for figure in (
        figures.curve(bare),
        figures.lens(bare, HOSTILE, index),
        figures.paths(bare, "q03"),
    ):
        text = json.dumps(json.loads(figure.to_json()), ensure_ascii=False)
        for bad in ("<a", "<script", "$x$", "\u202e"):
            assert bad not in text
        assert "&lt;a href" in text


def test_colours_are_seen_on_light_and_dark():
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    for colour in (*COLOURS, NEUTRAL):
        for ground in ("#ffffff", "#111111", "#1e1e1e"):
            darker, lighter = sorted([luminance(colour), luminance(ground)])
            assert (lighter + 0.05) / (darker + 0.05) >= 3, (colour, ground)


def test_importing_does_nothing_heavy():
    script = "import sys, analysis.figures; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert not set(done.stdout.split()) & {"plotly", "pandas", "torch", "sklearn"}


def test_functions_survive_the_import_of_every_file():
    assert all(inspect.isfunction(getattr(figures, name)) for name in figures.__all__)
    files = {path.stem for path in Path(figures.__file__).parent.glob("*.py")}
    assert not files & set(figures.__all__)
