"""lmcache: an L2 of LMCache's daemon, in Cistern's pool, as its `native_plugin`.

    lmcache server ... --l2-adapter '{"type": "native_plugin", "module_path":
        "cistern.engines.lmcache", "class_name": "CisternPlugin", "adapter_params": {
            "dtype": "bfloat16", "layout": "...", "weights": "llama-8b@4f2c", "chunk_tokens": 256,
            "chunk_bytes": 33554432}}'

Six calls: submit a batch, hear of it by a descriptor, drain what is done. LMCache is not imported:
it checks the calls by name. Its keys carry model, rank, chunk hash and cache salt, and not what the
bytes of a chunk mean; so that is asked for.
"""

# mypy: disable-error-code="attr-defined, no-any-return"

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy

import cistern
from cistern._client import nanoseconds
from cistern.engines import identity
from cistern.engines.attach import Attachment

if TYPE_CHECKING:
    from typing_extensions import Buffer

logger = logging.getLogger("lmcache.cistern")

Completion = tuple[int, bool, str, "list[bool] | None"]
WORKERS = 4  # copies at once
FETCH_TIMEOUT_S = 2.0
STORE_PATIENCE_S = 0.05
NO_CACHE = "the sidecar is not there"


class CisternPlugin:
    """dtype, layout, weights  what the bytes of a chunk mean; LMCache does not say it in its keys
    chunk_tokens  tokens of a chunk, as LMCache cuts them
    chunk_bytes   bytes of the largest chunk of one rank
    socket, tenant, fetch_timeout (seconds that a load waits for disk)

    Threads: any may submit, and one may drain.
    """

    def __init__(self, *, dtype: str, layout: str, weights: str, chunk_tokens: int,
                 chunk_bytes: int, socket: str | None = None, tenant: str = "",
                 fetch_timeout: float = FETCH_TIMEOUT_S) -> None:
        for name, value in (("dtype", dtype), ("layout", layout), ("weights", weights)):
            if not value:
                raise ValueError(f"adapter_params: {name} is empty")
        self._fetch_timeout = fetch_timeout
        self._chunk_bytes = chunk_bytes
        space = identity.space_of(
            "lmcache", "1", {"model": weights, "weights": weights, "dtype": dtype,
                             "layout": layout}, block_tokens=chunk_tokens,
            block_bytes=chunk_bytes, tenant=tenant)
        self._attachment = Attachment(space, logger, socket, threads=WORKERS + 1)
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._done: queue.SimpleQueue[Completion] = queue.SimpleQueue()
        self._numbers = itertools.count(1)
        self._workers = ThreadPoolExecutor(WORKERS, "cistern-lmcache")
        self._closing = threading.Lock()
        self._closed = False

    def event_fd(self) -> int:
        """Polls readable while there is something to drain. Ours: do not read or close it."""
        return self._event

    def submit_batch_get(self, keys: Sequence[str], memoryviews: Sequence[Buffer]) -> int:
        """Fill each buffer with the chunk of its key, where that is there and exactly as long."""
        return self._submit(keys, partial(self._get, keys, memoryviews))

    def submit_batch_set(self, keys: Sequence[str], memoryviews: Sequence[Buffer]) -> int:
        """Store what is not there yet. Whatever finds no room is left out, and said."""
        return self._submit(keys, partial(self._set, keys, memoryviews))

    def submit_batch_exists(self, keys: Sequence[str]) -> int:
        """Which are there, in memory or on disk. Those on disk are brought up meanwhile."""
        return self._submit(keys, partial(self._exists, keys))

    def drain_completions(self) -> list[Completion]:
        """(number of the batch, was all of it done, why not, one answer a key)."""
        try:
            os.eventfd_read(self._event)
        except BlockingIOError:
            return []
        done = []
        while True:
            try:
                done.append(self._done.get_nowait())
            except queue.Empty:
                return done

    def close(self) -> None:
        """Waits for copies under way. May be called again."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._workers.shutdown()
        self._attachment.close()
        os.close(self._event)

    # Inside

    def _submit(self, keys: Sequence[str], work: Callable[[cistern.Client], list[bool]]) -> int:
        number = next(self._numbers)
        self._workers.submit(self._run, number, len(keys), work)
        return number

    def _run(self, number: int, count: int,
             work: Callable[[cistern.Client], list[bool]]) -> None:
        none: list[bool] = []
        answers = list(self._attachment.ask(work, none))
        error = "" if len(answers) == count else NO_CACHE
        answers += [False] * (count - len(answers))
        # A batch of which a key was missed is done all the same: LMCache reads the answers.
        self._done.put((number, not error, error, answers))
        os.eventfd_write(self._event, 1)

    @staticmethod
    def _key(client: cistern.Client, key: str) -> cistern.Keys:
        return client.keys_from_hashes(hashlib.sha256(key.encode()).digest(), 32)

    @staticmethod
    def _piece(buffer: Buffer) -> Any:
        """uint64[1][2]: where the buffer lies. It is LMCache's until the batch is drained."""
        data = numpy.frombuffer(buffer, numpy.uint8)
        return numpy.array([[data.ctypes.data, data.nbytes]], numpy.uint64)

    def _get(self, keys: Sequence[str], buffers: Sequence[Buffer],
             client: cistern.Client) -> list[bool]:
        answers = []
        for key, buffer in zip(keys, buffers):
            name = self._key(client, key)
            if client.match(name).cold:
                client.fetch(name, self._fetch_timeout)
            answers.append(client._handle.read_pieces(name, self._piece(buffer), 1) == 1)
        return answers

    def _set(self, keys: Sequence[str], buffers: Sequence[Buffer],
             client: cistern.Client) -> list[bool]:
        answers = []
        for key, buffer in zip(keys, buffers):
            piece = self._piece(buffer)
            answers.append(0 < piece[0, 1] <= self._chunk_bytes and client._handle.write_pieces(
                self._key(client, key), None, piece, 1, nanoseconds(STORE_PATIENCE_S)) == 1)
        return [bool(answer) for answer in answers]

    def _exists(self, keys: Sequence[str], client: cistern.Client) -> list[bool]:
        names = [self._key(client, key) for key in keys]
        found = [client.match(name) for name in names]
        for name, match in zip(names, found):
            if match.cold:
                client.prefetch(name)
        return [bool(match.hot or match.cold) for match in found]
