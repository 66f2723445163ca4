#!/usr/bin/env python3
"""test_ptx: the kernels' text does what tests/pattern.h and kernel.def say, without a device.

usage: test_ptx.py KERNELS.PTX. A reader of the few instructions that the text uses runs it, thread
by thread. Where a toolkit is installed, its assembler reads the text as well.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

MASK = (1 << 64) - 1
WORDS = 700
BASE = 1 << 40  # of the memory that the kernels see
ERRORS = BASE + 8 * WORDS
PTXAS = shutil.which("ptxas") or "/usr/local/cuda/bin/ptxas"
TEXT = ""


def pattern_word(number, at):
    """As tests/pattern.h."""
    word = (number << 20 | at) & MASK
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & MASK
    word = (word ^ word >> 27) * 0x94D049BB133111EB & MASK
    return word ^ word >> 31


class Kernel:
    """One .entry: its parameters, its instructions, and where its labels are."""

    def __init__(self, text, name):
        found = re.search(rf"\.entry {name}\(\n(.*?)\)\n{{\n(.*?)\n}}", text, re.DOTALL)
        self.parameters = re.findall(r"\.param \.u64 (\w+)", found.group(1))
        self.code, self.labels = [], {}
        for line in found.group(2).splitlines():
            line = line.strip()
            if line.endswith(":"):
                self.labels[line[:-1]] = len(self.code)
            elif line and not line.startswith(".reg"):
                self.code.append(re.fullmatch(r"(?:@(%\w+) )?([\w.]+)\s*(.*);", line).groups())


class Thread:
    """Runs a kernel. `special`: registers that the device sets; `memory`: words by address."""

    def __init__(self, kernel, arguments, special, memory):
        self.kernel, self.memory = kernel, memory
        self.arguments = dict(zip(kernel.parameters, arguments, strict=True))
        self.special = special
        self.register = {}
        self.timer = 0

    def value(self, name):
        if name == "%globaltimer":
            self.timer += 40
            return self.timer
        if name.startswith("%"):
            return self.special[name] if name in self.special else self.register[name]
        return int(name, 0)

    def address(self, text):
        return self.value(text[1:-1])

    def run(self):
        at = steps = 0
        while True:
            predicate, name, operands = self.kernel.code[at]
            at += 1
            steps += 1
            assert steps < 1000000, "it does not end"
            if predicate is not None and not self.register[predicate]:
                continue
            if name == "ret":
                return
            if name == "bra":
                at = self.kernel.labels[operands]
                continue
            self.step(name, operands.split(", "))

    def step(self, name, operands):
        out = operands[0]
        if name == "ld.param.u64":
            self.register[out] = self.arguments[operands[1][1:-1]] & MASK
        elif name == "ld.global.u64":
            self.register[out] = self.memory[self.address(operands[1])]
        elif name == "st.global.u64":
            assert self.address(out) in self.memory, "a store to nowhere"
            self.memory[self.address(out)] = self.value(operands[1])
        elif name == "red.global.add.u64":
            self.memory[self.address(out)] += self.value(operands[1])
        else:
            values = [self.value(operand) for operand in operands[1:]]
            self.register[out] = OPERATIONS[name](*values)


OPERATIONS = {
    "mov.u32": lambda a: a & 0xFFFFFFFF,
    "mov.u64": lambda a: a,
    "cvt.u64.u32": lambda a: a,
    "cvta.to.global.u64": lambda a: a,
    "add.u64": lambda a, b: a + b & MASK,
    "sub.u64": lambda a, b: a - b & MASK,
    "mul.lo.u64": lambda a, b: a * b & MASK,
    "mul.wide.u32": lambda a, b: a * b,
    "mad.wide.u32": lambda a, b, c: a * b + c & MASK,
    "shl.b64": lambda a, b: a << b & MASK,
    "shr.u64": lambda a, b: a >> b,
    "or.b64": lambda a, b: a | b,
    "xor.b64": lambda a, b: a ^ b,
    "setp.ge.u64": lambda a, b: a >= b,
    "setp.lt.u64": lambda a, b: a < b,
    "setp.eq.u64": lambda a, b: a == b,
}


def launch(name, arguments, memory, grid=3, block=32):
    """All threads of a grid, one after the other."""
    kernel = Kernel(TEXT, name)
    for x in range(grid):
        for thread in range(block):
            special = {"%ctaid.x": x, "%ntid.x": block, "%tid.x": thread, "%nctaid.x": grid}
            Thread(kernel, arguments, special, memory).run()


class Kernels(unittest.TestCase):
    def setUp(self):
        self.memory = {BASE + 8 * i: 0xEE for i in range(WORDS)}
        self.memory[ERRORS] = 0

    def test_fill_writes_the_pattern_and_no_other_word(self):
        launch("cistern_fill", (BASE + 80, 500, 77, 30), self.memory)
        for i in range(WORDS):
            wanted = pattern_word(77, 8 * (30 + i - 10)) if 10 <= i < 510 else 0xEE
            self.assertEqual(self.memory[BASE + 8 * i], wanted, f"word {i}")

    def test_check_counts_each_wrong_word_once(self):
        launch("cistern_fill", (BASE, WORDS, 5, 0), self.memory)
        launch("cistern_check", (BASE, WORDS, 5, 0, ERRORS), self.memory)
        self.assertEqual(self.memory[ERRORS], 0)
        for i in (0, 1, 333, WORDS - 1):
            self.memory[BASE + 8 * i] ^= 1 << 63
        launch("cistern_check", (BASE, WORDS, 5, 0, ERRORS), self.memory)
        self.assertEqual(self.memory[ERRORS], 4)
        launch("cistern_check", (BASE + 8, WORDS - 2, 5, 1, ERRORS), self.memory)
        self.assertEqual(self.memory[ERRORS], 4 + 2)

    def test_spin_lasts_until_the_time_is_over(self):
        thread = Thread(Kernel(TEXT, "cistern_spin"), (4000,), {}, {})
        thread.run()
        self.assertEqual(thread.timer, 40 + 4000)

    @unittest.skipUnless(os.path.exists(PTXAS), "no toolkit here: no assembler has read the text")
    def test_the_assembler_takes_it(self):
        with tempfile.NamedTemporaryFile() as out:
            subprocess.run([PTXAS, "-arch=sm_80", "-o", out.name, sys.argv[1]], check=True)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="ascii") as ptx:
        TEXT = ptx.read()
    unittest.main(argv=sys.argv[:1])
