"""What each kind of server is sent, and how its reply is read.

One request asks for one trace (n = 1) with its own seed: servers that draw n traces give them the
seeds seed, seed + 1, ..., which those of another request overlap. Prompts go as token ids where the
server takes them. Each setting is sent, as servers have defaults of their own for what is left out
(llama.cpp: top-k 40, min-p .05; vLLM and SGLang: the checkpoint's).

| kind | route | of its own |
|---|---|---|
| vLLM | /v1/completions | the reference: all that `cot.engines.vllm` does |
| SGLang | /generate | log-probabilities may be those after temperature (its PR 2664); seeds count only with --enable-deterministic-inference |
| llama.cpp | /completion | seeds of 32 bits; penalties count the prompt; after a stop string some log-probabilities are missing |
| other | /v1/chat/completions, /v1/completions | no token ids, top-k, min-p or repetition penalty |

Sources: vllm/entrypoints/openai/completion/protocol.py (0.32), SGLang's docs/basic_usage
(sampling_params.md, native_api.ipynb), llama.cpp's tools/server/README.md, and OpenAI's reference.
"""  # noqa: E501

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cot.engines.vllm_requests import Part, mean_of_largest
from cot.importers import chat
from cot.importers import fields as check
from cot.importers.fields import BadRecordError
from cot.types import Request

__all__ = ["BadReplyError", "Chat", "Dialect", "LlamaCpp", "RefusedError", "SgLang", "Vllm"]

UNFINISHED = (None, "", "abort", "error", "none")
"""Reasons for an end that are none: the server gave the request up."""
UNKNOWN = -9999.0
"""What servers write for a log-probability that isn't finite."""


class BadReplyError(Exception):
    """A reply that can't be used; the same request may be sent again."""


class RefusedError(Exception):
    """The server refuses this request; sending it again would not help."""


