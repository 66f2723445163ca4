"""Types: mypy agrees with the package, and the stub of the C half with the C half."""

import ast
import os
import subprocess
import sys
import tempfile
import unittest

import bed
import cistern
from cistern import _cistern

PACKAGE = os.path.dirname(cistern.__file__)
USE = '''
import cistern
client = cistern.Client(cistern.Namespace("n", block_tokens=16, block_bytes=4096))
keys = client.keys([1, 2, 3])
first: bytes = keys[0]
with client.acquire(keys) as blocks:
    for block in blocks:
        shape: tuple[int, ...] = block.cast("float16", (2, -1)).shape
answer: cistern.Answer = client.claim(first).answer
client.put("text", 3)
'''


CONFIG = """[mypy]
strict = True
[mypy-numpy.*,torch.*]
follow_imports = skip
"""


@bed.wants("mypy")
class Types(unittest.TestCase):
    def mypy(self, *arguments):
        """Of NumPy and torch all is Any: to read them takes minutes, and says nothing of us."""
        with tempfile.NamedTemporaryFile("w", suffix=".ini") as config:
            config.write(CONFIG)
            config.flush()
            return subprocess.run(
                [sys.executable, "-m", "mypy", "--config-file", config.name, "--cache-dir",
                 os.devnull, *arguments], capture_output=True, text=True, check=False,
                env={**os.environ, "MYPYPATH": os.path.dirname(PACKAGE)})

    def test_the_package_is_strict(self):
        checked = self.mypy("-p", "cistern")
        self.assertEqual(checked.returncode, 0, checked.stdout)

    def test_a_user_is_told_of_a_wrong_type(self):
        with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
            script.write(USE.replace('client.put("text", 3)', "client.reserve('3')"))
            script.flush()
            checked = self.mypy(script.name)
        self.assertIn("error", checked.stdout)
        self.assertIn("1 error", checked.stdout, checked.stdout)


class Stub(unittest.TestCase):
    def test_the_stub_names_what_the_c_half_has(self):
        with open(os.path.join(PACKAGE, "_cistern.pyi"), encoding="utf-8") as stub:
            classes = {node.name: {part.name for part in node.body
                                   if isinstance(part, ast.FunctionDef)}
                       for node in ast.parse(stub.read()).body if isinstance(node, ast.ClassDef)}
        self.assertEqual(set(classes), {"Keys", "Tensor", "Blocks", "Slot", "Handle", "Device"})
        for name, stubbed in classes.items():
            real = {word for word in vars(getattr(_cistern, name)) if not word.startswith("__")}
            self.assertEqual({word for word in stubbed if not word.startswith("__")}, real, name)

    def test_everything_public_is_described(self):
        for name in cistern.__all__:
            thing = getattr(cistern, name)
            self.assertTrue(thing.__doc__, name)
            for word, member in vars(thing).items():
                if not word.startswith("_") and callable(member) and isinstance(thing, type):
                    if thing.__module__.startswith("cistern") and name != "Answer":
                        self.assertTrue(member.__doc__, f"{name}.{word}")


if __name__ == "__main__":
    bed.main()
