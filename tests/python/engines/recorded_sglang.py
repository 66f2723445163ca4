"""recorded_sglang: the names of SGLang that our storage derives from, in our own words.

Recorded from SGLang 0.5.23. test_sglang compares it with SGLang's own where that is installed, and
then uses that.
"""

import dataclasses
import hashlib
from typing import Any

import stand_in

__version__ = "0.5.23"


@dataclasses.dataclass
class HiCacheStorageConfig:
    tp_rank: int
    tp_size: int
    pp_rank: int
    pp_size: int
    attn_cp_rank: int
    attn_cp_size: int
    is_mla_model: bool
    enable_storage_metrics: bool
    is_page_first_layout: bool
    model_name: Any
    extra_config: Any = None
    dcp_size: int = 1
    dcp_rank: int = 0


@dataclasses.dataclass
class HiCacheStorageExtraInfo:
    prefix_keys: Any = None


class HiCacheStorage:
    def register_mem_pool_host(self, mem_pool_host):
        self.mem_pool_host = mem_pool_host

    def register_mem_host_pool_v2(self, host_pool, host_pool_name): ...
    def batch_exists(self, keys, extra_info=None): ...
    def batch_get_v1(self, keys, host_indices, extra_info=None): ...
    def batch_set_v1(self, keys, host_indices, extra_info=None): ...
    def get(self, key, target_location=None, target_sizes=None): ...
    def batch_get(self, keys, target_locations=None, target_sizes=None): ...
    def set(self, key, value=None, target_location=None, target_sizes=None): ...
    def batch_set(self, keys, values=None, target_locations=None, target_sizes=None): ...
    def exists(self, key): ...
    def clear(self): ...
    def get_stats(self): ...


def storage_namespace_seed(extra_key, cache_salt):
    """Some seed of a page's chain that differs where these two differ."""
    return None if extra_key is None and cache_salt is None else \
        hashlib.sha256(repr((extra_key, cache_salt)).encode()).hexdigest()


def get_server_args():
    raise ValueError("there is no server in this process")


CACHE = "sglang.srt.mem_cache"
NAMES = {
    "sglang.version": ["__version__"],
    CACHE + ".hicache_storage": ["HiCacheStorage", "HiCacheStorageConfig",
                                 "HiCacheStorageExtraInfo"],
    CACHE + ".utils": ["storage_namespace_seed"],
    "sglang.srt.runtime_context": ["get_server_args"],
}


def install():
    """Stand in for SGLang in this process, which has none."""
    stand_in.install(globals(), NAMES)
