"""attach: a client of a sidecar that may not be there, now or ever.

Used by every adapter. What the sidecar cannot do is a miss; an outage is said once, not for each
block. Attaching happens beside the engine's threads, except for a first try when it starts.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import cistern

T = TypeVar("T")

FIRST_TRY_S, TRY_S = 1.0, 0.2
RETRY_S, RETRY_MOST_S = 1.0, 30.0
SAY_AGAIN_S = 60.0  # what was said so short a time ago is not said again


class _Said:
    """What this process said, and when: a scheduler and its workers may each have a client of one
    sidecar, whose end is one piece of news."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at: dict[tuple[str | None, type[Exception]], float] = {}

    def is_news(self, socket: str | None, error: Exception) -> bool:
        now = time.monotonic()
        with self._lock:
            before = self._at.get((socket, type(error)), -SAY_AGAIN_S)
            self._at[socket, type(error)] = now
        return now - before >= SAY_AGAIN_S


_SAID = _Said()


class Attachment:
    """A `cistern.Client`, as soon as it can be had.

    space    whose blocks
    log      the engine's own logger: a line when the cache goes, and when it comes
    socket   as cistern.Client
    prepare  called with each client before anybody else uses it
    options  more of cistern.Client

    Threads: any, as many at once as `threads` in options says.
    """

    def __init__(self, space: cistern.Namespace, log: logging.Logger, socket: str | None = None,
                 prepare: Callable[[cistern.Client], None] | None = None,
                 **options: Any) -> None:
        self.space = space
        self._log = log
        self._socket = socket
        self._prepare = prepare
        self._options = options
        self._client: cistern.Client | None = None
        self._closed = threading.Event()
        self._trouble = threading.Lock()
        self._troubled = False
        if not self._open(FIRST_TRY_S):
            threading.Thread(target=self._keep_trying, name="cistern-attach", daemon=True).start()

    @property
    def client(self) -> cistern.Client | None:
        """None until it was attached. Afterwards the client attaches again by itself."""
        return self._client

    @property
    def attached(self) -> bool:
        """Does a sidecar serve the client now?"""
        client = self._client
        return client is not None and not client.closed and client.stats()["attached"] == 1

    def drain(self) -> list[tuple[int, int, int]]:
        """Answers that arrived: cookie, status, hot blocks. Those of a sidecar that went say so."""
        client = self._client
        try:
            return [] if client is None else client._handle.drain()
        except cistern.Error:
            return []

    def ask(self, call: Callable[[cistern.Client], T], otherwise: T) -> T:
        """What `call` returns for the client, or `otherwise` if there is no cache for now. Whatever
        else goes wrong in it is a miss, too, and said: an engine does not stop for its cache."""
        client = self._client
        if client is None:
            return otherwise
        try:
            answer = call(client)
        except cistern.NotNow:
            return otherwise
        except Exception as error:
            if not self._closed.is_set():
                self._say(error)
            return otherwise
        if self._troubled:
            self._over()
        return answer

    def close(self) -> None:
        """No more cache. Blocks that are still pinned stay readable until they are let go."""
        self._closed.set()
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _say(self, error: Exception) -> None:
        with self._trouble:
            was, self._troubled = self._troubled, True
        if not was and _SAID.is_news(self._socket, error):
            self._log.warning("Cistern: %s; going on without this cache", error)

    def _over(self) -> None:
        with self._trouble:
            was, self._troubled = self._troubled, False
        if was:
            self._log.info("Cistern: the cache is back")

    def _open(self, timeout: float) -> bool:
        try:
            client = cistern.Client(self.space, self._socket, timeout=timeout, **self._options)
        except (cistern.Error, ValueError) as error:
            self._say(error)
            return isinstance(error, (cistern.Invalid, ValueError))  # no use in trying again
        try:
            if self._prepare is not None:
                self._prepare(client)
        except (cistern.Error, ValueError) as error:
            self._say(error)
            client.close()
            return False
        self._client = client
        if self._closed.is_set():
            self.close()
        self._over()
        self._log.info("Cistern: attached, namespace %s", self.space.name)
        return True

    def _keep_trying(self) -> None:
        pause = RETRY_S
        while not self._closed.wait(pause):
            if self._open(TRY_S):
                return
            pause = min(pause * 2, RETRY_MOST_S)
