"""asyncio: many questions, one descriptor, one loop or several."""

import asyncio
import os
import threading
import warnings

import bed
import cistern


class Async(bed.WithSidecar):
    def run_async(self, body):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return asyncio.run(asyncio.wait_for(body, bed.PATIENCE_S))

    async def soon(self, condition, what):
        deadline = asyncio.get_running_loop().time() + bed.PATIENCE_S
        while not condition():
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(what)
            await asyncio.sleep(0.002)

    def test_who_waits_hears_of_the_block(self):
        other = self.open()

        async def body():
            other.claim(self.keys[0])
            waits = [asyncio.create_task(self.client.wait_async(self.keys[0], 10.0))
                     for _ in range(100)]
            await asyncio.sleep(0)
            other.put(self.keys[0], b"computed")
            return await asyncio.gather(*waits)

        self.assertEqual(set(self.run_async(body())), {cistern.Answer.HOT})

    def test_a_wait_ends_at_its_deadline(self):
        self.open().claim(self.keys[0])
        answer = self.run_async(self.client.wait_async(self.keys[0], 0.01))
        self.assertEqual(answer, cistern.Answer.MISS)

    def test_a_fetch_of_what_is_hot_says_how_much(self):
        for i in range(3):
            self.put(i, b"x")
        self.assertEqual(self.run_async(self.client.fetch_async(self.keys[:3], 1.0)), 3)
        self.assertEqual(self.run_async(self.client.fetch_async(self.keys[3:], 1.0)), 0)

    def test_a_claim_that_nobody_wants_any_more_is_given_up(self):
        holder = self.client.claim(self.keys[0])

        async def body():
            client = self.open()
            wait = asyncio.create_task(client.wait_async(self.keys[0], 10.0))
            waits = self.sidecar.status()["waits"]
            await self.soon(lambda: self.sidecar.status()["waits"] > waits, "the wait")
            wait.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await wait
            keep = asyncio.create_task(client.wait_async(self.keys[1], 0.5))  # the loop drains on
            holder.give_up()
            await self.soon(lambda: self.open().claim(self.keys[0]).mine, "the claim to be free")
            await keep

        self.open().claim(self.keys[1])
        self.run_async(body())

    def test_the_client_is_closed_under_those_who_wait(self):
        self.open().claim(self.keys[0])

        async def body():
            wait = asyncio.create_task(self.client.wait_async(self.keys[0], 10.0))
            await asyncio.sleep(0.01)
            self.client.close()
            with self.assertRaisesRegex(ValueError, "closed"):
                await wait
            with self.assertRaisesRegex(ValueError, "closed"):
                await self.client.wait_async(self.keys[0], 10.0)

        self.run_async(body())

    def test_loops_in_two_threads_share_a_client(self):
        other = self.open()
        other.claim(self.keys[0])
        answers = []

        async def wait():
            answers.append(await self.client.wait_async(self.keys[0], 10.0))

        threads = [threading.Thread(target=lambda: asyncio.run(wait())) for _ in range(3)]
        waits = self.sidecar.status()["waits"]
        for thread in threads:
            thread.start()
        bed.until(lambda: self.sidecar.status()["waits"] >= waits + 3, "three to wait")
        other.put(self.keys[0], b"computed")
        for thread in threads:
            thread.join(bed.PATIENCE_S)
        self.assertEqual(answers, [cistern.Answer.HOT] * 3)

    def test_nothing_is_left_of_a_loop(self):
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            self.run_async(self.client.wait_async(self.keys[0], 0.0))
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_a_forked_child_is_told(self):
        def body():
            try:
                asyncio.run(self.client.wait_async(self.keys[0], 1.0))
            except cistern.Forked:
                return
            raise AssertionError("the parent's client waited in the child")

        with self.client._answers._lock, bed.child(body):
            pass

    def test_a_sidecar_that_dies_answers_no_more(self):
        mine = bed.Sidecar()
        self.addCleanup(mine.close)
        client = cistern.Client(bed.space(), mine.socket)
        self.addCleanup(client.close)
        claimer = cistern.Client(bed.space(), mine.socket)
        self.addCleanup(claimer.close)
        claimer.claim(self.keys[0])

        async def body():
            wait = asyncio.create_task(client.wait_async(self.keys[0], 10.0))
            await asyncio.sleep(0.05)
            mine.kill()
            with self.assertRaises(cistern.NoServer):
                await wait

        self.run_async(body())


if __name__ == "__main__":
    bed.main()
