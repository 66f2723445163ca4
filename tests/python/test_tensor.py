"""Blocks as arrays and tensors, where they lie: buffers, NumPy, DLPack, torch."""

import ctypes
import gc
import os
import signal
import struct
import threading

import bed
import cistern


class Cast(bed.WithSidecar):
    def setUp(self):
        super().setUp()
        self.put(0, struct.pack("<8f", *range(8)) + bytes(32))

    def block(self):
        return self.client.acquire(self.keys[:1])[0]

    def test_a_block_is_cast_to_type_and_shape(self):
        tensor = self.block().cast("float32", (2, -1, 4), 0)
        self.assertEqual((tensor.shape, tensor.dtype, tensor.nbytes), ((2, 2, 4), "float32", 64))
        self.assertTrue(tensor.readonly)
        view = memoryview(tensor)
        self.assertEqual((view.format, view.strides, view.readonly), ("f", (32, 16, 4), True))
        self.assertEqual(view[0, 1, 2], 6.0)
        self.assertEqual(memoryview(self.block().cast("float32", offset=4))[0], 1.0)

    def test_a_shape_that_does_not_fit_is_refused(self):
        block = self.block()
        self.assertEqual(block.nbytes, 64)
        for wrong in (("float32", (17,)), ("float32", (0, 4)), ("float32", (-1, -1)),
                      ("float32", (1 << 62, 4)), ("float64", (3, 3)), ("uint8", (-2,)),
                      ("uint8", ()), ("uint8", (1,) * 9), ("uint8", None, 64),
                      ("float32", None, 2), ("uint8", None, -1), ("float31", None)):
            with self.assertRaises(ValueError, msg=wrong):
                block.cast(*wrong)

    def test_a_block_cannot_be_written_to(self):
        view = memoryview(self.block())
        with self.assertRaises(TypeError):
            view[0] = 1
        with self.assertRaises(TypeError):
            (ctypes.c_char * 4).from_buffer(self.block())
        with open("/dev/zero", "rb") as zero, self.assertRaises(TypeError):
            zero.readinto(self.block())

    def test_a_tensor_of_a_tensor_stays_inside_of_it(self):
        part = self.block().cast("uint8", (8,), 8)
        self.assertEqual(part.nbytes, 8)
        with self.assertRaises(ValueError):
            part.cast("uint8", (9,))


@bed.wants("numpy")
class NumPy(bed.WithSidecar):
    def test_an_array_is_the_block_itself_and_read_only(self):
        import numpy
        self.put(0, numpy.arange(64, dtype="float16"))
        with self.client.acquire(self.keys[:1]) as blocks:
            array = blocks[0].cast("float16", (4, 16)).numpy()
            again = blocks[0].cast("float16", (4, 16)).numpy()
        self.assertEqual(array.ctypes.data, again.ctypes.data)
        self.assertFalse(array.flags.writeable)
        with self.assertRaises(ValueError):
            array.setflags(write=True)
        self.assertEqual(array[3, 15], 63)

    def test_an_array_keeps_its_block_pinned_and_nothing_else(self):
        few = self.open(pins=4)
        for i in range(4):
            self.put(i, bytes([i]) * 64)
        with few.acquire(self.keys[:4]) as blocks:
            array = blocks[2].numpy()[5:6]
        self.assertEqual(len(few.acquire(self.keys[:4])), 3)
        few.close()
        self.assertEqual(array[0], 2)  # also of a closed client
        sessions = self.sidecar.status()["sessions_now"]
        del array
        gc.collect()
        bed.until(lambda: self.sidecar.status()["sessions_now"] < sessions, "the client to leave")

    def test_a_slot_is_written_through_an_array(self):
        with self.client.write(self.keys[0], nbytes=32) as room:
            room.cast("float32", (2, 4)).numpy()[...] = 1.5
        self.client.flush()
        self.assertEqual(self.client.get(self.keys[0]), struct.pack("<8f", *[1.5] * 8))

    def test_dlpack_hands_a_block_to_numpy(self):
        import numpy
        self.put(0, numpy.arange(8, dtype="int32"))
        array = numpy.from_dlpack(self.client.acquire(self.keys[:1])[0].cast("int32", (2, 4)))
        self.assertEqual(array.tolist(), [[0, 1, 2, 3], [4, 5, 6, 7]])


