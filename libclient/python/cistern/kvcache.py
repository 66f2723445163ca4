"""KVCache: prefix, layer, K, V: the plain cache of a notebook, shared by all processes of a host.

    cache = cistern.KVCache(model="llama-8b", ttl=3600, max_bytes=4 << 30)
    if (found := cache.get_cached_kv(prompt, layer)) is None:
        k, v = compute(prompt, layer)
        cache.cache_kv(prompt, layer, k, v)
    else:
        k, v = found.k_tensor, found.v_tensor
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from cistern import _blob, _errors, _precision, _prefix
from cistern._client import Client, Namespace
from cistern._ledger import Ledger
from cistern._lifeline import Lifeline
from cistern._prefix import UNIT_BYTES, Prefix

BATCH = 0xFFFFFFFF  # the "layer" of several layers in one entry
CHUNK_UNITS = 128  # characters, or ids, between two waypoints
SPACE_ENGINE = "cistern.KVCache 1"


@dataclass(frozen=True)
class Entry:
    """What was cached for a prefix: K and V of a layer, or of several.

    layers    each with k_tensor, v_tensor, precision, k_error, v_error
    created   seconds since 1970            expires  the same, or None
    nbytes    in the pool, header included
    """

    layers: tuple[_blob.Layer, ...]
    created: float
    expires: float | None
    nbytes: int

    @property
    def k_tensor(self) -> Any:
        return self.layers[0].k_tensor

    @property
    def v_tensor(self) -> Any:
        return self.layers[0].v_tensor

    @property
    def precision(self) -> str:
        return self.layers[0].precision

    def is_expired(self) -> bool:
        """Has its time passed since it was read? The cache hands out none that had."""
        return self.expires is not None and time.time() >= self.expires


class KVCache:
    """K and V by prefix and layer.

    model      identity and revision of the weights: other weights, other entries
    socket     of the sidecar; None: $CISTERN_SOCKET, or /run/cistern/cistern.sock
    precision  'float32', 'float16', 'bfloat16', 'int8': what numbers are stored in at most
    compress   zlib, kept where it saves something; random data does not compress
    ttl        seconds until an entry expires; None: never
    max_bytes  of the entries that this cache knows; those used longest ago are let go of. The pool
               and what leaves it are the sidecar's: see README.md, decision 12
    block_bytes  of the pool's blocks; a larger entry lies in several
    threads    how many threads may use the cache

    A prefix is a text, or a sequence of token ids. Caches of equal model, precision, ttl and
    block_bytes share their entries, in all processes of the host.
    Without a sidecar all is a miss: one CacheUnavailable warning, no exception, and the cache comes
    back by itself. Forked children get an attachment of their own. Needs NumPy.
    """

    def __init__(self, model: str = "", socket: str | None = None, *, precision: str = "float16",
                 compress: bool = False, ttl: float | None = None,
                 max_bytes: int | None = None, block_bytes: int = 4 << 20, threads: int = 16,
                 tenant: str = "") -> None:
        if precision not in _precision.PRECISIONS:
            raise ValueError(f"precision is one of {', '.join(_precision.PRECISIONS)}")
        if ttl is not None and not ttl > 0 or max_bytes is not None and max_bytes < 1:
            raise ValueError("ttl and max_bytes are above 0, or None")
        if block_bytes < 4096:
            raise ValueError("block_bytes is 4096 or more")
        self.precision = precision
        self.compress = compress
        self.ttl = ttl
        self.block_bytes = block_bytes
        self._lifeline = Lifeline((_space("kv", model, tenant, 1, block_bytes),
                                   _space("way", model, tenant, CHUNK_UNITS, 64)),
                                  socket, threads, 1024)
        self._lock = threading.Lock()  # guards the ledger and the counts
        self._ledger = Ledger(max_bytes)
        self._counts = dict.fromkeys(
            ("hits", "misses", "expired", "corrupt", "stores", "refused"), 0)
        _caches.add(self)

    # What users call

    def cache_kv(self, prefix: Prefix, layer: int, k_tensor: Any, v_tensor: Any) -> bool:
        """Store K and V of a layer. Returns whether it is in the cache now: if the sidecar is gone
        or has no room, it is not, and nothing is raised.

        k_tensor, v_tensor  NumPy arrays or torch tensors of floats, of any device
        Raises TypeError for other types, ValueError for what the precision cannot hold.
        """
        return self._store(prefix, layer, [(layer, k_tensor, v_tensor)])

    def get_cached_kv(self, prefix: Prefix, layer: int) -> Entry | None:
        """K and V of a layer, copies in the type that they had; None if they are not there, are
        expired, or are not what this cache would have written."""
        return self._load(prefix, layer)

    def cache_layers(self, prefix: Prefix, layers: Iterable[tuple[int, Any, Any]]) -> bool:
        """Several layers (number, K, V) as one entry: one look-up brings all of them."""
        return self._store(prefix, BATCH, layers)

    def get_cached_layers(self, prefix: Prefix) -> Entry | None:
        """What cache_layers() stored; see Entry.layers."""
        return self._load(prefix, BATCH)

    def longest_cached_prefix(self, prefix: Prefix, layer: int | None = None) -> int:
        """How long the longest prefix of `prefix` is that is cached: characters, or ids; 0: none.

        layer  a layer; None: what cache_layers() stored
        Cost: one match of the chain of chunks, and a few looks for each chunk that is shared. An
        entry that another process stored counts; one whose chunks were evicted is not found.
        """
        number = BATCH if layer is None else layer
        return int(self._guard(lambda clients: self._longest(clients, prefix, number), 0))

    def stats(self) -> dict[str, int]:
        """Counts of this object: hits, misses, entries that were expired or corrupt, stores, stores
        that the sidecar refused; and the entries that it knows, their bytes, those let go of."""
        with self._lock:
            return {**self._counts, "entries": len(self._ledger), "bytes": self._ledger.bytes,
                    "let_go": self._ledger.evictions}

    def close(self) -> None:
        """Leave the sidecar; everything is a miss from here on. May be called again."""
        self._lifeline.close()

    def __enter__(self) -> KVCache:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def _forked(self) -> None:
        self._lock = threading.Lock()
        self._lifeline.forked()

    # Names

    def _name(self, prefix_hash: bytes, layer: int, turn: int) -> bytes:
        """32 bytes that stand for an entry. A key is written once, so an entry that expired could
        not be replaced: the number of its span of `ttl` seconds is a part of its name."""
        return hashlib.sha256(b"%b %d %b %r %d" % (
            prefix_hash, layer, self.precision.encode(), self.ttl, turn)).digest()

    def _turns(self) -> tuple[int, ...]:
        """In which spans an entry that has not expired yet can have been stored."""
        if self.ttl is None:
            return (0,)
        now = int(time.time() / self.ttl)
        return now, now - 1

    def _part(self, client: Client, name: bytes, check: bytes, index: int) -> bytes:
        """Later parts are named by their content too: what two writers made never mixes."""
        hashed = hashlib.sha256(b"%b %b %d" % (name, check, index)).digest()
        return client.keys_from_hashes(hashed, 32)[0]

    def _guard(self, call: Any, otherwise: Any) -> Any:
        """Run a call with the clients, or go on without a cache."""
        clients = self._lifeline.clients()
        if clients is None:
            return otherwise
        try:
            return call(clients)
        except _errors.Error as error:
            self._lifeline.failed(error)
            return otherwise

    def _count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1

    # Storing

    def _store(self, prefix: Prefix, layer: int,
               layers: Iterable[tuple[int, Any, Any]]) -> bool:
        prefix_hash = bytes.fromhex(_prefix.compute_prefix_hash(prefix))
        blob = _blob.pack(layers, self.precision, self.compress, prefix_hash, self.ttl)
        name = self._name(prefix_hash, layer, self._turns()[0])
        stored: bool = self._guard(lambda clients: self._put(clients, prefix, name, blob), False)
        self._count("stores" if stored else "refused")
        if stored:
            self._lifeline.works()
            with self._lock:
                self._ledger.use(name, len(blob))
        return stored

    def _put(self, clients: list[Client], prefix: Prefix, name: bytes, blob: bytes) -> bool:
        client, ways = clients
        first = client.keys_from_hashes(name, 32)[0]
        if not client.match(first).hot:
            check = _blob.read_head(blob).check
            view, size = memoryview(blob), self.block_bytes
            parts = range(0, len(blob), size)
            for index in reversed(range(len(parts))):  # the first last: it says that all are there
                key = self._part(client, name, check, index) if index else first
                client.put(key, view[parts[index]:parts[index] + size], first if index else None)
        chain = ways.keys(memoryview(_prefix.units_of(prefix)).cast("I"), _prefix.kind_of(prefix))
        for index in range(ways.match(chain).hot if len(chain) else 0, len(chain)):
            ways.put(chain[index], b"\1", chain[index - 1] if index else None)
        ways.flush()
        client.flush()
        return client.match(first).hot == 1

    # Reading

    def _load(self, prefix: Prefix, layer: int) -> Entry | None:
        prefix_hash = bytes.fromhex(_prefix.compute_prefix_hash(prefix))
        for turn in self._turns():
            name = self._name(prefix_hash, layer, turn)
            with self._lock:
                if self._ledger.is_forgotten(name):
                    continue
            entry: Entry | None = self._guard(
                lambda clients, name=name: self._take(clients[0], name, prefix_hash, layer), None)
            if entry is not None:
                with self._lock:
                    self._counts["hits"] += 1
                    self._ledger.use(name, entry.nbytes)
                return entry
            with self._lock:
                self._ledger.drop(name)
        self._count("misses")
        return None

    def _take(self, client: Client, name: bytes, prefix_hash: bytes,
              layer: int) -> Entry | None:
        """A private copy is made first: what is checked cannot change any more."""
        start = self._copy(client, client.keys_from_hashes(name, 32)[0])
        if start is None:
            return None
        try:
            head = _blob.read_head(start)
            if head.name != prefix_hash or not _are_layers(head, layer):
                raise _blob.BadBlob("it was stored for another prefix or layer")
            data = self._rest(client, name, head, start)
            if data is None:
                return None
            layers = tuple(_blob.unpack(head, _blob.open_payload(head, data)))
        except _blob.BadBlob:
            self._count("corrupt")
            return None
        expires = head.expires_ns / 1e9 if head.expires_ns else None
        entry = Entry(layers, head.created_ns / 1e9, expires, head.bytes + head.stored)
        if entry.is_expired() or not self._may_live(entry):
            self._count("expired")
            return None
        return entry

    def _may_live(self, entry: Entry) -> bool:
        """An entry of ours lives for `ttl` from its creation, which is not to come."""
        if self.ttl is None:
            return True
        return entry.expires is not None and entry.expires <= time.time() + self.ttl + 1

    def _rest(self, client: Client, name: bytes, head: _blob.Head,
              start: bytearray) -> bytearray | None:
        """The payload: what is behind the header, and the parts behind the first."""
        length = head.bytes + head.stored
        count = -(-length // self.block_bytes)
        data = start[head.bytes:]
        for index in range(1, count):
            part = self._copy(client, self._part(client, name, head.check, index))
            if part is None:
                return None
            data += part
        return data

    def _copy(self, client: Client, key: bytes) -> bytearray | None:
        """A block, from memory or a lower tier."""
        found = client.match(key)
        if found.cold and not found.hot:
            client.fetch(key, 1.0)
        with client.acquire(key) as blocks:
            return bytearray(blocks[0].tobytes()) if len(blocks) else None

    def _longest(self, clients: list[Client], prefix: Prefix, layer: int) -> int:
        client, ways = clients
        units, kind = _prefix.units_of(prefix), _prefix.kind_of(prefix)
        whole = len(units) // UNIT_BYTES
        chain = ways.keys(memoryview(units).cast("I"), kind)
        shared = ways.match(chain).hot if len(chain) else 0
        step = CHUNK_UNITS * UNIT_BYTES
        hasher = _prefix.hasher_of(prefix)
        hashers = [hasher.copy()]
        for at in range(shared):
            hasher.update(units[at * step:(at + 1) * step])
            hashers.append(hasher.copy())
        for at in range(shared, -1, -1):
            length = self._longest_from(client, hashers[at], units, at * CHUNK_UNITS,
                                        min(whole, (at + 1) * CHUNK_UNITS - 1), layer)
            if length:
                return length
        return 0

    def _longest_from(self, client: Client, hasher: Any, units: bytes, start: int, end: int,
                      layer: int) -> int:
        """The longest entry of `start` to `end` units; `hasher` has seen `start` of them."""
        hashes = [hasher.digest()]
        for at in range(start, end):
            hasher.update(units[at * UNIT_BYTES:(at + 1) * UNIT_BYTES])
            hashes.append(hasher.digest())
        for length in range(end, max(start, 1) - 1, -1):
            for turn in self._turns():
                name = self._name(hashes[length - start], layer, turn)
                with self._lock:
                    known = not self._ledger.is_forgotten(name)
                if known and max(client.match(client.keys_from_hashes(name, 32))) > 0:
                    return length
        return 0


def _space(kind: str, model: str, tenant: str, block_tokens: int, block_bytes: int) -> Namespace:
    """Caches that differ in model or size are no mistake, but others: so are their names."""
    name = f"{kind} {block_bytes} {hashlib.sha256(model.encode()).hexdigest()[:16]}"
    return Namespace(name, block_tokens, block_bytes, model=model, tenant=tenant,
                     engine=SPACE_ENGINE)


def _are_layers(head: _blob.Head, layer: int) -> bool:
    return layer == BATCH or (len(head.records) == 1 and head.records[0][0] == layer)


_caches: weakref.WeakSet[KVCache] = weakref.WeakSet()


def _after_fork() -> None:
    for cache in list(_caches):
        cache._forked()


os.register_at_fork(after_in_child=_after_fork)
