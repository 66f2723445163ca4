"""HiCache's storage in our pool: pages of host pools of every layout, with the real sidecar.

On SGLang's own classes where it is installed, else on what is recorded of them. The host pools are
the test's: memory, and the addresses that a pool of that layout gives.
"""

import ctypes
import importlib
import importlib.util
import inspect
import os
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

import recorded_sglang

REAL = importlib.util.find_spec("sglang") is not None
if not REAL:
    recorded_sglang.install()

from sglang.srt.mem_cache import hicache_storage, utils

from cistern.engines.sglang import CisternStorage, name_of

LAYERS, PAGE, PAGES, HEAD_BYTES = 3, 4, 16, 64  # HEAD_BYTES: all heads of a token and a layer
TOKENS = PAGE * PAGES
LAYOUTS = ("layer_first", "page_first", "page_first_direct", "page_head")


class HostPool:
    """Memory of a host pool, and where a page's pieces are in it."""

    def __init__(self, layout, kinds=2, dtype="float16"):
        self.layout, self.kinds, self.dtype = layout, kinds, dtype
        self.page_size, self.layer_num, self.head_num, self.head_dim = PAGE, LAYERS, 2, 16
        self.room = ctypes.create_string_buffer(kinds * LAYERS * TOKENS * HEAD_BYTES)

    def get_page_buffer_meta(self, indices):
        addresses, sizes = [], []
        for first in indices.tolist()[::PAGE]:
            for kind, layer in self._pieces():
                at, size = self._piece(first, kind, layer)
                addresses.append(ctypes.addressof(self.room) + at)
                sizes.append(size)
        return addresses, sizes

    def _pieces(self):
        if self.layout == "layer_first":
            return [(kind, layer) for layer in range(LAYERS) for kind in range(self.kinds)]
        return [(kind, None) for kind in range(self.kinds)]

    def _piece(self, token, kind, layer):
        whole = kind * LAYERS * TOKENS * HEAD_BYTES
        if layer is None:
            return whole + token * LAYERS * HEAD_BYTES, PAGE * LAYERS * HEAD_BYTES
        return whole + (layer * TOKENS + token) * HEAD_BYTES, PAGE * HEAD_BYTES

    def fill(self):
        self.room.raw = os.urandom(len(self.room.raw))

    def page(self, index):
        addresses, sizes = self.get_page_buffer_meta(indices_of([index]))
        return b"".join(ctypes.string_at(*piece) for piece in zip(addresses, sizes))


class Indices(list):
    """Of a tensor of indices, what a pool asks for."""

    def tolist(self):
        return list(self)


def indices_of(pages):
    return Indices(page * PAGE + token for page in pages for token in range(PAGE))


def keys_of(count):
    return [os.urandom(32).hex() for _ in range(count)]


class Case(bed.WithSidecar):
    def storage(self, pool, rank=0, ranks=1, mla=False, **extra):
        config = hicache_storage.HiCacheStorageConfig(
            tp_rank=rank, tp_size=ranks, pp_rank=0, pp_size=1, attn_cp_rank=0, attn_cp_size=1,
            is_mla_model=mla, enable_storage_metrics=False, is_page_first_layout=False,
            model_name="tiny", extra_config={"socket": self.sidecar.socket, "interface_v1": 1,
                                             "weights": "tiny@1", **extra})
        storage = CisternStorage(config, {})
        storage.register_mem_pool_host(pool)
        self.addCleanup(storage.close)
        return storage

    def filled(self, layout="layer_first", **options):
        pool = HostPool(layout, **options)
        pool.fill()
        return pool

    def put(self, storage, keys, pages, prefix=None):
        extra = hicache_storage.HiCacheStorageExtraInfo(prefix_keys=prefix)
        self.assertEqual(storage.batch_set_v1(keys, indices_of(pages), extra), [True] * len(keys))
        bed.until(lambda: storage.batch_exists(keys) == len(keys), "the pages")


