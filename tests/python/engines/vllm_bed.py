"""vllm_bed: an engine's paged memory, a scheduler's and its workers' halves, and a sidecar.

On vLLM's own classes where it is installed, else on what is recorded of them (recorded_vllm.py).
"""

import contextlib
import ctypes
import importlib.util
import os
import pickle
import sys
import threading
import types
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, os.pardir)]

import bed

if importlib.util.find_spec("numpy") is None:
    print("skipped: NumPy is not installed; apt-get install python3-numpy")
    sys.exit(bed.SKIP)

import recorded_vllm

REAL = importlib.util.find_spec("vllm") is not None
if not REAL:
    recorded_vllm.install()

from vllm.v1.kv_offload import base as offload

from cistern.engines.vllm import identity
from cistern.engines.vllm.medium import CisternLoadStoreSpec
from cistern.engines.vllm.spec import CisternOffloadingSpec, Known

LAYERS, PAGE, BLOCKS = 3, 8192, 32
BLOCK = LAYERS * PAGE
HIT, MISS = offload.LookupResult.HIT, offload.LookupResult.MISS


class Tensor:
    """Of a torch tensor of bytes, [blocks][page], what the worker asks for; pages lie apart."""

    def __init__(self):
        self.room = ctypes.create_string_buffer(BLOCKS * 2 * PAGE)
        self.shape = (BLOCKS, PAGE)
        self.device = types.SimpleNamespace(type="cpu")

    def data_ptr(self):
        return ctypes.addressof(self.room)

    def stride(self, _dimension):
        return 2 * PAGE

    def element_size(self):
        return 1

    def page(self, block):
        return self.room.raw[block * 2 * PAGE:][:PAGE]

    def fill(self, block, data):
        ctypes.memmove(self.data_ptr() + block * 2 * PAGE, data, PAGE)


class Paged:
    """An engine's paged memory: three layers; group 0 has all of them, group 1 the last two."""

    def __init__(self):
        self.tensors = [Tensor() for _ in range(LAYERS)]
        refs = [offload.CanonicalKVCacheRef(layer, PAGE) for layer in range(LAYERS)]
        self.caches = offload.CanonicalKVCaches(
            [offload.CanonicalKVCacheTensor(tensor, PAGE) for tensor in self.tensors],
            [refs, refs[1:]])

    def fill(self, blocks):
        for block in blocks:
            for tensor in self.tensors:
                tensor.fill(block, os.urandom(PAGE))

    def block(self, number, layers=LAYERS):
        return [tensor.page(number) for tensor in self.tensors[-layers:]]


def config_of(sidecar, extra=None, ranks=1, rank=0, events=False, chunk=1, replicated=False):
    """An OffloadingConfig, as far as the spec reads it."""
    group = types.SimpleNamespace(tokens_per_block=16, layer_names=("a", "b", "c"), group_id=0)
    return types.SimpleNamespace(
        groups=(group,), worker_kv_bytes_per_block=BLOCK, enable_kv_cache_events=events,
        extra_config={"socket": sidecar.socket, **(extra or {})}, engine_id="engine-1",
        model=types.SimpleNamespace(name="tiny", dtype="float16"),
        cache=types.SimpleNamespace(tokens_per_hash=16, blocks_per_chunk=chunk),
        parallel=types.SimpleNamespace(rank=rank, world_size=ranks, tp_size=ranks, pp_size=1,
                                       pcp_size=1, dcp_size=1),
        replicated_layout=replicated, canonical_layout=False, kv_cache_layout="LBHNC")


def spec_of(sidecar, known=None, **options):
    config = config_of(sidecar, **options)
    config.extra_config[identity.KEY] = known or Known({"version": "1", "model": "tiny"}, None)
    return CisternOffloadingSpec(config)


def keys_of(count, group=0):
    return [offload.make_offload_key(os.urandom(32), group) for _ in range(count)]


class Case(unittest.TestCase):
    flags = ()

    def setUp(self):
        os.environ["PYTHONHASHSEED"] = "0"
        self.sidecar = bed.Sidecar(*self.flags)
        self.addCleanup(self.sidecar.close)
        self.context = offload.ReqContext("request-1")

    def manager(self, **options):
        manager = spec_of(self.sidecar, **options).get_manager()
        self.addCleanup(manager.shutdown)
        return manager

    def worker(self, paged, **options):
        worker = spec_of(self.sidecar, **options).get_worker(paged.caches)
        self.addCleanup(worker.shutdown)
        return worker

    def finish(self, worker, job):
        worker.wait({job})
        [result] = worker.get_finished()
        self.assertEqual(result.job_id, job)
        return result.success

    def paged(self, blocks):
        return offload.GPULoadStoreSpec(blocks, [len(blocks), 0], [0, 0])

    def store(self, manager, workers, keys, blocks, context=None):
        """All that vLLM does for a store. Returns the keys that were to be stored."""
        context = context or self.context
        output = manager.prepare_store(keys, context)
        for worker in workers:
            sent = pickle.loads(pickle.dumps(output.store_spec))
            chosen = [block for key, block in zip(keys, blocks) if key in output.keys_to_store]
            worker.submit_store(1, self.paged(chosen), sent)
            self.finish(worker, 1)
        bed.until(lambda: not output.keys_to_store or
                  manager.lookup(output.keys_to_store[-1], context) is not MISS, "the blocks")
        manager.complete_store(set(output.keys_to_store), context)
        return output.keys_to_store

    @contextlib.contextmanager
    def flood(self):
        """Other requests store as fast as they can."""
        worker = self.worker(Paged())
        stop = threading.Event()

        def store():
            while not stop.is_set():
                keys = keys_of(BLOCKS)
                output = CisternLoadStoreSpec(list(map(offload.get_offload_block_hash, keys)),
                                                   [0] * BLOCKS, [None] * BLOCKS)
                worker.submit_store(1, self.paged(list(range(BLOCKS))), output)
                self.finish(worker, 1)
        thread = threading.Thread(target=store)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def load(self, manager, worker, keys, blocks):
        sent = pickle.loads(pickle.dumps(manager.prepare_load(keys, self.context)))
        worker.submit_load(2, sent, self.paged(blocks))
        done = self.finish(worker, 2)
        manager.complete_load(set(keys), self.context)
        return done
