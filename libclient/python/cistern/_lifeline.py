"""Lifeline: clients that are there when the sidecar is, and None otherwise; one warning a gap.

For code that goes on without a cache. A forked child gets clients of its own.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from collections.abc import Sequence

from cistern import _errors
from cistern._client import Client, Namespace

RETRY_S = (0.5, 30.0)  # from the first to the last time between two attempts
PACKAGE = os.path.dirname(__file__)
# What no later attempt changes is the caller's to hear, at the first attempt.
CALLERS = (_errors.NamespaceDiffers, _errors.Invalid)


def _caller_level() -> int:
    """How far up the first caller outside of this package is: the warning names its line."""
    level, frame = 0, sys._getframe(1)
    while frame.f_back is not None and os.path.dirname(frame.f_code.co_filename) == PACKAGE:
        level, frame = level + 1, frame.f_back
    return level + 1


class CacheUnavailable(RuntimeWarning):
    """The cache is off for now, and why; said once until it is back."""


class Lifeline:
    def __init__(self, spaces: Sequence[Namespace], socket: str | None, threads: int,
                 pins: int) -> None:
        self._spaces = spaces
        self._socket = socket
        self._threads = threads
        self._pins = pins
        self._lock = threading.Lock()  # guards all that follows
        self._clients: list[Client] | None = None
        self._next_try = 0.0
        self._wait = RETRY_S[0]
        self._warned = False
        self._closed = False
        self._open(first=True)

    def clients(self) -> list[Client] | None:
        """One for each namespace; None while there is no sidecar."""
        if self._clients is None and not self._closed and time.monotonic() >= self._next_try:
            self._open(first=False)
        return self._clients

    def forked(self) -> None:
        """In a child: the parent's clients are its own, and a thread that is not here may hold
        its lock."""
        self._lock = threading.Lock()
        self._clients, self._next_try, self._wait = None, 0.0, RETRY_S[0]

    def _open(self, first: bool) -> None:
        with self._lock:
            if self._clients is not None or self._closed:
                return
            opened: list[Client] = []
            try:
                for space in self._spaces:
                    opened.append(Client(space, self._socket, threads=self._threads,
                                         pins=self._pins))
                self._clients, self._warned, self._wait = opened, False, RETRY_S[0]
            except _errors.Error as error:
                for client in opened:
                    client.close()
                if first and isinstance(error, CALLERS):
                    raise
                self._warn(error)
                self._next_try = time.monotonic() + self._wait
                self._wait = min(2 * self._wait, RETRY_S[1])

    def failed(self, error: _errors.Error) -> None:
        """A call failed: what is not just for now is told, once. The client attaches again by
        itself."""
        if not isinstance(error, _errors.NotNow):
            with self._lock:
                self._warn(error)

    def works(self) -> None:
        """Something was stored, which takes a sidecar (to find something does not): the next
        failure is news again."""
        self._warned = False

    def _warn(self, error: _errors.Error) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(f"no KV cache for now: {error}", CacheUnavailable, _caller_level())

    def close(self) -> None:
        with self._lock:
            self._closed = True
            clients, self._clients = self._clients, None
        for client in clients or ():
            client.close()
