"""An analysis is declared once: what follows from the declaration, for every analysis there is."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence

import pandas as pd
import pytest
from small import run_with_answers

from analysis.catalogue import analyses, find, maker_of, names, need
from analysis.commands import command
from analysis.declaration import DECLARED, analysis, declared, stored
from cot import registry
from cot.cli import COMMANDS, main
from cot.errors import InputError
from cot.store.run import Run, open_run

NAMES = list(registry.ANALYSES)


@pytest.fixture
def run(tmp_path) -> Run:
    return run_with_answers(tmp_path, {"a": ("1", ["1", "2"]), "b": ("2", ["2"])})


@pytest.fixture
def made():
    """An analysis that counts, and is forgotten after the test."""

    @analysis(makes={"counts": "one row a question: its traces"})
    def count(
        run: Run, rule: Sequence[str] = ("all",), least: int = 0, n: Sequence[int] | None = None
    ) -> pd.DataFrame:
        """Count traces.

        Args:
            rule: which count.
            least: fewest traces.
            n: numbers.
        """
        table = need(run, "answers").groupby("question_id", as_index=False)["status"].count()
        run.write_table("counts", table[table["status"] >= least])
        return table

    yield find("count")
    del DECLARED["count"], registry.REGISTERED["analyses"]["count"]


def test_command_function_and_section_bear_one_name():
    import analysis as public

    for name in NAMES:
        assert find(name).name == name
        assert getattr(public, name) is find(name).function
        assert name in COMMANDS
        assert name in dir(public)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_of_a_command_has_help(name, capsys):
    assert main([name, "--help"]) == 0
    capsys.readouterr()
    shown = command(find(name)).__signature__.parameters
    for parameter in find(name).parameters:
        (about,) = shown[parameter].annotation.__metadata__
        assert len(about.help) > 5, parameter


@pytest.mark.parametrize("name", NAMES)
def test_every_table_says_what_it_holds(name):
    for table, sentence in find(name).makes.items():
        assert len(sentence) > 15, table
        assert maker_of(table) is find(name)


def test_no_table_is_made_by_two_analyses():
    tables = [table for each in analyses() for table in each.makes]
    assert len(tables) == len(set(tables))


def test_a_table_knows_its_analysis_parameters_and_inputs(run, made):
    made.function(run, least=1)
    known = open_run(run.path).provenance("counts")
    assert known.command == "count"
    assert known.parameters == {"rule": ["all"], "least": 1, "n": None}
    assert list(known.inputs) == ["answers"]


def test_a_text_stands_for_a_list_of_one(run, made):
    assert made.bind(rule="most") == {"rule": ("most",), "least": 0, "n": None}
    assert made.bind(n=3)["n"] == (3,)
    made.function(run, "most")
    assert run.provenance("counts").parameters["rule"] == ["most"]


def test_a_wrong_parameter_is_named_with_those_there_are(run, made):
    with pytest.raises(InputError, match=r"'rules'.*it takes: rule, least, n"):
        made.function(run, rules=["all"])


def test_current_means_same_parameters_and_inputs(run, made):
    assert not made.is_current(run, {})
    made.function(run)
    assert made.is_current(run, {})
    assert made.is_current(run, {"rule": ["all"]})
    assert not made.is_current(run, {"least": 2})
    find("answers").function(run, format=r"(?P<answer>zzz)")
    assert not made.is_current(run, {})


def test_need_makes_a_stale_table_again_with_its_own_parameters(run, made, caplog):
    made.function(run, least=1)
    find("answers").function(run, format=r"(?P<answer>zzz)")
    assert run.stale("counts")
    with caplog.at_level("INFO", "cot"):
        need(run, "counts")
    assert "table counts is stale" in caplog.text
    assert run.provenance("counts").parameters["least"] == 1
    assert not run.stale("counts")


def test_need_makes_a_missing_table_with_defaults(run, made, caplog):
    with caplog.at_level("INFO", "cot"):
        assert len(need(run, "counts"))
    assert "has no table counts yet: cot count makes it" in caplog.text


def test_an_unknown_table_and_an_unknown_analysis_are_named(run):
    with pytest.raises(InputError, match="no analysis makes a table 'nothing'"):
        need(run, "nothing")
    with pytest.raises(InputError, match="unknown analysis 'votes': choose from answers, "):
        find("votes")


def test_only_declared_tables_can_be_written(run):
    with pytest.raises(ValueError, match="no analysis holds the run"):
        run.write_table("counts", pd.DataFrame())
    with pytest.raises(ValueError, match="count has no such"):
        run.made_by("count", {}, ["counts"]).write_table("votes", pd.DataFrame())


def test_a_taken_name_is_refused():
    with pytest.raises(InputError, match=r"'vote', which analysis\.voting has declared already"):

        @analysis(makes={})
        def vote(run: Run) -> None: ...


def test_what_is_not_declared_is_refused():
    with pytest.raises(InputError, match="is not declared an analysis"):
        declared(stored)


@pytest.mark.slow
def test_the_lock_is_held_from_python(run, made):
    """While another process writes, and while another thread does."""
    errors = []

    def call() -> None:
        try:
            made.function(run)
        except InputError as error:
            errors.append(str(error))

    with run.lock():
        made.function(run)  # who holds the lock may go on
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        code = f"import analysis, cot; analysis.vote(cot.open_run({str(run.path)!r}))"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "is being written by another" in errors[0]
    assert "is being written by another" in other.stderr
    made.function(run)


@pytest.mark.parametrize("name", NAMES)
def test_every_analysis_waits_for_no_other_writer(run, name):
    """From Python too: another thread that holds the run's lock is an error, and nothing is
    written."""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with run.lock():
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    parameters = find(name).parameters.values()
    needed = [[] for each in parameters if each.default is each.empty]
    try:
        with pytest.raises(InputError, match="is being written by another thread"):
            find(name).function(run, *needed)
    finally:
        done.set()
        thread.join()
    assert run.tables() == []


def test_the_command_takes_lists_in_one_form(run, made, capsys):
    import analysis.commands as home

    assert home.__getattr__("count").__name__ == "count"
    from cyclopts import App

    app = App(result_action="return_value")
    app.command(command(made), name="count")
    app(["count", str(run.path), "--rule", "a", "--rule", "b", "-n", "1,5", "--n", "9"])
    capsys.readouterr()
    assert run.provenance("counts").parameters == {"rule": ["a", "b"], "least": 0, "n": [1, 5, 9]}


def test_names_begin_with_the_projects_own():
    assert names()[: len(NAMES)] == NAMES