class Dialect(Protocol):
    """A kind of server's requests and replies."""

    @property
    def kind(self) -> str:
        """What the server is called."""

    @property
    def takes_ids(self) -> bool:
        """Whether prompts go as token ids, and a prefix can be continued."""

    @property
    def scores(self) -> bool:
        """Whether it gives the probabilities of chosen tokens."""

    @property
    def forces(self) -> bool:
        """Whether the next token can be chosen, as a thinking budget does."""

    @property
    def lacks(self) -> frozenset[str]:
        """Fields of `Sampling` that it can't apply."""

    def route(self, request: Request) -> str:
        """Where a request is sent: under the API, or from the root where it begins with a slash."""

    def body(
        self, served: str, request: Request, prompt: Sequence[int], settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What is sent.

        Args:
            served: the model's name at the server.
            request: what was asked; its prompt is read where `takes_ids` is False.
            prompt: token ids to continue.
            settings: as `Pending.settings`.
        """

    def read(self, reply: Mapping[str, Any], request: Request, notes: list[str]) -> Part:
        """What came back; `notes` gets what is missing.

        Raises:
            BadReplyError: the reply can't be used.
        """


class Vllm:
    """vLLM's completions."""

    kind = "vllm"
    takes_ids = True
    scores = True
    forces = True
    lacks: frozenset[str] = frozenset()

    def route(self, request: Request) -> str:
        return "completions"

    def body(
        self, served: str, request: Request, prompt: Sequence[int], settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        sent = {name: value for name, value in settings.items() if value is not None}
        return {
            "model": served,
            "prompt": list(prompt),
            "n": 1,
            "return_token_ids": True,
            "return_tokens_as_token_ids": True,  # two tokens may spell the same text
            **{"logprobs": 0, **sent},
        }

    def read(self, reply: Mapping[str, Any], request: Request, notes: list[str]) -> Part:
        choice = _choice(reply)
        ids = _ids(choice.get("token_ids"))
        said = _mapping(choice.get("logprobs"), "logprobs")
        values = _as_many(said.get("token_logprobs"), ids, "logprobs")
        tops = _as_many(said.get("top_logprobs"), ids, "top_logprobs")
        means = scores = None
        if request.score_tokens is not None:
            if not tops or not isinstance(tops[0], Mapping):
                raise BadReplyError("no probabilities of the tokens that were asked for")
            scores = {
                token: _chance(tops[0].get(f"token_id:{token}")) for token in request.score_tokens
            }
        elif (k := request.sampling.top_logprobs) and tops is not None:
            means = _means([_mapping(top, "top_logprobs") for top in tops], k, notes)
        return Part(
            text=_text(choice.get("text")),
            ids=ids,
            logprobs=_logprobs(values, notes),
            means=means,
            scores=scores,
            cut=_is_cut(choice.get("finish_reason"), notes),
        )


class SgLang:
    """SGLang's own route, which has given token ids from the start."""

    kind = "sglang"
    takes_ids = True
    scores = True
    forces = False
    lacks: frozenset[str] = frozenset({"repetition_penalty"})

    def route(self, request: Request) -> str:
        return "/generate"

    def body(
        self, served: str, request: Request, prompt: Sequence[int], settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        names = ("temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty", "stop")
        return {
            "input_ids": list(prompt),
            "sampling_params": {
                **{name: settings[name] for name in names},
                "top_k": settings["top_k"] or -1,
                "max_new_tokens": settings["max_tokens"],
                "sampling_seed": settings["seed"],
            },
            "return_logprob": True,
            "top_logprobs_num": settings["logprobs"] or 0,
            **(
                {"token_ids_logprob": settings["logprob_token_ids"]}
                if settings["logprob_token_ids"]
                else {}
            ),
        }

    def read(self, reply: Mapping[str, Any], request: Request, notes: list[str]) -> Part:
        _no_error(reply)
        about = _mapping(reply.get("meta_info"), "meta_info")
        ids = _ids(reply.get("output_ids"))
        drawn = _as_many(about.get("output_token_logprobs"), ids, "output_token_logprobs")
        values = None if drawn is None else [_entry(each)[0] for each in drawn]
        if drawn is not None:
            own = [_entry(each)[1] for each in drawn]
            if ids is None:
                ids = _ids(own)
            elif own != list(ids):
                raise BadReplyError("its log-probabilities are of other tokens than its ids")
        means = scores = None
        if request.score_tokens is not None:
            first = (about.get("output_token_ids_logprobs") or [None])[0]
            if not isinstance(first, list):
                raise BadReplyError("no probabilities of the tokens that were asked for")
            found = {token: value for value, token in map(_entry, first)}
            scores = {token: _chance(found.get(token)) for token in request.score_tokens}
        elif k := request.sampling.top_logprobs:
            tops = _as_many(about.get("output_top_logprobs"), ids, "output_top_logprobs")
            if tops is not None:
                listed = [{token: value for value, token in map(_entry, top)} for top in tops]
                means = _means(listed, k, notes)
        reason = about.get("finish_reason")
        return Part(
            text=_text(reply.get("text")),
            ids=ids,
            logprobs=_logprobs(values, notes),
            means=means,
            scores=scores,
            cut=_is_cut(reason.get("type") if isinstance(reason, Mapping) else reason, notes),
        )


class LlamaCpp:
    """llama.cpp's own route; its /v1/completions gives neither token ids nor a sampler order."""

    kind = "llama.cpp"
    takes_ids = True
    scores = False
    forces = False
    lacks: frozenset[str] = frozenset({"presence_penalty", "frequency_penalty"})

    def route(self, request: Request) -> str:
        return "/completion"

    def body(
        self, served: str, request: Request, prompt: Sequence[int], settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {
            "prompt": list(prompt),
            "n_predict": settings["max_tokens"],
            "seed": short_seed(settings["seed"]),
            "stop": settings["stop"],
            "temperature": settings["temperature"],
            "top_p": settings["top_p"],
            "top_k": settings["top_k"],
            "min_p": settings["min_p"],
            "repeat_penalty": settings["repetition_penalty"],
            "repeat_last_n": -1,  # all of prompt and output
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            # our order, and no sampler that the server was started with
            "samplers": ["penalties", "temperature", "min_p", "top_k", "top_p"],
            "return_tokens": True,
            "n_probs": max(settings["logprobs"] or 0, 1),
            "post_sampling_probs": False,
        }

    def read(self, reply: Mapping[str, Any], request: Request, notes: list[str]) -> Part:
        _no_error(reply)
        if reply.get("truncated"):
            raise RefusedError("the server's context was too short, and it dropped what came first")
        ids = _ids(reply.get("tokens"))
        listed = reply.get("completion_probabilities", reply.get("probs"))
        entries = None if listed is None else [_mapping(each, "probabilities") for each in listed]
        if ids is not None and entries is not None:
            if [each.get("id") for each in entries] != list(ids[: len(entries)]):
                raise BadReplyError("its log-probabilities are of other tokens than its ids")
            if len(entries) < len(ids):
                if reply.get("stop_type") != "word":
                    raise BadReplyError(f"{len(entries)} log-probabilities of {len(ids)} tokens")
                notes.append("log-probabilities: the server leaves out those of the stop string")
                entries = None
        means = None
        if entries is not None and (k := request.sampling.top_logprobs):
            tops = [
                {
                    top.get("id"): top.get("logprob")
                    for top in each.get("top_logprobs") or ()
                    if isinstance(top, Mapping)
                }
                for each in entries
            ]
            means = _means(tops, k, notes)
        values = None if entries is None else [each.get("logprob") for each in entries]
        return Part(
            text=_text(reply.get("content")),
            ids=ids,
            logprobs=_logprobs(values, notes),
            means=means,
            scores=None,
            cut=_is_cut(reply.get("stop_type"), notes),
        )


@dataclass(frozen=True)
class Chat:
    """The routes that all servers have: the server's chat template is applied there, or a text is
    continued."""

    kind: str = "other"
    """Whose they are."""
    without: frozenset[str] = frozenset()
    """Fields that the server refuses."""
    context: int = 2**30
    """So many tokens are no limit, and none is sent: a server's own is what its context leaves."""
    takes_ids = False
    scores = False
    forces = False

    @property
    def lacks(self) -> frozenset[str]:
        lost = {"top_k", "min_p", "repetition_penalty"} if self.kind == "other" else set()
        return frozenset(lost | ({"top_logprobs"} if "logprobs" in self.without else set()))

    def route(self, request: Request) -> str:
        return "completions" if isinstance(request.prompt, str) else "chat/completions"

    def body(
        self, served: str, request: Request, prompt: Sequence[int], settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        k = settings["logprobs"] or 0
        sent: dict[str, Any] = {
            "model": served,
            "n": 1,
            "temperature": settings["temperature"],
            "top_p": settings["top_p"],
            "seed": short_seed(settings["seed"]),
        }
        if isinstance(request.prompt, str):
            sent |= {"prompt": request.prompt, "logprobs": k}
        else:
            turns: Sequence[Any] = request.prompt
            sent |= {"messages": [dict(turn) for turn in turns], "logprobs": True}
            sent |= {"top_logprobs": k} if k else {}
        if settings["max_tokens"] < self.context:
            sent["max_tokens"] = settings["max_tokens"]
        for name in ("stop", "presence_penalty", "frequency_penalty"):
            if settings[name]:
                sent[name] = settings[name]
        if self.kind != "other":
            for name in ("top_k", "min_p", "repetition_penalty"):
                sent[name] = settings[name]
            if self.kind == "sglang":
                sent["top_k"] = settings["top_k"] or -1
        return {name: value for name, value in sent.items() if name not in self.without}

    def read(self, reply: Mapping[str, Any], request: Request, notes: list[str]) -> Part:
        choice = _choice(reply)
        logprobs = _mapping(choice.get("logprobs"), "logprobs")
        k = request.sampling.top_logprobs
        values: list[Any] | None
        if isinstance(request.prompt, str):
            text = _text(choice.get("text"))
            values, tops = logprobs.get("token_logprobs"), logprobs.get("top_logprobs")
            listed = [_mapping(top, "top_logprobs") for top in tops] if k and tops else None
        else:
            try:
                said = chat.reply(choice.get("message"))
            except BadRecordError as error:
                raise BadReplyError(str(error)) from None
            text = said.whole
            notes += [f"{each} of a reply" for each in said.left_out]
            usage = _mapping(reply.get("usage"), "usage")
            hidden = _mapping(usage.get("completion_tokens_details"), "completion_tokens_details")
            if hidden.get("reasoning_tokens") and not said.reasoning:
                notes.append("reasoning: the server keeps it to itself")
            content = logprobs.get("content")
            entries = None if content is None else [_mapping(each, "logprobs") for each in content]
            values = None if entries is None else [each.get("logprob") for each in entries]
            listed = (
                [
                    {top.get("token"): top.get("logprob") for top in each.get("top_logprobs") or ()}
                    for each in entries
                ]
                if k and entries
                else None
            )
        return Part(
            text=text,
            ids=None,
            logprobs=_logprobs(values, notes),
            means=None if listed is None else _means(listed, k, notes),
            scores=None,
            cut=_is_cut(choice.get("finish_reason"), notes),
        )


def short_seed(seed: int) -> int:
    """A seed of 63 bits as one of 31, which every server takes: its last bits."""
    return seed % 2**31


def _choice(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    """The only choice of a reply."""
    _no_error(reply)
    choices = reply.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], Mapping):
        n = len(choices) if isinstance(choices, list) else "no"
        raise BadReplyError(f"a reply with {n} choices, where one was asked for")
    return choices[0]


def _no_error(reply: Mapping[str, Any]) -> None:
    """Raise where a reply is an error, whatever its status."""
    error = reply.get("error")
    if error or reply.get("object") == "error":
        message = error.get("message") if isinstance(error, Mapping) else error
        raise BadReplyError(f"an error in place of a completion: {message or reply.get('message')}")


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    """An object, or an empty one in place of null."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise BadReplyError(f"{name} is no object")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadReplyError("a completion without a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadReplyError("its text holds half of a surrogate pair") from None
    return value


def _ids(value: Any) -> tuple[int, ...] | None:
    try:
        return check.token_ids(value)
    except BadRecordError as error:
        raise BadReplyError(str(error)) from None


def _as_many(value: Any, ids: Sequence[int] | None, name: str) -> list[Any] | None:
    """A list with an entry for each token, or None."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise BadReplyError(f"{name} is no list")
    if ids is not None and len(value) != len(ids):
        raise BadReplyError(f"{len(value)} {name} of {len(ids)} tokens")
    return value


def _entry(value: Any) -> tuple[Any, Any]:
    """(log-probability, token id) as SGLang lists them."""
    if not isinstance(value, list | tuple) or len(value) < 2:
        raise BadReplyError("a log-probability is no list of a number and a token id")
    return value[0], value[1]


def _logprobs(values: Any, notes: list[str]) -> Any:
    """Log-probabilities, or None where one of them is null, -9999 or not finite."""
    before = len(notes)
    try:
        found = check.logprobs(values, notes)
    except BadRecordError as error:
        raise BadReplyError(str(error)) from None
    if len(notes) > before:
        notes[before:] = ["log-probabilities: one of a trace is null or not finite"]
    return found


def _means(tops: Sequence[Mapping[Any, Any]], k: int, notes: list[str]) -> list[float] | None:
    """Mean of the k largest log-probabilities at each token; None where some are not finite."""
    if any(len(top) < k for top in tops):
        raise BadReplyError(f"fewer than {k} largest log-probabilities at a token")
    for top in tops:
        if not all(_is_finite(value) for value in top.values()):
            notes.append("means of the largest log-probabilities: one is null or not finite")
            return None
    return [mean_of_largest(top, k) for top in tops]


def _chance(value: Any) -> float:
    """The probability whose logarithm this is."""
    if not _is_finite(value):
        raise BadReplyError("no probability of a token that was asked for")
    return min(math.exp(value), 1.0)


def _is_finite(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and value > UNKNOWN


def _is_cut(reason: Any, notes: list[str]) -> bool:
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
