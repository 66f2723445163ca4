"""worker: copies between vLLM's paged memory and our pool, in each of vLLM's workers."""

# mypy: disable-error-code="import, misc, no-any-return"

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy
from vllm.v1.kv_offload.base import (
    CanonicalKVCaches,
    GPULoadStoreSpec,
    LoadStoreSpec,
    OffloadingWorker,
    TransferResult,
)

from cistern.engines.attach import Attachment
from cistern.engines.copies import Copies, HostCopies, Part, StreamCopies
from cistern.engines.vllm.medium import CisternLoadStoreSpec


class _Pages:
    """Where the pages of one KV cache group lie: a block is one page of each of its tensors."""

    def __init__(self, kv_caches: CanonicalKVCaches, group: int) -> None:
        refs = kv_caches.group_data_refs[group]
        tensors = [kv_caches.tensors[ref.tensor_idx].tensor for ref in refs]
        self._bases = numpy.array([tensor.data_ptr() for tensor in tensors], numpy.uint64)
        self._strides = numpy.array(
            [tensor.stride(0) * tensor.element_size() for tensor in tensors], numpy.uint64)
        self._sizes = numpy.array([ref.page_size_bytes for ref in refs], numpy.uint64)
        self._blocks = min(tensor.shape[0] for tensor in tensors)

    def pieces(self, block_ids: numpy.ndarray[Any, Any]) -> numpy.ndarray[Any, Any]:
        """uint64[blocks][tensors][2]: address, bytes."""
        ids = block_ids.astype(numpy.uint64)
        if len(ids) and int(ids.max()) >= self._blocks:
            raise ValueError(f"vLLM has no block {ids.max()}")
        pieces = numpy.empty((len(ids), len(self._sizes), 2), numpy.uint64)
        pieces[..., 0] = self._bases + ids[:, None] * self._strides
        pieces[..., 1] = self._sizes
        return pieces


def _copies(kv_caches: CanonicalKVCaches,
            attach: Callable[..., Attachment]) -> tuple[Copies, Attachment]:
    """For where the engine's memory is. A thread of the driver is one more user of the client."""
    tensor = kv_caches.tensors[0].tensor
    if tensor.device.type == "cpu":
        attachment = attach(threads=4)
        return HostCopies(attachment), attachment
    import torch  # vLLM's own

    if tensor.device.type != "cuda" or torch.version.cuda is None:
        raise ValueError(f"Cistern knows no memory of the kind {tensor.device}")
    properties = torch.cuda.get_device_properties(tensor.device)
    copies = StreamCopies(torch, f"GPU-{properties.uuid}")
    attachment = attach(threads=4, late_writes=True, prepare=copies.prepare)
    copies.attach(attachment)
    return copies, attachment


class CisternWorker(OffloadingWorker):
    """attach: makes the client of this worker's blocks; None: there is no cache, every load
    fails and every store is dropped.

    failures_are_told: a load that failed is a success for vLLM's books, and is told by
    take_loads() to whoever set this. Otherwise it is a failure, at which vLLM stops.
    """

    def __init__(self, kv_caches: CanonicalKVCaches,
                 attach: Callable[..., Attachment] | None) -> None:
        self.failures_are_told = False
        self._kv_caches = kv_caches  # whose memory the pages are
        self._pages = [_Pages(kv_caches, group) for group in range(len(kv_caches.group_data_refs))]
        self._copies: Copies | None = None
        self._attachment: Attachment | None = None
        if attach is not None:
            self._copies, self._attachment = _copies(kv_caches, attach)
        self._loads: set[int] = set()  # under way
        self._refused: list[TransferResult] = []
        self._failed_loads: set[int] = set()
        self._done_loads: set[int] = set()

    def submit_store(self, job_id: int, src_spec: GPULoadStoreSpec,
                     dst_spec: LoadStoreSpec) -> bool:
        parts = self._parts(dst_spec, src_spec)
        if self._copies is None or parts is None:
            self._refused.append(TransferResult(job_id, success=True))  # a miss, later
        else:
            self._copies.store(job_id, parts)
        return True

    def submit_load(self, job_id: int, src_spec: LoadStoreSpec, dst_spec: GPULoadStoreSpec,
                    expedited: bool = False) -> bool:
        parts = self._parts(src_spec, dst_spec)
        self._loads.add(job_id)
        if self._copies is None or parts is None:
            self._refused.append(TransferResult(job_id, success=False))
        else:
            self._copies.load(job_id, parts)
        return True

    def get_finished(self) -> list[TransferResult]:
        results, self._refused = self._refused, []
        if self._copies is not None:
            results += [TransferResult(done.job, done.ok, done.nbytes, done.seconds)
                        for done in self._copies.finished()]
        for result in results:
            self._settle(result)
        return results

    def wait(self, job_ids: set[int]) -> None:
        if self._copies is not None:
            self._copies.wait(job_ids)

    def take_loads(self) -> tuple[set[int], set[int]]:
        """Jobs of loads that failed, and of all that are over, since the last call."""
        taken = self._failed_loads, self._done_loads
        self._failed_loads, self._done_loads = set(), set()
        return taken

    def shutdown(self) -> None:
        if self._copies is not None:
            self._copies.close()
        if self._attachment is not None:
            self._attachment.close()

    def _settle(self, result: TransferResult) -> None:
        if result.job_id not in self._loads:
            result.success = True  # what was not stored is not there: no failure
            return
        self._loads.discard(result.job_id)
        self._done_loads.add(result.job_id)
        if not result.success and self.failures_are_told:
            self._failed_loads.add(result.job_id)
            result.success = True

    def _parts(self, spec: LoadStoreSpec, paged: GPULoadStoreSpec) -> list[Part] | None:
        """Runs of blocks that follow each other in a group. None if the two do not agree."""
        assert isinstance(spec, CisternLoadStoreSpec)
        if len(spec.names) != len(paged.block_ids):
            return None
        parts = []
        first = 0
        for pages, size in zip(self._pages, paged.group_sizes):
            end = first + size
            while first < end:
                last = first + 1
                while last < end and spec.parents[last] == spec.names[last - 1]:
                    last += 1
                names = spec.names[first:last]
                parts.append(Part(b"".join(names), len(names[0]), spec.groups[first],
                                  spec.parents[first], pages.pieces(paged.block_ids[first:last])))
                first = last
        return parts
