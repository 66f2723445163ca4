"""How the adapters copy: jobs beside the engine, for memory of the process and for a GPU's.

The GPU is our double of the driver: what it shows is order and ownership, no more.
"""

import ctypes
import logging
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, os.pardir)]

import bed
import gpu

try:
    import numpy
except ImportError:
    print("skipped: NumPy is not installed; apt-get install python3-numpy")
    sys.exit(bed.SKIP)

from cistern.engines.attach import Attachment
from cistern.engines.copies import HostCopies, Part, StreamCopies

BLOCKS, PIECES, PIECE = 6, 4, 4096
HASH = 32


def pieces(base):
    """Piece p of block b lies at (p * BLOCKS + b) * PIECE."""
    made = numpy.empty((BLOCKS, PIECES, 2), numpy.uint64)
    places = numpy.arange(PIECES)[None, :] * BLOCKS + numpy.arange(BLOCKS)[:, None]
    made[..., 0] = base + places * PIECE
    made[..., 1] = PIECE
    return made


class Cases:
    """For both kinds of memory."""

    def setUp(self):
        super().setUp()
        self.names = os.urandom(HASH * BLOCKS)
        self.copies = self.open_copies()
        self.addCleanup(self.attachment.close)
        self.addCleanup(self.copies.close)

    def attach(self, **options):
        self.attachment = Attachment(bed.space(), logging.getLogger("test"), self.sidecar.socket,
                                     **options)
        return self.attachment

    def part(self, address, names=None, parent=None):
        return Part(self.names if names is None else names, HASH, 0, parent, pieces(address))

    def done(self, job):
        self.copies.wait([job])
        [done] = self.copies.finished()
        self.assertEqual(done.job, job)
        return done

    def stored(self, part):
        """A busy sidecar may have no slot in time, and the store is dropped: then once more."""
        for job in range(100, 120):
            self.copies.store(job, [part])
            if self.done(job).ok:
                return
        self.fail("nothing was stored in 20 tries")

    def named(self, group=0):
        return self.client.keys_from_hashes(self.names, HASH, group)

    def test_what_a_job_stored_another_job_loads(self):
        there, here = self.memory(os.urandom(BLOCKS * PIECES * PIECE)), self.memory(None)
        self.stored(self.part(there.at))
        bed.until(lambda: self.client.match(self.named()).hot == BLOCKS, "the blocks")
        self.copies.load(2, [self.part(here.at)])
        done = self.done(2)
        self.assertEqual((done.ok, done.nbytes), (True, BLOCKS * PIECES * PIECE))
        self.assertEqual(here.bytes(), there.bytes())

    def test_a_load_of_which_a_block_is_not_there_fails(self):
        here = self.memory(None)
        self.copies.load(1, [self.part(here.at)])
        self.assertFalse(self.done(1).ok)

    def test_groups_of_one_hash_are_blocks_of_their_own(self):
        there = self.memory(os.urandom(BLOCKS * PIECES * PIECE))
        self.stored(self.part(there.at))
        bed.until(lambda: self.client.match(self.named()).hot == BLOCKS, "the blocks")
        self.assertEqual(self.client.match(self.named(group=1)).hot, 0)

    def test_without_a_sidecar_a_job_fails_and_ends(self):
        here = self.memory(bytes(BLOCKS * PIECES * PIECE))
        self.sidecar.kill()
        self.addCleanup(self.sidecar.start)
        self.copies.load(1, [self.part(here.at)])
        self.assertFalse(self.done(1).ok)
        self.copies.store(2, [self.part(here.at)])
        self.assertFalse(self.done(2).ok)


class HostMemory:
    def __init__(self, data):
        self._room = ctypes.create_string_buffer(
            data if data is not None else bytes(BLOCKS * PIECES * PIECE), BLOCKS * PIECES * PIECE)
        self.at = ctypes.addressof(self._room)

    def bytes(self):
        return self._room.raw


class OnTheHost(Cases, bed.WithSidecar):
    def open_copies(self):
        return HostCopies(self.attach())

    def memory(self, data):
        return HostMemory(data)


class DeviceMemory:
    """What the engine computes is in its own stream, late."""

    def __init__(self, driver, stream, data):
        self._memory = gpu.Memory(driver, BLOCKS * PIECES * PIECE)
        self._stream = stream
        self.at = self._memory.address.value
        if data is not None:
            self._memory.set(data, stream)

    def bytes(self):
        return self._memory.get(self._stream)


class OnAStream(Cases, bed.WithSidecar):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.driver = gpu.Driver()
        except (OSError, AttributeError) as error:
            raise unittest.SkipTest(f"the double of the driver is not in LD_LIBRARY_PATH: {error}")
        cls.driver.library.cuda_double_delay_us(ctypes.c_uint64(2000))

    def open_copies(self):
        self.torch = gpu.Torch(self.driver)
        copies = StreamCopies(self.torch, f"GPU-{self.driver.uuid}")
        copies.attach(self.attach(late_writes=True, prepare=copies.prepare))
        return copies

    def tearDown(self):
        self.assertEqual(self.driver.violations(), "")

    def memory(self, data):
        return DeviceMemory(self.driver, self.torch.cuda.current_stream(), data)


if __name__ == "__main__":
    bed.main()
