#!/usr/bin/env python3
"""test_dlpack: a block in the pool is an array of NumPy and PyTorch where it lies, by a DLPack
capsule; it stays pinned for as long as the array lives, and no longer.

Runs a cisternd of its own. CISTERN_BUILD is the build folder, or the unpacked archive of
tests/gpu/pack. Without PyTorch and NumPy only a reader by hand looks at the capsule, and the test
ends with 77 and says so; with --device also where PyTorch finds no GPU.
"""
import ctypes
import gc
import importlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import cistern_dlpack as dl

BLOCK_BYTES = 65536
SHAPE = (16, 8, 256)  # [tokens][heads][head size], of 2 bytes
WAIT_S = 20
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def library(name):
    """The module, or None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


NUMPY, TORCH = library("numpy"), library("torch")


def make_key(number):
    return dl.Key((ctypes.c_uint8 * 32)(*([7, number] + [0] * 30)))


def make_bytes(number):
    return bytes((number * 31 + i * 7 + (i >> 8)) & 0xFF for i in range(BLOCK_BYTES))


def start_daemon(folder):
    """A cisternd that dies with the test, and its socket."""
    program = os.path.join(os.environ["CISTERN_BUILD"], "sidecar", "cisternd")
    path = os.path.join(folder, "socket")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CISTERN_")}
    with open(os.path.join(folder, "log"), "wb") as log:
        daemon = subprocess.Popen(
            [program, f"--socket={path}", "--pool=16MiB", "--extent=1MiB", "--no-keeper"],
            stdout=log, stderr=log, env=environment,
            preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
    return daemon, path


def listens(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as end:
        return end.connect_ex(path) == 0


class Arrays(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="cistern-test-")
        cls.daemon, cls.socket = start_daemon(cls.folder.name)
        deadline = time.monotonic() + WAIT_S
        while not listens(cls.socket) and time.monotonic() < deadline:
            time.sleep(0.001)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.terminate()
        cls.daemon.wait(WAIT_S)
        cls.folder.cleanup()

    def setUp(self):
        self.client = dl.Client(self.socket, BLOCK_BYTES, pins=1)
        for number in (1, 2):
            self.assertEqual(self.client.put(make_key(number), make_bytes(number)), dl.OK)

    def tearDown(self):
        gc.collect()
        self.assertEqual(dl.exported(), 0, "arrays that nobody holds any more")
        self.client.close()

    def block(self, number, shape=SHAPE, code=dl.DL_INT, bits=16):
        status, view = self.client.acquire(make_key(number))
        self.assertEqual(status, dl.OK, self.client.why())
        self.assertEqual(view.bytes, BLOCK_BYTES)
        return dl.Block(self.client, view, shape, code, bits)

    def is_pinned(self):
        """This handle has one pin: is it taken?"""
        status, view = self.client.acquire(make_key(2))
        if status == dl.OK:
            self.assertEqual(self.client.release(view), dl.OK)
        else:
            self.assertEqual(status, dl.PINS)
        return status == dl.PINS

    def test_the_capsule_tells_where_the_block_lies_and_how(self):
        block = self.block(1)
        managed = dl.take(block.__dlpack__())
        tensor = managed.tensor
        self.assertEqual(tensor.data, block.view.data)
        self.assertEqual(ctypes.string_at(tensor.data, BLOCK_BYTES), make_bytes(1))
        self.assertEqual(tuple(tensor.shape[:tensor.ndim]), SHAPE)
        self.assertEqual((tensor.device_type, tensor.device_id), block.__dlpack_device__())
        self.assertEqual((tensor.code, tensor.bits, tensor.lanes), (dl.DL_INT, 16, 1))
        gc.collect()
        self.assertTrue(self.is_pinned(), "the capsule went, the tensor did not")
        managed.deleter(managed)
        self.assertFalse(self.is_pinned())

    def test_a_capsule_that_nobody_took_lets_the_block_go(self):
        capsule = self.block(1).__dlpack__()
        self.assertTrue(self.is_pinned())
        del capsule
        self.assertFalse(self.is_pinned())

    @unittest.skipIf(NUMPY is None, "no NumPy here")
    def test_numpy_reads_it_where_it_lies(self):
        block = self.block(1)
        array = NUMPY.from_dlpack(block)
        self.assertEqual(array.__array_interface__["data"][0], block.view.data)
        self.assertEqual((array.shape, array.dtype), (SHAPE, NUMPY.dtype("int16")))
        self.assertEqual(array.tobytes(), make_bytes(1))
        part = array[3]
        del array, block
        gc.collect()
        self.assertTrue(self.is_pinned(), "a part of the array lives")
        self.assertEqual(part.tobytes(), make_bytes(1)[3 * 4096:4 * 4096])
        del part
        self.assertFalse(self.is_pinned())

    @unittest.skipIf(TORCH is None, "no PyTorch here")
    def test_torch_reads_it_where_it_lies(self):
        block = self.block(1, code=dl.DL_FLOAT)
        tensor = TORCH.from_dlpack(block)
        self.assertEqual(tensor.data_ptr(), block.view.data)
        self.assertEqual((tuple(tensor.shape), tensor.dtype), (SHAPE, TORCH.float16))
        wanted = TORCH.frombuffer(bytearray(make_bytes(1)), dtype=TORCH.int16).view(SHAPE)
        self.assertTrue(TORCH.equal(tensor.view(TORCH.int16), wanted))
        part = tensor[3]
        del tensor, block
        gc.collect()
        self.assertTrue(self.is_pinned(), "a part of the tensor lives")
        del part
        self.assertFalse(self.is_pinned())

    @unittest.skipIf(NUMPY is None, "no NumPy here")
    def test_another_thread_may_drop_it(self):
        arrays = [NUMPY.from_dlpack(self.block(1))]
        thread = threading.Thread(target=arrays.clear)
        thread.start()
        thread.join()
        self.assertFalse(self.is_pinned())


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


if __name__ == "__main__":
    if "--device" in sys.argv:
        sys.argv.remove("--device")
        if TORCH is None or not TORCH.cuda.is_available():
            skip("no PyTorch here" if TORCH is None else "PyTorch finds no GPU")
    found = unittest.main(exit=False).result
    if not found.wasSuccessful():
        sys.exit(1)
    if NUMPY is None and TORCH is None:
        skip("neither PyTorch nor NumPy is here; read by hand, the capsule is right")
