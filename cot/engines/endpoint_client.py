"""Many requests to several servers at once: where each goes, what is sent again, and when to stop.

A request goes to the server with the fewest in flight. A server that answers 429 or 503, or lets a
request run out of time, gets half as many at once and a pause (its Retry-After where it says one);
each answer gives it a little more room again (additive increase, multiplicative decrease, as TCP's
congestion control, RFC 5681). One that can't be reached, or fails three times in a row, is left
alone, and asked from time to time whether it is back. What failed is sent again after a pause that
doubles, with jitter, up to `attempts` times. Where no server has answered for `patience` seconds,
or so many requests in a row are lost, it stops and says so.

The event loop runs in a thread of its own; `submit` and `cancel` are called from elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any, TypeVar

from cot.engines.endpoint_address import Address, Key
from cot.engines.endpoint_dialects import Dialect
from cot.engines.endpoint_http import Connections, TroubleError, exchange
from cot.engines.endpoint_replies import BadReplyError, RefusedError, check_spelling
from cot.engines.vllm_requests import Part, Pending
from cot.errors import ConsilienceError
from cot.types import Completion

__all__ = ["Client", "Outlet", "Server"]

log = logging.getLogger("cot")

T = TypeVar("T")
Outlet = SimpleQueue[tuple[int, Completion | Exception]]
"""Where a request's completion goes, with its number, or the error that ends all of them."""

QUESTION_SECONDS = 60.0
"""Time for an answer to a question about the server itself."""
STRIKES = 3
"""Failures in a row after which a server is left alone."""
SHAPES = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What a reply with other types than it should have, at any depth, ends in."""
LOST_IN_A_ROW = 20
"""Requests that failed for good, with none answered between, after which nothing more is asked."""
LONGEST_PAUSE = 30.0
"""Seconds: pauses double up to this."""


@dataclass(eq=False, slots=True, kw_only=True)
class Server:
    """A server, and how it has fared."""

    address: Address
    """Where it is."""
    limit: float
    """Most requests at once, for now."""
    flying: int = 0
    """Requests that it has now."""
    strikes: int = 0
    """Failures since its last answer."""
    until: float = 0.0
    """When it may be asked again, in the loop's time."""
    cut: float = 0.0
    """When its limit was last halved."""
    dead: bool = False
    """Whether it is left alone until it says that it is back."""
    trouble: str = ""
    """Its last failure."""


