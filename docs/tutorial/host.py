"""host: sidecars of the tutorial's own, on a temporary folder, and worker processes."""

import contextlib
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time

import cistern

PATIENCE_S = 30.0


def environment():
    """Ours without CISTERN_…: a sidecar refuses the names that it does not know."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CISTERN_")}


class Sidecar:
    """A private cisternd; a context manager that stops it and removes its folder."""

    def __init__(self, program, *flags, pool="256MiB"):
        self._folder = tempfile.TemporaryDirectory(prefix="cistern-tutorial-")
        self.folder = self._folder.name
        self.socket = os.path.join(self.folder, "socket")
        os.mkdir(os.path.join(self.folder, "disk"))
        self._command = [program, f"--socket={self.socket}", f"--pool={pool}",
                         "--log-level=error",
                         *(flag.replace("{folder}", self.folder) for flag in flags)]
        self._process = None
        self.start()

    def start(self):
        self._process = subprocess.Popen(self._command, env=environment())
        wait_for(self._answers)

    def _answers(self):
        if self._process.poll() is not None:
            raise SystemExit(f"{self._command[0]} did not start")
        try:
            client(self.socket, "tutorial-knock", 16, 4096).close()
        except cistern.NoServer:
            return False
        return True

    def stop(self):
        """SIGTERM: what is worth it goes to the disk, if there is one."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(PATIENCE_S)

    def kill_server(self):
        """kill -9 of the server; its keeper has the memory, and starts the next one."""
        children = f"/proc/{self._process.pid}/task/{self._process.pid}/children"
        with open(children, encoding="ascii") as file:
            os.kill(int(file.read().split()[0]), signal.SIGKILL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self._folder.cleanup()


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("waited too long for the sidecar")
        time.sleep(0.005)


def client(socket, name, block_tokens, block_bytes, **more):
    space = cistern.Namespace(name, block_tokens, block_bytes, engine="tutorial 1", **more)
    return cistern.Client(space, socket)


@contextlib.contextmanager
def workers(count, body, *arguments):
    """Processes that run `body(pipe, …)`; yields a pipe to each, and sends None at the end."""
    context = multiprocessing.get_context("fork")
    started = []
    for _ in range(count):
        ours, theirs = context.Pipe()
        process = context.Process(target=body, args=(theirs, *arguments), daemon=True)
        process.start()
        theirs.close()
        started.append((ours, process))
    yield [pipe for pipe, _ in started]
    for pipe, process in started:
        pipe.send(None)
        process.join(PATIENCE_S)


def in_process(body, *arguments):
    """Run `body` in a process of its own, and return what it returns."""
    sys.stdout.flush()
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException), os.fdopen(theirs, "wb") as pipe:
            os.close(ours)
            pickle.dump(body(*arguments), pipe)
            pipe.flush()
            os._exit(0)
        os._exit(1)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(pid, 0)
    if status != 0:
        raise SystemExit(f"a worker failed: {body.__name__}")
    return pickle.loads(data)
