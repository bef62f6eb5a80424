"""Names of a sweep's points are safe as file names, and no two settings share one."""

import os
import unicodedata

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from cot.errors import InputError
from cot.sampling.point_names import MOST, file_name, point_name, point_names, point_settings

KEYS = st.sampled_from(["temperature", "prompt", "model", "stop", "paths.clusterer"])
TEXTS = st.text(max_size=12)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
)  # what TOML and Python give
VALUES = SCALARS | st.lists(SCALARS | st.lists(TEXTS, max_size=2), max_size=3)
SETTINGS = st.dictionaries(KEYS, VALUES, min_size=1, max_size=3)
FORBIDDEN = set('<>:"/\\|?*\0') | {chr(code) for code in range(32)}
"""What some file system refuses."""


def same(one, other):
    """Equal, in the same types: 1, 1.0 and true are three values."""
    return repr(one) == repr(other)


@given(SETTINGS)
@example({"stop": []})
@example({"stop": [""]})
@example({"stop": ["a", ""]})
@example({"stop": [[]]})
@example({"prompt": "+"})
@example({"temperature": 1e300})
@example({"prompt": "0.7"})
@example({"prompt": "[" * 100_000})
def test_a_name_says_the_settings(settings):
    name = point_name(settings)
    if "~" not in name:
        assert same(point_settings(name), settings)
        assert list(point_settings(name)) == list(settings)


@given(SETTINGS, SETTINGS)
@example({"temperature": 1}, {"temperature": 1.0})
@example({"prompt": "0.7"}, {"prompt": 0.7})
@example({"prompt": "true"}, {"prompt": True})
@example({"stop": "a"}, {"stop": ["a"]})
@example({"stop": ["a+b"]}, {"stop": ["a", "b"]})
@example({"model": "a" * 500 + "b"}, {"model": "a" * 500 + "c"})
@example({"prompt": "a,model=b"}, {"prompt": "a", "model": "b"})
@example({"prompt": "A"}, {"prompt": "a"})
@example({"prompt": "stra\u00dfe"}, {"prompt": "strasse"})
@example({"prompt": "\u00e9"}, {"prompt": "e\u0301"})
def test_two_settings_have_two_names_on_every_file_system(one, other):
    assume(not same(one, other))
    names = point_names([one, other])
    folded = {unicodedata.normalize("NFC", name.casefold()) for name in names}
    assert len(folded) == 2
    assert all(
        "~" in name or same(point_settings(name), each)
        for name, each in zip(names, (one, other), strict=True)
    )


@given(SETTINGS | st.text().map(lambda text: {"model": text * 20}))
@example({"prompt": "ends."})
@example({"model": "../../etc/passwd"})
@example({"prompt": "\ud800"})
def test_a_name_is_safe_as_a_file_name(settings):
    check_safe(point_name(settings))


@given(st.text())
@example("")
@example(".")
@example("..")
@example("con")
@example("LPT1.txt")
@example("-rf")
@example("a/b")
def test_a_name_of_ones_own_is_made_safe(text):
    name = file_name(text)
    check_safe(name)
    assert name.split(".")[0].lower() not in {"con", "prn", "aux", "nul", "com1", "lpt1"}


@given(st.text(), st.text())
@example("", "%")
@example("con", "%63on")
@example(".", "%2E")
def test_two_names_of_ones_own_stay_two(one, other):
    assume(one != other)
    assert file_name(one) != file_name(other)


def check_safe(name):
    assert name
    assert not FORBIDDEN & set(name)
    assert not name.startswith((".", "-", "~", " "))
    assert not name.endswith((".", " "))
    assert len(os.fsencode(name)) <= MOST


def test_names_are_readable():
    assert point_name({"temperature": 0.7, "prompt": "few_shot_cot"}) == (
        "temperature=0.7,prompt=few_shot_cot"
    )
    assert point_name({"dataset": "arithmetic:level=2", "greedy": False}) == (
        "dataset=arithmetic%3Alevel=2,greedy=false"
    )
    assert point_name({"curve.n": [1, 4, 8], "engine_arg": ["batch_rows=8"]}) == (
        "curve.n=1+4+8,engine_arg=batch_rows=8+"
    )
    assert point_name({"prompt": "donn\u00e9es"}) == "prompt=donn\u00e9es"
    assert file_name("4-bit weights") == "4-bit%20weights"


def test_of_a_long_value_the_last_part_stands():
    one, other = (f"/data/checkpoints/2026-11-27/{run}/step-001000/" for run in ("a", "b"))
    names = point_names([{"model": one, "seed": 1}, {"model": other, "seed": 1}])
    assert len(set(names)) == 2
    assert all(name.startswith("model=step-001000~") for name in names)
    assert all(name.endswith(",seed=1") for name in names)
    with pytest.raises(InputError, match=r"sweep\.json"):
        point_settings(names[0])


def test_a_long_name_is_cut():
    name = point_name({f"a_long_setting_{n}": f"a value of {n}" for n in range(9)})
    assert name.startswith("a_long_setting_0=a%20value%20of%200,a_long_setting_1=")
    assert name[-17] == "~"
    with pytest.raises(InputError, match=r"sweep\.json"):
        point_settings(name)


def test_what_is_no_value_and_no_name_is_refused():
    with pytest.raises(InputError, match=r"seed: .* is no value of a setting"):
        point_name({"seed": object()})
    with pytest.raises(InputError, match="not the name of a point"):
        point_settings("full")
