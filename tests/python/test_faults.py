"""Sidecars that die, processes that fork, threads, and objects that Python forgets."""

import gc
import os
import threading

import bed
import cistern


class SidecarDies(bed.WithSidecar):
    def setUp(self):
        self.mine = bed.Sidecar()
        self.addCleanup(self.mine.close)
        self.client = cistern.Client(bed.space(), self.mine.socket)
        self.addCleanup(self.client.close)
        self.keys = self.client.keys(list(range(16 * 64)))
        self.put(0, b"\5" * bed.BLOCK)

    @classmethod
    def setUpClass(cls):
        """Each test has a sidecar of its own, to kill."""

    def test_views_stay_readable_and_calls_say_that_it_is_gone(self):
        blocks = self.client.acquire(self.keys[:1])
        view = memoryview(blocks[0])
        self.mine.kill()
        bed.until(self.gone, "the loss to be noticed")
        self.assertEqual(bytes(view), b"\5" * bed.BLOCK)
        with self.assertRaises(cistern.NoServer):
            self.client.acquire(self.keys)
        with self.assertRaises(cistern.NoCache):
            self.client.put(self.keys[1], b"x")
        del view
        blocks.release()

    def gone(self):
        """A miss looks whether the sidecar is still there; the next call says so."""
        try:
            self.client.match(self.keys[1:])
        except cistern.NoServer:
            return True
        return False

    def test_a_slot_of_a_dead_sidecar_cannot_be_committed(self):
        [slot] = self.client.reserve()
        memoryview(slot.tensor())[:1] = b"x"
        self.mine.kill()
        bed.until(self.gone, "the loss to be noticed")
        with self.assertRaises(cistern.NoServer):
            slot.commit(self.keys[1], None, 1)
        slot.abort()

    def test_a_restarted_sidecar_is_found_again(self):
        view = memoryview(self.client.acquire(self.keys[:1])[0])
        self.mine.kill()
        self.mine.start()

        def back():
            try:
                self.client.put(self.keys[1], b"again")
                self.client.flush()
                return self.client.get(self.keys[1]) == b"again"
            except (cistern.NotNow, cistern.NoCache):
                return False

        bed.until(back, "the client to attach again")
        self.assertEqual(bytes(view), b"\5" * bed.BLOCK)  # of the sidecar before
        self.assertIsNone(self.client.get(self.keys[0]))
        self.assertEqual(self.client.stats()["reattaches"], 1)

    def test_a_server_that_its_keeper_replaces_keeps_blocks_and_pins(self):
        view = memoryview(self.client.acquire(self.keys[:1])[0])
        server = self.mine.server()
        os.kill(server, 9)

        def back():
            try:
                return self.client.get(self.keys[0]) == b"\5" * bed.BLOCK
            except cistern.NoCache:
                return False

        bed.until(back, "the next server")
        self.assertEqual(bytes(view), b"\5" * bed.BLOCK)


class Forks(bed.WithSidecar):
    def test_a_child_is_told_and_opens_its_own(self):
        self.put(0, b"of the parent")
        blocks = self.client.acquire(self.keys[:1])
        [slot] = self.client.reserve()

        def body():
            for use in (lambda: self.client.match(self.keys), lambda: slot.commit(self.keys[1],
                                                                                 None, 1)):
                try:
                    use()
                    raise AssertionError("the parent's client worked in the child")
                except cistern.Forked:
                    pass
            with cistern.Client(bed.space(), self.sidecar.socket) as own:
                assert own.get(self.keys[0]) == b"of the parent"
                own.put(self.keys[2], b"of the child")
                own.flush()
            blocks.release()  # the child's copies of the objects die without harm
            self.client.close()
            gc.collect()

        with bed.child(body):
            pass
        self.assertEqual(blocks[0].tobytes(), b"of the parent")
        slot.commit(self.keys[1], None, 1)
        self.client.flush()
        self.assertEqual(self.client.get(self.keys[2]), b"of the child")

    def test_a_child_that_is_killed_leaves_nothing_behind(self):
        def body():
            client = cistern.Client(bed.space(), self.sidecar.socket)
            held = client.reserve(4), client.acquire(self.keys[:1])
            client.claim(self.keys[5])
            del held
            os.kill(os.getpid(), 9)

        with self.assertRaises(AssertionError), bed.child(body):
            pass
        bed.until(lambda: self.client.claim(self.keys[5]).mine, "the claim of the dead")


