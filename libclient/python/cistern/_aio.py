"""Answers that come later: one descriptor of the client, and the futures that wait for it."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cistern._cistern import describe
from cistern._errors import error_of

if TYPE_CHECKING:
    from cistern._cistern import Handle

MINE = 3
LATE_S = 1.0  # beyond its own timeout, until an answer is no longer waited for


@dataclass
class _Question:
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[tuple[int, int]]
    key: bytes | None  # of a wait: a claim that nobody wants any more is given up


class _Reader:
    """What a loop watches: a descriptor of its own, so that closing the client takes none away."""

    def __init__(self, loop: asyncio.AbstractEventLoop, number: int,
                 drain: Callable[[], None]) -> None:
        self.waiting = 0
        self._loop = loop
        self._number = os.dup(number)
        loop.add_reader(self._number, drain)

    def close(self) -> None:
        self._loop.remove_reader(self._number)
        os.close(self._number)


class Answers:
    """Of one client. Any loops, in any threads: whoever drains passes on what is another's."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._lock = threading.Lock()  # guards the two below
        self._questions: dict[int, _Question] = {}
        self._readers: dict[asyncio.AbstractEventLoop, _Reader] = {}
        self._cookies = itertools.count(1)

    async def ask(self, send: Callable[[int], int], timeout: float,
                  key: bytes | None = None) -> tuple[int, int]:
        """Send a question with a new cookie, and wait for (status, hot). Raises as the call."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[tuple[int, int]] = loop.create_future()
        cookie = next(self._cookies)
        number = self._handle.fileno()  # raises in a forked child, where the lock may never open
        with self._lock:
            if loop not in self._readers:
                self._readers[loop] = _Reader(loop, number, self._drain)
            self._readers[loop].waiting += 1
            self._questions[cookie] = _Question(loop, future, key)
        try:
            self._send(send, cookie)
            status, hot = await asyncio.wait_for(future, timeout + LATE_S)
        except asyncio.TimeoutError:
            status, hot = 1, 0  # late is a miss
        finally:
            self._leave(loop)
        if status < 0:
            raise error_of(status, *describe(status), "the sidecar's answer")
        return status, hot

    def _send(self, send: Callable[[int], int], cookie: int) -> None:
        try:
            send(cookie)
        except BaseException:
            with self._lock:
                self._questions.pop(cookie, None)
            raise

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            reader = self._readers[loop]
            reader.waiting -= 1
            if reader.waiting == 0:
                del self._readers[loop]
                reader.close()

    def _drain(self) -> None:
        events = [(0, 0, 0)]
        while events and not self._handle.closed:
            events = self._handle.drain()
            for cookie, status, hot in events:
                self._pass_on(cookie, status, hot)

    def _pass_on(self, cookie: int, status: int, hot: int) -> None:
        with self._lock:
            question = self._questions.pop(cookie, None)
        if question is None:
            return
        try:
            question.loop.call_soon_threadsafe(self._settle, question, status, hot)
        except RuntimeError:  # that loop is closed
            self._unwanted(question, status)

    def _settle(self, question: _Question, status: int, hot: int) -> None:
        if question.future.done():  # cancelled, or it came too late
            self._unwanted(question, status)
        else:
            question.future.set_result((status, hot))

    def _unwanted(self, question: _Question, status: int) -> None:
        if status == MINE and question.key is not None and not self._handle.closed:
            self._handle.unclaim(question.key)

    def close(self) -> None:
        """The client is closed: nothing will be answered any more."""
        with self._lock:
            left = list(self._questions.values())
            self._questions.clear()
        for question in left:
            try:
                question.loop.call_soon_threadsafe(_fail, question.future)
            except RuntimeError:  # that loop is closed
                pass


def _fail(future: asyncio.Future[tuple[int, int]]) -> None:
    if not future.done():
        future.set_exception(ValueError("the client is closed"))
