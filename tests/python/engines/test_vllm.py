"""vLLM's side of our pool: what one engine stores another one loads. No engine runs here; see
vllm_bed for what does, and test_vllm_real."""

import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from vllm_bed import (BLOCKS, HIT, LAYERS, MISS, PAGE, Case, Paged, bed, identity, keys_of,
                      offload)


class Together(Case):
    """One scheduler and its workers."""

    def test_what_an_engine_stored_another_engine_loads(self):
        keys = keys_of(4)
        there, here = Paged(), Paged()
        there.fill([3, 9, 4, 20])
        first, worker = self.manager(), self.worker(there)
        self.assertEqual(first.lookup(keys[0], self.context), MISS)
        self.assertEqual(self.store(first, [worker], keys, [3, 9, 4, 20]), keys)

        second, worker = self.manager(), self.worker(here)
        self.assertEqual([second.lookup(key, self.context) for key in keys], [HIT] * 4)
        self.assertTrue(self.load(second, worker, keys, [1, 2, 5, 6]))
        for there_block, here_block in zip([3, 9, 4, 20], [1, 2, 5, 6]):
            self.assertEqual(here.block(here_block), there.block(there_block))
        self.assertEqual(here.block(0), [bytes(PAGE)] * LAYERS)

    def test_what_is_there_is_not_stored_again(self):
        keys = keys_of(3)
        paged = Paged()
        manager, worker = self.manager(), self.worker(paged)
        self.store(manager, [worker], keys[:2], [1, 2])
        self.assertEqual(self.store(manager, [worker], keys, [1, 2, 3]), keys[2:])

    def test_a_block_under_way_is_not_stored_twice(self):
        keys = keys_of(1)
        manager = self.manager()
        self.assertEqual(manager.prepare_store(keys, self.context).keys_to_store, keys)
        other = offload.ReqContext("request-2")
        self.assertEqual(manager.prepare_store(keys, other).keys_to_store, [])

    def test_groups_are_blocks_of_their_own(self):
        key = os.urandom(32)
        keys = [offload.make_offload_key(key, group) for group in (0, 1)]
        there, here = Paged(), Paged()
        there.fill([1, 2])
        manager, worker = self.manager(), self.worker(there)
        output = manager.prepare_store(keys, self.context)
        both = offload.GPULoadStoreSpec([1, 2], [1, 1], [0, 0])
        worker.submit_store(1, both, output.store_spec)
        self.finish(worker, 1)
        bed.until(lambda: manager.lookup(keys[1], self.context) is HIT, "the blocks")
        reader = self.worker(here)
        reader.submit_load(2, manager.prepare_load(keys, self.context), both)
        self.assertTrue(self.finish(reader, 2))
        self.assertEqual(here.block(1), there.block(1))
        self.assertEqual(here.block(2, 2), there.block(2, 2))
        self.assertEqual(here.block(2)[0], bytes(PAGE), "a layer that is not the group's")

    def test_a_block_counts_as_there_if_every_rank_has_it(self):
        keys = keys_of(2)
        manager = self.manager(ranks=2)
        workers = [self.worker(Paged(), ranks=2, rank=rank) for rank in (0, 1)]
        output = manager.prepare_store(keys, self.context)
        workers[0].submit_store(1, self.paged([1, 2]), output.store_spec)
        self.finish(workers[0], 1)
        bed.until(lambda: self.sidecar.status()["commits"] == 2, "the first rank's blocks")
        self.assertEqual(manager.lookup(keys[0], self.context), MISS)
        workers[1].submit_store(1, self.paged([1, 2]), output.store_spec)
        self.finish(workers[1], 1)
        bed.until(lambda: manager.lookup(keys[1], self.context) is HIT, "both")

    def test_replicas_share_one_copy(self):
        keys = keys_of(1)
        there, here = Paged(), Paged()
        there.fill([1])
        manager = self.manager(ranks=2, replicated=True)
        self.store(manager, [self.worker(there, ranks=2, replicated=True)], keys, [1])
        self.assertTrue(self.load(manager, self.worker(here, ranks=2, rank=1, replicated=True),
                                  keys, [1]))
        self.assertEqual(here.block(1), there.block(1))

    def test_blocks_are_pinned_from_prepare_load_to_complete_load(self):
        keys = keys_of(2)
        manager, worker = self.manager(), self.worker(Paged())
        self.store(manager, [worker], keys, [1, 2])
        manager.prepare_load(keys, self.context)
        with self.flood():
            # More than the pool, and so everything that is not pinned.
            bed.until(lambda: self.sidecar.status()["evictions"] > 2 * (64 << 20) // (64 << 10),
                      "evictions")
        self.assertEqual([manager.lookup(key, self.context) for key in keys], [HIT] * 2)
        manager.complete_load(set(keys), self.context)
        self.assertEqual(manager._requests["request-1"].pinned, [])

    def test_requests_of_two_salts_never_share(self):
        keys = keys_of(1)
        manager, worker = self.manager(), self.worker(Paged())
        manager.set_salt("request-a", b"a" * identity.SALT_BYTES)
        manager.set_salt("request-b", b"b" * identity.SALT_BYTES)
        self.store(manager, [worker], keys, [1], offload.ReqContext("request-a"))
        self.assertEqual(manager.lookup(keys[0], offload.ReqContext("request-a")), HIT)
        self.assertEqual(manager.lookup(keys[0], offload.ReqContext("request-b")), MISS)
        self.assertEqual(manager.lookup(keys[0], self.context), MISS)

    def test_events_name_what_is_there(self):
        keys = keys_of(2)
        manager, worker = self.manager(events=True), self.worker(Paged())
        self.store(manager, [worker], keys, [1, 2])
        [event] = manager.take_events()
        self.assertEqual((set(event.keys), event.removed), (set(keys), False))
        self.assertEqual(list(manager.take_events()), [])
        lost = keys_of(1)
        manager.prepare_store(lost, self.context)
        manager.complete_store(set(lost), self.context)
        self.assertEqual(list(manager.take_events()), [], "nobody stored it")

    def test_a_finished_request_is_forgotten(self):
        manager = self.manager()
        manager.on_new_request(self.context)
        manager.lookup(keys_of(1)[0], self.context)
        manager.on_request_finished(self.context)
        self.assertEqual(manager._requests, {})


class Disk(Case):
    """Blocks that left memory for a disk."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cistern-test-")
        self.addCleanup(folder.cleanup)
        self.flags = (f"--nvme={folder.name}", "--nvme-size=256MiB", "--nvme-region=16MiB",
                      "--nvme-admit=always")
        super().setUp()

    def test_a_cold_block_is_fetched_while_the_request_waits(self):
        keys = keys_of(2)
        there, here = Paged(), Paged()
        there.fill([1, 2])
        manager, worker = self.manager(), self.worker(there)
        self.store(manager, [worker], keys, [1, 2])
        with self.flood():
            bed.until(lambda: manager._place(keys[0], manager._request(self.context)) != 0,
                      "the block to leave memory")
        self.assertEqual([manager.lookup(key, self.context) for key in keys].count(MISS), 0)
        manager.on_schedule_end(offload.ScheduleEndContext([], []))

        def answered():
            found = [manager.lookup(key, self.context) for key in keys]
            self.assertNotIn(MISS, found, "the request would be computed")
            return found == [HIT] * len(keys)
        bed.until(answered, "the fetch")
        self.assertTrue(self.load(manager, self.worker(here), keys, [5, 6]))
        self.assertEqual(here.block(5), there.block(1))


if __name__ == "__main__":
    bed.main()