class Threads(bed.WithSidecar):
    def test_threads_put_and_read_at_once(self):
        client = self.open(threads=8)
        failures = []

        def work(number):
            try:
                keys = client.keys(list(range(number * 1000, number * 1000 + 16 * 20)))
                for turn in range(40):
                    key = keys[turn % 20]
                    client.put(key, bytes([number]) * 100)
                    client.flush()
                    with client.acquire(key) as blocks:
                        for block in blocks:
                            assert block.tobytes() == bytes([number]) * 100
            except BaseException as error:  # a thread's failure is the test's
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_more_threads_than_seats_are_told(self):
        client = self.open(threads=1)
        client.match(self.keys)
        errors = []

        def work():
            try:
                client.match(self.keys)
            except cistern.Error as error:
                errors.append(type(error))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        self.assertEqual(errors, [cistern.OutOfThreads])

    def test_a_client_is_closed_while_others_are_inside(self):
        client = self.open(threads=8)
        self.open().claim(self.keys[0])
        answers = []

        def work():
            try:
                answers.append(client.wait(self.keys[0], 0.3))
            except ValueError:
                answers.append("closed")

        threads = [threading.Thread(target=work) for _ in range(4)]
        waits = self.sidecar.status()["waits"]
        for thread in threads:
            thread.start()
        bed.until(lambda: self.sidecar.status()["waits"] >= waits + 4, "four to wait")
        client.close()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, [cistern.Answer.MISS] * 4)

    def test_a_slot_dropped_by_another_thread_comes_home(self):
        client = self.open(threads=1)
        slots = client.reserve(4)
        views = [memoryview(slot.tensor()) for slot in slots]
        del slots
        gc.collect()
        thread = threading.Thread(target=views.clear)  # it has no seat to abort from
        thread.start()
        thread.join()
        self.assertEqual(client.stats()["aborts"], 0)
        client.reserve()
        self.assertGreaterEqual(client.stats()["aborts"], 4)


class Garbage(bed.WithSidecar):
    def test_nothing_grows_over_many_rounds(self):
        self.put(0, b"x" * bed.BLOCK)
        few = self.open(pins=2)

        def rounds(count):
            for _ in range(count):
                with few.acquire(self.keys[:2]) as blocks:
                    memoryview(blocks[0].cast("float32"))
                    blocks[0].__dlpack__()
                try:
                    with few.write(self.keys[1]) as room:
                        memoryview(room)[0] = 1
                        raise ZeroDivisionError
                except ZeroDivisionError:
                    pass

        def size():
            gc.collect()
            with open("/proc/self/statm", encoding="ascii") as file:
                pages = int(file.read().split()[1])
            with open("/proc/self/maps", encoding="ascii") as file:
                return pages, len(file.readlines())

        rounds(300)
        before = size()
        rounds(3000)
        after = size()
        self.assertLess(after[0] - before[0], 200)
        self.assertLess(after[1] - before[1], 20)

    def test_an_array_in_a_reference_cycle_is_collected(self):
        self.put(0, b"x")
        few = self.open(pins=1)
        cycle = [few.acquire(self.keys[:1])]
        cycle.append(memoryview(cycle[0][0]))
        cycle.append(cycle)
        with self.assertRaises(cistern.OutOfPins):
            few.acquire(self.keys[:1])
        del cycle
        gc.collect()
        self.assertEqual(len(few.acquire(self.keys[:1])), 1)


if __name__ == "__main__":
    bed.main()
