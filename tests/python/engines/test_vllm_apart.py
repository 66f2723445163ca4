"""vLLM's side of our pool: when there is no sidecar, when engines differ, when a load fails; and
that what is recorded of vLLM is what it has."""

import importlib
import inspect
import os
import sys
import tempfile
import types
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from vllm_bed import (HIT, MISS, REAL, Case, CisternOffloadingSpec, Known, Paged, bed, config_of,
                      identity, keys_of, offload, recorded_vllm, spec_of)

from cistern.engines.vllm import spec
from cistern.engines.vllm.connector import CisternConnector


class Faults(Case):
    def test_without_a_sidecar_nothing_is_there_and_nothing_fails(self):
        manager, worker = self.manager(), self.worker(Paged())
        keys = keys_of(1)
        self.sidecar.kill()
        self.assertEqual(manager.lookup(keys[0], self.context), MISS)
        output = manager.prepare_store(keys, self.context)
        worker.submit_store(1, self.paged([1]), output.store_spec)
        self.assertTrue(self.finish(worker, 1), "a block that was not stored is no failure")
        manager.complete_store(set(keys), self.context)

    def test_an_outage_is_said_once(self):
        manager, worker = self.manager(ranks=2), self.worker(Paged(), ranks=2)
        with self.assertLogs("vllm.cistern", "WARNING") as said:
            self.sidecar.kill()

            def noticed():
                for attachment in (*manager._attachments, worker._attachment):
                    attachment.ask(lambda client: client.match(client.keys(range(16))), None)
                return not any(attachment.attached for attachment in
                               (*manager._attachments, worker._attachment))
            bed.until(noticed, "the outage")
            for _ in range(50):
                noticed()
                manager.lookup(keys_of(1)[0], self.context)
        self.assertEqual(len(said.records), 1, said.output)

    def test_a_sidecar_that_came_later_is_used(self):
        self.sidecar.kill()
        manager, worker = self.manager(), self.worker(Paged())
        self.sidecar.start()
        bed.until(lambda: all(attachment.attached for attachment in manager._attachments) and
                  worker._attachment.attached, "both to attach")
        keys = keys_of(1)
        self.store(manager, [worker], keys, [1])
        self.assertEqual(manager.lookup(keys[0], self.context), HIT)

    def test_a_load_that_failed_fails_for_vllms_own_connector(self):
        worker = self.worker(Paged())
        manager = self.manager()
        worker.submit_load(2, manager.prepare_load(keys_of(1), self.context), self.paged([1]))
        self.assertFalse(self.finish(worker, 2))

    def test_a_spec_that_does_not_go_with_its_blocks_fails(self):
        worker = self.worker(Paged())
        manager = self.manager()
        worker.submit_load(2, manager.prepare_load(keys_of(1), self.context), self.paged([1, 2]))
        self.assertFalse(self.finish(worker, 2))

    def test_a_request_that_was_given_up_finds_nothing(self):
        keys = keys_of(1)
        manager, worker = self.manager(), self.worker(Paged())
        self.store(manager, [worker], keys, [1])
        manager.give_up("request-1")
        self.assertEqual(manager.lookup(keys[0], self.context), MISS)


class Apart(Case):
    """Engines that differ."""

    def found(self, **other):
        keys = keys_of(1)
        manager, worker = self.manager(), self.worker(Paged())
        self.store(manager, [worker], keys, [1])
        return self.manager(**other).lookup(keys[0], self.context)

    def test_another_fact_is_another_namespace(self):
        for name, value in (("model", "other"), ("rope", {"rope_theta": 5}), ("dtype", "float32")):
            known = Known({"version": "1", "model": "tiny", name: value}, None)
            with self.subTest(name):
                self.assertEqual(self.found(known=known), MISS)

    def test_the_same_facts_are_the_same_namespace(self):
        self.assertEqual(self.found(), HIT)

    def test_another_layout_or_tenant_is_another_namespace(self):
        self.assertEqual(self.found(extra={"tenant": "b"}), MISS)
        config = config_of(self.sidecar)
        config.kv_cache_layout = "LBNHC"
        config.extra_config[identity.KEY] = Known({"version": "1", "model": "tiny"}, None)
        self.assertNotEqual(CisternOffloadingSpec(config)._space(0),
                            spec_of(self.sidecar)._space(0))

    def test_a_doubt_is_no_cache(self):
        manager = self.manager(known=Known({"version": "1"}, "who knows"))
        self.assertEqual(manager.lookup(keys_of(1)[0], self.context), MISS)
        self.assertEqual(self.sidecar.status()["sessions_opened"], 1)  # bed's own knock

    def test_vllms_own_connector_must_be_told_which_model_it_is(self):
        config = config_of(self.sidecar)
        with self.assertLogs("vllm.cistern", "WARNING") as said:
            manager = CisternOffloadingSpec(config).get_manager()
        self.assertIn("identity", said.output[0])
        self.assertEqual(manager.lookup(keys_of(1)[0], self.context), MISS)
        config.extra_config["identity"] = "tiny, without LoRA"
        self.assertEqual(len(CisternOffloadingSpec(config).get_manager()._attachments), 1)

    def test_chunks_of_several_blocks_are_refused(self):
        with self.assertRaises(ValueError):
            spec_of(self.sidecar, chunk=2)

    def test_an_unset_hash_seed_is_said_and_keeps_engines_apart(self):
        del os.environ["PYTHONHASHSEED"]
        with self.assertLogs("vllm.cistern", "WARNING") as said:
            spec_of(self.sidecar)
        self.assertIn("PYTHONHASHSEED", said.output[0])
        self.assertNotEqual(identity.seed("a"), identity.seed("b"))

    def test_the_files_of_a_lora_set_requests_apart(self):
        with tempfile.TemporaryDirectory() as folder:
            lora = types.SimpleNamespace(lora_name="l", lora_path=folder)
            request = types.SimpleNamespace(lora_request=lora, cache_salt=None)
            empty = identity.salt_of(request)
            with open(os.path.join(folder, "adapter.bin"), "wb") as file:
                file.write(b"1")
            self.assertNotEqual(identity.salt_of(request), empty)
        plain = types.SimpleNamespace(lora_request=None, cache_salt=None)
        self.assertEqual(identity.salt_of(plain), b"")
        self.assertEqual(len(empty), identity.SALT_BYTES)


