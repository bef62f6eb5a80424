"""What a run was made with, as typed fields: the part of run.json that no later call may change.

    >>> identity = identity_of({"model": "m", "sampling": {"temperature": 0.7}, "server": "x"})
    >>> identity.model, identity.sampling.temperature, identity.extra
    ('m', 0.7, {'server': 'x'})
    >>> differences(identity, identity_of({"model": "m", "sampling": {"temperature": 1.0}}))
    ['sampling.temperature was 0.7, now 1.0', "server was 'x', now None"]

Fields that this version does not know are kept as they are, and compared like the others. A field
that a run doesn't have, as it is older than the field, counts as that field's default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from cot.errors import InputError

__all__ = [
    "AdaptiveIdentity",
    "Identity",
    "ImportIdentity",
    "SamplingIdentity",
    "as_compared",
    "as_mapping",
    "differences",
    "identity_of",
]


@dataclass(frozen=True, kw_only=True)
class SamplingIdentity:
    """How a run's traces were drawn; the fields of `cot.types.Sampling`, without n and seed."""

    temperature: float | None = None
    """0 is greedy."""
    top_p: float | None = None
    """Nucleus size, in (0, 1]."""
    top_k: int | None = None
    """The likeliest tokens that were kept; 0 kept all."""
    max_tokens: int | None = None
    """Most tokens generated a trace."""
    stop: tuple[str, ...] | None = None
    """Strings that ended a trace."""
    top_logprobs: int | None = None
    """Of how many largest log-probabilities a mean is stored; 0 for none."""
    min_p: float | None = field(default=None, metadata={"absent": 0.0})
    """Least share of the likeliest token's probability; 0 kept all."""
    repetition_penalty: float | None = field(default=None, metadata={"absent": 1.0})
    """Factor on tokens of the prompt and the output; 1 changed nothing."""
    presence_penalty: float | None = field(default=None, metadata={"absent": 0.0})
    """What was subtracted from tokens of the output."""
    frequency_penalty: float | None = field(default=None, metadata={"absent": 0.0})
    """What was subtracted for each time that a token stood in the output."""
    think_budget: int | None = None
    """Tokens of reasoning after which its end was forced; None where it never was."""
    think_end: str | None = None
    """What was forced."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields that this version does not know."""


@dataclass(frozen=True, kw_only=True)
class AdaptiveIdentity:
    """The stopping rule that decided how many samples were drawn."""

    rule: str
    """The rule as typed."""
    format: str
    """The format in which it read the answers."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields that this version does not know."""


@dataclass(frozen=True, kw_only=True)
class ImportIdentity:
    """The file that a run was imported from."""

    file: str | None = None
    """Its name, without folders."""
    sha256: str | None = None
    """Hash of its contents."""
    format: str | None = None
    """One of `cot.importers.FORMATS`."""
    questions_sha256: str | None = None
    """Hash of the batch's input file, where there is one."""
    map: Mapping[str, str] | None = None
    """Field to the file's column, as `--map` said."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields that this version does not know."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a run was made with; None where it is not known."""

    model: str | None = None
    """The model's name as given."""
    revision: str | None = None
    """Which one that was: a package and its version, a hub commit, or a hash of its files."""
    adapter: str | None = None
    """The name, as given, of the LoRA adapter that the model ran with."""
    adapter_revision: str | None = None
    """Which one that was: a hub commit, or a hash of its files."""
    quantize: str | None = field(default=None, metadata={"absent": "none"})
    """How the model's weights were rounded: `int8`, `int4` or `none`; the adapter's never are. None
    where a server ran it, which doesn't say."""
    engine: str | None = None
    """The engine's name."""
    dtype: str | None = None
    """The weights' type."""
    served: str | None = None
    """The name under which a server runs the model, where that was given as another one."""
    api: str | None = None
    """What a server was asked through: `completions`, with prompts as token ids, or `chat`, with
    its own chat template; None where the model ran in the process."""
    prompt: str | None = None
    """The prompt's name."""
    prompt_sha256: str | None = None
    """Hash of the prompt and its exemplars."""
    form: str | None = None
    """`chat` or `text`."""
    system: str | None = None
    """The system prompt that was given in place of the prompt's own; None where none was."""
    chat_args: Mapping[str, Any] | None = field(default=None, metadata={"absent": {}})
    """Arguments of the chat template, such as enable_thinking."""
    think_tags: tuple[str, ...] | None = None
    """What opens and what closes the reasoning; None for the tags that are known."""
    think_opened: bool | None = field(default=None, metadata={"derived": True})
    """Whether the prompt ends inside reasoning that its chat template opened; None where that is
    not known. It follows from the other fields and is not compared."""
    sampling: SamplingIdentity | None = None
    """How the traces were drawn."""
    generation_config: Mapping[str, Any] | None = field(default=None, metadata={"derived": True})
    """What `sampling` took from the checkpoint's generation_config.json; not compared itself."""
    dataset: str | None = None
    """A hub id, a file's name, or a made dataset."""
    dataset_sha256: str | None = None
    """Fingerprint of all its questions, before --limit."""
    seed: int | None = None
    """The run's seed."""
    adaptive: AdaptiveIdentity | None = None
    """The stopping rule that was asked while sampling; None where n samples were drawn."""
    imported: ImportIdentity | None = None
    """Where the traces come from that were made elsewhere."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields that this version does not know."""

    @property
    def model_named(self) -> str | None:
        """The model's name, and how its weights were rounded; None where the model is not known."""
        rounded = self.quantize not in (None, "none")
        return f"{self.model}, weights rounded to {self.quantize}" if rounded else self.model


