"""What the process of a run and the harness say to each other: lines of JSON on a socket, limited in length.

Nothing that the process says is believed before it is checked: `Line` reads bytes, and what it yields is a mapping or nothing.
"""

from __future__ import annotations

import json
import math
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LONGEST = 1 << 18
"""Bytes of the longest line that is read."""
LONGEST_TEXT = 20_000
"""Characters of the longest text that is sent; of a longer one its end."""
LONGEST_NOTES = 1 << 16
"""Characters of the notes of a method, as JSON."""


class TooLongError(Exception):
    """A line that has no end."""


@dataclass
class Lines:
    """Bytes as they come in, cut into messages."""

    pending: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """The messages that `data` completes; what is no mapping in JSON is passed over.

        Raises:
            TooLongError: A line is longer than `LONGEST`.
        """
        self.pending += data
        *whole, rest = self.pending.split(b"\n")
        self.pending = bytearray(rest)
        if len(rest) > LONGEST:
            raise TooLongError
        for line in whole:
            with suppress(ValueError, RecursionError):
                message = json.loads(line)
                if isinstance(message, dict):
                    yield message


@dataclass(frozen=True)
class Speaker:
    """The process's end: any thread may speak."""

    socket: socket.socket
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def say(self, **message: Any) -> None:
        """Sends one message. Raises `OSError` where the harness has gone."""
        line = json.dumps(message, default=plain).encode() + b"\n"
        with self._lock:
            self.socket.sendall(line)

    def hear(self) -> None:
        """Waits until the harness lets the process go on. Raises `EOFError` where it has gone."""
        if not self.socket.recv(1):
            raise EOFError("the harness has gone")


def plain(value: Any) -> Any:
    """A value that JSON does not know, as one that it does."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)


def end_of(text: str | None) -> str | None:
    """`text`, or the end of one that is too long."""
    if text is None or len(text) <= LONGEST_TEXT:
        return text
    return "…\n" + text[-LONGEST_TEXT:]


def text_of(message: Mapping[str, Any], key: str, most: int = LONGEST_TEXT + 2) -> str | None:
    """The text under `key`, at most so many characters; None where there is none."""
    value = message.get(key)
    return value[:most] if isinstance(value, str) else None


def seconds_of(message: Mapping[str, Any], key: str, most: float) -> dict[str, float]:
    """The seconds by phase under `key`: finite, not negative, no more than `most` together; else nothing is believed."""
    value = message.get(key)
    if not isinstance(value, dict) or len(value) > 100:
        return {}
    found = {str(name)[:100]: float(part) for name, part in value.items() if number(part) and part >= 0}
    return found if sum(found.values()) <= most else {}


def number(value: Any) -> bool:
    """Whether `value` is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