@unittest.skipIf(REAL, "vLLM's own connector needs an engine: test_vllm_real runs one")
class Connector(Case):
    """CisternConnector over a recorded OffloadingConnector."""

    def connector(self, worker=None, manager=None):
        transfer = types.SimpleNamespace(kv_connector_extra_config={}, engine_id="e",
                                         kv_load_failure_policy="recompute")
        role = recorded_vllm.KVConnectorRole.WORKER if worker else \
            recorded_vllm.KVConnectorRole.SCHEDULER
        with mock.patch("cistern.engines.vllm.connector.know", lambda *_: Known({}, None)):
            connector = CisternConnector(types.SimpleNamespace(kv_transfer_config=transfer), role,
                                         None)
        connector.connector_worker = types.SimpleNamespace(worker=worker)
        connector.connector_scheduler = types.SimpleNamespace(manager=manager)
        if worker is not None:
            connector.register_kv_caches({})
        return connector

    def failed(self, **more):
        """What the worker's half tells of a load that cannot succeed."""
        worker = self.worker(Paged())
        connector = self.connector(worker)
        entry = types.SimpleNamespace(
            req_id="request-1", dst_spec=offload.GPULoadStoreSpec([7], [1], [0]),
            src_spec=self.manager().prepare_load(keys_of(1), self.context), **more)
        connector._connector_metadata = types.SimpleNamespace(load_jobs={5: entry})
        connector.start_load_kv(None)
        worker.wait({5})
        return connector, connector.get_transfer_results(set())

    def test_a_load_that_failed_is_told_and_no_failure_of_the_books(self):
        connector, results = self.failed()
        self.assertEqual(results.failed_recving, {"request-1"})
        self.assertEqual(connector.get_block_ids_with_load_errors(), set())
        self.assertEqual(connector._loading, {})

    def test_a_load_within_the_step_that_failed_tells_its_blocks(self):
        connector, results = self.failed(sync=True)
        self.assertEqual(results.failed_recving, set())
        self.assertEqual(connector.get_block_ids_with_load_errors(), {7})
        self.assertEqual(connector.get_block_ids_with_load_errors(), set())

    def test_a_request_whose_load_failed_is_computed(self):
        keys = keys_of(1)
        manager, worker = self.manager(), self.worker(Paged())
        self.store(manager, [worker], keys, [1])
        connector = self.connector(manager=manager)
        connector.update_connector_output(types.SimpleNamespace(failed_recving={"request-1"}))
        self.assertEqual(manager.lookup(keys[0], self.context), MISS)

    def test_a_tenants_salt_reaches_the_keys(self):
        manager = self.manager()
        connector = self.connector(manager=manager)
        connector.on_new_request(types.SimpleNamespace(request_id="r", cache_salt="s",
                                                       lora_request=None))
        self.assertEqual(len(manager._requests["r"].salt), identity.SALT_BYTES)

    def test_a_policy_that_kills_requests_is_warned_of(self):
        transfer = types.SimpleNamespace(kv_connector_extra_config={}, engine_id="e",
                                         kv_load_failure_policy="fail")
        with mock.patch("cistern.engines.vllm.connector.know", lambda *_: Known({}, None)), \
                self.assertLogs("vllm.cistern", "WARNING"):
            CisternConnector(types.SimpleNamespace(kv_transfer_config=transfer),
                             recorded_vllm.KVConnectorRole.SCHEDULER, None)


@unittest.skipUnless(REAL, "vLLM is not installed: what is recorded of it is not compared")
class Recorded(unittest.TestCase):
    """What is recorded is what vLLM has."""

    def names(self):
        for path, names in recorded_vllm.NAMES.items():
            module = importlib.import_module(path)
            for name in names:
                yield getattr(recorded_vllm, name), getattr(module, name)

    def test_methods_take_the_same_arguments(self):
        for ours, theirs in self.names():
            if not inspect.isclass(ours):
                continue
            for name, method in vars(ours).items():
                if inspect.isfunction(method) and not name.startswith("__"):
                    with self.subTest(f"{ours.__name__}.{name}"):
                        real = list(inspect.signature(getattr(theirs, name)).parameters)
                        mine = list(inspect.signature(method).parameters)
                        self.assertEqual(mine, real[:len(mine)])

    def test_fields_and_values_have_the_same_names(self):
        for ours, theirs in self.names():
            for name in getattr(ours, "__dataclass_fields__", {}):
                self.assertIn(name, theirs.__dataclass_fields__, ours)
            for name in getattr(ours, "__members__", {}):
                self.assertIn(name, theirs.__members__, ours)

    def test_the_adapter_has_what_vllm_asks_for(self):
        self.assertTrue(issubclass(spec.CisternOffloadingSpec, offload.OffloadingSpec))
        self.assertFalse(inspect.isabstract(spec.CisternManager))
        self.assertFalse(inspect.isabstract(spec.CisternWorker))


if __name__ == "__main__":
    bed.main()
