"""Client: libcistern for Python. See the package's own text for how it goes together."""

from __future__ import annotations

import contextlib
import enum
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Union

from cistern._aio import Answers
from cistern._cistern import Blocks, Handle, Keys, Slot, Tensor

if TYPE_CHECKING:
    from cistern._cistern import Buffer

    KeysLike = Union[Buffer, Iterable[bytes]]

ISOLATED, LATE_WRITES, CHECKSUM = 1, 2, 4  # flags of cistern_open()


class Answer(enum.IntEnum):
    """What a claim or a wait came to."""

    HOT = 0  # the block is there
    MISS = 1  # nobody computes it, or it took too long
    MINE = 3  # compute and put it, or give the claim up
    OTHER = 4  # another worker computes it: wait for it


class Match(NamedTuple):
    """How much of a prefix is there: blocks that can be acquired now, and blocks behind them that
    fetch() may bring up."""

    hot: int
    cold: int


@dataclass(frozen=True)
class Namespace:
    """All that must be equal for two blocks to be interchangeable.

    name          what people call it; up to 63 bytes
    block_tokens  tokens of a block
    block_bytes   bytes of a block: all layers of this rank, below 4 GiB
    model, dtype, layout, rope, lora, engine, tenant  texts; model up to 191 bytes, others 63
    layers        layers of a block, if its bytes begin with them (fetch_layers); 0: not said
    secret        of the tenant: keys the chains, never leaves the process

    Two workers that give the same name, tenant and ranks but differ elsewhere are told so
    (NamespaceDiffers), and never get each other's blocks.
    """

    name: str
    block_tokens: int
    block_bytes: int
    model: str = ""
    dtype: str = ""
    layout: str = ""
    rope: str = ""
    lora: str = ""
    engine: str = ""
    tenant: str = ""
    layers: int = 0
    heads: int = 0
    head_size: int = 0
    tp_rank: int = 0
    tp_size: int = 1
    pp_rank: int = 0
    pp_size: int = 1
    secret: bytes | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int) and not 0 <= value < 1 << 32:
                raise ValueError(f"{field.name} is {value}, not 0 to 4294967295")


def nanoseconds(seconds: float) -> int:
    """A timeout as the library takes it; also float('inf'), which is 68 years."""
    if not seconds >= 0:
        raise ValueError(f"a timeout of {seconds} s")
    return min(int(min(seconds, 2.0**31) * 1e9), 1 << 61)


def join_keys(keys: KeysLike) -> Buffer:
    """Keys, any buffer of 32 bytes a key, or several keys of 32 bytes."""
    if isinstance(keys, (list, tuple)):
        return b"".join(keys)
    return keys


class Claim:
    """A claim on a block; a context manager that gives up what was not put.

        with client.claim(key) as claim:
            if claim.mine:
                client.put(key, compute())
    """

    def __init__(self, client: Client, key: bytes, answer: Answer) -> None:
        self._client = client
        self.key = key
        self.answer = answer

    @property
    def hot(self) -> bool:
        return self.answer is Answer.HOT

    @property
    def mine(self) -> bool:
        return self.answer is Answer.MINE

    def wait(self, timeout: float) -> Answer:
        """Wait for who computes the block. The claim may become ours."""
        self.answer = self._client.wait(self.key, timeout)
        return self.answer

    def give_up(self) -> None:
        """The next who waits computes it. After a put this changes nothing."""
        if self.mine:
            self.answer = Answer.MISS
            with contextlib.suppress(Exception):  # the sidecar gives it up by itself in the end
                self._client._handle.unclaim(self.key)

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.give_up()


