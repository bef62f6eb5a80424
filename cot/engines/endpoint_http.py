"""One exchange with one server: what was sent, and what came of it.

A reply is a JSON object, or one of three errors: `TroubleError` (send it again), `RefusedError`
(this request is wrong) and `InputError` (nothing will work: the key, or a redirection, which is not
followed, as the key goes to the servers that were named and no further).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Literal

from cot.engines.endpoint_address import KEY, Address, Key
from cot.engines.endpoint_replies import RefusedError
from cot.errors import InputError

__all__ = ["Connections", "TroubleError", "exchange"]

CONNECT_SECONDS = 10.0
"""Time to reach a server."""


class TroubleError(Exception):
    """A request that was not answered, and may be sent again."""

    def __init__(
        self,
        reason: str,
        kind: Literal["away", "busy", "slow", "broken"],
        wait: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.kind = kind
        """`away`: it was not reached; `busy`: it takes no more now; `slow`: no answer in time;
        `broken`: a lost connection, an error of the server's, or a reply that can't be used."""
        self.wait = wait
        """Seconds that a busy server asks to wait, or None."""


class Connections:
    """Connections to these servers, each an httpx client of its own: a client of many looks through
    all of them at each request, and the idle ones each through all others (httpcore's pool), which
    at 128 at once takes longer than all else. The environment's proxies lead to no server on this
    machine.
    """

    def __init__(self, addresses: tuple[Address, ...], key: Key, seconds: float) -> None:
        import httpx

        trust_env = not all(each.is_local for each in addresses)
        self._open = partial(
            httpx.AsyncClient,
            headers=key.headers(),
            timeout=httpx.Timeout(seconds, connect=CONNECT_SECONDS),
            follow_redirects=False,
            trust_env=trust_env,
            verify=httpx.create_ssl_context(trust_env=trust_env),
        )
        self._idle: list[Any] = []
        self._all: list[Any] = []

    @contextmanager
    def one(self) -> Iterator[Any]:
        """A client that nobody else uses meanwhile."""
        if self._idle:
            client = self._idle.pop()
        else:
            client = self._open()
            self._all.append(client)
        try:
            yield client
        finally:
            self._idle.append(client)

    async def aclose(self) -> None:
        """Close them all."""
        for client in self._all:
            await client.aclose()


async def exchange(
    connections: Connections,
    key: Key,
    address: Address,
    route: str,
    *,
    seconds: float,
    body: Mapping[str, Any] | None = None,
) -> Mapping[str, Any]:
    """The JSON object that a server replies with.

    Args:
        route: under the API, or from the root where it begins with a slash.
        seconds: time for all of it.
        body: what is posted; without one, the route is asked for.

    Raises:
        TroubleError: no answer, or none that can be used.
        RefusedError: the server refuses the request.
        InputError: it refuses the key, or sends elsewhere.
    """
    import httpx

    where = address.api
    url = f"{address.root}{route}" if route.startswith("/") else f"{where}/{route}"
    try:
        # httpx's own limits are each read's, not those of their sum
        with connections.one() as http:
            async with asyncio.timeout(seconds):
                sent = http.get(url) if body is None else http.post(url, json=body)
                response = await sent
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        said = key.hide(error) or "time-out"
        raise TroubleError(f"{where} can't be reached: {said}", "away") from None
    except (TimeoutError, httpx.TimeoutException):
        raise TroubleError(
            f"{where} gave no answer within {seconds:g} s (--engine-arg timeout=SECONDS)", "slow"
        ) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        said = key.hide(error) or type(error).__name__
        raise TroubleError(f"{where} broke the connection off: {said}", "broken") from None
    status = response.status_code
    if status in (401, 403):
        raise InputError(f"{where} refuses the key (HTTP {status}): set {KEY} to a valid one")
    if 300 <= status < 400:
        raise InputError(f"{where} sends requests elsewhere (HTTP {status}): give that address")
    if status in (429, 503):
        wait = seconds_of(response.headers.get("retry-after"))
        raise TroubleError(f"{where} is busy (HTTP {status})", "busy", wait)
    try:
        reply = json.loads(response.content)
    except (ValueError, RecursionError):
        reply = None
    if status >= 400:
        said = f"{where}: HTTP {status}: {key.hide(_message(reply) or response.reason_phrase)}"
        if status >= 500 or status in (408, 425):
            raise TroubleError(said, "broken")
        raise RefusedError(said)
    if not isinstance(reply, dict):
        raise TroubleError(f"{where}: its reply is no JSON object", "broken")
    return reply


def seconds_of(retry_after: str | None) -> float | None:
    """What a Retry-After header asks for: seconds or a date (RFC 9110, 10.2.3); None where it says
    nothing."""
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            then = parsedate_to_datetime(retry_after)
        except (ValueError, TypeError, OverflowError):
            return None
        then = then if then.tzinfo else then.replace(tzinfo=UTC)
        seconds = (then - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if seconds < float("inf") else None


def _message(reply: Any) -> str:
    """What an error says."""
    error = reply.get("error", reply) if isinstance(reply, dict) else reply
    said = (error.get("message") or error.get("detail")) if isinstance(error, dict) else error
    return "" if said is None else str(said)
