"""What the Python package promises, with a real sidecar: names, blocks, slots, claims, errors."""

import array
import contextlib
import re
import threading

import bed
import cistern
from cistern import _cistern, _errors


class Keys(bed.WithSidecar):
    def test_a_list_an_array_and_numbers_of_8_bytes_name_the_same_blocks(self):
        tokens = list(range(100000, 100048))
        keys = self.client.keys(tokens)
        self.assertEqual(len(keys), 3)
        self.assertEqual(keys, self.client.keys(array.array("I", tokens)))
        self.assertEqual(keys, self.client.keys(array.array("q", tokens)))
        self.assertNotEqual(keys, self.client.keys(tokens[::-1]))

    def test_a_longer_prompt_goes_on_from_its_parent(self):
        tokens = list(range(64))
        whole = self.client.keys(tokens)
        rest = self.client.keys(tokens[16:], parent=whole[0])
        self.assertEqual(whole[1:], rest)
        self.assertEqual(whole[:1] + rest, whole)

    def test_a_token_that_is_none_is_refused(self):
        for tokens in ([-1] * 16, array.array("q", [1 << 32] * 16), array.array("i", [-5] * 16)):
            with self.assertRaises(OverflowError):
                self.client.keys(tokens)
        with self.assertRaises(TypeError):
            self.client.keys(array.array("d", [1.0] * 16))

    def test_keys_are_a_sequence_of_bytes_and_one_buffer(self):
        self.assertEqual(b"".join(self.keys), bytes(self.keys))
        self.assertEqual(self.keys[-1], bytes(self.keys)[-32:])
        self.assertEqual(len(self.keys[10:40:2]), 15)
        self.assertEqual(self.keys[10:40:2][1], self.keys[12])
        self.assertEqual(cistern.Keys(bytes(self.keys)), self.keys)
        with self.assertRaises(IndexError):
            self.keys[64]
        with self.assertRaises(ValueError):
            cistern.Keys(b"31 bytes, which are no whole key")[0:1] + b"x"

    def test_hashes_of_an_engine_are_folded_with_the_group(self):
        hashes = [bytes([i]) * 16 for i in range(3)]
        keys = self.client.keys_from_hashes(hashes, 16)
        self.assertEqual(len(keys), 3)
        self.assertNotEqual(keys, self.client.keys_from_hashes(hashes, 16, group=1))
        with self.assertRaises(ValueError):
            self.client.keys_from_hashes(b"17 bytes are none", 16)


class Blocks(bed.WithSidecar):
    def test_what_one_client_put_another_one_reads_in_place(self):
        for i in range(3):
            self.put(i, bytes([i + 1]) * bed.BLOCK)
        other = self.open()
        self.assertEqual(other.match(self.keys).hot, 3)
        with other.acquire(self.keys) as blocks:
            self.assertEqual(len(blocks), 3)
            for i, block in enumerate(blocks):
                self.assertEqual(block.tobytes(), bytes([i + 1]) * bed.BLOCK)
        self.assertEqual(other.get(self.keys[2]), b"\3" * bed.BLOCK)

    def test_a_miss_is_no_error(self):
        with self.client.acquire(self.keys) as blocks:
            self.assertEqual(len(blocks), 0)
            with self.assertRaises(IndexError):
                blocks[0]
        self.assertIsNone(self.client.get(self.keys[0]))
        self.assertEqual(self.client.match(self.keys), (0, 0))
        self.assertEqual(self.client.fetch(self.keys, 0.01), 0)

    def test_a_short_block_comes_back_as_short_as_it_was(self):
        self.put(0, b"short")
        self.assertEqual(self.client.get(self.keys[0]), b"short")
        with self.client.acquire(self.keys[:1]) as blocks:
            self.assertEqual(blocks[0].nbytes, 5)

    def test_released_blocks_are_not_given_out(self):
        self.put(0, b"x" * 64)
        blocks = self.client.acquire(self.keys[:1])
        block = blocks[0]
        blocks.release()
        blocks.release()
        self.assertFalse(block.live)
        for use in (lambda: blocks[0], lambda: memoryview(block), block.tobytes, block.__dlpack__):
            with self.assertRaises(ValueError):
                use()

    def test_pins_come_home_when_the_objects_go(self):
        few = self.open(pins=8)
        for i in range(8):
            self.put(i, b"x" * 64)
        for _ in range(100):
            self.assertEqual(len(few.acquire(self.keys[:8])), 8)
        held = few.acquire(self.keys[:8])
        with self.assertRaises(cistern.OutOfPins):
            few.acquire(self.keys[:1])
        held.release()
        self.assertEqual(len(few.acquire(self.keys[:8])), 8)

    def test_a_block_that_is_read_is_not_evicted(self):
        self.put(0, b"\7" * bed.BLOCK)
        view = memoryview(self.client.acquire(self.keys[:1])[0])
        flood = self.client.keys(list(range(16 * 2000)))
        for key in flood:  # twice the pool
            with contextlib.suppress(cistern.Busy):
                self.client.put(key, b"\1" * bed.BLOCK)
        self.client.flush()
        self.assertGreater(self.sidecar.status()["evictions"], 0)
        self.assertEqual(bytes(view), b"\7" * bed.BLOCK)



