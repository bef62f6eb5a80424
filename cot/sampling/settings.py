"""The settings of sampling: one dataclass for the command line, experiment files and Python."""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from os import PathLike
from types import UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from cyclopts import Parameter

from cot.engines.endpoint_address import addresses
from cot.errors import InputError
from cot.quantized_models import check_quantize
from cot.types import Sampling

__all__ = ["RECOMMENDED", "SampleSettings", "pairs", "with_settings"]

RECOMMENDED = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
"""What a checkpoint's generation_config.json may recommend."""
DEFAULTS = {"temperature": 0.7, "top_p": 0.95}
"""Of what the user didn't set, where it isn't that of `Sampling`."""

F = TypeVar("F", bound=Callable[..., Any])


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SampleSettings:
    """How a run is sampled; the field names are the options and the keys of an experiment file."""

    model: str = "smollm2-135m-instruct"
    """A folder, a hub id, a .gguf file, or the bundled model's name."""
    revision: str | None = None
    """A branch, tag or commit of a model on the hub; its main branch by default."""
    adapter: str | None = None
    """Folder or hub id of a LoRA adapter to run the model with."""
    quantize: str = "none"
    """int8 or int4 rounds the weights of the model's linear layers to so many bits, by groups of
    32; none leaves them as they are."""
    engine: str | None = None
    """transformers, vllm, endpoint, ray or replay; by default the run's own, else vllm where it is
    installed."""
    url: tuple[str, ...] = ()
    """Address of a server for the engine endpoint, such as http://HOST:8000/v1; may be given again
    for several. Its key is the environment variable COT_ENDPOINT_KEY."""
    dtype: str = "auto"
    """Weights' type: auto is float32 on a CPU and the checkpoint's own on a GPU."""
    engine_arg: tuple[str, ...] = ()
    """key=value for the engine's constructor; may be given again."""
    verbose: bool = False
    """Show the engine's own messages."""
    prompt: str = "few_shot_cot"
    """A prompt's name (see `cot prompts`) or file."""
    form: str = "auto"
    """chat, text, or auto: chat where the model has a chat template."""
    exemplars: str | None = None
    """Set of exemplars or .toml or .jsonl file, for a few-shot prompt."""
    shots: int | None = None
    """How many exemplars to show; all by default."""
    system: str | None = None
    """A system prompt in place of the prompt's own; in text form it comes first."""
    chat_arg: tuple[str, ...] = ()
    """key=value for the chat template, such as enable_thinking=false or reasoning_effort=high; may
    be given again."""
    think_tags: tuple[str, str] | None = None
    """What opens and what closes the model's reasoning, where it writes other tags than those that
    are known."""
    n: Annotated[int, Parameter(name=("-n", "--n"))] = 10
    """Traces a question."""
    adaptive: str | None = None
    """A stopping rule such as asc_beta (see `cot stop`): each question gets at most n samples, and
    none after the rule stops."""
    ahead: int = 0
    """With --adaptive, samples requested ahead of the rule, to keep a large engine busy; those
    after the stop are surplus and don't vote."""
    generation_config: str = "none"
    """model: temperature, top-p, top-k, min-p and repetition penalty come from the checkpoint's
    generation_config.json where they are not given; none: from here."""
    temperature: float | None = None
    """0 is greedy; 0.7 by default."""
    top_p: float | None = None
    """Nucleus size in (0, 1]; 0.95 by default."""
    top_k: int | None = None
    """Keep the k likeliest tokens; 0 keeps all, and is the default."""
    min_p: float | None = None
    """Keep tokens at least this many times as likely as the likeliest; 0 keeps all, and is the
    default."""
    repetition_penalty: float | None = None
    """Above 1, tokens of the prompt and the output become less likely; 1 by default."""
    presence_penalty: float = 0.0
    """Subtracted from the logits of tokens of the output, in [-2, 2]."""
    frequency_penalty: float = 0.0
    """Subtracted from a token's logit each time that it stands in the output, in [-2, 2]."""
    max_tokens: int | str = 256
    """Most tokens a trace; auto: what the model's context leaves after each prompt."""
    think_budget: int | None = None
    """Most tokens of reasoning: its end is forced after them, and sampling goes on."""
    stop: tuple[str, ...] = ()
    """A string that ends a trace, beside the prompt's own; may be given again."""
    top_logprobs: int = 0
    """k >= 2 stores the mean of the k largest log-probabilities of each token."""
    seed: int = 0
    """The run's seed; each trace's seed is a hash of it."""
    limit: int | None = None
    """Only the first questions."""
    shuffle: int | None = None
    """Shuffle the questions by this seed before --limit."""
    part: str | None = None
    """k/m, such as 3/8: every m-th question of the dataset, from the k-th; `cot merge` joins the
    parts' runs."""
    subset: str | None = None
    """Configuration of a hub dataset."""
    split: str | None = None
    """Split of a hub dataset; test, validation or train by default."""
    preset: str | None = None
    """A known layout: gsm8k, svamp or aqua."""
    question_column: str | None = None
    """Column that holds the question."""
    answer_column: str | None = None
    """Column that holds the gold answer."""
    choices_column: str | None = None
    """Column that holds the options."""
    id_column: str | None = None
    """Column that holds the question's id."""
    greedy: Annotated[bool, Parameter(negative="--no-greedy")] = True
    """Sample one greedy trace a question under samples/greedy too."""

    def __post_init__(self) -> None:
        """Check every value's type and every number's range; one text stands for a list of it.

        Raises:
            InputError: naming the option, its value and the valid range.
        """
        for name, kind in _kinds().items():
            given = getattr(self, name)
            try:
                object.__setattr__(self, name, _as_kind(kind, given))
            except TypeError:
                raise InputError(f"{_option(name)} is {given!r}: give {_named(kind)}") from None
        for name, low in (
            ("n", 1),
            ("top_k", 0),
            ("temperature", 0),
            ("ahead", 0),
        ):
            if getattr(self, name) is None:
                continue
            if not low <= getattr(self, name) < math.inf:  # NaN is in no range
                raise InputError(f"{_option(name)} is {getattr(self, name)}: at least {low}")
        for name in ("limit", "shots", "think_budget"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{_option(name)} is {value}: at least 1")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise InputError(f"--top-p is {self.top_p}: above 0 and at most 1")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise InputError(f"--min-p is {self.min_p}: at least 0 and at most 1")
        if self.repetition_penalty is not None and not 0 < self.repetition_penalty < math.inf:
            raise InputError(f"--repetition-penalty is {self.repetition_penalty}: above 0")
        for name in ("presence_penalty", "frequency_penalty"):
            if not -2 <= getattr(self, name) <= 2:
                raise InputError(f"{_option(name)} is {getattr(self, name)}: from -2 to 2")
        limit = self.max_tokens
        if limit != "auto" and not (isinstance(limit, int) and limit >= 1):
            raise InputError(f"--max-tokens is {limit}: a whole number of at least 1, or auto")
        if self.think_budget and isinstance(limit, int) and limit <= self.think_budget:
            raise InputError(
                f"--think-budget is {self.think_budget}: --max-tokens {limit} leaves no room for "
                "the answer after it; give more, or --max-tokens auto"
            )
        check_quantize(self.quantize)
        if self.generation_config not in ("model", "none"):
            raise InputError(
                f"unknown --generation-config {self.generation_config!r}: choose from model, none"
            )
        if self.think_tags and (
            not all(each.strip() for each in self.think_tags)
            or self.think_tags[0] == self.think_tags[1]
        ):
            raise InputError(
                f"--think-tags are {self.think_tags}: give two different texts, what opens and "
                "what closes the reasoning"
            )
        pairs("--chat-arg", self.chat_arg)
        if self.url:
            addresses(self.url)  # refuses one that holds a secret before anything shows it
        if any(pair.partition("=")[0].strip() == "url" for pair in self.engine_arg):
            raise InputError("--engine-arg url: give a server's address as --url")
        _ = self.part_of  # says what is wrong with it
        if self.top_logprobs == 1 or self.top_logprobs < 0:
            raise InputError(f"--top-logprobs is {self.top_logprobs}: 0, or at least 2")
        if self.ahead and self.adaptive is None:
            raise InputError(f"--ahead is {self.ahead}: it goes with --adaptive")
        if self.form not in ("auto", "chat", "text"):
            raise InputError(f"unknown --form {self.form!r}: choose from auto, chat, text")

    @property
    def part_of(self) -> tuple[int, int]:
        """`part` as (k, m), with 1 ≤ k ≤ m; (1, 1) is all."""
        found = re.fullmatch(
            r"([0-9]{1,9})/([0-9]{1,9})", "1/1" if self.part is None else self.part
        )
        k, m = map(int, found.groups()) if found else (0, 0)
        if not 1 <= k <= m:
            raise InputError(f"--part is {self.part!r}: give k/m with 1 ≤ k ≤ m, such as 3/8")
        return k, m

    @property
    def chat_args(self) -> dict[str, Any]:
        """`chat_arg` as names and values."""
        return pairs("--chat-arg", self.chat_arg)

    def sampling(
        self,
        stop: tuple[str, ...],
        *,
        context: int,
        recommended: Mapping[str, float],
        think_end: str | None,
    ) -> Sampling:
        """The settings that an engine needs.

        Args:
            stop: all stop strings.
            context: most tokens of prompt and completion, of which a trace gets what is left.
            recommended: values of the checkpoint's for what is not set here.
            think_end: what a budget forces.
        """
        given = {name: value for name in RECOMMENDED if (value := getattr(self, name)) is not None}
        chosen: dict[str, Any] = {**DEFAULTS, **recommended, **given}
        if think_end is not None:
            chosen["think_end"] = think_end
        return Sampling(
            **chosen,
            n=self.n,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            max_tokens=self.max_tokens if isinstance(self.max_tokens, int) else context,
            seed=self.seed,
            stop=stop,
            top_logprobs=self.top_logprobs,
            think_budget=self.think_budget,
        )


def pairs(option: str, given: Sequence[str]) -> dict[str, Any]:
    """`key=value` texts; a value is read as JSON, or as Python's True, False and None, where it is
    such, else as it stands.

    Raises:
        InputError: a text without a key, or a key that is given twice with two values.
    """
    found: dict[str, Any] = {}
    for pair in given:
        key, equals, text = pair.partition("=")
        if not (key and equals):
            raise InputError(f"{option} {pair!r}: write it as key=value")
        try:
            value = json.loads(WORDS.get(text, text))
        except json.JSONDecodeError:
            value = text
        if found.setdefault(key, value) != value:
            raise InputError(f"{option} {key}: it is given as {found[key]!r} and as {value!r}")
    return found


WORDS = {"True": "true", "False": "false", "None": "null"}
"""Python's words for what JSON writes in small letters: a text `False` would count as true."""


def with_settings(function: F) -> F:
    """Give a function that takes `**settings` their names, defaults and help, as `help` shows."""
    from docstring_parser import parse_from_object

    own = inspect.signature(function)
    parameters = [each for each in own.parameters.values() if each.kind is not each.VAR_KEYWORD]
    kinds = _kinds()
    parameters += [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=each.default,
            annotation=kinds[each.name],
        )
        for each in fields(SampleSettings)
    ]
    function.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    described = {
        each.arg_name: " ".join((each.description or "").split())
        for each in parse_from_object(SampleSettings).params
    }
    lines = "\n".join(
        f"    {each.name}: {described.get(each.name, '')}" for each in fields(SampleSettings)
    )
    text = inspect.getdoc(function) or ""
    function.__doc__ = text.replace("    **settings: see below.", lines)
    return function


