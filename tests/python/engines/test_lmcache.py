"""LMCache's native_plugin in our pool, driven by its contract: submit, poll, drain.

Where LMCache is installed its own adapter drives it, too.
"""

import importlib.util
import os
import select
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, os.pardir)]

import bed

if importlib.util.find_spec("numpy") is None:
    print("skipped: NumPy is not installed; apt-get install python3-numpy")
    sys.exit(bed.SKIP)

from cistern.engines.lmcache import CisternPlugin

REAL = importlib.util.find_spec("lmcache") is not None
CHUNK = 48 << 10
METHODS = ("event_fd", "submit_batch_get", "submit_batch_set", "submit_batch_exists",
           "drain_completions", "close")
MEANING = {"dtype": "bfloat16", "layout": "LKNHD", "weights": "tiny@1", "chunk_tokens": 256,
           "chunk_bytes": CHUNK}


def keys_of(count, salt=""):
    return [f"tiny@00010000@0@{os.urandom(32).hex()}" + (f"@{salt}" if salt else "")
            for _ in range(count)]


class Case(bed.WithSidecar):
    def plugin(self, **other):
        plugin = CisternPlugin(**{**MEANING, "socket": self.sidecar.socket, **other})
        self.addCleanup(plugin.close)
        return plugin

    def answer(self, plugin, number):
        """As LMCache does: poll, drain, and find the batch's own number."""
        poller = select.poll()
        poller.register(plugin.event_fd(), select.POLLIN)
        self.assertTrue(poller.poll(bed.PATIENCE_S * 1000), "no answer")
        [(got, ok, error, answers)] = plugin.drain_completions()
        self.assertEqual(got, number)
        self.assertEqual(poller.poll(0), [], "drained, and still readable")
        return ok, error, answers

    def set(self, plugin, keys, data):
        ok, error, answers = self.answer(plugin, plugin.submit_batch_set(keys, data))
        self.assertEqual((ok, error, answers), (True, "", [True] * len(keys)))
        bed.until(lambda: all(self.exists(plugin, keys)), "the chunks")

    def exists(self, plugin, keys):
        return self.answer(plugin, plugin.submit_batch_exists(keys))[2]

    def get(self, plugin, keys, room):
        return self.answer(plugin, plugin.submit_batch_get(keys, room))[2]


class Chunks(Case):
    def test_chunks_come_back_into_the_buffers_that_are_given(self):
        keys, data = keys_of(3), [memoryview(os.urandom(size)) for size in (CHUNK, 100, 4096)]
        self.set(self.plugin(), keys, data)
        room = [memoryview(bytearray(len(chunk))) for chunk in data]
        self.assertEqual(self.get(self.plugin(), keys, room), [True] * 3)
        self.assertEqual(room, data)

    def test_each_key_is_answered_by_itself(self):
        plugin, keys = self.plugin(), keys_of(4)
        self.set(plugin, keys[1:2], [b"1" * 64])
        self.set(plugin, keys[3:], [b"3" * 64])
        self.assertEqual(self.exists(plugin, keys), [False, True, False, True])
        room = [bytearray(64) for _ in keys]
        self.assertEqual(self.get(plugin, keys, room), [False, True, False, True])
        self.assertEqual(room, [bytearray(64), b"1" * 64, bytearray(64), b"3" * 64])

    def test_a_chunk_of_another_length_is_a_miss(self):
        plugin, [key] = self.plugin(), keys_of(1)
        self.set(plugin, [key], [b"a" * 64])
        for size in (63, 65):
            room = bytearray(size)
            self.assertEqual(self.get(plugin, [key], [room]), [False])
            self.assertEqual(room, bytearray(size))

    def test_a_chunk_that_is_too_long_is_not_stored(self):
        plugin, [key] = self.plugin(), keys_of(1)
        [other] = keys_of(1)
        ok, error, answers = self.answer(
            plugin, plugin.submit_batch_set([key, other], [bytes(CHUNK + 1), b"a"]))
        self.assertEqual((ok, error, answers), (True, "", [False, True]))
        self.assertEqual(self.exists(plugin, [key]), [False])

    def test_tenants_and_models_never_share(self):
        plugin, keys = self.plugin(), keys_of(1)
        self.set(plugin, keys, [b"a" * 64])
        self.assertEqual(self.exists(plugin, [keys[0] + "@salt"]), [False])
        for change in ({"dtype": "float16"}, {"layout": "KLNHD"}, {"weights": "tiny@2"},
                       {"chunk_tokens": 128}, {"tenant": "b"}):
            with self.subTest(**change):
                other = self.plugin(**change)
                self.assertTrue(other._attachment.attached, "both have their cache")
                self.assertEqual(self.exists(other, keys), [False])

    def test_what_the_bytes_mean_must_be_said(self):
        for name in ("dtype", "layout", "weights"):
            with self.assertRaises(ValueError):
                self.plugin(**{name: ""})
        with self.assertRaises(TypeError):
            CisternPlugin(chunk_tokens=256, chunk_bytes=CHUNK)

    def test_many_batches_are_all_answered(self):
        plugin, keys = self.plugin(), keys_of(64)
        numbers = {plugin.submit_batch_set([key], [b"x" * 64]) for key in keys}
        answered = set()

        def drain():
            answered.update(number for number, *_ in plugin.drain_completions())
            return answered == numbers
        bed.until(drain, "all answers")


