"""Settings that reasoning models need: what they mean, and that a run's identity has them."""

import json
import logging
import shutil
from dataclasses import fields, replace
from functools import cache

import pytest

from cot import models
from cot.errors import InputError
from cot.models import DEFAULT_MODEL, encode, fetch, load_tokenizer, resolve
from cot.sampling.plan import plan, render
from cot.sampling.settings import SampleSettings, pairs
from cot.store.identity import SamplingIdentity, as_mapping, differences, identity_of
from cot.store.run import create_run

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n"
    "{% if enable_thinking is defined and not enable_thinking %}\n</think>\n\n{% endif %}"
    "{% endif %}"
)
pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def thinker(tmp_path_factory):
    """A folder of a model that reasons, but for its weights, which a plan doesn't load."""
    folder = tmp_path_factory.mktemp("model") / "thinker"
    whole = fetch(resolve(DEFAULT_MODEL))
    shutil.copytree(whole, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    recommended = {"temperature": 0.6, "top_k": 20, "do_sample": True}
    (folder / "generation_config.json").write_text(json.dumps(recommended))
    return folder


LOADED = cache(load_tokenizer)
"""Loading a tokenizer takes longer than all else that a plan does."""


@pytest.fixture
def planned(thinker, tmp_path, monkeypatch):
    """A plan of a run, made with more settings."""
    monkeypatch.setattr(models, "load_tokenizer", lambda model, **_: LOADED(model))

    def make(**given):
        given = {"model": str(thinker), "engine": "transformers", "limit": 1, **given}
        return plan("arithmetic", tmp_path / "run", SampleSettings(**given))

    return make


def shown(made):
    """The first question's prompt as the model sees it."""
    prompt = render(made.template, made.form, made.questions[0])
    tokenizer = made.engine.tokenizer
    return tokenizer.decode(list(encode(tokenizer, prompt, made.identity.chat_args)))


def test_the_default_limit_with_a_template_that_reasons_is_warned_of(planned, caplog):
    planned()
    assert "256 tokens of --max-tokens cut most traces off" in caplog.text
    assert "--chat-arg enable_thinking=false" in caplog.text


@pytest.mark.parametrize(
    "given",
    [{"max_tokens": "auto"}, {"chat_arg": "enable_thinking=false"}, {"form": "text"}],
    ids=str,
)
def test_nothing_is_warned_of_where_the_reasoning_fits_or_is_off(planned, caplog, given):
    planned(**given)
    assert "--max-tokens" not in caplog.text


def test_auto_is_what_the_context_leaves(planned):
    made = planned(max_tokens="auto")
    assert made.sampling.max_tokens == made.engine.context == 8192
    with pytest.raises(InputError, match="--max-tokens is all"):
        planned(max_tokens="all")


def test_the_checkpoints_settings_are_taken_where_the_user_gives_none_and_said(planned, caplog):
    caplog.set_level(logging.INFO, "cot")
    made = planned(generation_config="model", top_k=5)
    assert (made.sampling.temperature, made.sampling.top_k, made.sampling.top_p) == (0.6, 5, 0.95)
    assert made.identity.generation_config == {"temperature": 0.6}
    assert "taken from generation_config.json: temperature 0.6" in caplog.text
    assert planned().sampling.temperature == 0.7


def test_the_users_default_valued_setting_is_the_users(planned):
    assert planned(generation_config="model", temperature=0.7).sampling.temperature == 0.7


def test_a_checkpoints_setting_out_of_range_names_its_file(planned, thinker, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(thinker, broken)
    (broken / "generation_config.json").write_text('{"top_p": 7}')
    with pytest.raises(InputError, match=r"generation_config\.json: --top-p is 7"):
        planned(model=str(broken), generation_config="model")
    (broken / "generation_config.json").unlink()
    with pytest.raises(InputError, match=r"has no generation_config\.json"):
        planned(model=str(broken), generation_config="model")


def test_a_chat_argument_reaches_the_template_and_an_unknown_one_is_an_error(planned):
    assert shown(planned()).endswith("<think>\n")
    assert shown(planned(chat_arg="enable_thinking=false")).endswith("</think>\n\n")
    with pytest.raises(InputError, match="doesn't mention it; it takes enable_thinking"):
        planned(chat_arg="thinking=false")
    with pytest.raises(InputError, match="--form text doesn't use"):
        planned(chat_arg="enable_thinking=false", form="text")


def test_reasoning_that_the_template_opens_is_known_to_the_run(planned):
    assert planned().identity.think_opened is True
    assert planned(chat_arg="enable_thinking=false").identity.think_opened is False
    assert planned(form="text").identity.think_opened is False


def test_a_system_prompt_stands_first_and_is_taken_as_it_stands(planned):
    words = "Be {{ brief }}."
    assert shown(planned(system=words)).startswith(f"<|im_start|>system\n{words}<|im_end|>")
    assert shown(planned(system=words, form="text")).startswith(f"{words}\n\nQuestion:")
    assert planned(system=words).identity.prompt_sha256 == planned().identity.prompt_sha256


def test_a_budget_forces_what_ends_this_models_reasoning(planned):
    given = {"think_budget": 100, "max_tokens": 300}
    assert planned(**given).sampling.think_end == "</think>\n\n"
    own = planned(**given, think_tags=("<plan>", "</plan>"))
    assert own.identity.sampling.think_end == "</plan>\n\n"
    with pytest.raises(InputError, match="give --think-tags"):
        planned(**given, model=DEFAULT_MODEL)
    with pytest.raises(InputError, match="leaves no room for the answer"):
        planned(think_budget=256)


CHANGES = {
    "system": "Be brief.",
    "chat_arg": ("enable_thinking=false",),
    "think_tags": ("<plan>", "</plan>"),
    "min_p": 0.1,
    "repetition_penalty": 1.1,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "think_budget": 100,
    "max_tokens": "auto",
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_later_call_that_differs_stops_with_the_field_and_both_values(planned, tmp_path, name):
    create_run(tmp_path / "run", planned().identity)
    field = {"chat_arg": "chat_args"}.get(name, name)
    with pytest.raises(InputError, match=rf"{field}\S* was .*, now "):
        planned(**{name: CHANGES[name]})


def test_a_run_that_is_older_than_these_settings_resumes(planned, tmp_path):
    now = planned().identity
    new = {"min_p", "repetition_penalty", "presence_penalty", "frequency_penalty"}
    old = as_mapping(now)
    assert old.pop("think_opened") is True
    old["sampling"] = {k: v for k, v in old["sampling"].items() if k not in new}
    assert differences(identity_of(old), now) == []
    create_run(tmp_path / "run", old)
    planned()
    with pytest.raises(InputError, match=r"sampling\.min_p was 0\.0, now 0\.1"):
        planned(min_p=0.1)


def test_every_setting_of_sampling_is_in_the_identity(planned):
    made = planned(think_budget=9)
    known = {each.name for each in fields(SamplingIdentity)} - {"extra"}
    assert known == {each.name for each in fields(made.sampling)} - {"n", "seed"}
    for name in known:
        assert getattr(made.identity.sampling, name) == getattr(made.sampling, name)


def test_a_special_token_that_no_text_holds_is_warned_of(planned, caplog):
    planned(think_tags=("<|im_start|>", "<|im_end|>"), max_tokens=900)
    assert "<|im_end|> is a special token" in caplog.text


def test_an_engine_without_weights_takes_no_adapter(tmp_path):
    run = create_run(tmp_path / "old", {}).path
    settings = SampleSettings(model=str(run), engine="replay", adapter="lora")
    with pytest.raises(InputError, match="--adapter lora: engine 'replay' takes none"):
        plan("arithmetic", tmp_path / "run", settings)


def test_values_of_arguments_are_json_or_pythons_words():
    given = ("a=true", "b=False", "c=high", 'd={"x": 1}', "e=None", "f=a=b")
    assert pairs("--chat-arg", given) == {
        "a": True,
        "b": False,
        "c": "high",
        "d": {"x": 1},
        "e": None,
        "f": "a=b",
    }
    with pytest.raises(InputError, match="write it as key=value"):
        pairs("--chat-arg", ("enable_thinking",))
    with pytest.raises(InputError, match="given as True and as False"):
        pairs("--chat-arg", ("a=true", "a=false"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"min_p": 1.5}, "--min-p is 1.5"),
        ({"repetition_penalty": 0}, "--repetition-penalty is 0.0: above 0"),
        ({"presence_penalty": 3}, "--presence-penalty is 3.0: from -2 to 2"),
        ({"frequency_penalty": float("nan")}, "--frequency-penalty is nan"),
        ({"think_tags": ("<a>",)}, "--think-tags is .*: give two texts or nothing"),
        ({"think_tags": ("<a>", "<a>")}, "two different texts"),
        ({"generation_config": "mine"}, "unknown --generation-config 'mine'"),
        ({"max_tokens": 0}, "--max-tokens is 0"),
        ({"think_budget": 0}, "--think-budget is 0: at least 1"),
    ],
)
def test_a_setting_out_of_range_says_its_range(given, said):
    with pytest.raises(InputError, match=said):
        SampleSettings(**given)


def test_queries_of_analyses_go_through_the_template_as_the_run_did(planned, tmp_path):
    from analysis.model_queries import ModelQueries
    from analysis.model_queries.most_consistent import _prompt
    from cot.types import Request, Sampling

    made = planned(system="Be brief.", chat_arg="enable_thinking=false")
    queries = ModelQueries(create_run(tmp_path / "run", made.identity))
    messages = ({"role": "user", "content": "Who?"},)
    request = Request(question_id="q", sample_index=0, prompt=messages, sampling=Sampling(), seed=0)
    ids = queries._encoded(request).prompt
    assert load_tokenizer(made.engine.model).decode(list(ids)).endswith("</think>\n\n")
    assert _prompt(queries.run, queries, "Who?", ["I."])[0]["content"] == "Be brief."
    thinking = replace(made.identity, chat_args=None)
    other = ModelQueries(create_run(tmp_path / "other", thinking))
    assert other._variant(request) != queries._variant(request)
    as_ids = replace(request, prompt=ids)
    assert other._variant(as_ids) == queries._variant(as_ids)
    penalised = replace(as_ids, sampling=Sampling(min_p=0.1))
    assert other._variant(penalised) != other._variant(as_ids)
