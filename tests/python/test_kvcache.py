"""KVCache: the plain cache of a notebook, with sidecars that come, go and lie."""

import os
import subprocess
import sys
import unittest
import unittest.mock
import warnings

import bed
import cistern
from cistern import _blob, _lifeline

ONCE = '''
import sys, builtins
real = builtins.__import__
def no(name, *rest, **more):
    if name.split(".")[0] in ("numpy", "torch"):
        raise ImportError(name)
    return real(name, *rest, **more)
builtins.__import__ = no
import cistern
print(cistern.compute_prefix_hash("a prefix"))
'''


class Prefixes(unittest.TestCase):
    def test_the_package_is_imported_without_numpy_and_torch(self):
        done = subprocess.run([sys.executable, "-c", ONCE], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.strip(), cistern.compute_prefix_hash("a prefix"))

    def test_a_text_and_numbers_have_names_of_their_own(self):
        text = "prefix"
        ids = [ord(letter) for letter in text]
        self.assertNotEqual(cistern.compute_prefix_hash(text), cistern.compute_prefix_hash(ids))
        self.assertEqual(cistern.compute_prefix_hash(ids),
                         cistern.compute_prefix_hash(tuple(ids)))
        self.assertEqual(len({cistern.compute_prefix_hash(text[:i]) for i in range(7)}), 7)

    def test_similarity_is_the_shared_part_of_the_longer_one(self):
        rows = (("abcd", "abcd", 1), ("abcd", "abxx", 0.5), ("ab", "abcd", 0.5),
                ("xbcd", "abcd", 0), ("", "abcd", 0), ("", "", 1), ("ab", [97, 98], 0),
                ([1, 2, 3, 4], [1, 2, 3], 0.75), ("a" * 5000 + "b", "a" * 10002, 5000 / 10002))
        for first, second, wanted in rows:
            self.assertAlmostEqual(cistern.get_prefix_similarity(first, second), wanted)
            self.assertAlmostEqual(cistern.get_prefix_similarity(second, first), wanted)


class WithCache(bed.WithSidecar):
    def setUp(self):
        import numpy
        self.numpy = numpy
        rng = numpy.random.default_rng(3)
        self.k = rng.standard_normal((1, 4, 64, 16)).astype("float32")
        self.v = self.k * 2 + 1
        self.model = os.urandom(8).hex()  # nobody else's entries
        self.prefix = "You are a helpful assistant. " * 40

    def cache(self, **more):
        cache = cistern.KVCache(self.model, self.sidecar.socket,
                                **{"block_bytes": bed.BLOCK, "precision": "float32", **more})
        self.addCleanup(cache.close)
        return cache

    def is_ours(self, entry):
        return (entry.k_tensor == self.k).all() and (entry.v_tensor == self.v).all()


