"""manager: the scheduler's side of our pool. Never waits: matching is shared memory.

    lookup ─▶ hot: HIT ─▶ prepare_load pins ─▶ the workers load ─▶ complete_load lets go
          ├─▶ cold: RETRY ─▶ on_schedule_end fetches ─▶ the answer ─▶ HIT or MISS
          └─▶ MISS ─▶ computed ─▶ prepare_store names what is not there ─▶ the workers store

A block counts as there if every rank has its part of it.
"""

# mypy: disable-error-code="import, misc, no-any-return"

from __future__ import annotations

import itertools
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from vllm.distributed.kv_transfer.kv_connector.v1.offloading.metrics import (
    OffloadingConnectorStats,
)
from vllm.v1.kv_offload.base import (
    LoadStoreSpec,
    LookupResult,
    Medium,
    OffloadingEvent,
    OffloadingManager,
    OffloadKey,
    PrepareStoreOutput,
    ReqContext,
    RequestOffloadingContext,
    ScheduleEndContext,
    get_offload_block_hash,
    get_offload_group_idx,
)
from vllm.v1.metrics.cache_hit_source import CacheHitSource

import cistern
from cistern._client import nanoseconds
from cistern.engines.vllm.medium import CisternLoadStoreSpec

if TYPE_CHECKING:
    from cistern.engines.attach import Attachment

HOT, COLD, ABSENT = range(3)
LATE_S = 1.0  # beyond its own timeout: until a fetch whose answer was lost is given up
EVENTS_MOST = 1 << 16  # kept for vLLM to take; more are dropped

METRICS = {
    "vllm:cistern_attached": ("gauge", "1 if the sidecar serves every rank."),
    "vllm:cistern_lookup_hot": ("counter", "Blocks found in memory by a lookup."),
    "vllm:cistern_lookup_cold": ("counter", "Blocks found below memory, and fetched."),
    "vllm:cistern_lookup_miss": ("counter", "Lookups that ended at a block that is not there."),
    "vllm:cistern_fetch_failed": ("counter", "Fetches that brought fewer blocks than asked."),
    "vllm:cistern_load_failed": ("counter", "Requests computed again, a load having failed."),
}


@dataclass
class _Request:
    """What is known of a request between its lookups."""

    salt: bytes = b""
    given_up: bool = False  # a load failed: no more of it
    cold: list[OffloadKey] = field(default_factory=list)  # to be fetched at the end of this step
    tried: set[OffloadKey] = field(default_factory=set)  # fetched once; still cold is a miss
    pinned: list[cistern.Blocks] = field(default_factory=list)
    last: dict[int, bytes] = field(default_factory=dict)  # by group: the block that was seen last


@dataclass
class _Fetch:
    keys: list[OffloadKey]
    left: int  # ranks that have not answered
    until: float


