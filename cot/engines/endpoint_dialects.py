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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cot.engines import endpoint_replies as replies
from cot.engines.endpoint_replies import BadReplyError, RefusedError
from cot.engines.vllm_requests import Part
from cot.importers import chat
from cot.importers.fields import BadRecordError
from cot.types import Request

__all__ = ["Chat", "Dialect", "LlamaCpp", "SgLang", "Vllm"]


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
        choice = replies.choice(reply)
        ids = replies.ids(choice.get("token_ids"))
        said = replies.mapping(choice.get("logprobs"), "logprobs")
        values = replies.as_many(said.get("token_logprobs"), ids, "logprobs")
        tops = replies.as_many(said.get("top_logprobs"), ids, "top_logprobs")
        means = scores = None
        if request.score_tokens is not None:
            if not tops or not isinstance(tops[0], Mapping):
                raise BadReplyError("no probabilities of the tokens that were asked for")
            scores = {
                token: replies.chance(tops[0].get(f"token_id:{token}"))
                for token in request.score_tokens
            }
        elif (k := request.sampling.top_logprobs) and tops is not None:
            means = replies.means([replies.mapping(top, "top_logprobs") for top in tops], k, notes)
        return Part(
            text=replies.text(choice.get("text")),
            ids=ids,
            logprobs=replies.logprobs(values, notes),
            means=means,
            scores=scores,
            cut=replies.is_cut(choice.get("finish_reason"), notes),
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
        replies.no_error(reply)
        about = replies.mapping(reply.get("meta_info"), "meta_info")
        ids = replies.ids(reply.get("output_ids"))
        drawn = replies.as_many(about.get("output_token_logprobs"), ids, "output_token_logprobs")
        values = None if drawn is None else [replies.entry(each)[0] for each in drawn]
        if drawn is not None:
            own = [replies.entry(each)[1] for each in drawn]
            if ids is None:
                ids = replies.ids(own)
            elif own != list(ids):
                raise BadReplyError("its log-probabilities are of other tokens than its ids")
        means = scores = None
        if request.score_tokens is not None:
            first = (about.get("output_token_ids_logprobs") or [None])[0]
            if not isinstance(first, list):
                raise BadReplyError("no probabilities of the tokens that were asked for")
            found = {token: value for value, token in map(replies.entry, first)}
            scores = {token: replies.chance(found.get(token)) for token in request.score_tokens}
        elif k := request.sampling.top_logprobs:
            tops = replies.as_many(about.get("output_top_logprobs"), ids, "output_top_logprobs")
            if tops is not None:
                listed = [
                    {token: value for value, token in map(replies.entry, top)} for top in tops
                ]
                means = replies.means(listed, k, notes)
        reason = about.get("finish_reason")
        reason = reason.get("type") if isinstance(reason, Mapping) else reason
        return Part(
            text=replies.text(reply.get("text")),
            ids=ids,
            logprobs=replies.logprobs(values, notes),
            means=means,
            scores=scores,
            cut=replies.is_cut(reason, notes),
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
        replies.no_error(reply)
        if reply.get("truncated"):
            raise RefusedError("the server's context was too short, and it dropped what came first")
        ids = replies.ids(reply.get("tokens"))
        listed = reply.get("completion_probabilities", reply.get("probs"))
        entries = replies.mappings(listed, "probabilities")
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
                {top.get("id"): top.get("logprob") for top in each.get("top_logprobs") or ()}
                for each in entries
            ]
            means = replies.means(tops, k, notes)
        values = None if entries is None else [each.get("logprob") for each in entries]
        return Part(
            text=replies.text(reply.get("content")),
            ids=ids,
            logprobs=replies.logprobs(values, notes),
            means=means,
            scores=None,
            cut=replies.is_cut(reply.get("stop_type"), notes),
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
        choice = replies.choice(reply)
        logprobs = replies.mapping(choice.get("logprobs"), "logprobs")
        k = request.sampling.top_logprobs
        values: list[Any] | None
        if isinstance(request.prompt, str):
            text = replies.text(choice.get("text"))
            values, tops = logprobs.get("token_logprobs"), logprobs.get("top_logprobs")
            listed = [replies.mapping(top, "top_logprobs") for top in tops] if k and tops else None
        else:
            try:
                said = chat.reply(choice.get("message"))
            except BadRecordError as error:
                raise BadReplyError(str(error)) from None
            text = said.whole
            notes += [f"{each} of a reply" for each in said.left_out]
            usage = replies.mapping(reply.get("usage"), "usage")
            hidden = replies.mapping(
                usage.get("completion_tokens_details"), "completion_tokens_details"
            )
            if hidden.get("reasoning_tokens") and not said.reasoning:
                notes.append("reasoning: the server keeps it to itself")
            entries = replies.mappings(logprobs.get("content"), "logprobs")
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
            logprobs=replies.logprobs(values, notes),
            means=None if listed is None else replies.means(listed, k, notes),
            scores=None,
            cut=replies.is_cut(choice.get("finish_reason"), notes),
        )


def short_seed(seed: int) -> int:
    """A seed of 63 bits as one of 31, which every server takes: its last bits."""
    return seed % 2**31
