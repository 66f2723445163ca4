"""bed: a cisternd of the test's own, and what all tests of the Python package share.

Always: the sidecar dies with the test, and its folder is removed. A test that cannot run here
skips with the reason; a file of which all tests skipped exits with 77.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import cistern

BUILD = os.environ.get("CISTERN_BUILD", "build")
SOURCE = os.environ.get("CISTERN_SOURCE", ".")
SKIP = 77
PATIENCE_S = 20.0
BLOCK = 64 << 10


class Sidecar:
    """A private cisternd with a small pool."""

    def __init__(self, *flags, pool="64MiB"):
        self.folder = tempfile.mkdtemp(prefix="cistern-test-")
        self.socket = os.path.join(self.folder, "socket")
        self.flags = [f"--socket={self.socket}", f"--pool={pool}", "--extent=4MiB", *flags]
        self.process = None
        self.start()

    def start(self):
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("CISTERN_")}
        libc = ctypes.CDLL(None)
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(
                [os.path.join(BUILD, "sidecar", "cisternd"), *self.flags], stdout=log, stderr=log,
                env=environment, preexec_fn=lambda: libc.prctl(1, signal.SIGKILL))
        until(self._answers, "the sidecar to answer")

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError("cisternd ended:\n" + self.log())
        try:
            cistern.Client(space("knock"), self.socket).close()
        except cistern.NoServer:
            return False
        return True

    def log(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8") as log:
            return log.read()

    def status(self):
        """The sidecar's own counts, as `cistern status` prints them."""
        text = subprocess.run([os.path.join(BUILD, "sidecar", "cistern"), "status", "--socket",
                               self.socket], check=True, capture_output=True, text=True).stdout
        rows = (line.split() for line in text.splitlines())
        return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}

    def server(self):
        return self.status()["pid"]

    def kill(self):
        """kill -9 of all of it: stopped first, the keeper starts no other server."""
        self.process.send_signal(signal.SIGSTOP)
        children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        with open(children, encoding="ascii") as file:
            for pid in file.read().split():
                os.kill(int(pid), signal.SIGKILL)
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self.folder)


def until(condition, what):
    """Wait for a condition; fail at a deadline."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {PATIENCE_S} s for {what}")
        time.sleep(0.002)


def space(name="test", **more):
    return cistern.Namespace(name, **{"block_tokens": 16, "block_bytes": BLOCK, **more})


def source(path):
    return os.path.join(SOURCE, path)


class WithSidecar(unittest.TestCase):
    """A sidecar for the class, a client and some keys for each test."""

    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.sidecar = Sidecar(*cls.flags)
        cls.addClassCleanup(cls.sidecar.close)

    def setUp(self):
        self.client = self.open()
        # Every test has keys of its own: what another one put is none of its business.
        self.keys = self.client.keys(list(os.urandom(16 * 64)))

    def open(self, **more):
        client = cistern.Client(space(), self.sidecar.socket, **more)
        self.addCleanup(client.close)
        return client

    def put(self, index, data):
        self.client.put(self.keys[index], data, self.keys[index - 1] if index else None)
        self.client.flush()


@contextlib.contextmanager
def child(body):
    """Run `body` in a forked child; the block runs meanwhile. Its failure is ours."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(int(PATIENCE_S))  # a child that hangs is a failure
            body()
            os._exit(0)
        except BaseException as error:  # told by the exit status, and here
            print(f"child: {error!r}", file=sys.stderr, flush=True)
            os._exit(1)
    try:
        yield pid
    finally:
        _, status = os.waitpid(pid, 0)
    if status != 0:
        raise AssertionError(f"the child ended with wait status {status:#x}")


def wants(module):
    """Skip the test, or the class, if a module is not installed."""
    try:
        __import__(module)
    except ImportError:
        return unittest.skip(f"{module} is not installed; apt-get install python3-{module}")
    return lambda what: what


def main():
    if not os.path.exists(os.path.join(BUILD, "sidecar", "cisternd")):
        print(f"skipped: {BUILD}/sidecar/cisternd is not built (or set CISTERN_BUILD)")
        sys.exit(SKIP)
    result = unittest.main(module="__main__", exit=False, verbosity=2).result
    if not result.wasSuccessful():
        sys.exit(1)
    for test, reason in result.skipped:
        print(f"skipped: {test.id()}: {reason}")
    if result.testsRun == len(result.skipped):
        sys.exit(SKIP)
