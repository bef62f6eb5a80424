"""Names of a sweep's points: readable, safe as file names, and read back as the settings.

    >>> point_name({"temperature": 0.7, "prompt": "few_shot_cot"})
    'temperature=0.7,prompt=few_shot_cot'
    >>> point_name({"model": "Qwen/Qwen2.5-0.5B", "stop": ["\\n", "Q:"]})
    'model=Qwen%2FQwen2.5-0.5B,stop=%0A+Q%3A'
    >>> point_settings("model=Qwen%2FQwen2.5-0.5B,stop=%0A+Q%3A")
    {'model': 'Qwen/Qwen2.5-0.5B', 'stop': ['\\n', 'Q:']}

A text stands as it is, everything else as JSON; a text that would be read as JSON is in quotation
marks. Items of a list are joined by +, which also ends a list of one and is the empty list. What a
file system may refuse, change or take for something else is percent-encoded, as in an address. Of a
long value, such as a path, the last part stands, then `~` and a hash of the whole; the settings are
then in the sweep's own file only.

    >>> point_name({"model": "/data/checkpoints/2026-11-27/small/step-001000"})
    'model=step-001000~4854914e0bf66588'
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from cot.errors import InputError

__all__ = ["file_name", "point_name", "point_names", "point_settings"]

MOST = 140
"""Bytes of a name; some encrypted file systems take no more than 143."""
LONG = 40
"""Bytes of a value above which its last part stands for it."""
PART = 24
"""Letters of that part."""
CUT = "~"
"""Before the hash of what was cut; elsewhere it is encoded."""
PLAIN = frozenset("-._=@")
"""What stands as it is, beside letters and digits."""
DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
"""Names that Windows keeps for itself."""


def point_name(given: Mapping[str, Any], *, lower: bool = False) -> str:
    """The name of a point with these settings, in their order.

    Args:
        given: setting to value, a JSON value or a tuple.
        lower: encode capitals and letters beyond ASCII too.

    Raises:
        InputError: a value that is no JSON value, such as a date.
    """
    pairs = (f"{_key(key, lower)}={_value(key, value, lower)}" for key, value in given.items())
    return _cut(_without_last_dot(",".join(pairs)))


def point_names(given: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of several points; none differ in capitals alone, as some file systems don't tell
    these apart."""
    plain = [point_name(each) for each in given]
    alike = Counter(name.casefold() for name in set(plain))
    return [
        point_name(each, lower=True) if alike[name.casefold()] > 1 else name
        for each, name in zip(given, plain, strict=True)
    ]


def point_settings(name: str) -> dict[str, Any]:
    """The settings that a name says; tuples come back as lists.

    Raises:
        InputError: the name was cut, or is none that `point_name` makes.
    """
    if CUT in name:
        raise InputError(f"{name}: a part was cut off: sweep.json beside it has the settings")
    found = {}
    for pair in name.split(","):
        key, equals, text = pair.partition("=")
        if not (key and equals):
            raise InputError(f"{name}: not the name of a point: it has no key=value")
        items = text.removesuffix("+").split("+")
        value: Any = [_read(item) for item in items if item] if "+" in text else _read(text)
        found[unquote(key)] = value
    return found


def file_name(name: str) -> str:
    """A name that somebody gave a point, as a file may have it."""
    safe = _key(name, lower=False)
    if not safe or safe[0] in ".-" or DEVICES.match(safe):
        safe = _encoded(safe[:1]) + safe[1:] if safe else "%"
    return _cut(_without_last_dot(safe))


def _key(key: str, lower: bool) -> str:
    return _escape(key, lower).replace("=", _encoded("="))


def _value(key: str, value: Any, lower: bool) -> str:
    if isinstance(value, list | tuple):
        items = [_scalar(key, item, lower) for item in value]
        text = "+".join(items) if len(items) > 1 else f"{''.join(items)}+"
    else:
        text = _scalar(key, value, lower)
    if len(text.encode()) <= LONG:
        return text
    last = str(value).replace("\\", "/").rstrip("/").rpartition("/")[2][:PART]
    return f"{_escape(last, lower)}{CUT}{_hash(json.dumps(value, default=str))}"


def _scalar(key: str, value: Any, lower: bool) -> str:
    if isinstance(value, str) and value and not _is_json(value):
        return _escape(value, lower)
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except TypeError:
        raise InputError(
            f"{key}: {value!r} is no value of a setting: give a text, a number, true or false, or "
            "a list of them"
        ) from None
    return _escape(text, lower)


def _read(text: str) -> Any:
    """A value as `_scalar` wrote it."""
    plain = unquote_to_bytes(text).decode("utf-8", "surrogatepass")
    return json.loads(plain) if _is_json(plain) else plain


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _escape(text: str, lower: bool) -> str:
    # in another form than this, some file systems change letters that are made of parts
    beyond_ascii = unicodedata.is_normalized("NFC", text) and not lower

    def stands(letter: str) -> bool:
        if letter.isascii():
            return letter in PLAIN or (letter.isalnum() and not (lower and letter.isupper()))
        return beyond_ascii and letter.isalnum()

    return "".join(letter if stands(letter) else _encoded(letter) for letter in text)


def _encoded(letter: str) -> str:
    return "".join(f"%{byte:02X}" for byte in letter.encode("utf-8", "surrogatepass"))


def _without_last_dot(name: str) -> str:
    """The name, whose last dot Windows would drop, with that dot encoded."""
    return f"{name[:-1]}%2E" if name.endswith(".") else name


def _cut(name: str) -> str:
    whole = name.encode()
    if len(whole) <= MOST:
        return name
    mark = CUT + _hash(name)
    begins = whole[: MOST - len(mark)].decode(errors="ignore")
    return re.sub(r"%.?$", "", begins) + mark


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
