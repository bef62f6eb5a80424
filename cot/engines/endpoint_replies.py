"""Parts of a server's reply, checked: each function returns a value, or says why the reply is bad.

Null, -9999 and numbers that aren't finite are missing log-probabilities: vLLM writes -9999 for what
JSON cannot (clamp_prompt_logprobs in its entrypoints), and OpenAI's clients do so too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from cot.engines.vllm_requests import Part, mean_of_largest
from cot.importers import fields as check
from cot.importers.fields import BadRecordError

__all__ = [
    "BadReplyError",
    "RefusedError",
    "as_many",
    "chance",
    "check_spelling",
    "choice",
    "entry",
    "ids",
    "is_cut",
    "logprobs",
    "mapping",
    "mappings",
    "means",
    "no_error",
    "text",
]

UNFINISHED = (None, "", "abort", "error", "none")
"""Reasons for an end that are none: the server gave the request up."""
UNKNOWN = -9999.0
"""What servers write for a log-probability that isn't finite."""
MOST = 1e-3
"""A log-probability is at most 0, but for rounding."""
CONTEXT = 8
"""Tokens decoded before the first, for its leading space."""
BROKEN = "\ufffd"
"""What decoders write for part of a character."""


class BadReplyError(Exception):
    """A reply that can't be used; the same request may be sent again."""


class RefusedError(Exception):
    """The server refuses this request; sending it again would not help."""


def choice(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    """The only choice of a reply."""
    no_error(reply)
    choices = reply.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], Mapping):
        n = len(choices) if isinstance(choices, list) else "no"
        raise BadReplyError(f"a reply with {n} choices, where one was asked for")
    return choices[0]


def no_error(reply: Mapping[str, Any]) -> None:
    """Raise where a reply is an error, whatever its status."""
    error = reply.get("error")
    if error or reply.get("object") == "error":
        message = error.get("message") if isinstance(error, Mapping) else error
        raise BadReplyError(f"an error in place of a completion: {message or reply.get('message')}")


def mapping(value: Any, name: str) -> Mapping[str, Any]:
    """An object, or an empty one in place of null."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise BadReplyError(f"{name} is no object")
    return value


def mappings(value: Any, name: str) -> list[Mapping[str, Any]] | None:
    """A list of objects, or None."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise BadReplyError(f"{name} is no list")
    return [mapping(each, name) for each in value]


def text(value: Any) -> str:
    """A text that can be stored."""
    if not isinstance(value, str):
        raise BadReplyError("a completion without a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadReplyError("its text holds half of a surrogate pair") from None
    return value


def ids(value: Any) -> tuple[int, ...] | None:
    try:
        return check.token_ids(value)
    except BadRecordError as error:
        raise BadReplyError(str(error)) from None


def as_many(value: Any, ids: Sequence[int] | None, name: str) -> list[Any] | None:
    """A list with an entry for each token, or None."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise BadReplyError(f"{name} is no list")
    if ids is not None and len(value) != len(ids):
        raise BadReplyError(f"{len(value)} {name} of {len(ids)} tokens")
    return value


def entry(value: Any) -> tuple[Any, Any]:
    """(log-probability, token id) as SGLang lists them."""
    if not isinstance(value, list | tuple) or len(value) < 2:
        raise BadReplyError("a log-probability is no list of a number and a token id")
    return value[0], value[1]


def logprobs(values: Any, notes: list[str]) -> Any:
    """Log-probabilities, or None where one of them is null, -9999 or not finite."""
    before = len(notes)
    try:
        found = check.logprobs(values, notes)
    except BadRecordError as error:
        raise BadReplyError(str(error)) from None
    if len(notes) > before:
        notes[before:] = ["log-probabilities: one of a trace is null or not finite"]
    return found


def means(tops: Sequence[Mapping[Any, Any]], k: int, notes: list[str]) -> list[float] | None:
    """Mean of the k largest log-probabilities at each token; None where some are not finite."""
    if any(len(top) < k for top in tops):
        raise BadReplyError(f"fewer than {k} largest log-probabilities at a token")
    for top in tops:
        if not all(_is_finite(value) for value in top.values()):
            notes.append("means of the largest log-probabilities: one is null or not finite")
            return None
    return [mean_of_largest(top, k) for top in tops]


def chance(value: Any) -> float:
    """The probability whose logarithm this is."""
    if not _is_finite(value):
        raise BadReplyError("no probability of a token that was asked for")
    return min(math.exp(value), 1.0)


def _is_finite(value: Any) -> bool:
    """Whether a log-probability is known."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and value > MOST:
        raise BadReplyError(f"a log-probability of {value}")
    return number and math.isfinite(value) and value > UNKNOWN


def is_cut(reason: Any, notes: list[str]) -> bool:
    """Whether a completion ended at the limit of tokens."""
    if reason in UNFINISHED:
        raise BadReplyError(f"the server gave the request up (finish_reason {reason!r})")
    if reason in ("eos", "word"):
        return False
    if reason == "limit":
        return True
    if reason not in ("stop", "length"):
        notes.append(f"completions that ended for {str(reason)[:40]!r}")
    try:
        return check.finish_reason(reason) == "length"
    except BadRecordError as error:
        raise BadReplyError(str(error)) from None


def check_spelling(tokenizer: Any, prompt: Sequence[int], part: Part, stop: Sequence[str]) -> None:
    """Refuse ids that don't spell the text: then the server's tokenizer is another one.

    A text may end before a stop string, and in the middle of a character; white space at its ends
    depends on the decoder.
    """
    decode = tokenizer.decode
    options = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
    before = list(prompt[-CONTEXT:])
    head, spelled = decode(before, **options), decode([*before, *(part.ids or ())], **options)
    own = (
        spelled[len(head) :]
        if spelled.startswith(head)
        else decode(list(part.ids or ()), **options)
    )
    text = part.text
    own, text = own.strip(), text.strip()
    if BROKEN in own or BROKEN in text:  # compared up to the first character that is not whole
        n = min(len(each.split(BROKEN)[0]) for each in (own, text))
        own, text = own[:n], text[:n]
    rest = own[len(text) :]
    if own.startswith(text) and (
        not rest.strip() or (not part.cut and any(each.strip() in rest for each in stop if each))
    ):
        return
    raise BadReplyError(
        "its token ids don't spell its text by this model's tokenizer: is it the same model?"
    )
