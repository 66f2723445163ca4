"""sglang: HiCache's storage, in Cistern's pool.

    python -m sglang.launch_server ... --enable-hierarchical-cache --hicache-storage-backend dynamic
        --hicache-storage-backend-extra-config '{"backend_name": "cistern", "interface_v1": 1,
            "module_path": "cistern.engines.sglang", "class_name": "CisternStorage"}'

A page of HiCache is a block of ours; its pieces in the host pool, which SGLang names by address, go
to and from the shared pool in one call. SGLang calls from threads of its own (prefetch, backup),
so here, and here alone, a cold page is waited for.
"""

# mypy: disable-error-code="import, misc, no-any-return"

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy
from sglang.srt.mem_cache.hicache_storage import HiCacheStorage
from sglang.version import __version__ as sglang_version

import cistern
from cistern._client import nanoseconds
from cistern.engines import identity
from cistern.engines.attach import Attachment

logger = logging.getLogger("sglang.cistern")

HASH = 32
FETCH_TIMEOUT_S = 1.0
STORE_PATIENCE_S = 0.05
PINS, THREADS = 4096, 8
SERVER_FACTS = ("revision", "quantization", "dtype", "kv_cache_dtype", "context_length",
                "json_model_override_args", "quantization_param_path", "attention_backend",
                "speculative_algorithm", "speculative_draft_model_path", "rope_scaling")


def name_of(key: str) -> bytes:
    """The digest that a page's key is in text; of any other key, its digest."""
    if len(key) == 2 * HASH:
        try:
            return bytes.fromhex(key)
        except ValueError:
            pass
    return hashlib.sha256(key.encode()).digest()


def _server_facts() -> dict[str, str] | None:
    """How this server was started, as far as it decides what KV is computed."""
    try:
        from sglang.srt.runtime_context import get_server_args
        arguments = get_server_args()
    except Exception as error:  # it is another version's, or no server: SGLang says it in many ways
        logger.debug("Cistern: no server arguments: %r", error)
        return None
    return {name: str(getattr(arguments, name, None)) for name in SERVER_FACTS}


def _seeds_chains() -> bool:
    """Do page hashes carry a request's cache_salt and LoRA? Once they did not, and a page of one
    tenant was another's hit (sglang#37160)."""
    try:
        from sglang.srt.mem_cache.utils import storage_namespace_seed
    except ImportError:
        return False
    return bool(storage_namespace_seed("a", None) != storage_namespace_seed(None, "a"))


