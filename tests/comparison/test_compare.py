"""Runs side by side: what their tables hold, paired by question, with what is missing named."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.comparison.settings import differing, names_of, settings_of
from analysis.comparison.tables import COLUMNS, FAMILIES, MAKES
from analysis.statistics import mean_interval
from cot.cli import main
from cot.errors import InputError
from cot.store.identity import identity_of
from cot.store.run import Run, create_run
from cot.types import Question
from tests.small import text_of, trace_of

pytestmark = pytest.mark.slow

ONE = {
    "a": ("1", ["1", "1", "1", "2"]),
    "b": ("1", ["1", "2", "2", "2"]),
    "c": ("1", ["1", "1", None, "2"]),
    "d": ("1", ["2", "2", "2", "1"]),
}
TWO = {
    "b": ("1", ["1", "1", "1", "1"]),
    "c": ("1", ["1", "1", "1", "1"]),
    "d": ("1", ["2", "2", "2", "1"]),
    "e": ("1", ["1", "1", "1", "1"]),
}
"""Three questions in common. Majority right: b 0, c 1, d 0 and b 1, c 1, d 0."""


def made(folder: Path, given, calls=0, **identity) -> Run:
    run = create_run(folder, {"model": "m", **identity})
    with run.lock():
        run.add_questions(
            [Question(id=name, text=f"{name}?", gold=gold) for name, (gold, _) in given.items()]
        )
        with run.writer() as writer:
            for name, (_, answers) in given.items():
                for index, answer in enumerate(answers):
                    writer.add(trace_of(name, index, text_of(answer)))
    for _ in range(calls):
        run.log_call("sample", n_new=16, n_tokens=48, seconds=8.0)
    return run


def row(table: pd.DataFrame, measure: str, subject: str = "", **where: object) -> pd.Series:
    mine = table[(table["measure"] == measure) & (table["subject"] == subject)]
    for name, value in where.items():
        mine = mine[mine[name] == value]
    assert len(mine) == 1, mine
    return mine.iloc[0]


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    return [
        made(tmp_path / "one", ONE, calls=1, sampling={"temperature": 0.7}),
        made(tmp_path / "two", TWO, calls=2, sampling={"temperature": 1.0}),
    ]


def test_a_difference_is_that_over_the_common_questions(runs: list[Run]) -> None:
    table = analysis.compare(runs[0], [runs[1].path])
    found = row(table, "accuracy", "majority")
    # two's 2 of 3 less one's 1 of 3, over b, c and d
    assert (found["value"], found["other"]) == pytest.approx((2 / 3, 1 / 3))
    assert found["estimate"] == pytest.approx(1 / 3)
    assert (found["low"], found["high"]) == pytest.approx(mean_interval([1, 0, 0], seed=0))
    assert found["p"] == 1  # swapping b alone gives as much on the other side
    assert (found["run"], found["against"]) == ("two", "one")
    assert (found["n_questions"], found["n_excluded"]) == (3, 2)  # a and e are in one run only
    single = row(table, "accuracy", "single")
    assert single["estimate"] == pytest.approx(((1 - 1 / 4) + (1 - 2 / 4) + 0) / 3)


def test_each_runs_numbers_are_those_of_its_own_tables(runs: list[Run]) -> None:
    analysis.compare(runs[0], [runs[1].path])
    table = runs[0].table("compared_measures")
    for run in runs:
        analysis.vote(run)
        findings = run.table("findings_vote")
        for subject in ("majority", "single"):
            found = row(table, "accuracy", subject, run=run.path.name)
            own = findings[(findings["subject"] == subject) & (findings["baseline"] == "")].iloc[0]
            same = ["estimate", "low", "high", "n_questions", "n_traces", "n_excluded"]
            assert found[same].tolist() == pytest.approx(own[same].tolist())


def test_pass_at_k_has_the_same_k_in_all_runs(tmp_path: Path) -> None:
    first = made(tmp_path / "one", ONE)
    more = {name: (gold, [*answers, "1", "1"]) for name, (gold, answers) in ONE.items()}
    analysis.compare(first, made(tmp_path / "two", more).path)
    table = first.table("compared_measures")
    assert set(table.loc[table["measure"] == "pass@k", "n_samples"]) == {4}
    n = first.table("compared_settings").query("setting == 'n'")
    assert n["value"].tolist() == ["4", "6"]
    assert n["differs"].all()


def test_cost_is_measured_in_tokens_and_in_seconds_without_an_interval(runs: list[Run]) -> None:
    table = analysis.compare(runs[0], [runs[1].path], family=["cost"])
    assert row(table, "tokens")["value"] == 3
    seconds = row(runs[0].table("compared_measures"), "seconds", run="two")
    assert seconds["estimate"] == 0.5
    assert seconds[["low", "high", "n_questions"]].isna().all()
    apart = row(table, "tokens_per_second")
    assert apart["estimate"] == 0
    assert np.isnan(apart["p"])
    assert apart["n_comparisons"] == 1  # that of tokens; what has no p is not counted


def test_identical_runs_do_not_differ(tmp_path: Path) -> None:
    first, second = made(tmp_path / "one", ONE), made(tmp_path / "two", ONE)
    for run in (first, second):
        analysis.curve(run)
        analysis.calibrate(run)
    table = analysis.compare(first, second.path)
    assert set(table["family"]) == {"accuracy", "curve", "calibration", "cost"}
    known = table[table["p"].notna()]
    assert len(known) >= 10
    assert (known[["estimate", "low", "high"]] == 0).all(axis=None)
    assert (known["p"] == 1).all()
    assert (known["p_holm"] == 1).all()
    assert (known["n_settings"] == 0).all()


def test_curves_and_calibration_are_those_of_the_runs_tables(tmp_path: Path) -> None:
    first, second = made(tmp_path / "one", ONE), made(tmp_path / "two", TWO)
    for run in (first, second):
        analysis.curve(run, rule=["majority", "pass@k"], n=[1, 3])
        analysis.calibrate(run, signal=["vote_share", "mean_logp"])
    table = analysis.compare(first, second.path)
    measures = first.table("compared_measures")
    for point in first.table("curve").to_dict("records"):
        is_pass = point["rule"] == "pass@k"
        found = row(
            measures,
            "pass@k" if is_pass else "expected_accuracy",
            "" if is_pass else point["rule"],
            family="curve",
            n_samples=point["n"],
            run="one",
        )
        assert found["estimate"] == pytest.approx(point["accuracy"])
        assert (found["low"], found["high"]) == pytest.approx((point["low"], point["high"]))
    assert set(table.loc[table["family"] == "curve", "n_samples"]) == {1, 3}
    for score in first.table("calibration").to_dict("records"):
        for name in ("auroc", "brier", "ece", "prr", "within_question_auroc"):
            if score[name] == score[name]:
                found = row(measures, name, score["signal"], run="one")
                assert found["estimate"] == pytest.approx(score[name])


def test_a_missing_table_is_named_with_the_command_that_adds_it(runs: list[Run]) -> None:
    analysis.curve(runs[0])
    analysis.compare(runs[0], [runs[1].path])
    missing = runs[0].table("compared_missing")
    curve = missing[missing["family"] == "curve"]
    assert curve["run"].tolist() == ["two"]
    assert curve["what"].tolist() == ["table curve"]
    assert curve["command"].tolist() == [f"cot curve {runs[1].path}"]
    families = {"agreement", "calibration", "faithfulness", "steps", "causal", "depth"}
    assert families <= set(missing.loc[missing["run"] == "one", "family"])


def test_a_measure_that_one_run_lacks_is_named(runs: list[Run]) -> None:
    analysis.vote(runs[0], rule=["majority", "sum_prob"])
    table = analysis.compare(runs[0], [runs[1].path], family=["accuracy"])
    missing = runs[0].table("compared_missing")
    assert "accuracy sum_prob" in missing.loc[missing["run"] == "two", "what"].tolist()
    assert "sum_prob" not in table["subject"].tolist()
    assert row(runs[0].table("compared_measures"), "accuracy", "sum_prob")["run"] == "one"


def test_a_stale_table_is_made_again(runs: list[Run]) -> None:
    for run in runs:
        analysis.vote(run)
    with runs[1].lock(), runs[1].writer() as writer:
        for name in TWO:
            for index in (4, 5, 6, 7, 8):
                writer.add(trace_of(name, index, text_of("2")))
    table = analysis.compare(runs[0], [runs[1].path], family=["accuracy"])
    assert row(table, "accuracy", "majority")["value"] == 0  # 2 wins everywhere now
    assert runs[1].stale("votes") is None


def test_the_comparison_is_stale_when_another_run_changes(runs: list[Run]) -> None:
    analysis.compare(runs[0], [runs[1].path], family=["accuracy"])
    assert runs[0].stale("compared_differences") is None
    analysis.answers(runs[1], format="text")
    assert "changed" in str(runs[0].stale("compared_differences"))


def test_runs_are_compared_with_a_named_one(tmp_path: Path) -> None:
    first = made(tmp_path / "one", ONE)
    others = [made(tmp_path / name, TWO).path for name in ("two", "three")]
    table = analysis.compare(first, others, against="two", family=["accuracy"])
    assert set(zip(table["run"], table["against"], strict=True)) == {
        ("one", "two"),
        ("three", "two"),
    }
    assert row(table, "accuracy", "majority", run="three")["p"] == 1
    assert row(table, "accuracy", "majority", run="one")["estimate"] == pytest.approx(-1 / 3)
    assert (table["n_comparisons"] == len(table)).all()


def test_runs_without_a_common_question_stand_side_by_side_unpaired(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = made(tmp_path / "one", {"x": ONE["a"]})
    table = analysis.compare(first, made(tmp_path / "two", {"y": ONE["a"]}).path)
    assert (table["n_questions"] == 0).all()
    assert table[["estimate", "p", "p_holm"]].isna().all(axis=None)
    assert "no question in common: nothing is paired" in caplog.text


def test_an_id_of_two_questions_is_refused(tmp_path: Path) -> None:
    first, second = made(tmp_path / "one", ONE), create_run(tmp_path / "two", {"model": "m"})
    with second.lock():
        second.add_questions([Question(id="a", text="another", gold="7")])
    with pytest.raises(InputError, match=r"question 'a' is not the same in one and two"):
        analysis.compare(first, second.path)


def test_wrong_names_are_refused_with_those_there_are(runs: list[Run]) -> None:
    others = [runs[1].path]
    for wrong, said in (
        ({"family": ["accuracies"]}, "unknown family 'accuracies': choose from accuracy"),
        ({"against": "three"}, "no run of this name: choose from one, two"),
        ({"measure": ["f1"]}, "no run has it in the families compared: choose from accuracy"),
        ({"over": "heat"}, "no setting of the runs: choose from model"),
    ):
        with pytest.raises(InputError, match=said):
            analysis.compare(runs[0], others, **wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="given twice"):
        analysis.compare(runs[0], [runs[0].path])
    with pytest.raises(InputError, match="at least one other run"):
        analysis.compare(runs[0], [])


def test_fewer_measures_have_fewer_comparisons(runs: list[Run]) -> None:
    table = analysis.compare(runs[0], [runs[1].path], measure=["accuracy"])
    assert set(table["measure"]) == {"accuracy"}
    assert (table["n_comparisons"] == 2).all()


def test_tables_have_the_columns_that_are_declared(runs: list[Run]) -> None:
    analysis.compare(runs[0], [runs[1].path])
    assert set(MAKES) == set(COLUMNS)
    for name, columns in COLUMNS.items():
        assert list(runs[0].table(name).columns) == list(columns)
    questions = runs[0].table("compared_questions")
    b = questions[(questions["run"] == "one") & (questions["question_id"] == "b")].iloc[0]
    assert (b["answer"], b["correct"], b["share"], b["accuracy"], b["n"]) == (
        *("2", False, 0.75, 0.25),
        4,
    )


def test_the_page_is_written_where_it_is_asked_for(runs: list[Run], pages, tmp_path: Path) -> None:
    analysis.compare(runs[0], [runs[1].path])
    analysis.compare(runs[0], [runs[1].path], out=str(tmp_path))
    assert pages == [(runs[0].path, None), (runs[0].path, tmp_path)]


# -- settings --------------------------------------------------------------------------------------


def test_runs_that_differ_in_more_than_one_setting_are_marked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = made(tmp_path / "one", ONE, prompt="p", sampling={"temperature": 0.7})
    second = made(tmp_path / "two", ONE, prompt="q", sampling={"temperature": 1.0})
    table = analysis.compare(first, second.path, family=["accuracy"])
    assert (table["n_settings"] == 2).all()
    assert "differs from one in 2 settings" in caplog.text
    settings = first.table("compared_settings").set_index(["run", "setting"])
    assert settings.loc[("two", "temperature"), "value"] == "1.0"
    assert settings.loc[("one", "prompt"), "differs"]
    assert not settings.loc[("one", "model"), "differs"]


@pytest.mark.parametrize(
    ("change", "counted"),
    [
        ({"model": "b", "revision": "2"}, ["model"]),
        ({"prompt": "q", "prompt_sha256": "1", "sampling": {"stop": ["\n"]}}, ["prompt"]),
        ({"sampling": {"stop": ["\n"]}}, ["stop"]),
        ({"sampling": {"stop": ["."], "min_p": 0.1}}, ["min_p"]),
        ({"sampling": None, "model": "b"}, ["model", "sampling"]),
        ({"chat_args": {"enable_thinking": False}}, ["chat_args.enable_thinking"]),
        ({"imported": {"file": "x.jsonl", "sha256": "2"}}, []),
        ({"seed": 1, "dtype": "bfloat16"}, ["dtype", "seed"]),
    ],
)
def test_settings_that_follow_from_another_count_with_it(change, counted, tmp_path: Path) -> None:
    base = {"model": "a", "revision": "1", "prompt": "p", "prompt_sha256": "0", "seed": 0}
    base |= {"dtype": "float32", "sampling": {"stop": ["."]}}
    runs = [Run(tmp_path, identity_of({**base, **more})) for more in ({}, change)]
    one, other = (settings_of(run, None) for run in runs)
    assert sorted(differing(one, other)) == counted


def test_a_parameter_of_an_analysis_that_is_compared_is_a_setting(runs: list[Run]) -> None:
    first, second = runs
    analysis.vote(first, rule=["majority", "sum_prob"])
    analysis.vote(second, seed=1)
    analysis.curve(first, seed=3)
    analysis.compare(first, [second.path], family=["accuracy"])
    settings = first.table("compared_settings")
    ours = settings[settings["setting"].str.startswith("vote.")]
    assert ours[["run", "setting", "value", "differs"]].values.tolist() == [
        ["one", "vote.seed", "0", True],
        ["two", "vote.seed", "1", True],
    ]
    one = {"temperature": "1.0", "vote.seed": "0", "curve.seed": "3"}
    assert differing(one, {**one, "vote.seed": "1"}) == ["vote.seed"]
    assert differing(one, {"temperature": "1.0", "vote.seed": "0"}) == []


def test_what_every_run_lacks_is_said_in_one_line(runs: list[Run], capsys) -> None:
    printed = compared(capsys, *(run.path for run in runs))
    assert (
        f"left out: curve: table curve of every run: there is none (cot curve {runs[0].path})"
        in (" ".join(printed.split()))
    )


def test_names_tell_runs_of_one_name_apart(tmp_path: Path) -> None:
    paths = [tmp_path / each for each in ("x/run", "y/run", "z")]
    assert names_of(paths) == ["x/run", "y/run", "z"]


# -- what is printed and written -------------------------------------------------------------------


def compared(capsys, *arguments: object) -> str:
    capsys.readouterr()
    assert main(["compare", *map(str, arguments)]) == 0
    return str(capsys.readouterr().out)


def test_the_command_gives_runs_and_differences(runs: list[Run], capsys) -> None:
    paths = [run.path for run in runs]
    result = json.loads(compared(capsys, *paths, "--family", "accuracy", "--json"))
    assert [each["run"] for each in result["runs"]] == ["one", "two"]
    assert result["runs"][1]["settings"]["temperature"] == "1.0"
    assert {each["measure"] for each in result["runs"][0]["measures"]} == {"accuracy", "pass@k"}
    assert result["differences"][0]["against"] == "one"
    assert result["missing"][0]["what"] == "the greedy trace"


def test_wide_tables_are_printed_in_80_columns(
    tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cot.console.UNSEEN_WIDTH", 80)
    names = [f"prompt=few_shot_cot,temperature={heat}" for heat in (0.2, 0.7, 1.2)]
    some = [
        made(tmp_path / name, ONE, sampling={"temperature": heat}).path
        for name, heat in zip(names, (0.2, 0.7, 1.2), strict=True)
    ]
    for path in some:
        assert main(["curve", str(path), "--rule", "majority", "--rule", "pass@k"]) == 0
        assert main(["calibrate", str(path)]) == 0
    printed = compared(capsys, *some)
    assert max(map(len, printed.split("\nestimates:")[0].splitlines())) <= 80
    assert "did not fit" not in printed
    for family in ("accuracy", "curve", "calibration", "cost"):
        assert f"\n {family} " in printed
    assert "temperature=1.2" in printed
    assert "\n expected_accuracy" in printed
    assert "\n majority n=3 " in printed
    assert "0.50 [0.00, 1.00]" in printed
    assert "cot agree" in printed  # what is missing, and what adds it
    over = compared(capsys, *some, "--over", "temperature", "--family", "accuracy")
    assert max(map(len, over.split("\nestimates:")[0].splitlines())) <= 80
    assert re.search(r"accuracy majority +1 \(0.2\)", over)


def test_files_hold_the_comparison(runs: list[Run], tmp_path: Path, capsys) -> None:
    paths = [run.path for run in runs]
    files = [tmp_path / f"table.{kind}" for kind in ("csv", "tex", "md")]
    to = [word for file in files for word in ("--to", file)]
    written = json.loads(compared(capsys, *paths, "--family", "accuracy", *to, "--json"))["files"]
    assert all(Path(file).exists() for file in written)
    table = pd.read_csv(files[0])
    assert list(table.columns) == list(COLUMNS["compared_differences"])
    assert row(table, "accuracy", "majority")["estimate"] == pytest.approx(1 / 3)
    measures = pd.read_csv(tmp_path / "table_measures.csv")
    assert set(measures["run"]) == {"one", "two"}
    latex = files[1].read_text()
    assert r"\toprule" in latex
    assert r"p\_holm" not in latex
    assert r"accuracy majority & 1 & 0.50 [0.00, 1.00]" in latex
    markdown = files[2].read_text()
    assert "| accuracy majority | 1 | 0.50 \\[0.00, 1.00\\] |" in markdown


def test_names_of_runs_are_text_in_every_file(tmp_path: Path, capsys) -> None:
    hostile = made(tmp_path / "=1+1 & $x_1$ | <b> \\input{x}", ONE)
    other = made(tmp_path / "two", ONE)
    files = [tmp_path / f"table.{kind}" for kind in ("csv", "tex", "md")]
    to = [word for file in files for word in ("--to", file)]
    compared(capsys, other.path, hostile.path, "--family", "accuracy", *to)
    cells = pd.read_csv(files[0])
    assert cells["run"].str.startswith("'=1+1").all()
    assert r"=1+1 \& \$x\_1\$ \textbar{} \textless{}b\textgreater{} \textbackslash{}input\{x\}" in (
        files[1].read_text()
    )
    assert r"=1\+1 \& \$x\_1\$ \| \<b\> \\input\{x\}" in files[2].read_text()


def test_a_file_of_another_format_is_refused_before_the_work(runs: list[Run], capsys) -> None:
    assert main(["compare", *(str(run.path) for run in runs), "--to", "table.docx"]) == 2
    assert "must end in .csv, .md or .tex" in capsys.readouterr().err
    assert "compared_differences" not in runs[0].tables()


def test_agree_and_curve_of_two_runs_are_this_comparison(runs: list[Run], capsys) -> None:
    paths = [str(run.path) for run in runs]
    assert main(["curve", *paths, "--n", "1,4", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {(each["family"], each["n_samples"]) for each in result["differences"]} == {
        ("curve", 1),
        ("curve", 4),
    }
    assert "curve" in runs[1].tables()
    assert main(["curve", paths[0], "--n", "1,4", "--json"]) == 0
    assert "points" in json.loads(capsys.readouterr().out)


def test_every_family_is_read_by_one_reader() -> None:
    from analysis.comparison import _readers

    assert list(_readers(1)) == list(FAMILIES)
