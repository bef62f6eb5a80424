"""The identity of a run: typed fields, none lost, and every difference named."""

import json

import pytest

from cot.errors import InputError
from cot.store.identity import (
    AdaptiveIdentity,
    Identity,
    ImportIdentity,
    SamplingIdentity,
    as_mapping,
    differences,
)
from cot.store.run import create_run, open_run

WHOLE = Identity(
    model="m",
    revision="r",
    engine="e",
    dtype="float32",
    prompt="p",
    prompt_sha256="0",
    form="chat",
    sampling=SamplingIdentity(
        temperature=0.7, top_p=1, top_k=0, max_tokens=9, stop=("Q:", "\n"), top_logprobs=0
    ),
    dataset="d",
    dataset_sha256="1",
    seed=3,
    adaptive=AdaptiveIdentity(rule="esc", format="number"),
    imported=ImportIdentity(file="f", sha256="2", format="jsonl", map={"text": "out"}),
    extra={"server": {"url": "x"}},
)


def test_it_comes_back_from_the_disk_as_it_was(tmp_path):
    create_run(tmp_path / "run", WHOLE)
    assert open_run(tmp_path / "run").identity == WHOLE
    assert json.loads((tmp_path / "run" / "run.json").read_text())["identity"] == as_mapping(WHOLE)


def test_a_mapping_says_the_same(tmp_path):
    assert create_run(tmp_path / "run", as_mapping(WHOLE)).identity == WHOLE


def test_fields_of_another_version_are_kept_and_compared(tmp_path):
    given = {"model": "m", "tuner": "lora", "sampling": {"temperature": 0.7, "eta": 0.1}}
    run = create_run(tmp_path / "run", given)
    assert run.identity.extra == {"tuner": "lora"}
    assert run.identity.sampling.extra == {"eta": 0.1}
    assert as_mapping(open_run(run.path).identity) == given
    with pytest.raises(InputError, match=r"sampling\.eta was 0\.1, now None; tuner was 'lora'"):
        create_run(run.path, {"model": "m", "sampling": {"temperature": 0.7}})


def test_what_is_not_known_is_none_and_not_written(tmp_path):
    run = create_run(tmp_path / "run", {"model": None})
    assert run.identity == Identity()
    assert as_mapping(run.identity) == {}
    assert differences(Identity(), Identity(model="m")) == ["model was None, now 'm'"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": 5}, "identity.model is 5, which is no text"),
        ({"seed": "0"}, "identity.seed is '0', which is no whole number"),
        ({"seed": True}, "identity.seed is True"),
        ({"sampling": "hot"}, "identity.sampling is 'hot': an object"),
        ({"sampling": {"temperature": "hot"}}, "sampling.temperature is 'hot', which is no number"),
        ({"sampling": {"stop": "Q:"}}, "sampling.stop is 'Q:', which is no list"),
        ({"adaptive": {"rule": "esc"}}, "identity.adaptive has no field format"),
        (["model"], "identity is ['model']: an object"),
    ],
)
def test_a_manifest_that_was_damaged_names_file_and_field(tmp_path, given, said):
    path = create_run(tmp_path / "run", {}).path / "run.json"
    path.write_text(json.dumps({"identity": given}))
    with pytest.raises(InputError) as caught:
        open_run(tmp_path / "run")
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


def test_a_manifest_without_an_identity(tmp_path):
    path = create_run(tmp_path / "run", {}).path / "run.json"
    path.write_text("[]")
    with pytest.raises(InputError, match=r"run\.json: no object with an identity"):
        open_run(tmp_path / "run")


def test_a_models_name_says_how_its_weights_were_rounded() -> None:
    named = [Identity(model="m", quantize=each).model_named for each in ("int8", "none")]
    assert named == ["m, weights rounded to int8", "m"]
    assert Identity(model="m").model_named == "m"
    assert Identity().model_named is None
