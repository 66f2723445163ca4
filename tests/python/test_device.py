"""Blocks in a GPU's memory, on the double of the driver (tests/fakes/cuda): no figure, only order.

The double's device memory is memory of the host, so a test may read it; a real device's is not.
"""

import ctypes
import gc
import os
import tempfile
import threading
import unittest

import bed
import cistern


def double_is_found():
    try:
        return hasattr(ctypes.CDLL("libcuda.so.1"), "cuda_double_violations")
    except OSError:
        return False


class Stream:
    """The default stream of device 0, by the driver's own calls (cuda/driver.def)."""

    HOST = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

    def __init__(self):
        self.library = ctypes.CDLL("libcuda.so.1")
        self.kept = []
        context = ctypes.c_void_p()
        self.ask("cuInit", 2000, 0)
        self.ask("cuDevicePrimaryCtxRetain", 7000, ctypes.byref(context), 0)
        self.ask("cuCtxSetCurrent", 4000, context)

    def ask(self, name, version, *arguments):
        entry, found = ctypes.c_void_p(), ctypes.c_int()
        self.library.cuGetProcAddress_v2(name.encode(), ctypes.byref(entry), version,
                                         ctypes.c_uint64(0), ctypes.byref(found))
        result = ctypes.CFUNCTYPE(ctypes.c_int)(entry.value)(*arguments)
        if result != 0:
            raise OSError(f"{name}: {result}")

    def call(self, function):
        self.kept.append(self.HOST(lambda _: function()))
        self.ask("cuLaunchHostFunc", 10000, None, self.kept[-1], None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ask("cuStreamSynchronize", 2000, None)
        self.ask("cuDevicePrimaryCtxRelease", 11000, 0)


@unittest.skipUnless(double_is_found(), "libcuda.so.1 is not the double: set LD_LIBRARY_PATH")
class Device(bed.WithSidecar):
    flags = ("--device=auto", "--device-pool=64MiB", "--device-promote=always")

    @classmethod
    def setUpClass(cls):
        state = tempfile.TemporaryDirectory(prefix="cistern-test-", dir="/dev/shm")
        cls.addClassCleanup(state.cleanup)
        os.environ["CUDA_DOUBLE_STATE"] = state.name
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.near = self.open(device="auto", pins=4)

    def promoted(self, data):
        """A block that was put into host memory, and copied to the device when it was touched."""
        self.put(0, data)

        def there():
            with self.near.acquire(self.keys[:1]) as blocks:
                return len(blocks) == 1 and blocks[0].on_device

        bed.until(there, "the block to be on the device")
        return self.near.acquire(self.keys[:1])

    def words(self, capsule):
        get = ctypes.pythonapi.PyCapsule_GetPointer
        get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        return (ctypes.c_uint64 * 2).from_address(get(capsule, b"dltensor"))

    def test_a_client_with_a_device_is_handed_blocks_where_its_kernels_read_them(self):
        data = os.urandom(bed.BLOCK)
        block = self.promoted(data)[0]
        self.assertEqual(block.__dlpack_device__(), (2, 0))
        self.assertEqual(block.cast("float16", (4, -1)).__dlpack_device__(), (2, 0))
        capsule = block.__dlpack__(stream=1)
        address, device = self.words(capsule)
        self.assertEqual(device, 2)  # CUDA, number 0
        self.assertEqual(ctypes.string_at(address, bed.BLOCK), data)

    def test_the_processor_does_not_read_a_device(self):
        block = self.promoted(b"x" * bed.BLOCK)[0]
        for read in (lambda: memoryview(block), block.tobytes):
            with self.assertRaises(BufferError):
                read()
        self.assertEqual(self.near.get(self.keys[0]), b"x" * bed.BLOCK)
        with self.client.acquire(self.keys[:1]) as blocks:  # who has no device reads the host's
            self.assertEqual(blocks[0].tobytes(), b"x" * bed.BLOCK)

    def test_a_pin_ends_behind_what_its_stream_was_asked_before(self):
        few = self.open(device="auto", pins=1)
        self.promoted(b"x" * bed.BLOCK).release()
        reading = threading.Event()
        with Stream() as stream:
            for last in ("the array", "the blocks") * 3:
                blocks = few.acquire(self.keys[:1])
                capsule = blocks[0].__dlpack__(stream=1)
                reading.clear()
                stream.call(lambda: reading.wait(bed.PATIENCE_S))  # a kernel that takes its time
                if last == "the array":
                    blocks.release()
                del capsule
                gc.collect()
                blocks.release()
                with self.assertRaises(cistern.OutOfPins):
                    few.acquire(self.keys[:1])
                reading.set()
                bed.until(lambda: not self.is_pinned(few), "the stream to pass")

    def is_pinned(self, client):
        try:
            client.acquire(self.keys[:1]).release()
            return False
        except cistern.OutOfPins:
            return True

    def test_a_pin_that_no_stream_read_ends_at_once(self):
        few = self.open(device="auto", pins=1)
        self.promoted(b"x" * bed.BLOCK).release()
        for _ in range(50):
            self.assertEqual(len(few.acquire(self.keys[:1])), 1)

    def test_a_block_is_read_by_one_stream(self):
        block = self.promoted(b"x" * bed.BLOCK)[0]
        capsule = block.__dlpack__(stream=1)
        with self.assertRaisesRegex(BufferError, "another stream"):
            block.__dlpack__(stream=2)
        again = self.near.acquire(self.keys[:1])[0].__dlpack__(stream=2)
        for wrong in (-1, 0):
            with self.assertRaises(ValueError):
                block.__dlpack__(stream=wrong)
        with self.assertRaises(BufferError):
            block.__dlpack__(dl_device=(1, 0))
        del capsule, again

    def test_a_client_closes_while_the_device_is_read(self):
        capsule = self.promoted(b"y" * bed.BLOCK)[0].__dlpack__(stream=1)
        self.near.close()
        address = self.words(capsule)[0]
        self.assertEqual(ctypes.string_at(address, 4), b"yyyy")
        sessions = self.sidecar.status()["sessions_now"]
        del capsule
        bed.until(lambda: self.sidecar.status()["sessions_now"] < sessions, "the client to leave")


if __name__ == "__main__":
    bed.main()
