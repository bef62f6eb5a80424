"""Settings by name: shown by `help`, checked when given."""

import inspect
import pydoc
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import cot
from cot.errors import InputError
from cot.sampling.settings import SampleSettings


def test_help_shows_every_setting_with_its_default_and_its_meaning():
    signature = inspect.signature(cot.sample)
    shown = pydoc.render_doc(cot.sample, renderer=pydoc.plaintext)
    for setting in fields(SampleSettings):
        assert signature.parameters[setting.name].default == setting.default
        line = next(
            each for each in shown.splitlines() if each.strip().startswith(setting.name + ":")
        )
        assert len(line.partition(":")[2].split()) >= 3, f"{setting.name} is not explained"
    assert "settings" not in signature.parameters
    assert "n: int = 10" in shown
    assert "0.7 by default" in shown, "of what a checkpoint may recommend, the help says it"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"temprature": 1}, r"sample\(\) has no argument 'temprature': did you mean 'temperature'"),
        ({"samples": 5}, "no argument 'samples'.* choose from dataset, out, model"),
        ({"n": "5"}, "-n is '5': give a whole number"),
        ({"n": True}, "-n is True: give a whole number"),
        ({"n": None}, "-n is None"),
        ({"limit": 2.5}, "--limit is 2.5: give a whole number or nothing"),
        ({"stop": 3}, "--stop is 3: give a text or a list of texts"),
        ({"greedy": "no"}, "--greedy is 'no': give true or false"),
        ({"temperature": float("nan")}, "--temperature is nan: at least 0"),
        ({"temperature": float("inf")}, "--temperature is inf"),
        ({"top_p": float("nan")}, "--top-p is nan"),
    ],
)
def test_a_wrong_name_or_value_is_wrong_use_and_nothing_is_written(tmp_path, given, said):
    with pytest.raises(InputError, match=said):
        cot.sample("arithmetic", out=tmp_path / "run", **given)
    assert not (tmp_path / "run").exists()


def test_an_import_has_the_same_manners(tmp_path):
    with pytest.raises(InputError, match=r"import_traces\(\) has no argument 'skipbad': did you"):
        cot.import_traces(tmp_path / "f", tmp_path / "run", skipbad=True)


def test_one_text_stands_for_a_list_of_it():
    assert SampleSettings(stop="Q:").stop == ("Q:",), "not its characters"
    assert SampleSettings(stop=["Q:", "A:"]).stop == ("Q:", "A:")


def test_values_of_numpy_and_paths_are_taken():
    settings = SampleSettings(n=np.int64(3), temperature=1, prompt=Path("my.md"))
    assert (settings.n, settings.temperature, settings.prompt) == (3, 1.0, "my.md")
    assert type(settings.n) is int
