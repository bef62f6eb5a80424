"""A worker finds the very model that the driver means, or says which it found."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import pytest

from cot.errors import InputError
from cot.models import resolve
from cot.workers.same_model import SameModel


@pytest.fixture
def folder(tmp_path):
    for name, content in (("config.json", {"a": 1}), ("adapter/adapter_config.json", {"r": 2})):
        file = tmp_path / "model" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))
    return tmp_path / "model"


def sent(model):
    return pickle.loads(pickle.dumps(SameModel.of(model)))


def test_a_folder_is_found_from_anywhere_with_its_adapter_and_rounding(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    model = resolve("model", adapter="model/adapter", quantize="int8")
    travelling = sent(model)
    monkeypatch.chdir("/")
    assert travelling.resolve() == model


def test_a_folder_that_differs_in_a_worker_is_refused(folder):
    travelling = sent(resolve(str(folder)))
    (folder / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"on a worker, and at .* here: let all see the same"):
        travelling.resolve()


def test_an_adapter_that_differs_is_refused(folder):
    travelling = sent(resolve(str(folder), adapter=str(folder / "adapter")))
    (folder / "adapter" / "adapter_config.json").write_text('{"r": 4}')
    with pytest.raises(InputError, match="on a worker"):
        travelling.resolve()


def test_a_model_of_the_hub_is_asked_for_by_its_commit(monkeypatch, folder):
    asked = {}

    def found(name, **named):
        asked.update(name=name, **named)
        return model

    model = replace(
        resolve(str(folder)), name="a/b", source="hub", revision="c0ffee+int4", quantize="int4"
    )
    monkeypatch.setattr("cot.models.resolve", found)
    assert sent(model).resolve() == model
    assert asked == {"name": "a/b", "revision": "c0ffee", "quantize": "int4"}