class Capsules(bed.WithSidecar):
    def setUp(self):
        super().setUp()
        self.put(0, bytes(range(64)))
        self.few = self.open(pins=1)

    def block(self):
        return self.few.acquire(self.keys[:1])[0]

    def name(self, capsule):
        get_name = ctypes.pythonapi.PyCapsule_GetName
        get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
        return get_name(capsule)

    def words(self, capsule, count):
        pointer = ctypes.pythonapi.PyCapsule_GetPointer
        pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        at = pointer(capsule, self.name(capsule))
        return (ctypes.c_uint64 * count).from_address(at)

    def test_an_old_consumer_gets_an_old_capsule(self):
        for version in (None, (0, 8)):
            capsule = self.block().__dlpack__(max_version=version)
            self.assertEqual(self.name(capsule), b"dltensor")
            data, device = self.words(capsule, 2)
            self.assertEqual(device, 1)  # the CPU, number 0
            self.assertEqual(ctypes.string_at(data, 64), bytes(range(64)))
            del capsule

    def test_a_new_consumer_is_told_that_the_block_is_read_only(self):
        capsule = self.block().__dlpack__(max_version=(1, 1))
        self.assertEqual(self.name(capsule), b"dltensor_versioned")
        version, _, _, flags = self.words(capsule, 4)
        self.assertEqual((version & 0xffffffff, flags), (1, 1))
        [slot] = self.client.reserve()
        capsule = slot.tensor().__dlpack__(max_version=(1, 0))
        self.assertEqual(self.words(capsule, 4)[3], 0)

    def test_a_capsule_that_nobody_takes_ends_its_pin(self):
        for _ in range(50):
            self.assertEqual(len(self.few.acquire(self.keys[:1])), 1)
            self.block().__dlpack__()
            self.block().__dlpack__(max_version=(1, 0))

    def test_a_consumer_that_writes_to_a_block_is_stopped(self):
        """torch knows no read-only tensors, and an old capsule cannot say so: the pages can."""
        capsule = self.block().__dlpack__()
        data = self.words(capsule, 1)[0]
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGSEGV, signal.SIG_DFL)
            ctypes.memset(data, 255, 1)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        self.assertTrue(os.WIFSIGNALED(status))
        self.assertEqual(os.WTERMSIG(status), signal.SIGSEGV)
        del capsule
        self.assertEqual(self.client.get(self.keys[0]), bytes(range(64)))

    def test_what_a_block_cannot_do_is_said(self):
        with self.assertRaises(BufferError):
            self.block().__dlpack__(copy=True)
        with self.assertRaises(BufferError):
            self.block().__dlpack__(dl_device=(2, 0))
        with self.assertRaises(ValueError):
            self.block().__dlpack__(stream=1)
        self.assertEqual(self.block().__dlpack_device__(), (1, 0))

    def test_an_isolated_client_hands_out_its_read_only_pages(self):
        alone = self.open(isolated=True)
        capsule = alone.acquire(self.keys[:1])[0].__dlpack__()
        self.assertEqual(ctypes.string_at(self.words(capsule, 1)[0], 64), bytes(range(64)))
        alone.put(self.keys[1], b"through staging")
        alone.flush()
        self.assertEqual(self.client.get(self.keys[1]), b"through staging")


@bed.wants("torch")
class Torch(bed.WithSidecar):
    def test_a_tensor_is_the_block_and_keeps_it_pinned(self):
        import torch
        few = self.open(pins=1)
        self.put(0, struct.pack("<4f", 1, 2, 3, 4))
        with few.acquire(self.keys[:1]) as blocks:
            tensor = blocks[0].cast("float32", (2, 2)).torch()
            half = blocks[0].cast("bfloat16").torch()
        self.assertEqual(tensor.tolist(), [[1, 2], [3, 4]])
        self.assertEqual((half.dtype, half[1].item()), (torch.bfloat16, 1.0))
        with self.assertRaises(cistern.OutOfPins):
            few.acquire(self.keys[:1])
        del half
        tensor = tensor[1:]  # the storage is what counts
        with self.assertRaises(cistern.OutOfPins):
            few.acquire(self.keys[:1])
        del tensor
        self.assertEqual(len(few.acquire(self.keys[:1])), 1)

    def test_a_tensor_may_die_in_any_thread(self):
        few = self.open(pins=4)
        self.put(0, b"x" * 64)
        for _ in range(20):
            tensors = [few.acquire(self.keys[:1])[0].torch() for _ in range(4)]
            threads = [threading.Thread(target=tensors.pop) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual(len(few.acquire(self.keys[:1])), 1)

    def test_a_slot_is_written_through_a_tensor(self):
        with self.client.write(self.keys[0], nbytes=16) as room:
            room.cast("float32").torch().fill_(2.0)
        self.client.flush()
        self.assertEqual(self.client.get(self.keys[0]), struct.pack("<4f", 2, 2, 2, 2))
        with self.assertRaises(BufferError), self.client.write(self.keys[1], nbytes=16) as room:
            left = room.torch()
        self.assertIsNone(self.client.get(self.keys[1]))
        del left


if __name__ == "__main__":
    bed.main()
