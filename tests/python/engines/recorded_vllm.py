"""recorded_vllm: the names of vLLM that our adapter derives from or calls, in our own words.

Recorded from vLLM 0.32.0 and 0.33.0: classes, methods and arguments, and of behaviour only what a
scheduler and a worker of one process need. test_vllm compares it with vLLM's own where that is
installed, and then uses that.
"""

import dataclasses
import enum
import logging
import types
from typing import Any, NamedTuple

import numpy

import stand_in

RECORDED = "0.33.0"


class LookupResult(enum.Enum):
    MISS = 1
    HIT = 2
    HIT_PENDING = 3
    RETRY = 4


class Medium(enum.Enum):
    CPU = "CPU"
    STORAGE = "STORAGE"


class CacheHitSource(str, enum.Enum):
    HOST = "host"
    DISK = "disk"
    EXTERNAL_UNSPECIFIED = "external_unspecified"


class KVConnectorRole(enum.Enum):
    SCHEDULER = 0
    WORKER = 1


class LoadStoreSpec:
    pass


class GPULoadStoreSpec(LoadStoreSpec):
    def __init__(self, block_ids, group_sizes, block_indices):
        self.block_ids = numpy.array(block_ids, dtype=numpy.int32)
        self.group_sizes = group_sizes
        self.block_indices = block_indices


@dataclasses.dataclass
class ReqContext:
    req_id: str
    kv_transfer_params: Any = None


@dataclasses.dataclass
class RequestOffloadingContext:
    policy: Any = None


class ScheduleEndContext(NamedTuple):
    new_req_ids: Any
    preempted_req_ids: Any


@dataclasses.dataclass
class PrepareStoreOutput:
    keys_to_store: list
    store_spec: LoadStoreSpec
    evicted_keys: list


@dataclasses.dataclass
class OffloadingEvent:
    keys: list
    medium: Medium
    removed: bool


@dataclasses.dataclass
class TransferResult:
    job_id: int
    success: bool
    transfer_size: Any = None
    transfer_time: Any = None


@dataclasses.dataclass
class CanonicalKVCacheTensor:
    tensor: Any
    page_size_bytes: int


@dataclasses.dataclass
class CanonicalKVCacheRef:
    tensor_idx: int
    page_size_bytes: int


@dataclasses.dataclass
class CanonicalKVCaches:
    tensors: list
    group_data_refs: list


@dataclasses.dataclass(frozen=True)
class OffloadingCounterMetadata:
    documentation: str


@dataclasses.dataclass(frozen=True)
class OffloadingGaugeMetadata:
    documentation: str


@dataclasses.dataclass
class KVConnectorTransferResults:
    finished_sending: set = dataclasses.field(default_factory=set)
    finished_recving: set = dataclasses.field(default_factory=set)
    failed_recving: set = dataclasses.field(default_factory=set)


OffloadKey = bytes


def get_offload_block_hash(key):
    return key[:-4]


def get_offload_group_idx(key):
    return int.from_bytes(key[-4:], "big")


def make_offload_key(block_hash, group_idx):
    return block_hash + group_idx.to_bytes(4, "big")


class OffloadingManager:
    def lookup(self, key, req_context): ...
    def get_load_source(self, key, req_context): ...
    def prepare_load(self, keys, req_context): ...
    def touch(self, keys, req_context): ...
    def complete_load(self, keys, req_context): ...
    def prepare_store(self, keys, req_context): ...
    def complete_store(self, keys, req_context, success=True): ...
    def on_new_request(self, req_context): ...
    def on_request_finished(self, req_context): ...
    def take_events(self): ...
    def on_schedule_end(self, context): ...
    def has_pending_work(self): ...
    def reset_cache(self): ...
    def get_stats(self): ...
    def shutdown(self): ...


class OffloadingWorker:
    def submit_store(self, job_id, src_spec, dst_spec): ...
    def submit_load(self, job_id, src_spec, dst_spec): ...
    def get_finished(self): ...
    def wait(self, job_ids): ...
    def shutdown(self): ...


class OffloadingSpec:
    def __init__(self, config):
        self.config = config
        self.extra_config = config.extra_config
        self.replicated_layout = False
        self.kv_events_config = types.SimpleNamespace(
            enable_kv_cache_events=config.enable_kv_cache_events)
        self.tokens_per_hash = config.cache.tokens_per_hash
        self.blocks_per_chunk = config.cache.blocks_per_chunk

    def get_manager(self): ...
    def get_worker(self, kv_caches): ...


class OffloadingConnectorStats:
    """Counters and gauges by name."""

    def __init__(self):
        self.values = {}

    def is_empty(self):
        return not self.values

    def increase_counter(self, counter_name, counter_increase_value=1, labelvalues=()):
        self.values[counter_name] = self.values.get(counter_name, 0) + counter_increase_value

    def set_gauge(self, gauge_name, gauge_value, labelvalues=()):
        self.values[gauge_name] = gauge_value


class OffloadingConnector:
    """Keeps no books: the scheduler's and worker's halves are given by the test."""

    def __init__(self, vllm_config, role, kv_cache_config):
        self._kv_transfer_config = vllm_config.kv_transfer_config
        self._connector_metadata = None
        self.connector_scheduler = self.connector_worker = None

    @property
    def scheduler(self):
        return self.connector_scheduler

    def on_new_request(self, request): ...
    def update_connector_output(self, connector_output): ...
    def register_kv_caches(self, kv_caches): ...

    def start_load_kv(self, forward_context, **kwargs):
        for job, entry in self._connector_metadata.load_jobs.items():
            self.connector_worker.worker.submit_load(job, entry.src_spec, entry.dst_spec)

    def get_finished(self, finished_req_ids):
        results = self.connector_worker.worker.get_finished()
        assert all(result.success for result in results)  # as vLLM's own does
        return set(), set()

    def get_transfer_results(self, finished_req_ids):
        sent, received = self.get_finished(finished_req_ids)
        return KVConnectorTransferResults(sent, received)

    def get_block_ids_with_load_errors(self): ...


def init_logger(name):
    return logging.getLogger(name)


__version__ = RECORDED

CONNECTOR = "vllm.distributed.kv_transfer.kv_connector.v1"
NAMES = {
    "vllm.version": ["__version__"],
    "vllm.logger": ["init_logger"],
    "vllm.v1.metrics.cache_hit_source": ["CacheHitSource"],
    "vllm.v1.kv_offload.base": [
        "CanonicalKVCacheRef", "CanonicalKVCacheTensor", "CanonicalKVCaches", "GPULoadStoreSpec",
        "LoadStoreSpec", "LookupResult", "Medium", "OffloadKey", "OffloadingCounterMetadata",
        "OffloadingEvent", "OffloadingGaugeMetadata", "OffloadingManager", "OffloadingSpec",
        "OffloadingWorker", "PrepareStoreOutput", "ReqContext", "RequestOffloadingContext",
        "ScheduleEndContext", "TransferResult", "get_offload_block_hash", "get_offload_group_idx",
        "make_offload_key"],
    CONNECTOR + ".base": ["KVConnectorRole", "KVConnectorTransferResults"],
    CONNECTOR + ".offloading.metrics": ["OffloadingConnectorStats"],
    CONNECTOR + ".offloading_connector": ["OffloadingConnector"],
}


def install():
    """Stand in for vLLM in this process, which has none."""
    stand_in.install(globals(), NAMES)