class Slots(bed.WithSidecar):
    def test_a_slot_is_filled_in_place_and_published_once(self):
        [slot] = self.client.reserve()
        memoryview(slot.tensor())[:4] = b"here"
        slot.commit(self.keys[0], None, 4)
        self.client.flush()
        self.assertEqual(self.client.get(self.keys[0]), b"here")
        with self.assertRaises(ValueError):
            slot.commit(self.keys[1], None, 4)
        with self.assertRaises(ValueError):
            slot.tensor()

    def test_a_slot_that_somebody_can_still_write_to_is_not_published(self):
        [slot] = self.client.reserve()
        view = memoryview(slot.tensor())
        with self.assertRaises(BufferError):
            slot.commit(self.keys[0], None, 4)
        self.client.flush()
        self.assertIsNone(self.client.get(self.keys[0]))
        view.release()
        slot.commit(self.keys[0], None, 4)

    def test_an_aborted_slot_is_not_published_by_a_view_that_is_left(self):
        [slot] = self.client.reserve()
        view = memoryview(slot.tensor())
        slot.abort()
        with self.assertRaises(ValueError):
            slot.commit(self.keys[0], None, 4)
        view[0] = 1  # still ours: nobody else got the slot
        view.release()
        self.client.flush()
        self.assertEqual(self.client.stats()["aborts"], 1)

    def test_an_exception_in_the_middle_of_a_write_publishes_nothing(self):
        for _ in range(200):  # more than all slots that may be lent at once
            with self.assertRaises(ZeroDivisionError):
                with self.client.write(self.keys[0]) as room:
                    memoryview(room)[:8] = b"half way"
                    raise ZeroDivisionError
        self.client.flush()
        self.assertIsNone(self.client.get(self.keys[0]))
        self.assertEqual(self.client.stats()["aborts"], 200)
        self.client.close()
        bed.until(lambda: self.sidecar.status()["slots_lent"] == 0, "the slots to come home")

    def test_a_write_ends_with_the_bytes_that_it_announced(self):
        with self.client.write(self.keys[0], nbytes=6) as room:
            self.assertEqual(room.nbytes, 6)
            memoryview(room)[:] = b"sixsix"
        self.client.flush()
        self.assertEqual(self.client.get(self.keys[0]), b"sixsix")

    def test_too_many_bytes_are_refused(self):
        with self.assertRaises(cistern.TooLarge):
            self.client.put(self.keys[0], b"x" * (bed.BLOCK + 1))
        [slot] = self.client.reserve()
        for size in (0, -1, slot.nbytes + 1):
            with self.assertRaises(ValueError):
                slot.commit(self.keys[0], None, size)
        for count in (0, 129):
            with self.assertRaises(ValueError):
                self.client.reserve(count)