class CisternStorage(HiCacheStorage):
    """Options, in the extra config: `socket`, `tenant`, `weights` (what the operator calls the
    model's weights, where the files of a folder cannot tell), `fetch_timeout` (seconds).

    Refuses, with a reason, what it cannot tell apart: then nothing is ever found.
    """

    def __init__(self, storage_config: Any, kwargs: dict[str, Any] | None = None) -> None:
        self._config = storage_config
        self._extra = dict(storage_config.extra_config or {})
        self._fetch_timeout_ns = nanoseconds(
            float(self._extra.get("fetch_timeout", FETCH_TIMEOUT_S)))
        self._attachment: Attachment | None = None

    def register_mem_pool_host(self, mem_pool_host: Any) -> None:
        """The pool says how large a page is, and how it is laid out: now we can attach."""
        super().register_mem_pool_host(mem_pool_host)
        self.close()
        server = _server_facts()
        doubt = None
        if not _seeds_chains():
            doubt = "this SGLang leaves cache_salt and LoRA out of its page hashes; upgrade it"
        elif server is None and not self._extra.get("weights"):
            doubt = "this SGLang does not say how it was started; set \"weights\" in the extra " \
                    "config to what makes its KV cache this one"
        if doubt is not None:
            logger.warning("Cistern: no cache: %s", doubt)
            return
        self._attachment = Attachment(self._space(mem_pool_host, server), logger,
                                      self._extra.get("socket"), pins=PINS, threads=THREADS)

    def register_mem_host_pool_v2(self, host_pool: Any, host_pool_name: Any) -> None:
        """Only models whose whole state is the KV of all tokens: others have more pools."""
        if str(host_pool_name) != "kv":
            raise ValueError(f"Cistern does not keep pools of the kind {host_pool_name}: start "
                             "this model without --hicache-storage-backend")
        super().register_mem_host_pool_v2(host_pool, host_pool_name)

    # Interface v1: pages where they lie in the host pool

    def batch_exists(self, keys: list[str], extra_info: Any = None) -> int:
        """Pages at the start that are there; those on disk are brought up, within fetch_timeout."""
        return self._ask(partial(self._find, keys), 0)

    def batch_get_v1(self, keys: list[str], host_indices: Any,
                     extra_info: Any = None) -> list[bool]:
        pieces = self._pieces(keys, host_indices)
        done = self._ask(partial(self._read, keys, pieces), 0)
        return [True] * done + [False] * (len(keys) - done)

    def batch_set_v1(self, keys: list[str], host_indices: Any,
                     extra_info: Any = None) -> list[bool]:
        """What found no room counts as stored: it might be gone a moment later, too, and SGLang
        would warn of each."""
        prefix = getattr(extra_info, "prefix_keys", None)
        pieces = self._pieces(keys, host_indices)
        self._ask(partial(self._write, keys, prefix[-1] if prefix else None, pieces), 0)
        return [True] * len(keys)

    # The older interface: flat pages in tensors

    def exists(self, key: str) -> bool:
        return self.batch_exists([key]) == 1

    def get(self, key: str, target_location: Any = None, target_sizes: Any = None) -> Any:
        found = self.batch_get([key], [target_location], None)
        return found[0]

    def batch_get(self, keys: list[str], target_locations: Any = None,
                  target_sizes: Any = None) -> list[Any]:
        found: list[Any] = [None] * len(keys)
        if target_locations is not None and all(page is not None for page in target_locations):
            done = self._ask(partial(self._read, keys, self._flat(target_locations)), 0)
            found[:done] = target_locations[:done]
        return found

    def set(self, key: str, value: Any = None, target_location: Any = None,
            target_sizes: Any = None) -> bool:
        return self.batch_set([key], [value])

    def batch_set(self, keys: list[str], values: Any = None, target_locations: Any = None,
                  target_sizes: Any = None) -> bool:
        self._ask(partial(self._write, keys, None,
                          self._flat([value.contiguous() for value in values])), 0)
        return True

    def clear(self) -> None:
        """The pool is not SGLang's alone: what is there stays, and leaves as it grows old."""

    def get_stats(self) -> None:
        return None

    def close(self) -> None:
        attachment, self._attachment = self._attachment, None
        if attachment is not None:
            attachment.close()

    # Inside

    def _ask(self, call: Callable[[cistern.Client], int], otherwise: int) -> int:
        return otherwise if self._attachment is None else self._attachment.ask(call, otherwise)

    @staticmethod
    def _keys(client: cistern.Client, keys: Sequence[str]) -> cistern.Keys:
        return client.keys_from_hashes(b"".join(name_of(key) for key in keys), HASH)

    def _find(self, keys: Sequence[str], client: cistern.Client) -> int:
        names = self._keys(client, keys)
        found = client.match(names)
        if not found.cold:
            return found.hot
        return client._handle.fetch(names[:found.hot + found.cold], self._fetch_timeout_ns)

    def _read(self, keys: Sequence[str], pieces: Any, client: cistern.Client) -> int:
        return client._handle.read_pieces(self._keys(client, keys), pieces, pieces.shape[1])

    def _write(self, keys: Sequence[str], parent: str | None, pieces: Any,
               client: cistern.Client) -> int:
        before = None if parent is None else self._keys(client, [parent])[0]
        return client._handle.write_pieces(self._keys(client, keys), before, pieces,
                                           pieces.shape[1], nanoseconds(STORE_PATIENCE_S))

    def _pieces(self, keys: Sequence[str], host_indices: Any) -> Any:
        """uint64[pages][pieces][2]: address, bytes."""
        addresses, sizes = self.mem_pool_host.get_page_buffer_meta(host_indices)
        if not keys or len(addresses) % len(keys) != 0:
            raise ValueError(f"{len(addresses)} pieces for {len(keys)} pages")
        flat = numpy.array([addresses, sizes], numpy.uint64).T
        return numpy.ascontiguousarray(flat).reshape(len(keys), -1, 2)

    @staticmethod
    def _flat(pages: Sequence[Any]) -> Any:
        if not all(page.is_contiguous() for page in pages):
            raise ValueError("a page in pieces; use interface_v1")
        return numpy.array([[[page.data_ptr(), page.numel() * page.element_size()]]
                            for page in pages], numpy.uint64)

    def _space(self, pool: Any, server: dict[str, str] | None) -> cistern.Namespace:
        config, extra = self._config, self._extra
        tokens = getattr(pool, "logical_page_size", None) or pool.page_size
        first = pool.get_page_buffer_meta(numpy.arange(tokens))[1]
        model = str(config.model_name)
        rank, ranks = (config.dcp_rank, config.dcp_size) if config.is_mla_model else \
            (config.tp_rank, config.tp_size)
        facts = {
            "model": model, "weights": extra.get("weights") or identity.tree(model),
            "server": server, "dtype": str(pool.dtype).removeprefix("torch."),
            "layout": str(pool.layout), "pool": type(pool).__name__,
            "interface": bool(extra.get("interface_v1")),
            "shape": [getattr(pool, name, None) for name in
                      ("layer_num", "start_layer", "end_layer", "head_num", "head_dim",
                       "kv_cache_dim", "page_size")],
            "cp": [config.attn_cp_rank, config.attn_cp_size], "pieces": [int(n) for n in first],
        }
        return identity.space_of(
            "sglang", sglang_version, facts, block_tokens=int(pool.page_size),
            block_bytes=int(sum(first)), rank=rank, ranks=ranks, pp_rank=config.pp_rank,
            pp_size=config.pp_size, tenant=str(extra.get("tenant", "")))