class CisternManager(OffloadingManager):
    """attachments: one a rank, or none at all: then nothing is ever there."""

    def __init__(self, attachments: Sequence[Attachment], fetch_timeout: float,
                 events_wanted: bool) -> None:
        self._attachments = attachments
        self._fetch_timeout = fetch_timeout
        self._events: list[OffloadingEvent] | None = [] if events_wanted else None
        self._requests: dict[str, _Request] = {}
        self._storing: set[OffloadKey] = set()
        self._fetching: dict[OffloadKey, _Fetch] = {}
        self._fetches: dict[int, _Fetch] = {}
        self._cookies = itertools.count(1)
        self._stats = OffloadingConnectorStats()
        self._attached = -1

    # For the connector

    def set_salt(self, request_id: str, salt: bytes) -> None:
        self._requests.setdefault(request_id, _Request()).salt = salt

    def give_up(self, request_id: str) -> None:
        """A load of the request failed: it is computed."""
        self._requests.setdefault(request_id, _Request()).given_up = True
        self._count("vllm:cistern_load_failed")

    # For vLLM

    def on_new_request(self, req_context: ReqContext) -> RequestOffloadingContext:
        self._requests.setdefault(req_context.req_id, _Request())
        return RequestOffloadingContext()

    def lookup(self, key: OffloadKey, req_context: ReqContext) -> LookupResult:
        request = self._request(req_context)
        if request.given_up or not self._attachments:
            return LookupResult.MISS
        fetch = self._fetching.get(key)
        if fetch is not None and not self._is_over(fetch):
            return LookupResult.RETRY
        place = self._place(key, request)
        if place == HOT:
            request.last[get_offload_group_idx(key)] = self._name(key, request)
            self._count("vllm:cistern_lookup_hot")
            return LookupResult.HIT
        if place == COLD and key not in request.tried:
            request.cold.append(key)
            self._count("vllm:cistern_lookup_cold")
            return LookupResult.RETRY
        self._count("vllm:cistern_lookup_miss")
        return LookupResult.MISS

    def get_load_source(self, key: OffloadKey, req_context: ReqContext) -> CacheHitSource:
        return CacheHitSource.DISK if key in self._request(req_context).tried \
            else CacheHitSource.HOST

    def prepare_load(self, keys: Collection[OffloadKey],
                     req_context: ReqContext) -> LoadStoreSpec:
        request = self._request(req_context)
        for group, run in itertools.groupby(keys, get_offload_group_idx):
            names = [self._name(key, request) for key in run]
            for attachment in self._attachments:
                blocks = attachment.ask(partial(self._pin, names, group), None)
                if blocks is not None:
                    request.pinned.append(blocks)
        return self._spec(keys, request)

    def complete_load(self, keys: Collection[OffloadKey], req_context: ReqContext) -> None:
        self._let_go(self._request(req_context))

    def prepare_store(self, keys: Collection[OffloadKey],
                      req_context: ReqContext) -> PrepareStoreOutput | None:
        request = self._request(req_context)
        absent = [key for key in keys if self._attachments and key not in self._storing and
                  self._place(key, request) != HOT]
        spec = self._spec(keys, request, set(absent))
        self._storing.update(absent)
        return PrepareStoreOutput(keys_to_store=absent, store_spec=spec, evicted_keys=[])

    def complete_store(self, keys: Collection[OffloadKey], req_context: ReqContext,
                       success: bool = True) -> None:
        self._storing.difference_update(keys)
        if self._events is None or not success:
            return
        request = self._request(req_context)
        # A worker that found no room for a block says nothing: the pool itself is asked.
        there = [key for key in keys if self._place(key, request) == HOT]
        if there and len(self._events) < EVENTS_MOST:
            self._events.append(OffloadingEvent(keys=there, medium=Medium.CPU, removed=False))

    def on_schedule_end(self, context: ScheduleEndContext) -> None:
        for request in self._requests.values():
            if request.cold:
                keys, request.cold = list(dict.fromkeys(request.cold)), []
                request.tried.update(keys)
                for _, run in itertools.groupby(keys, get_offload_group_idx):
                    self._fetch(list(run), request)

    def on_request_finished(self, req_context: ReqContext) -> None:
        request = self._requests.get(req_context.req_id)
        if request is not None and not request.pinned:
            del self._requests[req_context.req_id]

    def take_events(self) -> Iterable[OffloadingEvent]:
        events = self._events or []
        if events:
            self._events = []
        return events

    def reset_cache(self) -> None:
        """What vLLM forgets it may find again: the pool is not its own."""
        for request in self._requests.values():
            self._let_go(request)
        self._storing.clear()

    def get_stats(self) -> OffloadingConnectorStats | None:
        attached = int(bool(self._attachments) and
                       all(attachment.attached for attachment in self._attachments))
        if attached != self._attached:
            self._attached = attached
            self._stats.set_gauge("vllm:cistern_attached", attached)
        if self._stats.is_empty():
            return None
        stats, self._stats = self._stats, OffloadingConnectorStats()
        return stats

    def shutdown(self) -> None:
        self.reset_cache()
        for attachment in self._attachments:
            attachment.close()

    # Inside

    def _request(self, req_context: ReqContext) -> _Request:
        return self._requests.setdefault(req_context.req_id, _Request())

    def _count(self, name: str) -> None:
        self._stats.increase_counter(name)

    @staticmethod
    def _name(key: OffloadKey, request: _Request) -> bytes:
        return get_offload_block_hash(key) + request.salt

    @staticmethod
    def _keys(client: cistern.Client, names: Sequence[bytes], group: int) -> cistern.Keys:
        return client.keys_from_hashes(b"".join(names), len(names[0]), group)

    @classmethod
    def _pin(cls, names: Sequence[bytes], group: int,
             client: cistern.Client) -> cistern.Blocks | None:
        return client.acquire(cls._keys(client, names, group))

    @classmethod
    def _match(cls, names: Sequence[bytes], group: int,
               client: cistern.Client) -> cistern.Match | None:
        return client.match(cls._keys(client, names, group))

    def _send(self, names: Sequence[bytes], group: int, cookie: int,
              client: cistern.Client) -> bool:
        client._handle.fetch_async(self._keys(client, names, group),
                                   nanoseconds(self._fetch_timeout), cookie)
        return True

    @staticmethod
    def _let_go(request: _Request) -> None:
        pinned, request.pinned = request.pinned, []
        for blocks in pinned:
            blocks.release()

    def _place(self, key: OffloadKey, request: _Request) -> int:
        """The worst of all ranks."""
        names, group = [self._name(key, request)], get_offload_group_idx(key)
        worst = HOT
        for attachment in self._attachments:
            found = attachment.ask(partial(self._match, names, group), None)
            if found is None or (not found.hot and not found.cold):
                return ABSENT
            worst = worst if found.hot else COLD
        return worst

    def _spec(self, keys: Collection[OffloadKey], request: _Request,
              only: set[OffloadKey] | None = None) -> CisternLoadStoreSpec:
        """All of `keys`, or those in `only`; each with the block before it."""
        spec = CisternLoadStoreSpec()
        for key in keys:
            name, group = self._name(key, request), get_offload_group_idx(key)
            if only is None or key in only:
                spec.names.append(name)
                spec.groups.append(group)
                spec.parents.append(request.last.get(group))
            request.last[group] = name
        return spec

    def _fetch(self, keys: list[OffloadKey], request: _Request) -> None:
        names = [self._name(key, request) for key in keys]
        group = get_offload_group_idx(keys[0])
        fetch = _Fetch(keys, 0, time.monotonic() + self._fetch_timeout + LATE_S)
        for attachment in self._attachments:
            cookie = next(self._cookies)
            if attachment.ask(partial(self._send, names, group, cookie), False):
                fetch.left += 1
                self._fetches[cookie] = fetch
        if fetch.left > 0:
            self._fetching.update(dict.fromkeys(keys, fetch))

    def _is_over(self, fetch: _Fetch) -> bool:
        """Is it answered? Takes what answers there are, and forgets those that are over."""
        for attachment in self._attachments:
            for cookie, status, hot in attachment.drain():
                answered = self._fetches.pop(cookie, None)
                if answered is not None:
                    answered.left -= 1
                    if status != 0 or hot < len(answered.keys):
                        self._count("vllm:cistern_fetch_failed")
        if fetch.left > 0 and time.monotonic() < fetch.until:
            return False
        for key in fetch.keys:
            if self._fetching.get(key) is fetch:
                del self._fetching[key]
        return True
