"""Addresses of servers, and the key that goes with them, kept out of everything that is written.

    >>> address("http://gpu1:8000").api
    'http://gpu1:8000/v1'

The key is the environment variable COT_ENDPOINT_KEY. It is sent in a header and never kept in a
setting; a server's own words are shown only after `Key.hide`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from cot.errors import InputError

__all__ = ["KEY", "URL", "Address", "Key", "address", "addresses"]

KEY = "COT_ENDPOINT_KEY"
"""Environment variable with the servers' key."""
URL = "COT_ENDPOINT_URL"
"""Environment variable with the servers' addresses, separated by spaces, where none are given."""
LONGEST = 300
"""Characters of a server's own words that are shown."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is."""

    api: str
    """Where its OpenAI-style routes are, without a slash at the end: `http://gpu1:8000/v1`."""

    @property
    def root(self) -> str:
        """Where its own routes are: `http://gpu1:8000`."""
        return self.api.removesuffix("/v1")

    @property
    def is_local(self) -> bool:
        """Whether it is this machine, which no proxy leads to."""
        host = urlsplit(self.api).hostname or ""
        try:
            return host == "localhost" or ip_address(host).is_loopback
        except ValueError:
            return False


class Key:
    """The servers' key; nothing that prints it shows it."""

    __slots__ = ("_text",)

    def __init__(self, text: str | None = None) -> None:
        self._text = (os.environ.get(KEY, "") if text is None else text).strip()
        if not self._text.isascii() or not self._text.isprintable():
            raise InputError(f"{KEY} holds characters that no header can: check how it was set")

    def headers(self) -> dict[str, str]:
        """The header that a request carries."""
        return {"Authorization": f"Bearer {self._text}"} if self._text else {}

    def hide(self, said: object) -> str:
        """A server's words as they may be shown: one short line without the key."""
        text = " ".join(str(said).split())
        text = text.replace(self._text, "[key]") if self._text else text
        text = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
        return text if len(text) <= LONGEST else text[:LONGEST] + " ..."

    def __repr__(self) -> str:
        return "Key(set)" if self._text else "Key(none)"


def addresses(given: str | Sequence[str] | None) -> tuple[Address, ...]:
    """The servers that were given, or those of COT_ENDPOINT_URL.

    Raises:
        InputError: there are none, one is given twice, or as `address`.
    """
    named = [given] if isinstance(given, str) else list(given or os.environ.get(URL, "").split())
    if not named:
        raise InputError(
            "engine 'endpoint' needs a server: give --url http://HOST:PORT/v1, or set the "
            f"environment variable {URL}"
        )
    found = [address(each) for each in named]
    for each in found:
        if found.count(each) > 1:
            raise InputError(f"--url {each.api} is given twice")
    return tuple(found)


def address(url: str) -> Address:
    """An address, checked.

    Raises:
        InputError: it is none, or it holds a password or key; the message doesn't repeat it.
    """
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = SplitResult("", "", "", "", ""), None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise InputError(
            f"--url {_bare(parts)}: it holds a user name, a password or a query, which would be "
            f"stored: leave them out, and give the server's key as {KEY}"
        )
    if parts.scheme not in ("http", "https") or not host:
        shown = _bare(parts) if host else "that was given"
        raise InputError(f"--url {shown} is no address: write it as http://HOST:PORT/v1")
    path = parts.path.rstrip("/") or "/v1"
    return Address(f"{parts.scheme}://{parts.netloc}{path}")


def _bare(parts: SplitResult) -> str:
    """An address without what may be secret in it."""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
