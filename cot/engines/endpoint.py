"""Sampling from OpenAI-compatible servers: vLLM, SGLang, llama.cpp, and any that has chat.

    engine = EndpointEngine("smollm2-135m-instruct", url=["http://gpu1:8000", "http://gpu2:8000"])
    for request, completion in engine.generate(requests): ...

A server that takes token ids is sent the prompt's, as this model's tokenizer and chat template here
write it, and its completions are those of the in-process engine. Another is sent messages, applies
its own chat template, and its completions have no token ids: they are not made up from the text.
What it can do is asked once (`cot.engines.endpoint_facts`) and said; see docs/endpoints.md.
"""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any

from cot import models
from cot.engines import ServerFacts, failure, never
from cot.engines.endpoint_address import Key, addresses
from cot.engines.endpoint_client import Client, Outlet, Server
from cot.engines.endpoint_facts import CONTINUED, DIALECTS, UNBOUNDED, Card, ask_behaviour, ask_card
from cot.engines.endpoint_http import TroubleError
from cot.engines.endpoint_replies import RefusedError
from cot.engines.vllm_requests import Pending
from cot.errors import ConsilienceError, InputError
from cot.types import Completion, Request

__all__ = ["EndpointEngine"]

log = logging.getLogger("cot")

LOOK_SECONDS = 0.05
"""How often it is asked whether a request that runs is cancelled."""