@bed.wants("numpy")
class Entries(WithCache):
    def test_what_one_process_cached_another_one_finds(self):
        def body():
            assert self.cache().cache_kv(self.prefix, 3, self.k, self.v)

        with bed.child(body):
            pass
        cache = self.cache()
        entry = cache.get_cached_kv(self.prefix, 3)
        self.assertTrue(self.is_ours(entry))
        self.assertFalse(entry.is_expired())
        self.assertEqual(entry.precision, "float32")
        entry.k_tensor[...] = 0  # the caller's own copy
        self.assertTrue(self.is_ours(cache.get_cached_kv(self.prefix, 3)))
        for prefix, layer in ((self.prefix, 4), (self.prefix + "!", 3), (self.prefix[:-1], 3)):
            self.assertIsNone(cache.get_cached_kv(prefix, layer))
        self.assertIsNone(self.cache(precision="float16").get_cached_kv(self.prefix, 3))

    def test_an_entry_larger_than_a_block_lies_in_several(self):
        large = self.numpy.random.default_rng(5).standard_normal((4, 400, 64)).astype("float32")
        cache = self.cache()
        self.assertTrue(cache.cache_kv(range(1000), 0, large, -large))
        self.assertGreater(large.nbytes, 4 * bed.BLOCK)
        entry = cache.get_cached_kv(range(1000), 0)
        self.assertTrue((entry.k_tensor == large).all() and (entry.v_tensor == -large).all())

    def test_several_layers_come_back_at_once(self):
        cache = self.cache(precision="int8", compress=True)
        layers = [(i, self.k + i, self.v) for i in range(8)]
        self.assertTrue(cache.cache_layers(self.prefix, layers))
        found = cache.get_cached_layers(self.prefix).layers
        self.assertEqual([layer.layer for layer in found], list(range(8)))
        self.assertLessEqual(abs(found[7].k_tensor - layers[7][1]).max(), found[7].k_error + 1e-6)
        self.assertIsNone(cache.get_cached_kv(self.prefix, 0))

    def test_an_entry_expires_and_can_be_stored_again(self):
        cache = self.cache(ttl=100)
        now = 1_000_000_000.5
        for start in (now, now + 100, now + 200.2, now + 301):
            for at, there in ((0, True), (60, True), (99.4, True), (100, False)):
                with unittest.mock.patch("time.time", lambda at=at: start + at), \
                        unittest.mock.patch("time.time_ns", lambda: int(start * 1e9)):
                    if at == 0:
                        self.assertIsNone(cache.get_cached_kv(self.prefix, 1), start)
                        self.assertTrue(cache.cache_kv(self.prefix, 1, self.k, self.v))
                    entry = cache.get_cached_kv(self.prefix, 1)
                    self.assertEqual(entry is not None, there, (start, at))
        self.assertGreater(cache.stats()["expired"], 0)

    def test_the_limit_lets_go_of_what_was_used_longest_ago(self):
        size = len(cistern.serialize([(0, self.k, self.v)], "float32"))
        cache = self.cache(max_bytes=3 * size)
        for layer in range(3):
            cache.cache_kv(self.prefix, layer, self.k, self.v)
        self.assertIsNotNone(cache.get_cached_kv(self.prefix, 0))
        cache.cache_kv(self.prefix, 3, self.k, self.v)
        self.assertIsNone(cache.get_cached_kv(self.prefix, 1))
        for layer in (0, 2, 3):
            self.assertIsNotNone(cache.get_cached_kv(self.prefix, layer), layer)
        stats = cache.stats()
        self.assertEqual((stats["entries"], stats["bytes"], stats["let_go"]), (3, 3 * size, 1))
        self.assertIsNotNone(self.cache().get_cached_kv(self.prefix, 1))  # the pool still has it
        cache.cache_kv(self.prefix, 1, self.k, self.v)
        self.assertIsNotNone(cache.get_cached_kv(self.prefix, 1))

    def test_the_longest_cached_prefix_is_found(self):
        cache = self.cache()
        text = "".join(chr(97 + i % 26) + str(i) for i in range(300))
        self.assertEqual(cache.longest_cached_prefix(text, 0), 0)
        for length in (5, 128, 300, 777):
            cache.cache_kv(text[:length], 0, self.k, self.v)
        other = self.cache()
        for length, wanted in ((4, 0), (5, 5), (127, 5), (128, 128), (299, 128), (300, 300),
                               (776, 300), (777, 777), (len(text), 777)):
            self.assertEqual(other.longest_cached_prefix(text[:length], 0), wanted, length)
        self.assertEqual(other.longest_cached_prefix(text[:310] + "another way", 0), 300)
        self.assertEqual(other.longest_cached_prefix(text, 1), 0)
        cache.cache_layers(list(range(500)), [(0, self.k, self.v)])
        self.assertEqual(other.longest_cached_prefix(list(range(700))), 500)


@bed.wants("numpy")
class Hostile(WithCache):
    """Other programs write what they like under the cache's own keys."""

    def setUp(self):
        super().setUp()
        self.used = self.cache()
        name = self.used._name(bytes.fromhex(cistern.compute_prefix_hash(self.prefix)), 0, 0)
        self.liar = cistern.Client(self.used._lifeline._spaces[0], self.sidecar.socket)
        self.addCleanup(self.liar.close)
        self.key = self.liar.keys_from_hashes(name, 32)[0]

    def lie(self, data):
        self.liar.put(self.key, data)
        self.liar.flush()
        self.assertEqual(self.liar.get(self.key), data)
        self.assertIsNone(self.used.get_cached_kv(self.prefix, 0))
        self.assertEqual(self.used.stats()["corrupt"], 1)

    def blob(self, prefix, layer=0):
        name = bytes.fromhex(cistern.compute_prefix_hash(prefix))
        return _blob.pack([(layer, self.k, self.v)], "float32", name=name)

    def test_garbage_is_a_miss(self):
        self.lie(os.urandom(5000))

    def test_a_pickle_is_not_opened(self):
        self.lie(b"\x80\x04\x95\x1f\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system")

    def test_the_kv_of_another_prefix_is_a_miss(self):
        self.lie(self.blob("another prefix"))

    def test_the_kv_of_another_layer_is_a_miss(self):
        self.lie(self.blob(self.prefix, 1))

    def test_half_an_entry_is_a_miss(self):
        self.lie(self.blob(self.prefix)[:3000])

    def test_an_entry_that_claims_too_many_parts_is_a_miss(self):
        huge = bytearray(self.blob(self.prefix))
        huge[40:48] = huge[32:40] = (1 << 31).to_bytes(8, "little")
        size = _blob.head_bytes(huge)
        huge[size - 16:size] = _blob.checksum(huge[:size - 16])
        self.lie(bytes(huge))

    def test_a_right_entry_under_this_key_is_found(self):
        """So the misses above are for what they say."""
        self.liar.put(self.key, self.blob(self.prefix))
        self.liar.flush()
        self.assertTrue(self.is_ours(self.used.get_cached_kv(self.prefix, 0)))

    def test_an_entry_of_which_a_part_is_gone_is_a_miss(self):
        large = self.numpy.random.default_rng(5).standard_normal((4, 400, 64)).astype("float32")
        blob = _blob.pack([(0, large, large)], "float32",
                          name=bytes.fromhex(cistern.compute_prefix_hash(self.prefix)))
        self.liar.put(self.key, blob[:bed.BLOCK])
        self.liar.flush()
        self.assertIsNone(self.used.get_cached_kv(self.prefix, 0))


