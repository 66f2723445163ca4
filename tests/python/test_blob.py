"""Blobs of K and V: what goes in comes out, and nothing else is taken for one."""

import random
import struct
import unittest

import bed
import cistern
from cistern import _blob, _precision
from cistern._cistern import checksum


def seeded():
    import os
    seed = int(os.environ.get("CISTERN_SEED", "0"), 0) or random.randrange(1 << 32)
    print(f"seed {seed:#x}", flush=True)
    return random.Random(seed)


@bed.wants("numpy")
class Blobs(unittest.TestCase):
    def setUp(self):
        import numpy
        self.numpy = numpy
        self.k = numpy.random.default_rng(7).standard_normal((1, 4, 50, 8)).astype("float32")
        self.v = self.k[:, :2] * 3

    def there_and_back(self, array, precision, compress=False):
        [layer] = cistern.deserialize(cistern.serialize([(5, array, array)], precision, compress))
        self.assertEqual((layer.layer, layer.k_tensor.shape), (5, array.shape))
        return layer

    def test_float32_comes_back_to_the_bit(self):
        self.k[0, 0, 0, :3] = [self.numpy.inf, -self.numpy.inf, self.numpy.nan]
        for compress in (False, True):
            layer = self.there_and_back(self.k, "float32", compress)
            self.assertEqual(layer.k_tensor.tobytes(), self.k.tobytes())
            self.assertEqual(layer.k_error, 0)

    def test_what_is_lost_is_told_and_no_more_than_that(self):
        for precision, most in (("float16", 2 ** -11 * 4), ("bfloat16", 2 ** -9 * 4),
                                ("int8", self.numpy.abs(self.k).max() / 127 / 2 * 1.001)):
            layer = self.there_and_back(self.k, precision)
            error = float(self.numpy.abs(layer.k_tensor - self.k).max())
            self.assertEqual(layer.precision, precision)
            self.assertAlmostEqual(layer.k_error, error, 6)
            self.assertGreater(error, 0)
            self.assertLessEqual(error, most)
            self.assertEqual(layer.k_tensor.dtype, "float32")

    def test_int8_scales_each_channel_by_itself(self):
        self.k[..., 3] *= 1000
        layer = self.there_and_back(self.k, "int8")
        quiet = self.numpy.abs(layer.k_tensor - self.k)[..., :3].max()
        self.assertLess(quiet, 0.03)

    def test_bfloat16_rounds_to_the_nearest_and_to_even(self):
        bits = [0x3f800000, 0x3f808000, 0x3f818000, 0x3f80ffff, 0x7f800000, 0x7f800001, 0xff7f0000]
        row = self.numpy.array(bits, "uint32").view("float32")
        got = self.numpy.array([f"{x:#x}" for x in _precision._narrow(row)]).tolist()
        self.assertEqual(got, ["0x3f80", "0x3f80", "0x3f82", "0x3f81", "0x7f80", "0x7fc0",
                               "0xff7f"])

    def test_no_number_gets_more_bytes_than_it_had(self):
        half = self.k.astype("float16")
        layer = self.there_and_back(half, "float32")
        self.assertEqual((layer.precision, layer.k_tensor.dtype), ("float16", "float16"))
        self.assertEqual(layer.k_tensor.tobytes(), half.tobytes())
        double = self.k.astype("float64")
        self.assertEqual(self.there_and_back(double, "float32").k_tensor.dtype, "float64")

    def test_what_the_precision_cannot_hold_is_refused(self):
        self.k[0, 0, 0, 0] = 70000
        with self.assertRaisesRegex(ValueError, "bfloat16"):
            cistern.serialize([(0, self.k, self.v)], "float16")
        self.there_and_back(self.k, "bfloat16")
        self.k[0, 0, 0, 0] = self.numpy.nan
        with self.assertRaises(ValueError):
            cistern.serialize([(0, self.k, self.v)], "int8")
        for wrong in (self.numpy.ones((2, 2), "int32"), "text", [[1, 2]]):
            with self.assertRaises(TypeError):
                cistern.serialize([(0, wrong, self.v)])
        with self.assertRaises(ValueError):
            cistern.serialize([(0, self.k[:0], self.v)])
        with self.assertRaises(ValueError):
            cistern.serialize([], "float16")
        with self.assertRaises(ValueError):
            cistern.serialize([(0, self.k, self.v)], "float8")

    def test_compression_is_kept_where_it_saves_something(self):
        smooth = self.numpy.zeros((1, 4, 500, 8), "float32") + 1.5
        self.assertLess(len(cistern.serialize([(0, smooth, smooth)], "float16", True)),
                        smooth.size * 2 / 10)
        bits = self.numpy.random.default_rng(1).integers(0, 1 << 16, (2, 64, 64)).astype("uint16")
        noise = self.numpy.where((bits & 0x7c00) == 0x7c00, bits ^ 0x0400, bits).view("float16")
        plain = cistern.serialize([(0, *noise)], "float16")
        self.assertEqual(len(cistern.serialize([(0, *noise)], "float16", True)), len(plain))

    def test_several_layers_are_one_blob(self):
        blob = cistern.serialize([(i, self.k + i, self.v - i) for i in range(5)], "float32", True)
        layers = cistern.deserialize(blob)
        self.assertEqual([layer.layer for layer in layers], list(range(5)))
        self.assertTrue((layers[3].k_tensor == self.k + 3).all())
        self.assertTrue((layers[4].v_tensor == self.v - 4).all())

    def test_a_byte_that_changed_anywhere_is_found(self):
        rng = seeded()
        for compress in (False, True):
            blob = bytearray(cistern.serialize([(0, self.k * 0 + 1, self.v)], "int8", compress))
            head = _blob.read_head(blob)
            checked = [at for at in range(len(blob))
                       if at < head.bytes - 64 or at >= head.bytes]  # not the padding between
            for at in rng.sample(checked, 400):
                bit = 1 << rng.randrange(8)
                blob[at] ^= bit
                with self.assertRaises(cistern.BadBlob, msg=at):
                    cistern.deserialize(blob)
                blob[at] ^= bit
            for length in (0, 1, 100, head.bytes, len(blob) - 1):
                with self.assertRaises(cistern.BadBlob):
                    cistern.deserialize(blob[:length])
            with self.assertRaises(cistern.BadBlob):
                cistern.deserialize(blob + b"\0")
            cistern.deserialize(blob)

    def sealed(self, blob, where, value):
        """The blob with another value in its header, and right checksums: a writer who lies."""
        size = _blob.head_bytes(blob)
        struct.pack_into("<" + where[1], blob, where[0], value)
        blob[size - 16:size] = checksum(blob[:size - 16])
        return blob

    def test_a_header_that_lies_under_a_right_checksum_is_refused(self):
        numbers = {"flags": (10, "H", (4, 0xffff)), "expires": (24, "Q", ()),
                   "stored": (32, "Q", (0, 1, 1 << 63, (1 << 64) - 1)),
                   "raw": (40, "Q", (0, 64, 1 << 62, (1 << 64) - 1)),
                   "k precision": (100, "B", (0, 1, 4, 5, 255)), "v source": (103, "B", (4, 9)),
                   "k dimensions": (104, "B", (0, 9, 255)),
                   "k shape": (116, "Q", (0, 2, 1 << 40, 1 << 63, (1 << 64) - 1)),
                   "v shape": (180 + 8, "Q", (0, 4, 1 << 61))}
        self.assertEqual((_blob.HEADER.size, _blob.RECORD.size), (96, 148))
        for name, (at, kind, values) in numbers.items():
            for value in values:
                blob = bytearray(cistern.serialize([(0, self.k, self.v)], "float16"))
                with self.assertRaises(cistern.BadBlob, msg=(name, value)):
                    cistern.deserialize(self.sealed(blob, (at, kind), value))

    def test_lies_that_agree_with_each_other_are_refused_by_their_size(self):
        blob = bytearray(cistern.serialize([(0, self.k * 0, self.v * 0)], "float16", True))
        self.assertTrue(_blob.read_head(blob).flags & _blob.COMPRESSED)
        numbers = _blob.RECORD.unpack_from(blob, _blob.HEADER.size)
        v_bytes = sum(_blob._padded(size) for size, _ in _blob._pieces(numbers)[2:])
        for ndim, shape, claimed in ((1, 1 << 40, 1 << 41), (0, 1, _blob.ALIGN)):
            self.sealed(blob, (104, "B"), ndim)
            self.sealed(blob, (116, "Q"), shape)
            self.sealed(blob, (40, "Q"), claimed + v_bytes)
            with self.assertRaisesRegex(cistern.BadBlob, "large|dimensions"):
                _blob.read_head(blob)

    def test_a_small_blob_does_not_inflate_into_a_large_one(self):
        blob = bytearray(cistern.serialize([(0, self.k * 0, self.v * 0)], "float32", True))
        head = _blob.read_head(blob)
        self.assertTrue(head.flags & _blob.COMPRESSED)
        import zlib
        bomb = zlib.compress(bytes(head.raw * 100), 9)
        blob[head.bytes:] = bomb
        struct.pack_into("<16s", blob, 80, checksum(bomb))
        self.sealed(blob, (32, "Q"), len(bomb))
        with self.assertRaisesRegex(cistern.BadBlob, "inflates|agree"):
            cistern.deserialize(blob)

    def test_random_headers_under_a_right_checksum_do_no_harm(self):
        rng = seeded()
        good = bytearray(cistern.serialize([(0, self.k, self.v)] * 2, "int8", True))
        for _ in range(3000):
            blob = bytearray(good)
            for _ in range(rng.randrange(1, 4)):
                at = rng.randrange(10, _blob.head_bytes(good) - 16)
                blob[at] = rng.choice((0, 1, 2, 127, 255, rng.randrange(256)))
            try:
                size = _blob.head_bytes(blob)
                if size <= len(blob):
                    blob[size - 16:size] = checksum(blob[:size - 16])
                cistern.deserialize(blob)
            except cistern.BadBlob:
                pass


@bed.wants("torch")
class Torch(unittest.TestCase):
    def test_tensors_come_back_as_tensors_of_their_type(self):
        import torch
        for kind in (torch.bfloat16, torch.float16, torch.float32):
            tensor = torch.randn(2, 3, 4).to(kind)
            for precision in ("float32", "bfloat16", "float16", "int8"):
                [layer] = cistern.deserialize(cistern.serialize([(0, tensor, tensor)], precision))
                self.assertEqual(layer.k_tensor.dtype, kind)
                if kind != torch.float32 and precision != "int8" or precision == "float32":
                    self.assertTrue(torch.equal(layer.k_tensor, tensor), (kind, precision))
                layer.k_tensor.add_(1)  # the caller's own


if __name__ == "__main__":
    bed.main()
