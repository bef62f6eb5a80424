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
from planted_attention import RECEIVER, add_attention
from planted_attributions import add_attributions
from planted_comparison import NAMES, write_comparison_tables
from planted_feature_tables import write_features
from written import write_table

from analysis import figures
from analysis.agreement.question_kinds import KINDS
from analysis.calibration import calibrate
from analysis.figures.look import COLOURS, NEUTRAL, shown
from cot.errors import InputError
from cot.store.run import create_run

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
HOSTILE = '<a href="https://x.test">$x$</a>\n\u202e<script>'
PAIRS = ("answers × clusters", "answers × hidden states", "clusters × hidden states")
COEFFICIENTS = pd.DataFrame(
    [
        {"subject": name, "measure": measure, "estimate": 0.1 * i, "low": 0.1 * i - 0.05}
        | {"high": 0.1 * i + 0.08, "null_mean": 0.01, "null_low": -0.04, "null_high": 0.06}
        | {"p": 0.5, "n_questions": 9, "n_traces": 70, "n_excluded": 3, "seed": 0}
        for measure in ("ami", "ari", "vi")
        for i, name in enumerate(PAIRS)
    ]
    + [
        {
            "subject": "answers × clusters × hidden states",
            "measure": "three_way",
            "estimate": np.nan,
        }
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
ARGUMENTS |= {"step_matrix": ("q00", 2), "attribution": ("q03", 0)}
ARGUMENTS |= {"attention_matrix": ("q00", 0, *RECEIVER)}
ARGUMENTS |= {"measure_over_setting": ("temperature",)}


def write(run, name, frame, inputs=()):
    write_table(run, name, frame, command="planted", parameters={}, inputs=inputs)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = planted_run(tmp_path_factory.mktemp("plot") / "run")
    calibrate(run)
    write(run, "agreement_coefficients", COEFFICIENTS)
    write(run, "agreement_raters", RATERS)
    write(run, "agreement_rater_pairs", RATER_PAIRS)
    write_features(run)
    add_attention(run)
    add_attributions(run)
    write_comparison_tables(run, dict.fromkeys(NAMES, run))
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
    band, series, *others, greedy = figures.curve(run).data
    assert list(series.x) == list(table["n"])
    np.testing.assert_allclose(series.y, table["accuracy"])
    np.testing.assert_allclose(np.array(series.customdata, float), table[["low", "high"]])
    np.testing.assert_allclose(band.y, [*table["high"], *table["low"][::-1]])
    assert list(greedy.y) == [1.0, 1.0]
    points = run.table("compared_measures").query("family == 'curve'")
    lines = {each.name: each for each in others if each.name and each.showlegend is not False}
    assert list(lines) == [f"majority ({name})" for name in NAMES[1:]]  # the first is this run
    for name in NAMES[1:]:
        expected = points.loc[points["run"] == name, "estimate"]
        np.testing.assert_allclose(lines[f"majority ({name})"].y, expected)


def test_votes(run):
    table = run.table("findings_vote")
    own = table[table["baseline"] == ""]
    figure = figures.votes(run)
    same(dots(figure, "x"), own, ["majority", "single", "greedy"], ("estimate", "low", "high"))
    gain = table[table["baseline"] == "single"]
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
    columns = ("auroc", "control", "within_question_auroc", "control_within")
    assert [title.text for title in figure.layout.annotations] == [
        "pooled",
        "pooled, labels shuffled",
        "within questions",
        "within questions, labels shuffled",
    ]
    for heat, column in zip(figure.data, columns, strict=True):
        cells = table.set_index(["layer", "position"])[column]
        for i, layer in enumerate(heat.y):
            for j, position in enumerate(heat.x):
                assert heat.z[i][j] == cells[int(layer), position]
    reach = max(abs(table[name] - 0.5).max() for name in columns)
    ends = {(heat.zmin, heat.zmid, heat.zmax) for heat in figure.data}
    assert ends == {(0.5 - reach, 0.5, 0.5 + reach)}
    assert len({heat.colorscale for heat in figure.data}) == 1
    assert figure.data[2].text[2][2] == "0.58 ★"
    assert figure.data[2].customdata[2][2] == (
        "Layer 20 at pre_answer: 0.58 (0.49 to 0.67), labels shuffled 0.49, length 0.52, "
        "TF-IDF 0.55, embedding 0.54, position alone 0.50; 9 questions"
    )
    with pytest.raises(InputError, match="no target 'length'"):
        figures.probes(run, "length")


def test_the_colours_reach_down_to_the_lowest_value(run, bare):
    table = run.table("probes").query("target == 'correct'")
    write(bare, "probes", table.assign(control=[0.21, *[np.nan] * (len(table) - 1)]))
    assert {round(heat.zmin, 9) for heat in figures.probes(bare).data} == {0.21}


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


def test_consistency_and_stated_draw_the_table_beside_its_control(run):
    table = run.table("lens_layers")
    named = {series.name: series for series in figures.consistency(run).data if series.name}
    for measure, name in (("agreement", "as read"), ("agreement_calibrated", "calibrated")):
        rows = table[table["measure"] == measure].sort_values("layer")
        np.testing.assert_allclose(named[name].y, rows["estimate"])
        np.testing.assert_allclose(
            np.array(named[name].customdata, float)[:, :2], rows[["low", "high"]]
        )
        other = named[f"another trace’s final answer, {name}"]
        np.testing.assert_allclose(other.y, rows["control"])
    stated = {series.name: series for series in figures.stated(run).data if series.name}
    assert list(stated) == ["step_end", "pre_answer"]
    for position, series in stated.items():
        rows = table[(table["measure"] == "p_stated") & (table["position"] == position)]
        np.testing.assert_allclose(series.y, rows.sort_values("layer")["estimate"])


def test_the_commitment_layer_is_that_of_traces_with_two_candidates(run):
    traces = run.table("lens_traces")
    known = traces.loc[traces["n_candidates"] > 1, "commitment_layer"].dropna()
    band, line = figures.consistency(run).layout.shapes
    assert (band.x0, line.x0, band.x1) == tuple(known.quantile([0.25, 0.5, 0.75]))


def test_a_run_without_two_candidates_has_nothing_to_agree(run, bare):
    table = run.table("lens_layers")
    write(bare, "lens_layers", table.assign(estimate=np.nan))
    with pytest.raises(InputError, match="two candidates and two traces"):
        figures.consistency(bare)


def test_states_step_by_step(run):
    table, answers = run.table("trajectory_steps"), run.table("answers")
    n = answers["correct"].dropna().astype(bool)
    named = {series.name: series for series in figures.state_steps(run).data if series.xaxis == "x"}
    for side, of in (("right", n.sum()), ("wrong", (~n).sum())):
        rows = table[(table["what"] == side) & (table["n_traces"] >= 5)].sort_values("step")
        np.testing.assert_allclose(named[f"{side} ({of})"].y, rows["x"])
        np.testing.assert_array_equal(named[f"{side} ({of})"].customdata, rows["n_traces"])


def test_similarity_is_the_same_both_ways_and_one_with_itself(run):
    table = run.table("similarity").query("what == 'layers' and kind == 'cka'")
    for heat in figures.similarity(run).data:
        values = np.array(heat.z, float)
        np.testing.assert_array_equal(values, values.T)
        assert set(np.diag(values)) == {1.0}
    first = table[table["position"] == "prompt_end"].iloc[0]
    assert (
        f"layers {first['layer']} and {first['other']}"
        in figures.similarity(run).data[0].customdata[0][1]
    )


def test_dimension(run):
    table = run.table("dimension").sort_values("layer")
    named = {series.name: series for series in figures.dimension(run).data if series.name}
    for position, rows in table.groupby("position"):
        np.testing.assert_allclose(named[position].y, rows["dimension"])


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
    three = "answers × clusters × hidden states"
    first = COEFFICIENTS[COEFFICIENTS["measure"].isin(["ami", "three_way"])]
    same(dots(figure, "x"), first, [*PAIRS, three], ("estimate", "low", "high"))
    last = COEFFICIENTS[COEFFICIENTS["measure"] == "vi"]
    same(dots(figure, "x3"), last, PAIRS, ("estimate", "low", "high"))
    null = next(series for series in figure.data if series.marker.symbol == "line-ns-open")
    np.testing.assert_allclose(np.add(null.x, null.error_x.array)[:3], 0.06)
    np.testing.assert_allclose(np.subtract(null.x, null.error_x.arrayminus)[:3], -0.04)
    assert "n = 0 to 9 questions" in caption(figure)


def test_kinds_beside_their_control(run):
    table = run.table("agreement_kinds").set_index("kind")
    figure = figures.kinds(run)
    found = dots(figure, "x")
    there = [kind for kind in KINDS if table.loc[kind, "n"]]
    assert set(found) == set(there)
    assert list(figure.layout.yaxis.categoryarray) == there
    for kind in there:
        np.testing.assert_allclose(found[kind], table.loc[kind, ["share", "low", "high"]].tolist())
    (grey, _) = figure.data
    assert list(grey.y) == ["decided before reasoning"]
    assert list(grey.x) == [table.loc["decided before reasoning", "control"]]
    assert "12 questions" in caption(figure)


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