def _kinds() -> dict[str, Any]:
    """Each setting's type."""
    return get_type_hints(SampleSettings)


def _as_kind(kind: Any, value: Any) -> Any:
    """The value as a setting of this type has it.

    Raises:
        TypeError: it is of another type.
    """
    if hasattr(value, "item"):  # numpy's scalars
        value = value.item()
    if isinstance(value, PathLike):
        value = str(value)
    options = _options(kind)
    if value is None and type(None) in options:
        return None
    if (texts := next((each for each in options if get_origin(each) is tuple), None)) is not None:
        values = (value,) if isinstance(value, str) else value
        length = None if get_args(texts)[-1] is ... else len(get_args(texts))
        are_texts = isinstance(values, list | tuple) and all(isinstance(v, str) for v in values)
        if are_texts and length in (None, len(values)):
            return tuple(values)
    elif isinstance(value, bool):
        if bool in options:
            return value
    elif float in options and isinstance(value, int | float):
        return float(value)
    elif isinstance(value, tuple(options)):
        return value
    raise TypeError


def _options(kind: Any) -> tuple[Any, ...]:
    """The types that a value may have."""
    return get_args(kind) if get_origin(kind) is UnionType else (kind,)


def _named(kind: Any) -> str:
    """A type in words."""
    if get_origin(kind) is tuple:
        return "a text or a list of texts"
    if any(get_origin(each) is tuple for each in _options(kind)):
        return "two texts or nothing"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return " or ".join(names.get(each, "nothing") for each in _options(kind))


def _option(name: str) -> str:
    return "-n" if name == "n" else "--" + name.replace("_", "-")
