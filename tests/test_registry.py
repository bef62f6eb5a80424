"""Names, and names with parameters."""

import pytest

from cot.errors import InputError
from cot.registry import build, describe, find


def rule(ballots, T: float = 1.0, k: int = 3, name: str = "x", fit: bool = False, n=None):
    """What it does.

    And more.
    """
    return (T, k, name, fit, n)


HERE = "tests.test_registry:rule"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", (1.0, 3, "x", False, None)),
        (":T=2,k=5", (2.0, 5, "x", False, None)),
        (":name=12, fit=True", (1.0, 3, "12", True, None)),
        (":n=4", (1.0, 3, "x", False, 4)),
        (":n=0.5", (1.0, 3, "x", False, 0.5)),
        (":n=all", (1.0, 3, "x", False, "all")),
        (":T=1e-3", (0.001, 3, "x", False, None)),
    ],
)
def test_a_value_takes_the_type_of_the_default(given, expected):
    assert build("votes", HERE + given)(None) == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (":T=warm", "T is 'warm': give a number"),
        (":k=1.5", "k is '1.5': give a whole number"),
        (":fit=maybe", "fit is 'maybe': give true or false"),
        (":t=1", "no 't': it takes T, k, name, fit, n"),
        (":T", "T is '': give a number"),
    ],
)
def test_wrong_parameters_are_named(given, said):
    with pytest.raises(InputError, match=said):
        build("votes", HERE + given)


def test_the_description_is_what_one_types():
    lines = describe("votes").splitlines()
    at = lines.index("cisc:T=1.0,confidence=mean_logp,fit=false")
    assert lines[at + 1] == "  Weight softmax(confidence / T) within the question."
    assert "fixed:n" in describe("stops").splitlines()


def test_a_module_that_lacks_what_it_imports_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "needs_more.py").write_text("import not_installed_anywhere")
    (tmp_path / "breaks.py").write_text("import os\nos.no_such_thing")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        find("votes", "needs_more:rule")
    with pytest.raises(AttributeError, match="no_such_thing"):
        find("votes", "breaks:rule")
    with pytest.raises(InputError, match="there is no module 'needs' to import"):
        find("votes", "needs:rule")


def test_an_unknown_name_is_called_what_it_is():
    for kind, noun in (("votes", "vote rule"), ("stops", "stopping rule"), ("probes", "probe")):
        with pytest.raises(InputError, match=f"unknown {noun} 'nothing': choose from "):
            find(kind, "nothing")