Part = Identity | SamplingIdentity | AdaptiveIdentity | ImportIdentity


def identity_of(given: Mapping[str, Any], where: str = "the identity") -> Identity:
    """The identity that a mapping of JSON values says.

    Args:
        where: what the mapping is called in an error.

    Raises:
        InputError: a field of another type than its own.
    """
    identity: Identity = _read(Identity, given, where)
    return identity


def as_mapping(part: Part) -> dict[str, Any]:
    """The fields that are known, and the extra ones, as JSON values."""
    found: dict[str, Any] = {}
    for each in fields(part):
        value = getattr(part, each.name)
        if each.name == "extra" or value is None:
            continue
        if isinstance(value, Part):
            value = as_mapping(value)
        found[each.name] = list(value) if isinstance(value, tuple) else value
    return {**found, **part.extra}


def differences(old: Identity, new: Identity) -> list[str]:
    """Each field that differs, with both values."""
    return _differences(as_compared(old), as_compared(new))


def as_compared(part: Part) -> dict[str, Any]:
    """As `as_mapping`, without what follows from other fields, and absent values filled in."""
    found = as_mapping(part)
    for each in fields(part):
        if each.metadata.get("derived"):
            found.pop(each.name, None)
        elif each.name not in found and "absent" in each.metadata:
            found[each.name] = each.metadata["absent"]
        elif isinstance(value := getattr(part, each.name), Part):
            found[each.name] = as_compared(value)
    return found


def _read(kind: type[Any], given: Any, where: str) -> Any:
    if not isinstance(given, Mapping):
        raise InputError(f"{where} is {given!r}: an object with the fields of {kind.__name__}")
    kinds = {name: of for name, of in get_type_hints(kind).items() if name != "extra"}
    known = {
        name: _value(kinds[name], value, f"{where}.{name}")
        for name, value in given.items()
        if name in kinds
    }
    for each in fields(kind):
        if each.default is each.default_factory is MISSING and each.name not in known:
            raise InputError(f"{where} has no field {each.name}")
    extra = {name: value for name, value in given.items() if name not in kinds}
    return kind(**known, extra=extra)


def _value(kind: Any, value: Any, where: str) -> Any:
    """A field's value in its type."""
    options = get_args(kind) if get_origin(kind) is UnionType else (kind,)
    if value is None and type(None) in options:
        return None
    (wanted,) = (each for each in options if each is not type(None))
    if isinstance(wanted, type) and issubclass(wanted, Part):
        return _read(wanted, value, where)
    if get_origin(wanted) is tuple and isinstance(value, list | tuple):
        return tuple(value)
    plain = get_origin(wanted) or wanted
    number = isinstance(value, int) and not isinstance(value, bool)
    fits = number if plain is int else isinstance(value, Mapping if plain is Mapping else plain)
    if not fits and not (plain is float and number):
        raise InputError(f"{where} is {value!r}, which is no {_named(plain)}")
    return value


def _named(kind: Any) -> str:
    names = {str: "text", int: "whole number", float: "number", tuple: "list"}
    return names.get(kind, "object")


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name in [*old, *(name for name in new if name not in old)]:
        before, after = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += _differences(before, after, f"{prefix}{name}.")
        elif before != after:
            found.append(f"{prefix}{name} was {before!r}, now {after!r}")
    return found