class Client:
    """Asks servers.

    Args:
        addresses: the servers.
        key: their key.
        concurrency: most requests at once to each.
        timeout: seconds for one request.
        attempts: how often a request is sent before it has failed.
        patience: seconds without any answer, where no server can be asked, after which it stops.
        pause: seconds before a request is sent again for the first time.
    """

    def __init__(
        self,
        addresses: tuple[Address, ...],
        key: Key,
        *,
        concurrency: int,
        timeout: float,
        attempts: int,
        patience: float,
        pause: float,
    ) -> None:
        self.key, self.timeout, self.attempts = key, timeout, attempts
        self.patience, self.pause, self.most = patience, pause, float(concurrency)
        self.servers = [Server(address=each, limit=float(concurrency)) for each in addresses]
        self.notes: Counter[str] = Counter()
        """What was missing from how many replies."""
        self.admit: Callable[[Server], Awaitable[None]] | None = None
        """Checks what a server is that answers again; raises where it can't be used."""
        self.dialect: Dialect
        self.served = ""
        self.raw = True
        """Whether log-probabilities of sampled tokens are those before temperature."""
        self.fatal: ConsilienceError | None = None
        self._loop = asyncio.new_event_loop()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._revivals: set[asyncio.Task[None]] = set()
        self._outlets: Counter[Outlet] = Counter()
        self._answered = 0.0
        self._lost = 0
        self._dice = random.Random()
        self._connections = Connections(addresses, key, timeout)
        self._thread = threading.Thread(target=self._run, name="cot-endpoint", daemon=True)
        self._thread.start()

    # -- from other threads ----------------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many requests the servers have room for, at least one."""
        return max(1, sum(int(each.limit) for each in self.servers if not each.dead))

    def call(self, question: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine that runs in the client's loop."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(question, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def submit(self, number: int, pending: Pending, outlet: Outlet) -> None:
        """Ask for a completion, which goes to the outlet."""
        self._loop.call_soon_threadsafe(self._begin, number, pending, outlet)

    def cancel(self, number: int) -> None:
        """Drop a request: the connection is closed, upon which servers stop working on it."""
        self._loop.call_soon_threadsafe(self._drop, number)

    def close(self) -> None:
        """Drop everything and end the thread."""
        if self._thread.is_alive():
            self.call(self._close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    # -- in the loop -----------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    async def _close(self) -> None:
        tasks = [*self._tasks.values(), *self._revivals]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._connections.aclose()

    def _begin(self, number: int, pending: Pending, outlet: Outlet) -> None:
        if self.fatal is not None:
            outlet.put((number, self.fatal))
            return
        if not self._tasks:
            self._answered = self._loop.time()  # patience begins with the first request
        task = self._loop.create_task(self._answer(number, pending, outlet))
        self._tasks[number] = task
        self._outlets[outlet] += 1

        def forget(_: object) -> None:
            del self._tasks[number]
            self._outlets[outlet] -= 1
            if not self._outlets[outlet]:
                del self._outlets[outlet]

        task.add_done_callback(forget)

    def _drop(self, number: int) -> None:
        if number in self._tasks:
            self._tasks[number].cancel()

    async def _answer(self, number: int, pending: Pending, outlet: Outlet) -> None:
        """Bring one completion to its end."""
        try:
            done = None
            while done is None:
                done = pending.take(await self._ask(pending))
            self._lost = 0
            outlet.put((number, done))
        except RefusedError as error:
            outlet.put((number, error))
        except ConsilienceError as error:
            self._stop(error)
        except Exception as error:  # of our own making: it ends the run instead of stalling it
            outlet.put((number, error))

    async def _ask(self, pending: Pending) -> Part:
        """One request, sent until it is answered.

        Raises:
            RefusedError: it has failed for good.
        """
        tried = 0
        while True:
            server = await self._choose()
            sent = self._loop.time()
            notes: list[str] = []
            try:
                part = await self.once(server, pending, notes)
            except TroubleError as error:
                trouble = error
            except RefusedError:
                self._answered = self._loop.time()
                raise
            else:
                self._answered = self._loop.time()
                server.strikes = 0
                server.limit = min(self.most, server.limit + 1 / server.limit)
                self.notes.update(set(notes))
                return part
            finally:
                server.flying -= 1
                self._wake()
            tried += trouble.kind in ("slow", "broken")
            self._suffer(server, trouble, sent)
            if tried >= self.attempts:
                self._lost += 1
                if self._lost >= LOST_IN_A_ROW:
                    raise ConsilienceError(
                        f"{self._lost} requests in a row failed, the last as {trouble}; what was "
                        "answered is stored, and the same command goes on from there"
                    )
                raise RefusedError(f"{trouble} (sent {tried} times)")
            await asyncio.sleep(self._backoff(max(tried, 1)))

    async def once(self, server: Server, pending: Pending, notes: list[str]) -> Part:
        """One request to one server, once."""
        dialect, request = self.dialect, pending.request
        prompt = [*pending.prompt, *pending.ids]
        body = dialect.body(self.served, request, prompt, pending.settings())
        reply = await self.post(server, dialect.route(request), body)
        try:
            part = dialect.read(reply, request, notes)
            if dialect.takes_ids and part.ids is not None:
                check_spelling(pending.tokenizer, prompt, part, request.sampling.stop)
        except BadReplyError as error:
            said = f"{server.address.api}: {self.key.hide(error)}"
            raise TroubleError(said, "broken") from None
        except SHAPES as error:
            said = f"{server.address.api}: its reply has another shape than those of {dialect.kind}"
            raise TroubleError(f"{said} ({type(error).__name__})", "broken") from None
        if not self.raw and request.sampling.temperature > 0:
            if part.scores is not None:
                raise RefusedError(f"{server.address.api}: its probabilities are after temperature")
            part = replace(part, logprobs=None, means=None)
        return part

    async def post(self, server: Server, route: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """A server's reply, whatever it says."""
        where, seconds = server.address, self.timeout
        return await exchange(self._connections, self.key, where, route, seconds=seconds, body=body)

    async def get(self, server: Server, route: str) -> Mapping[str, Any]:
        """A server's answer to a question about itself."""
        seconds = min(self.timeout, QUESTION_SECONDS)
        return await exchange(self._connections, self.key, server.address, route, seconds=seconds)

    # -- servers ---------------------------------------------------------------------------------

    async def _choose(self) -> Server:
        """The server with the fewest requests, once one has room; it counts as having one more."""
        while True:
            now = self._loop.time()
            free = [
                each
                for each in self.servers
                if not each.dead and each.until <= now and each.flying < int(each.limit)
            ]
            if free:
                server = min(free, key=lambda each: each.flying)
                server.flying += 1
                return server
            turn: asyncio.Future[None] = self._loop.create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._wake()  # the turn may have come just now: it is another's
                raise

    def _wake(self) -> None:
        """Let those that wait look again, as many as there is room for."""
        now = self._loop.time()
        free = sum(
            max(int(each.limit) - each.flying, 0)
            for each in self.servers
            if not each.dead and each.until <= now
        )
        while self._waiting and free > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1

    def _suffer(self, server: Server, trouble: TroubleError, sent: float) -> None:
        """Note a failure: less for this server, later, or nothing for now."""
        now = self._loop.time()
        server.strikes += 1
        server.trouble = str(trouble)
        if trouble.kind == "busy":
            wait = self._backoff(server.strikes) if trouble.wait is None else trouble.wait
            server.until = max(server.until, now + wait)
            self._loop.call_at(server.until, self._wake)
        if trouble.kind in ("busy", "slow") and sent >= server.cut:  # once for all of one moment
            server.limit, server.cut = max(1.0, server.limit / 2), now
        if trouble.kind == "away" or (trouble.kind != "busy" and server.strikes >= STRIKES):
            self._leave(server)
        if trouble.kind == "busy":
            self._despair()

    async def leave(self, server: Server) -> None:
        """Leave a server alone until it answers."""
        self._leave(server)

    def _leave(self, server: Server) -> None:
        if not server.dead:
            server.dead = True
            task = self._loop.create_task(self._revive(server))
            self._revivals.add(task)
            task.add_done_callback(self._revivals.discard)

    async def _revive(self, server: Server) -> None:
        """Ask a server from time to time whether it is back."""
        for again in range(1, 10**9):
            await asyncio.sleep(self._backoff(again))
            try:
                if self.admit is None:
                    continue
                await self.admit(server)
                server.dead, server.strikes = False, STRIKES - 1  # one more failure is enough
                self._wake()
                return
            except TroubleError as error:
                server.trouble = str(error)
            except (RefusedError, ConsilienceError) as error:
                if server.trouble != str(error):
                    log.warning("left out: %s", error)
                server.trouble = str(error)
            self._despair()

    def _despair(self) -> None:
        """Stop where no server can be asked, and none has answered for long."""
        now = self._loop.time()
        if not self._tasks or any(each.flying for each in self.servers):
            return
        out = [each.dead or each.until > now for each in self.servers]
        far = [not each.dead and each.until > now + self.patience for each in self.servers]
        if all(out) and (now - self._answered > self.patience or any(far)):
            said = "; ".join(each.trouble for each in self.servers)
            self._stop(
                ConsilienceError(
                    f"no server answers any more ({said}); what was answered is stored, and the "
                    "same command goes on from there"
                )
            )

    def _stop(self, error: ConsilienceError) -> None:
        """End everything with an error."""
        if self.fatal is None:
            self.fatal = error
            for outlet in self._outlets:
                outlet.put((-1, error))
            for task in [*self._tasks.values(), *self._revivals]:
                task.cancel()

    def _backoff(self, again: int) -> float:
        """Seconds to wait, doubled each time, with jitter: half as long to half as long again."""
        return float(
            min(LONGEST_PAUSE, self.pause * 2 ** min(again - 1, 20)) * self._dice.uniform(0.5, 1.5)
        )
