"""What a server is and what it can do: asked once, at the start, and by its behaviour.

Who wrote it stands in /v1/models (`owned_by`). What it can do is seen from six short completions:
a greedy one (are there token ids, log-probabilities?), one at temperature 2 that may only take the
likeliest token (the same text, if top-k counts), a nearly greedy one (the same log-probabilities,
if they are those before temperature), and two with one seed and one with another.

    Facts of llama.cpp: no probabilities of chosen tokens, penalties of the output not applied, ...
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cot.engines import ServerFacts
from cot.engines.endpoint_client import Client, Server
from cot.engines.endpoint_dialects import Chat, Dialect, LlamaCpp, SgLang, Vllm
from cot.engines.endpoint_http import TroubleError
from cot.engines.endpoint_replies import RefusedError
from cot.engines.vllm_requests import Pending
from cot.errors import InputError
from cot.types import Completion, Prompt, Request, Sampling

__all__ = ["UNBOUNDED", "Card", "ask_behaviour", "ask_card"]

OWNERS = {"vllm": "vllm", "sglang": "sglang", "llamacpp": "llama.cpp"}
"""What servers write as `owned_by`, and what they are called here."""
DIALECTS: dict[str, Callable[[], Dialect]] = {
    "vllm": Vllm,
    "sglang": SgLang,
    "llama.cpp": LlamaCpp,
}
CONTINUED = "A random number, then three random words:"
"""The prompt of the questions."""
CLOSE = 0.02
"""Log-probabilities of two requests that differ by less are the same."""
UNBOUNDED = 2**30
"""Tokens of a context that no server tells."""
RAW = ("vllm", "llama.cpp")
"""Servers that document their log-probabilities as those before temperature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a server says about itself."""

    kind: str
    """`vllm`, `sglang`, `llama.cpp` or `other`."""
    version: str | None = None
    """Its version, or None."""
    served: str
    """The name under which it serves the model."""
    context: int | None = None
    """Most tokens of prompt and completion, or None."""


async def ask_card(
    client: Client, server: Server, names: Sequence[str], served: str | None
) -> Card:
    """What a server says about itself.

    Args:
        names: names under which the model may be served; the first is the model's own.
        served: the name that the user says, or None.

    Raises:
        InputError: it serves other models.
        TroubleError: it doesn't answer.
    """
    where = server.address.api
    try:
        listed = (await client.get(server, "models")).get("data")
    except RefusedError:
        listed = None  # a server may keep no list
    if not isinstance(listed, list):
        return Card(kind="other", served=served or names[0])
    models = {
        str(each.get("id")): each for each in listed if isinstance(each, Mapping) and "id" in each
    }
    wanted = [served] if served else names
    found = next((name for name in wanted if name in models), None)
    if found is None and not served:
        found = next((name for name, each in models.items() if each.get("root") in wanted), None)
    if found is None:
        shown = ", ".join(map(repr, list(models)[:5])) + (" ..." if len(models) > 5 else "")
        raise InputError(
            f"{where} serves {client.key.hide(shown) or 'no model'}, not {wanted[0]!r}: give "
            "--model as it is served, or --engine-arg served=NAME where it is this model by "
            "another name"
        )
    card = models[found]
    kind = OWNERS.get(str(card.get("owned_by")), "other")
    context = card.get("max_model_len")
    version = None
    if kind == "vllm":
        version = (await _about(client, server, "/version")).get("version")
    elif kind == "sglang":
        version = (await _about(client, server, "/get_server_info")).get("version")
    elif kind == "llama.cpp":
        about = await _about(client, server, "/props")
        version = about.get("build_info")
        settings = about.get("default_generation_settings")
        context = settings.get("n_ctx") if isinstance(settings, Mapping) else None
    return Card(
        kind=kind,
        version=client.key.hide(version) if isinstance(version, str) else None,
        served=found,
        context=context if isinstance(context, int) and context > 0 else None,
    )


async def _about(client: Client, server: Server, route: str) -> Mapping[str, Any]:
    """What a server says on a route that it may not have."""
    try:
        return await client.get(server, route)
    except (RefusedError, TroubleError, InputError):
        return {}


async def ask_behaviour(
    client: Client, server: Server, card: Card, tokenizer: Any, prompt: Prompt
) -> tuple[ServerFacts, Dialect]:
    """What a server can do, and how it is spoken to.

    Args:
        tokenizer: the model's, where prompts go as ids, else None.
        prompt: what its completions continue or answer.

    Raises:
        InputError: it refuses the plainest request.
        TroubleError: it doesn't answer.
    """
    dialect: Dialect = Chat(card.kind, context=card.context or UNBOUNDED)
    if tokenizer is not None:
        dialect = DIALECTS[card.kind]()
    client.dialect, client.served, client.raw = dialect, card.served, True

    async def ask(seed: int = 1, **settings: Any) -> Completion:
        request = Request(
            question_id="",
            sample_index=0,
            prompt=prompt,
            sampling=replace(Sampling(n=1, top_p=1.0, max_tokens=8), **settings),
            seed=seed,
        )
        ids: Any = () if tokenizer is None else prompt
        pending = Pending(request, ids, tokenizer, 2**20)
        done = pending.take(await client.once(server, pending, []))
        assert done is not None  # it has no thinking budget
        return done

    try:
        greedy = await ask(temperature=0.0)
    except RefusedError as error:
        if not isinstance(dialect, Chat):
            raise InputError(f"{error}: it refuses a plain request") from None
        greedy, less = await _with_less(client, dialect, ask, error)
        dialect = less
    cold, first, again, other = await asyncio.gather(
        ask(temperature=0.05),
        ask(temperature=1.5, seed=2**40 + 1),
        ask(temperature=1.5, seed=2**40 + 1),
        ask(temperature=1.5, seed=2**41 + 2),
    )
    lacks = set(dialect.lacks)
    if "top_k" not in lacks:
        hot = await ask(temperature=2.0, top_k=1)
        if _said(hot) != _said(greedy):
            lacks.add("top_k")
    client.raw = raw = greedy.logprobs is None or _are_raw(greedy, cold, card.kind)
    if greedy.logprobs is None or not raw:
        lacks.add("top_logprobs")
    seeded = _said(first) == _said(again) != _said(other)
    without = {
        "token ids": greedy.token_ids is None,
        "log-probabilities": greedy.logprobs is None,
        "log-probabilities of sampled traces (they are those after temperature)": (not raw),
        "seeds": not seeded,
        "top-k": "top_k" in lacks,
    }
    if not dialect.forces or greedy.token_ids is None:
        lacks.add("think_budget")
    facts = ServerFacts(
        kind=card.kind,
        version=card.version,
        served=card.served,
        renamed=None,
        api="completions" if dialect.takes_ids else "chat",
        lacks=frozenset(lacks),
        seeded=seeded,
        missing=tuple(name for name, lacking in without.items() if lacking),
    )
    return facts, dialect


async def _with_less(
    client: Client, dialect: Chat, ask: Any, error: RefusedError
) -> tuple[Completion, Chat]:
    """A reply to a request without the fields that a server refuses, and how to write it."""
    for without in (
        {"logprobs", "top_logprobs"},
        {"logprobs", "top_logprobs", "seed"},
    ):
        less = replace(dialect, without=frozenset(without))
        client.dialect = less
        try:
            return await ask(temperature=0.0), less
        except RefusedError:
            continue
    raise InputError(f"{error}: it refuses a plain request")


def _said(completion: Completion) -> Any:
    """What a completion is compared by."""
    return completion.text if completion.token_ids is None else completion.token_ids


def _are_raw(greedy: Completion, cold: Completion, kind: str) -> bool:
    """Whether log-probabilities are those before temperature.

    At temperature 0.05 nearly all mass is on the likeliest token: scaled, its log-probability is
    about 0. Compared where both wrote the same, and where that can be told from 0.
    """
    assert greedy.logprobs is not None
    if cold.logprobs is None:
        return False
    n = min(len(greedy.logprobs), len(cold.logprobs))
    if greedy.token_ids is not None and cold.token_ids is not None:
        same = [a == b for a, b in zip(greedy.token_ids, cold.token_ids, strict=False)]
        n = same.index(False) if False in same else n
    elif greedy.text != cold.text:
        return kind in RAW
    ours, theirs = greedy.logprobs[:n], cold.logprobs[:n]
    telling = ours < -10 * CLOSE
    if not telling.any():
        return kind in RAW
    return bool((np.abs(ours - theirs)[telling] < CLOSE).all())
