"""The settings of sampling: one dataclass for the command line, experiment files and Python."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from os import PathLike
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from cyclopts import Parameter

from cot.errors import InputError
from cot.types import Sampling

__all__ = ["SampleSettings", "with_settings"]

F = TypeVar("F", bound=Callable[..., Any])


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SampleSettings:
    """How a run is sampled; the field names are the options and the keys of an experiment file."""

    model: str = "smollm2-135m-instruct"
    """A folder, a hub id, or the bundled model's name."""
    engine: str | None = None
    """transformers, vllm or replay; by default the run's own, else vllm where it is installed."""
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
    n: Annotated[int, Parameter(name=("-n", "--n"))] = 10
    """Traces a question."""
    adaptive: str | None = None
    """A stopping rule such as asc_beta (see `cot stop`): each question gets at most n samples, and
    none after the rule stops."""
    ahead: int = 0
    """With --adaptive, samples requested ahead of the rule, to keep a large engine busy; those
    after the stop are surplus and don't vote."""
    temperature: float = 0.7
    """0 is greedy."""
    top_p: float = 0.95
    """Nucleus size in (0, 1]."""
    top_k: int = 0
    """Keep the k likeliest tokens; 0 keeps all."""
    max_tokens: int = 256
    """Most tokens a trace."""
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
            ("max_tokens", 1),
            ("top_k", 0),
            ("temperature", 0),
            ("ahead", 0),
        ):
            if not low <= getattr(self, name) < math.inf:  # NaN is in no range
                raise InputError(f"{_option(name)} is {getattr(self, name)}: at least {low}")
        for name in ("limit", "shots"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{_option(name)} is {value}: at least 1")
        if not 0 < self.top_p <= 1:
            raise InputError(f"--top-p is {self.top_p}: above 0 and at most 1")
        if self.top_logprobs == 1 or self.top_logprobs < 0:
            raise InputError(f"--top-logprobs is {self.top_logprobs}: 0, or at least 2")
        if self.ahead and self.adaptive is None:
            raise InputError(f"--ahead is {self.ahead}: it goes with --adaptive")
        if self.form not in ("auto", "chat", "text"):
            raise InputError(f"unknown --form {self.form!r}: choose from auto, chat, text")

    def sampling(self, stop: tuple[str, ...]) -> Sampling:
        """The settings that an engine needs, with all stop strings."""
        return Sampling(
            n=self.n,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            max_tokens=self.max_tokens,
            seed=self.seed,
            stop=stop,
            top_logprobs=self.top_logprobs,
        )


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
    options = get_args(kind) or (kind,)
    if value is None and type(None) in options:
        return None
    if get_origin(kind) is tuple:
        values = (value,) if isinstance(value, str) else value
        if isinstance(values, list | tuple) and all(isinstance(each, str) for each in values):
            return tuple(values)
    elif isinstance(value, bool):
        if bool in options:
            return value
    elif float in options and isinstance(value, int | float):
        return float(value)
    elif isinstance(value, tuple(options)):
        return value
    raise TypeError


def _named(kind: Any) -> str:
    """A type in words."""
    if get_origin(kind) is tuple:
        return "a text or a list of texts"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return " or ".join(names.get(each, "nothing") for each in get_args(kind) or (kind,))


def _option(name: str) -> str:
    return "-n" if name == "n" else "--" + name.replace("_", "-")
