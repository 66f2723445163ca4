"""What the adapters copy with: blocks to and from pieces of an engine's own memory."""

import ctypes
import os
import sys
import unittest
from array import array

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))

import bed

PIECES, PIECE = 3, 1000
SECOND_NS = 1_000_000_000


class Memory:
    """An engine's memory: some blocks, cut into pieces that lie one block apart."""

    def __init__(self, blocks, fill=None):
        self.blocks = blocks
        data = fill if fill is not None else bytes(blocks * PIECES * PIECE)
        self.room = ctypes.create_string_buffer(data, blocks * PIECES * PIECE)

    def pieces(self, first=0, count=None, size=PIECE):
        """Piece p of block b lies at p * blocks + b: no block is in one place."""
        base = ctypes.addressof(self.room)
        flat = array("Q")
        for block in range(first, first + (self.blocks - first if count is None else count)):
            for piece in range(PIECES):
                flat.extend((base + (piece * self.blocks + block) * PIECE, size))
        return flat

    def block(self, index):
        return b"".join(self.room.raw[(piece * self.blocks + index) * PIECE:][:PIECE]
                        for piece in range(PIECES))


class Pieces(bed.WithSidecar):
    def write(self, keys, memory, parent=None):
        count = self.client._handle.write_pieces(keys, parent, memory.pieces(), PIECES, SECOND_NS)
        self.client.flush()
        return count

    def test_blocks_come_back_into_the_pieces_that_they_were_written_from(self):
        keys = self.keys[:5]
        there = Memory(5, os.urandom(5 * PIECES * PIECE))
        here = Memory(5)
        self.assertEqual(self.write(keys, there), 5)
        self.assertEqual(self.client._handle.read_pieces(keys, here.pieces(), PIECES), 5)
        self.assertEqual(here.room.raw, there.room.raw)
        self.assertEqual(self.client.get(keys[3]), there.block(3))

    def test_more_blocks_than_are_pinned_at_once_come_back(self):
        keys = self.client.keys(list(os.urandom(16 * 150)))
        there = Memory(150, os.urandom(150 * PIECES * PIECE))
        here = Memory(150)
        self.assertEqual(self.write(keys, there), 150)
        self.assertEqual(self.client._handle.read_pieces(keys, here.pieces(), PIECES), 150)
        self.assertEqual(here.room.raw, there.room.raw)

    def test_reading_stops_at_the_first_block_that_is_not_there(self):
        there = Memory(2, os.urandom(2 * PIECES * PIECE))
        here = Memory(4)
        self.assertEqual(self.write(self.keys[:2], there), 2)
        self.assertEqual(self.client._handle.read_pieces(self.keys[:4], here.pieces(), PIECES), 2)
        self.assertEqual(here.block(1), there.block(1))
        self.assertEqual(here.block(2), bytes(PIECES * PIECE))

    def test_a_block_of_another_length_is_not_read(self):
        there = Memory(1, os.urandom(PIECES * PIECE))
        here = Memory(1)
        self.write(self.keys[:1], there)
        for size in (PIECE - 1, PIECE + 1):
            pieces = here.pieces(size=size)
            self.assertEqual(self.client._handle.read_pieces(self.keys[:1], pieces, PIECES), 0)
        self.assertEqual(here.block(0), bytes(PIECES * PIECE))

    def test_a_block_that_is_hot_is_not_written_again(self):
        self.write(self.keys[:1], Memory(1, b"a" * PIECES * PIECE))
        commits = self.client.stats()["commits"]
        self.assertEqual(self.write(self.keys[:2], Memory(2, b"b" * 2 * PIECES * PIECE)), 2)
        self.assertEqual(self.client.stats()["commits"], commits + 1)
        self.assertEqual(self.client.get(self.keys[0])[:1], b"a")

    def test_no_pin_and_no_slot_is_left(self):
        self.write(self.keys[:8], Memory(8, os.urandom(8 * PIECES * PIECE)))
        here = Memory(8)
        for _ in range(400):
            self.client._handle.read_pieces(self.keys[:8], here.pieces(), PIECES)
        with self.client.acquire(self.keys[:8]) as blocks:
            self.assertEqual(len(blocks), 8)
        # What the library holds ready for its threads is lent, too.
        self.assertLessEqual(self.sidecar.status()["slots_lent"], 4 * 4 + 128)

    def test_pieces_larger_than_a_block_are_refused(self):
        pieces = Memory(1).pieces(size=bed.BLOCK)
        with self.assertRaises(bed.cistern.TooLarge):
            self.client._handle.write_pieces(self.keys[:1], None, pieces, PIECES, SECOND_NS)
        self.assertEqual(self.client.match(self.keys[:1]).hot, 0)

    def test_pieces_whose_lengths_overflow_are_refused(self):
        memory = Memory(1)
        pieces = memory.pieces()
        pieces[1::2] = array("Q", (1 << 63, 1 << 63, 100))
        with self.assertRaises(bed.cistern.TooLarge):
            self.client._handle.write_pieces(self.keys[:1], None, pieces, PIECES, SECOND_NS)

    def test_pieces_that_do_not_go_with_the_keys_are_refused(self):
        for pieces, each in ((Memory(2).pieces(), PIECES), (Memory(1).pieces(), 2),
                             (Memory(1).pieces(), 0), (array("Q", [1]), 1)):
            with self.assertRaises(ValueError):
                self.client._handle.read_pieces(self.keys[:1], pieces, each)

    def test_without_a_sidecar_nothing_is_read_or_written(self):
        sidecar = bed.Sidecar()
        self.addCleanup(sidecar.close)
        client = bed.cistern.Client(bed.space(), sidecar.socket)
        self.addCleanup(client.close)
        sidecar.kill()
        with self.assertRaises(bed.cistern.NoServer):
            client._handle.write_pieces(self.keys[:1], None, Memory(1).pieces(), PIECES, SECOND_NS)


if __name__ == "__main__":
    bed.main()
