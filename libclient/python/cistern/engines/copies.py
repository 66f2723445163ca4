"""copies: blocks on their way between the pool and an engine's own memory, by jobs.

    engine ─▶ load(job, parts), store(job, parts) ─▶ copies beside the engine ─▶ finished()

A part is a run of blocks of one chain: keys, and where the pieces of each block lie. HostCopies is
for engines whose memory is this process's own, StreamCopies for a GPU's. A job may fail as a whole;
a load that failed may have written some of its blocks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy

import cistern
from cistern._cistern import Device
from cistern._client import nanoseconds

if TYPE_CHECKING:
    from cistern.engines.attach import Attachment

STORE_PATIENCE_S = 0.05  # for a slot: a block that found no room is one miss, later


@dataclass(frozen=True)
class Part:
    """A run of blocks. Their names are bytes of the engine, `hash_bytes` each; `pieces` is
    uint64[blocks][pieces of each][2]: address, bytes."""

    names: bytes
    hash_bytes: int
    group: int
    parent: bytes | None  # name of the block before the first
    pieces: numpy.ndarray[Any, Any]

    def keys(self, client: cistern.Client) -> cistern.Keys:
        return client.keys_from_hashes(self.names, self.hash_bytes, self.group)

    def parent_key(self, client: cistern.Client) -> bytes | None:
        if self.parent is None:
            return None
        return client.keys_from_hashes(self.parent, self.hash_bytes, self.group)[0]

    @property
    def blocks(self) -> int:
        return len(self.pieces)

    @property
    def nbytes(self) -> int:
        return int(self.pieces[..., 1].sum())


@dataclass(frozen=True)
class Done:
    job: int
    ok: bool
    nbytes: int
    seconds: float


class Copies(Protocol):
    def load(self, job: int, parts: Sequence[Part]) -> None: ...
    def store(self, job: int, parts: Sequence[Part]) -> None: ...
    def finished(self) -> list[Done]: ...
    def wait(self, jobs: Collection[int]) -> None: ...
    def close(self) -> None: ...


def _read(part: Part, client: cistern.Client) -> int:
    return client._handle.read_pieces(part.keys(client), part.pieces, part.pieces.shape[1])


def _write(part: Part, client: cistern.Client) -> int:
    return client._handle.write_pieces(part.keys(client), part.parent_key(client), part.pieces,
                                       part.pieces.shape[1], nanoseconds(STORE_PATIENCE_S))


class HostCopies:
    """A thread for loads and one for stores; their copies run without Python's lock."""

    def __init__(self, attachment: Attachment) -> None:
        self._attachment = attachment
        self._loads = ThreadPoolExecutor(1, "cistern-load")
        self._stores = ThreadPoolExecutor(1, "cistern-store")
        self._jobs: dict[int, Future[Done]] = {}

    def load(self, job: int, parts: Sequence[Part]) -> None:
        self._jobs[job] = self._loads.submit(self._run, job, parts, _read)

    def store(self, job: int, parts: Sequence[Part]) -> None:
        self._jobs[job] = self._stores.submit(self._run, job, parts, _write)

    def finished(self) -> list[Done]:
        done = [job for job, future in self._jobs.items() if future.done()]
        return [self._jobs.pop(job).result() for job in done]

    def wait(self, jobs: Collection[int]) -> None:
        for job in jobs:
            if job in self._jobs:
                self._jobs[job].result()

    def close(self) -> None:
        self._loads.shutdown()
        self._stores.shutdown()

    def _run(self, job: int, parts: Sequence[Part],
             copy: Callable[[Part, cistern.Client], int]) -> Done:
        began = time.monotonic()
        counts = [self._attachment.ask(partial(copy, part), 0) for part in parts]
        ok = all(count == part.blocks for count, part in zip(counts, parts))
        return Done(job, ok, sum(part.nbytes for part in parts), time.monotonic() - began)


@dataclass
class _OnStream:
    ok: bool
    nbytes: int
    began: float
    event: Any  # reached when the last copy was


class StreamCopies:
    """Streams of our own beside the engine's: a copy starts after what the engine had launched, and
    a block is published, or let go, when its stream got there.

    torch  the module: streams and events, nothing else
    which  UUID of the GPU, as nvidia-smi -L prints it
    prepare() is given to the Attachment: it opens the GPU, and page-locks the pool.
    """

    def __init__(self, torch: Any, which: str) -> None:
        self._cuda = torch.cuda
        self._which = which
        self._load_stream = torch.cuda.Stream()
        self._store_stream = torch.cuda.Stream()
        self._jobs: dict[int, _OnStream] = {}
        self._device: Device | None = None
        self._attachment: Attachment | None = None

    def prepare(self, client: cistern.Client) -> None:
        self._device = Device(client._handle, self._which)

    def attach(self, attachment: Attachment) -> None:
        self._attachment = attachment

    def load(self, job: int, parts: Sequence[Part]) -> None:
        self._start(job, parts, self._load_stream, self._read)

    def store(self, job: int, parts: Sequence[Part]) -> None:
        self._start(job, parts, self._store_stream, self._write)

    def finished(self) -> list[Done]:
        now = time.monotonic()
        done = [job for job, state in self._jobs.items() if state.event.query()]
        return [Done(job, state.ok, state.nbytes, now - state.began)
                for job in done for state in [self._jobs.pop(job)]]

    def wait(self, jobs: Collection[int]) -> None:
        for job in jobs:
            if job in self._jobs:
                self._jobs[job].event.synchronize()

    def close(self) -> None:
        if self._device is not None:
            self._device.close()

    def _read(self, part: Part, client: cistern.Client) -> int:
        assert self._device is not None  # it was prepared before the client was seen
        return self._device.read(part.keys(client), part.pieces, part.pieces.shape[1],
                                 self._load_stream.cuda_stream)

    def _write(self, part: Part, client: cistern.Client) -> int:
        assert self._device is not None
        return self._device.write(part.keys(client), part.parent_key(client), part.pieces,
                                  part.pieces.shape[1], 0, self._store_stream.cuda_stream)

    def _start(self, job: int, parts: Sequence[Part], stream: Any,
               copy: Callable[[Part, cistern.Client], int]) -> None:
        assert self._attachment is not None
        stream.wait_stream(self._cuda.current_stream())
        began = time.monotonic()
        ok = True
        for part in parts:
            ok &= self._attachment.ask(partial(copy, part), 0) == part.blocks
        self._jobs[job] = _OnStream(ok, sum(part.nbytes for part in parts), began,
                                    stream.record_event())