class Pages(Case):
    def test_pages_come_back_in_every_layout(self):
        for layout in LAYOUTS:
            with self.subTest(layout):
                there, here = self.filled(layout), HostPool(layout)
                keys = keys_of(3)
                self.put(self.storage(there), keys, [5, 0, 9])
                self.assertEqual(self.storage(here).batch_get_v1(keys, indices_of([1, 2, 3])),
                                 [True] * 3)
                self.assertEqual([here.page(page) for page in (1, 2, 3)],
                                 [there.page(page) for page in (5, 0, 9)])
                self.assertEqual(here.page(0), bytes(len(here.page(0))))

    def test_a_page_of_one_kind_comes_back(self):
        there, here = self.filled(kinds=1), HostPool("layer_first", kinds=1)
        keys = keys_of(2)
        self.put(self.storage(there, rank=0, ranks=4, mla=True), keys, [1, 2])
        reader = self.storage(here, rank=3, ranks=4, mla=True)
        self.assertEqual(reader.batch_get_v1(keys, indices_of([7, 8])), [True, True])
        self.assertEqual(here.page(8), there.page(2))

    def test_hits_are_counted_from_the_start(self):
        pool = self.filled()
        storage = self.storage(pool)
        keys = keys_of(5)
        self.put(storage, keys[:2], [0, 1])
        self.put(storage, keys[3:4], [3], prefix=keys[:3])
        self.assertEqual(storage.batch_exists(keys), 2)
        self.assertEqual(storage.batch_get_v1(keys, indices_of(range(5))),
                         [True, True, False, False, False])

    def test_two_threads_put_and_get_at_once(self):
        storage, here = self.storage(self.filled()), HostPool("layer_first")
        reader = self.storage(here)
        rounds = [keys_of(4) for _ in range(40)]
        wrong = []

        def put():
            for keys in rounds:
                storage.batch_set_v1(keys, indices_of([0, 1, 2, 3]))

        def get():
            for keys in rounds:
                count = reader.batch_get_v1(keys, indices_of([4, 5, 6, 7])).count(True)
                pages = [here.page(4 + page) for page in range(count)]
                if pages != [storage.mem_pool_host.page(page) for page in range(count)]:
                    wrong.append(keys)
        threads = [threading.Thread(target=put), threading.Thread(target=get)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_flat_pages_go_the_older_way(self):
        storage = self.storage(self.filled(), interface_v1=0)
        page, room = Flat(os.urandom(LAYERS * PAGE * HEAD_BYTES)), Flat(bytes(768))
        [key] = keys_of(1)
        self.assertFalse(storage.exists(key))
        self.assertTrue(storage.set(key, page))
        bed.until(lambda: storage.exists(key), "the page")
        self.assertIs(storage.get(key, room), room)
        self.assertEqual(room.room.raw, page.room.raw)
        self.assertIsNone(storage.get(keys_of(1)[0], room))


class Flat:
    """Of a flat tensor, what the storage asks for."""

    def __init__(self, data):
        self.room = ctypes.create_string_buffer(data, len(data))

    def contiguous(self):
        return self

    def is_contiguous(self):
        return True

    def data_ptr(self):
        return ctypes.addressof(self.room)

    def numel(self):
        return len(self.room)

    def element_size(self):
        return 1


class Apart(Case):
    def test_what_differs_is_never_found(self):
        keys = keys_of(1)
        pool = self.filled("page_first")
        self.put(self.storage(pool), keys, [0])
        self.assertEqual(self.storage(pool).batch_exists(keys), 1)
        others = {
            "layout": self.storage(HostPool("page_head")),
            "dtype": self.storage(HostPool("page_first", dtype="bfloat16")),
            "weights": self.storage(pool, weights="tiny@2"),
            "tenant": self.storage(pool, tenant="b"),
            "rank": self.storage(pool, rank=1, ranks=2),
            "interface": self.storage(pool, interface_v1=0),
        }
        for name, storage in others.items():
            with self.subTest(name):
                self.assertEqual(storage.batch_exists(keys), 0)

    def test_what_nothing_tells_apart_is_not_kept(self):
        with self.assertLogs("sglang.cistern", "WARNING") as said:
            storage = self.storage(self.filled(), weights=None)
        self.assertIn("weights", said.output[0])
        keys = keys_of(1)
        self.assertEqual(storage.batch_set_v1(keys, indices_of([0])), [True])
        self.assertEqual(storage.batch_exists(keys), 0)

    def test_pools_of_other_kinds_are_refused(self):
        storage = self.storage(self.filled())
        with self.assertRaises(ValueError):
            storage.register_mem_host_pool_v2(self.filled(), "mamba")

    def test_names_of_pages(self):
        key = os.urandom(32).hex()
        self.assertEqual(name_of(key), bytes.fromhex(key))
        for odd in ("x" * 64, key + "_k", ""):
            self.assertEqual(len(name_of(odd)), 32)
            self.assertNotEqual(name_of(odd), name_of(key))

    @unittest.skipUnless(REAL, "SGLang is not installed: its own hashes are not looked at")
    def test_a_tenants_salt_is_in_sglangs_hashes(self):
        hashes = {utils.storage_namespace_seed(key, salt)
                  for key, salt in ((None, None), ("a", None), (None, "a"), ("b", None))}
        self.assertEqual(len(hashes), 4)


class Faults(Case):
    def test_without_a_sidecar_nothing_is_found_and_one_warning_is_said(self):
        sidecar = bed.Sidecar()
        self.addCleanup(sidecar.close)
        storage = self.storage(self.filled(), socket=sidecar.socket)
        keys = keys_of(2)
        self.put(storage, keys, [0, 1])
        with self.assertLogs("sglang.cistern", "WARNING") as said:
            sidecar.kill()
            bed.until(lambda: storage.batch_exists(keys_of(1)) == 0 and
                      not storage._attachment.attached, "the outage")
            for _ in range(20):
                self.assertEqual(storage.batch_set_v1(keys_of(1), indices_of([0])), [True])
                self.assertEqual(storage.batch_get_v1(keys_of(1), indices_of([0])), [False])
        self.assertEqual(len(said.records), 1, said.output)

    def test_pieces_that_do_not_go_with_the_keys_are_refused(self):
        with self.assertRaises(ValueError):
            self.storage(self.filled()).batch_get_v1(keys_of(4), indices_of([0]))


@unittest.skipUnless(REAL, "SGLang is not installed: what is recorded of it is not compared")
class Recorded(Case):
    def test_methods_take_the_same_arguments(self):
        for path, names in recorded_sglang.NAMES.items():
            module = importlib.import_module(path)
            for name in names:
                ours, theirs = getattr(recorded_sglang, name), getattr(module, name)
                for field in getattr(ours, "__dataclass_fields__", {}):
                    self.assertIn(field, theirs.__dataclass_fields__)
                if inspect.isclass(ours):
                    self.compare(ours, theirs)

    def compare(self, ours, theirs):
        for name, method in vars(ours).items():
            if inspect.isfunction(method) and not name.startswith("__"):
                with self.subTest(name):
                    real = list(inspect.signature(getattr(theirs, name)).parameters)
                    self.assertEqual(list(inspect.signature(method).parameters), real)

    def test_sglangs_own_factory_loads_it(self):
        from sglang.srt.mem_cache.storage import StorageBackendFactory
        pool = self.filled()
        config = self.storage(pool)._config
        config.extra_config.update(backend_name="cistern", class_name="CisternStorage",
                                   module_path="cistern.engines.sglang")
        made = StorageBackendFactory.create_backend("dynamic", config, pool)
        self.assertIsInstance(made, CisternStorage)


if __name__ == "__main__":
    bed.main()