class Faults(Case):
    def test_without_a_sidecar_every_batch_is_answered_and_one_warning_is_said(self):
        sidecar = bed.Sidecar()
        self.addCleanup(sidecar.close)
        plugin, keys = self.plugin(socket=sidecar.socket), keys_of(2)
        with self.assertLogs("lmcache.cistern", "WARNING") as said:
            sidecar.kill()
            for _ in range(20):
                ok, error, answers = self.answer(
                    plugin, plugin.submit_batch_set(keys, [b"a", b"b"]))
                self.assertEqual((ok, answers), (False, [False, False]))
                self.assertNotEqual(error, "")
            self.assertEqual(self.exists(plugin, keys), [False, False])
            self.assertEqual(self.get(plugin, keys, [bytearray(1)] * 2), [False, False])
        self.assertEqual(len(said.records), 1, said.output)

    def test_a_buffer_that_is_none_is_answered(self):
        plugin = self.plugin()
        with self.assertLogs("lmcache.cistern", "WARNING"):
            ok, _, answers = self.answer(plugin, plugin.submit_batch_get(keys_of(1), [None]))
        self.assertEqual((ok, answers), (False, [False]))

    def test_closing_twice_does_nothing(self):
        plugin = self.plugin()
        plugin.close()
        plugin.close()


class Contract(Case):
    def test_it_has_the_calls_that_lmcache_looks_for(self):
        plugin = self.plugin()
        for name in METHODS:
            self.assertTrue(callable(getattr(plugin, name)))
        self.assertFalse(hasattr(plugin, "submit_batch_delete"), "we cannot delete")

    @unittest.skipUnless(REAL, "LMCache is not installed: its own adapter did not drive this")
    def test_lmcaches_own_adapter_drives_it(self):
        import torch
        from lmcache.v1.distributed.api import ObjectKey
        from lmcache.v1.distributed.l2_adapters import native_plugin_l2_adapter as native

        config = native.NativePluginL2AdapterConfig.from_dict(
            {"module_path": "cistern.engines.lmcache", "class_name": "CisternPlugin",
             "adapter_params": {**MEANING, "socket": self.sidecar.socket}})
        adapter = native._create_native_plugin_l2_adapter(config)
        self.addCleanup(adapter.close)

        class Object:
            """Of a MemoryObj, what a load or store of it reads."""

            def __init__(self, data):
                self.tensor = torch.frombuffer(bytearray(data), dtype=torch.uint8)
                self.byte_array = memoryview(self.tensor.numpy())

        keys = [ObjectKey(chunk_hash=os.urandom(32), model_name="tiny", kv_rank=1 << 24,
                          cache_salt=salt) for salt in ("", "tenant")]
        data = [Object(os.urandom(CHUNK)), Object(os.urandom(CHUNK))]
        task = adapter.submit_store_task(keys, data)
        stored = {}
        bed.until(lambda: stored.update(adapter.pop_completed_store_tasks()) or task in stored,
                  "the store")
        room = [Object(bytes(CHUNK)), Object(bytes(CHUNK))]
        lookup = adapter.submit_lookup_and_lock_task(keys, {})
        found = []
        bed.until(lambda: found.append(adapter.query_lookup_and_lock_result(lookup)) or
                  found[-1] is not None, "the lookup")
        self.assertEqual(found[-1].popcount(), 2)
        load = adapter.submit_load_task(keys, room)
        bed.until(lambda: found.append(adapter.query_load_result(load)) or
                  found[-1] is not None, "the load")
        self.assertEqual(found[-1].popcount(), 2)
        for ours, theirs in zip(room, data):
            self.assertEqual(bytes(ours.byte_array), bytes(theirs.byte_array))


if __name__ == "__main__":
    bed.main()
