"""The wheel: pip builds it from the tree, and it works alone."""

import glob
import os
import subprocess
import sys
import tempfile
import unittest
import zipfile

import bed


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=150, **more)


def pip(*arguments):
    return run(sys.executable, "-m", "pip", "--retries=0", "--timeout=5", *arguments)


class Wheel(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cistern-wheel-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        if pip("--version").returncode != 0:
            self.skipTest("no pip; apt-get install python3-pip")
        backend = pip("download", "--no-deps", "--dest", self.folder, "meson-python>=0.16")
        if backend.returncode != 0:
            self.skipTest("pip reaches no index that has meson-python 0.16")

    def test_the_wheel_works_beside_nothing_but_a_sidecar(self):
        built = pip("wheel", "--no-deps", "--wheel-dir", self.folder, bed.SOURCE)
        self.assertEqual(built.returncode, 0, built.stdout + built.stderr)
        [wheel] = glob.glob(os.path.join(self.folder, "cistern-*.whl"))
        self.assertIn("-abi3-", wheel)
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            archive.extractall(os.path.join(self.folder, "site"))
        self.assertIn("cistern/_cistern.abi3.so", names)
        self.assertIn("cistern/py.typed", names)
        self.assertEqual([name for name in names if not name.startswith("cistern")], [])
        there = bed.Sidecar()
        self.addCleanup(there.close)
        script = ("import sys, cistern; space = cistern.Namespace('wheel', 16, 4096);"
                  "client = cistern.Client(space, sys.argv[1]); key = client.keys(range(16))[0];"
                  "client.put(key, b'from a wheel'); client.flush();"
                  "print(cistern.__file__, client.get(key))")
        site = os.path.join(self.folder, "site")
        used = run(sys.executable, "-c", script, there.socket, env={"PYTHONPATH": site})
        self.assertEqual(used.returncode, 0, used.stderr)
        self.assertIn(site, used.stdout)
        self.assertIn("b'from a wheel'", used.stdout)


if __name__ == "__main__":
    bed.main()