class Claims(bed.WithSidecar):
    def test_a_block_is_computed_once(self):
        other = self.open()
        with self.client.claim(self.keys[0]) as claim:
            self.assertTrue(claim.mine)
            self.assertEqual(other.claim(self.keys[0]).answer, cistern.Answer.OTHER)
            self.client.put(self.keys[0], b"computed")
            self.client.flush()
        self.assertTrue(other.claim(self.keys[0]).hot)

    def test_a_claim_that_fails_goes_to_who_waits(self):
        claim = self.client.claim(self.keys[0])
        other = self.open()
        answers = []
        thread = threading.Thread(target=lambda: answers.append(other.wait(self.keys[0], 10.0)))
        waits = self.sidecar.status()["waits"]
        thread.start()
        bed.until(lambda: self.sidecar.status()["waits"] > waits, "the other one to wait")
        with self.assertRaises(ZeroDivisionError), claim:
            raise ZeroDivisionError
        thread.join(bed.PATIENCE_S)
        self.assertEqual(answers, [cistern.Answer.MINE])

    def test_nobody_computes_what_nobody_claimed(self):
        self.assertEqual(self.client.wait(self.keys[0], 5.0), cistern.Answer.MISS)


class Errors(bed.WithSidecar):
    def test_each_status_of_the_library_has_its_exception(self):
        with open(bed.source("libclient/include/cistern.h"), encoding="utf-8") as header:
            statuses = re.findall(r"CISTERN_(\w+) = (-\d+)", header.read())
        self.assertGreater(len(statuses), 15)
        for name, number in statuses:
            described = _cistern.describe(int(number))
            self.assertEqual(described[0], "CISTERN_" + name)
            self.assertIn(int(number), _errors._CLASSES, name)
        classes = [_errors._CLASSES[int(number)] for _, number in statuses]
        self.assertEqual(len(set(classes)), len(classes))
        self.assertLessEqual({error.__name__ for error in classes}, set(cistern.__all__))

    def test_the_group_follows_from_the_number(self):
        groups = {-1: cistern.CallerError, -103: cistern.NotNow, -200: cistern.NoCache,
                  -302: cistern.Mismatch, -402: cistern.Broken, -77: cistern.CallerError,
                  -299: cistern.NoCache, -9999: cistern.Broken}
        for number, group in groups.items():
            self.assertIsInstance(_errors.error_of(number, "", "", "", ""), group)

    def test_an_error_says_why_and_what_to_do(self):
        with self.assertRaises(cistern.NoServer) as caught:
            cistern.Client(bed.space(), "/nonexistent/socket")
        self.assertIn("/nonexistent/socket", str(caught.exception))
        self.assertIn("without the cache", caught.exception.advice)

    def test_another_namespace_of_the_same_name_is_refused(self):
        with self.assertRaises(cistern.NamespaceDiffers):
            cistern.Client(bed.space(dtype="float16"), self.sidecar.socket)

    def test_arguments_out_of_range_are_refused_before_they_are_cut(self):
        for wrong in ({"block_tokens": 1 << 32}, {"layers": -1}):
            with self.assertRaises(ValueError):
                bed.space(**wrong)
        for wrong in ({"pins": 1 << 32}, {"threads": 0}, {"timeout": -1}):
            with self.assertRaises(ValueError):
                self.open(**wrong)
        with self.assertRaises(ValueError):
            self.client.match(b"no key")
        with self.assertRaises(ValueError):
            self.client.get(self.keys[:2])

    def test_a_closed_client_says_so(self):
        self.client.close()
        self.client.close()
        for use in (lambda: self.client.match(self.keys), self.client.stats, self.client.flush,
                    lambda: self.client.put(self.keys[0], b""), self.client.reserve):
            with self.assertRaisesRegex(ValueError, "closed"):
                use()


if __name__ == "__main__":
    bed.main()