class Client:
    """An attachment of this process to the sidecar of the host.

    space     what blocks it shares, see Namespace
    socket    path of the sidecar's socket; None: $CISTERN_SOCKET, or /run/cistern/cistern.sock
    threads   how many threads may use the client; each has pins of its own
    pins      blocks that a thread may hold pinned at once
    grants    slots lent to a thread in advance
    isolated  write through private staging; blocks are mapped read-only
    late_writes  a GPU or a disk writes into slots: they rest for a while if this process dies
    checksum  commits carry a checksum, get() verifies it
    device    the GPU whose part of the pool is read in place: 'auto' (the first that this process
              sees, if any), or a UUID as nvidia-smi -L prints it; None: host memory alone
    timeout   seconds that attaching may take

    Raises NoServer, NamespaceDiffers, VersionDiffers, Denied, LimitReached, Invalid. Threads: any,
    at once. Fork: a child opens its own; with the parent's every call raises Forked. A context
    manager that closes it.
    """

    def __init__(self, space: Namespace, socket: str | None = None, *, threads: int = 4,
                 pins: int = 1024, grants: int = 4, isolated: bool = False,
                 late_writes: bool = False, checksum: bool = False, device: str | None = None,
                 timeout: float = 1.0) -> None:
        for name, value in (("threads", threads), ("pins", pins), ("grants", grants)):
            if not 0 < value < 1 << 32:
                raise ValueError(f"{name} is {value}")
        flags = ISOLATED * isolated | LATE_WRITES * late_writes | CHECKSUM * checksum
        self.space = space
        self._handle = Handle(
            space.name, space.model, space.dtype, space.layout, space.rope, space.lora,
            space.engine, space.tenant, space.secret, space.block_tokens, space.block_bytes,
            space.layers, space.heads, space.head_size, space.tp_rank, space.tp_size,
            space.pp_rank, space.pp_size, socket, flags, threads, pins, grants,
            nanoseconds(timeout), device)
        self._answers = Answers(self._handle)

    def close(self) -> None:
        """Give everything back. Blocks that somebody still looks at stay readable until then, and
        keep the attachment open. May be called again."""
        self._handle.close()
        self._answers.close()

    @property
    def closed(self) -> bool:
        return self._handle.closed

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    # Names of blocks

    def keys(self, tokens: Buffer | Sequence[int], parent: bytes | None = None) -> Keys:
        """Keys of a prompt's full blocks; a last partial block gets none.

        tokens  ids from 0 to 4294967295: any sequence, or a buffer of 4- or 8-byte integers
                (array, NumPy), which is faster
        parent  key of the block before the first token; None at the start of a prompt
        """
        if isinstance(tokens, (list, tuple, range)):
            tokens = array("I", tokens)
        return self._handle.keys(parent, tokens)

    def keys_from_hashes(self, hashes: Buffer | Iterable[bytes], hash_bytes: int,
                         group: int = 0) -> Keys:
        """Keys from an engine's own block hashes, 1 to 64 bytes each, and its KV cache group."""
        return self._handle.keys_from_hashes(join_keys(hashes), hash_bytes, group)

    # Reading

    def match(self, keys: KeysLike) -> Match:
        """How much of a prefix is there? Pins nothing."""
        return Match(*self._handle.match(join_keys(keys)))

    def acquire(self, keys: KeysLike) -> Blocks:
        """Pin the hot blocks at the start of a prefix, to be read in place; none after a miss.

        Raises OutOfPins if no pin was free for the first one; if pins run out later, the blocks so
        far are there. Cost: no copy, no message, no system call, and one object for all blocks.
        """
        return self._handle.acquire(join_keys(keys))

    def get(self, key: Buffer) -> bytes | None:
        """A copy of a hot block, or None."""
        return self._handle.get(key)

    def fetch(self, keys: KeysLike, timeout: float) -> int:
        """Bring up what of a prefix is cold, and wait for it. Returns how many blocks at its start
        are hot then. Late is a miss. Raises Busy, LimitReached, NoServer."""
        return self._handle.fetch(join_keys(keys), nanoseconds(timeout))

    async def fetch_async(self, keys: KeysLike, timeout: float) -> int:
        """fetch() for asyncio. The count is advice: acquire() says what is hot. Cancelled, the
        blocks come all the same."""
        data, wait_ns = join_keys(keys), nanoseconds(timeout)
        status, hot = await self._answers.ask(
            lambda cookie: self._handle.fetch_async(data, wait_ns, cookie), timeout)
        return hot if status == Answer.HOT else 0

    def prefetch(self, keys: KeysLike) -> None:
        """A hint: these will be wanted soon."""
        self._handle.prefetch(join_keys(keys))

    def fetch_layers(self, keys: KeysLike, layers: int, timeout: float) -> Blocks:
        """The first `layers` layers of up to 128 blocks, while their others are still coming: a
        Tensor covers the layers asked for, or all of a block that was hot."""
        return self._handle.fetch_layers(join_keys(keys), layers, nanoseconds(timeout))

    # Writing

    def put(self, key: Buffer, data: Buffer, parent: Buffer | None = None) -> None:
        """Copy a block in and publish it. Of a hot key nothing is copied.

        data    up to `block_bytes` bytes: anything with a contiguous buffer
        parent  key of the block before it in its prefix: children are evicted before parents
        Raises Busy, TooLarge, NoServer.
        """
        self._handle.put(key, parent, data)

    def reserve(self, count: int = 1, timeout: float = 0.1) -> list[Slot]:
        """Take 1 to `count` free slots (128 at most) to fill and commit. Raises Busy if none could
        be had in time, LimitReached if too many are lent already."""
        return self._handle.reserve(count, nanoseconds(timeout))

    @contextlib.contextmanager
    def write(self, key: bytes, parent: bytes | None = None, nbytes: int | None = None,
              timeout: float = 0.1) -> Iterator[Tensor]:
        """Room for one block, published at the end of the `with`; given back after an exception.

        nbytes  how many bytes will be written; None: block_bytes
        Raises BufferError at the end if an array of it is left, which could still be written to.
        """
        [slot] = self._handle.reserve(1, nanoseconds(timeout))
        try:
            size = self.space.block_bytes if nbytes is None else nbytes
            yield slot.tensor().cast("uint8", (size,))
            slot.commit(key, parent, size)
        finally:
            slot.abort()  # changes nothing after a commit

    def flush(self, timeout: float = 1.0) -> None:
        """Wait until the sidecar has handled all that this thread sent before. Raises Busy."""
        self._handle.flush(nanoseconds(timeout))

    # Who computes what

    def claim(self, key: bytes) -> Claim:
        """'I am going to compute this block': once per host. See Claim."""
        return Claim(self, bytes(key), Answer(self._handle.claim(key)))

    def wait(self, key: bytes, timeout: float) -> Answer:
        """Wait for a block that another worker computes: HOT; MINE if that one gave up or died;
        MISS at the deadline, or if nobody computes it."""
        return Answer(self._handle.wait(key, nanoseconds(timeout)))

    async def wait_async(self, key: bytes, timeout: float) -> Answer:
        """wait() for asyncio. Cancelled, a claim that comes of it is given up."""
        wait_ns = nanoseconds(timeout)
        status, _ = await self._answers.ask(
            lambda cookie: self._handle.wait_async(key, wait_ns, cookie), timeout, key)
        return Answer(status)

    def stats(self) -> dict[str, int]:
        """Counts of this client since it was opened, of all its threads; see cistern_stats."""
        return self._handle.stats()