class EndpointEngine:
    """Answers requests with servers that run the model.

    Args:
        model: the model's name: of the one served, and, where prompts go as token ids, of the
            tokenizer here.
        dtype: taken for the sake of the other engines' signature; the server has its own.
        url: addresses of the servers; by default those of COT_ENDPOINT_URL.
        served: the name under which they serve the model, where it is another one.
        api: `auto`; `chat` sends messages even to a server that takes token ids.
        concurrency: most requests at once to each server.
        timeout: seconds for one request.
        attempts: how often a request is sent before it has failed.
        patience: seconds without any answer after which the run stops.
        pause: seconds before a request is sent again for the first time; doubles from there.
        revision: a branch, tag or commit of the tokenizer's model on the hub.
        verbose: taken for the sake of the other engines' signature.

    Raises:
        InputError: no address, one that holds a secret, or an argument out of range.
    """

    name = "endpoint"
    dtype = ""

    def __init__(
        self,
        model: str | models.ResolvedModel,
        *,
        dtype: str = "auto",
        url: str | Sequence[str] | None = None,
        served: str | None = None,
        api: str = "auto",
        concurrency: int = 64,
        timeout: float = 600.0,
        attempts: int = 5,
        patience: float = 120.0,
        pause: float = 0.5,
        revision: str | None = None,
        verbose: bool = False,
    ) -> None:
        if find_spec("httpx") is None:
            raise InputError("engine 'endpoint' needs httpx: pip install 'consilience[endpoint]'")
        if api not in ("auto", "chat"):
            raise InputError(f"--engine-arg api={api}: choose from auto, chat")
        for name, times in (("concurrency", concurrency), ("attempts", attempts)):
            if not isinstance(times, int) or isinstance(times, bool) or times < 1:
                raise InputError(f"--engine-arg {name}={times}: a whole number of at least 1")
        for name, seconds in (("timeout", timeout), ("patience", patience), ("pause", pause)):
            number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
            if not number or not 0 < seconds < float("inf"):
                raise InputError(f"--engine-arg {name}={seconds}: seconds, more than 0")
        self._given, self._revision = model, revision
        self._served, self._api = served, api
        self._addresses = addresses(url)
        self._settings: dict[str, Any] = {
            "concurrency": concurrency,
            "timeout": timeout,
            "attempts": attempts,
            "patience": patience,
            "pause": pause,
        }
        self._numbers = count()
        self._is_open = False
        self._said: dict[str, int] = {}

    # -- what runs -------------------------------------------------------------------------------

    @property
    def facts(self) -> ServerFacts:
        """What the servers can do."""
        return self._start[0]

    @property
    def applies_template(self) -> bool:
        """Whether messages are sent, to which the server's own chat template is applied."""
        return self._start[1] is None

    @property
    def model(self) -> models.ResolvedModel | None:
        """The model whose tokenizer writes the prompts; None where the server's does."""
        return self._start[2]

    @property
    def tokenizer(self) -> Any:
        """That model's tokenizer, or None."""
        return self._start[1]

    @property
    def context(self) -> int:
        """Most tokens of prompt and completion; without bound where no server says it."""
        return self._start[3]

    @cached_property
    def _client(self) -> Client:
        client = Client(self._addresses, Key(), **self._settings)
        self._is_open = True
        weakref.finalize(self, client.close)
        return client

    @cached_property
    def _start(self) -> tuple[ServerFacts, Any, models.ResolvedModel | None, int]:
        """Ask the servers what they are: facts, tokenizer, its model, context.

        Raises:
            ConsilienceError: none answers.
            InputError: they serve another model, or differ.
        """
        try:
            return self._ask_servers()
        except BaseException:
            self.close()
            raise

    def _ask_servers(self) -> tuple[ServerFacts, Any, models.ResolvedModel | None, int]:
        client = self._client
        name = self._given if isinstance(self._given, str) else self._given.name
        resolved = None
        if not isinstance(self._given, str) or self._given in models.BUNDLES:
            resolved = models.resolve(self._given)
        names, served = [name, *([resolved.path] if resolved else [])], self._served
        cards: dict[Server, Card] = {}
        troubles = []
        for server in client.servers:
            try:
                cards[server] = client.call(ask_card(client, server, names, served))
            except TroubleError as error:
                troubles.append(str(error))
                client.call(client.leave(server))
        if not cards:
            raise ConsilienceError(f"no server answers: {'; '.join(troubles)}")
        for trouble in troubles:
            log.warning("left out until it answers: %s", trouble)
        first = next(iter(cards.values()))
        tokenizer: Any = None
        prompt: Any = ({"role": "user", "content": CONTINUED},)
        if first.kind in DIALECTS and self._api == "auto":
            resolved = resolved or models.resolve(self._given, revision=self._revision)
            tokenizer = models.load_tokenizer(resolved)
            prompt = models.encode(tokenizer, CONTINUED)
        facts: ServerFacts | None = None
        for server, card in cards.items():
            try:
                own, dialect = client.call(ask_behaviour(client, server, card, tokenizer, prompt))
            except TroubleError as error:
                raise ConsilienceError(f"a server fails at a plain request: {error}") from None
            _check_alike(facts, own, server)
            facts = replace(own, renamed=served if served != name else None)
        assert facts is not None
        alike = (facts.kind, facts.served)
        client.dialect = dialect

        async def admit(server: Server) -> None:
            """Check a server that answers again, and was not there at the start or may differ."""
            card = await ask_card(client, server, names, served)
            if (card.kind, card.served) != alike:
                raise InputError(f"{server.address.api} is {card.kind} now, with {card.served!r}")

        client.admit = admit
        if facts.missing:
            log.warning(
                "the server (%s) doesn't give these, and they are stored as missing: %s",
                facts.kind,
                ", ".join(facts.missing),
            )
        known = [card.context for card in cards.values() if card.context]
        return facts, tokenizer, resolved if tokenizer else None, min(known, default=UNBOUNDED)

    # -- asking ----------------------------------------------------------------------------------

    def generate(
        self, requests: Iterable[Request | None], cancelled: Callable[[Request], bool] = never
    ) -> Iterator[tuple[Request, Completion]]:
        """Yield each request with its completion, as it ends.

        Raises:
            ConsilienceError: no server answers any more.
        """
        source = iter(requests)
        outlet: Outlet = SimpleQueue()
        running: dict[int, Request] = {}
        waiting: Request | None = None
        exhausted, looked = False, 0.0
        try:
            while running or waiting or not exhausted:
                if waiting is None and not exhausted:
                    waiting, exhausted = _pull(source)
                while waiting is not None and self._has_room(waiting, running):
                    request, waiting = waiting, None
                    if not cancelled(request):
                        pending = self._pending(request)
                        if pending is None:
                            yield request, failure()
                        else:
                            number = next(self._numbers)
                            running[number] = request
                            self._client.submit(number, pending, outlet)
                    waiting, exhausted = _pull(source)
                if cancelled is not never and time.monotonic() > looked + LOOK_SECONDS:
                    looked = time.monotonic()
                    for number in [n for n, each in running.items() if cancelled(each)]:
                        self._client.cancel(number)
                        del running[number]
                if running:
                    yield from self._collect(outlet, running, cancelled)
        finally:
            for number in running:
                self._client.cancel(number)
            if self._is_open:
                self._say_what_was_missing()

    def close(self) -> None:
        """Close the connections."""
        if self._is_open:
            self._client.close()

    def _collect(
        self, outlet: Outlet, running: dict[int, Request], cancelled: Callable[[Request], bool]
    ) -> Iterator[tuple[Request, Completion]]:
        """The next completion, if one comes before it is time to look around."""
        try:
            number, done = outlet.get(timeout=LOOK_SECONDS)
        except Empty:
            return
        if number not in running:
            if isinstance(done, Exception):
                raise done
            return  # it was cancelled as it ended
        request = running.pop(number)
        if isinstance(done, RefusedError):
            log.warning("%s, sample %d: %s", request.question_id, request.sample_index, done)
            done = failure(str(done))
        elif isinstance(done, Exception):
            raise done
        if not cancelled(request):
            yield request, done

    def _has_room(self, request: Request, running: dict[int, Request]) -> bool:
        """Whether a request may join those that run: vLLM gives no largest log-probabilities to
        one that runs beside one that asks for certain tokens'."""
        if not running:
            return True
        other = next(iter(running.values()))
        alike = (request.score_tokens is None) == (other.score_tokens is None)
        return alike and len(running) < self._client.room

    def _pending(self, request: Request) -> Pending | None:
        """A request as it will be asked; None where its prompt doesn't fit.

        Raises:
            InputError: the server can't do what it asks for.
        """
        facts, dialect = self.facts, self._client.dialect
        if request.sampling.think_budget is not None and "think_budget" in facts.lacks:
            raise InputError(
                f"the server ({facts.kind}) can't be made to write the end of the reasoning: "
                "leave think_budget out, or use vLLM"
            )
        if request.score_tokens is not None and not dialect.scores:
            raise InputError(
                f"the server ({facts.kind}) doesn't give the probabilities of chosen tokens, as "
                "P(True) needs them: use vLLM or SGLang, or another --engine"
            )
        if not dialect.takes_ids:
            if isinstance(request.prompt, tuple) and isinstance(request.prompt[0], int):
                raise InputError(
                    f"the server ({facts.kind}) takes no token ids, and so continues no prefix"
                )
            return Pending(request, (), None, self.context)
        ids = models.encode(self.tokenizer, request.prompt)
        if not 0 < len(ids) < self.context:
            return None
        return Pending(request, ids, self.tokenizer, self.context)

    def _say_what_was_missing(self) -> None:
        """Say what replies lacked since it was last said."""
        notes = dict(self._client.notes)
        for what, n in notes.items():
            if n > self._said.get(what, 0):
                log.warning("%d replies: %s", n - self._said.get(what, 0), what)
        self._said = notes


def _pull(source: Iterator[Request | None]) -> tuple[Request | None, bool]:
    """The next request, or None if there is none now; and whether there will be no other."""
    try:
        return next(source), False
    except StopIteration:
        return None, True


def _check_alike(facts: ServerFacts | None, own: ServerFacts, server: Server) -> None:
    """Refuse servers that can't do the same: their traces would differ in kind."""
    if facts is None:
        return
    for name in ("kind", "served", "api", "seeded", "missing"):
        if getattr(facts, name) != getattr(own, name):
            raise InputError(
                f"{server.address.api} differs from the servers before it: {name} is "
                f"{getattr(own, name)!r}, not {getattr(facts, name)!r}; sample from servers that "
                "are alike"
            )