@bed.wants("numpy")
class Gaps(WithCache):
    @classmethod
    def setUpClass(cls):
        """Each test has a sidecar of its own, or none."""

    def test_without_a_sidecar_all_is_a_miss_and_one_warning(self):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            cache = cistern.KVCache(self.model, "/nonexistent/socket")
            for _ in range(20):
                self.assertFalse(cache.cache_kv(self.prefix, 0, self.k, self.v))
                self.assertIsNone(cache.get_cached_kv(self.prefix, 0))
                self.assertEqual(cache.longest_cached_prefix(self.prefix, 0), 0)
        self.assertEqual([warning.category for warning in caught], [cistern.CacheUnavailable])
        self.assertEqual(caught[0].filename, __file__)
        self.assertIn("/nonexistent/socket", str(caught[0].message))

    def test_a_sidecar_that_dies_and_comes_back_is_used_again(self):
        self.sidecar = bed.Sidecar()
        self.addCleanup(self.sidecar.close)
        cache = self.cache()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.assertTrue(cache.cache_kv(self.prefix, 0, self.k, self.v))
            self.sidecar.kill()
            for _ in range(10):
                cache.get_cached_kv(self.prefix, 0)
                cache.cache_kv(self.prefix, 0, self.k, self.v)
            self.sidecar.start()
            bed.until(lambda: cache.cache_kv(self.prefix, 0, self.k, self.v), "the cache")
            self.assertTrue(self.is_ours(cache.get_cached_kv(self.prefix, 0)))
        self.assertEqual(len(caught), 1, [str(warning.message) for warning in caught])
        self.assertEqual(caught[0].filename, __file__)

    def test_a_sidecar_that_comes_later_is_found(self):
        self.sidecar = bed.Sidecar()
        self.addCleanup(self.sidecar.close)
        self.sidecar.kill()
        with warnings.catch_warnings(), unittest.mock.patch.object(_lifeline, "RETRY_S", (0, 0)):
            warnings.simplefilter("ignore")
            cache = self.cache()
            self.assertFalse(cache.cache_kv(self.prefix, 0, self.k, self.v))
            self.sidecar.start()
            bed.until(lambda: cache.cache_kv(self.prefix, 0, self.k, self.v), "the cache")

    def test_a_sidecar_of_another_version_is_as_none(self):
        refuses = cistern.VersionDiffers(-300, "CISTERN_VERSION", "", "upgrade", "version 9 there")
        with unittest.mock.patch.object(_lifeline, "Client", side_effect=refuses), \
                self.assertWarnsRegex(cistern.CacheUnavailable, "version 9 there"):
            cache = cistern.KVCache(self.model)
        self.assertIsNone(cache.get_cached_kv(self.prefix, 0))

    def test_a_forked_child_goes_on_by_itself(self):
        self.sidecar = bed.Sidecar()
        self.addCleanup(self.sidecar.close)
        cache = self.cache()
        cache.cache_kv(self.prefix, 0, self.k, self.v)

        def body():
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert self.is_ours(cache.get_cached_kv(self.prefix, 0))
                assert cache.cache_kv(self.prefix, 1, self.k, self.v)

        with cache._lock, cache._lifeline._lock, bed.child(body):  # as other threads may
            pass
        self.assertTrue(self.is_ours(cache.get_cached_kv(self.prefix, 1)))

    def test_a_closed_cache_is_a_miss(self):
        self.sidecar = bed.Sidecar()
        self.addCleanup(self.sidecar.close)
        with self.cache() as cache:
            cache.cache_kv(self.prefix, 0, self.k, self.v)
        self.assertIsNone(cache.get_cached_kv(self.prefix, 0))
        for wrong in ({"ttl": 0}, {"max_bytes": 0}, {"block_bytes": 1}, {"precision": "int4"}):
            with self.assertRaises(ValueError):
                self.cache(**wrong)


if __name__ == "__main__":
    bed.main()
