"""source: the files of a tree, and what of a C file is code, what is comment and what is function.

Used by every rule. Always: a file is read once; the code has the line and column of the text.
"""

import os
import re

CODE = (".c", ".h", ".def")
SCRIPT = (".py", ".sh")
OTHER = (".md", ".txt", ".tsv", ".map", ".map.in", ".in", ".yml")
PRODUCTION = ("shm", "cuda", "libclient", "sidecar", "bench")

TOKEN = re.compile(
    r'/\*.*?\*/|//(?:\\\n|[^\n])*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
ATTRIBUTE = re.compile(r"__attribute__\s*\(\(.*?\)\)(?=\s)|_Alignas\([^)]*\)")


class Source:
    """One file. `path` is relative to the root of the tree."""

    def __init__(self, root, path):
        self.path = path
        self.folder, self.name = os.path.split(path)
        self.stem, self.suffix = os.path.splitext(self.name)
        with open(os.path.join(root, path), encoding="utf-8") as file:
            self.text = file.read()
        self.lines = self.text.split("\n")
        self.is_code = self.suffix in CODE
        self.is_shell = self.suffix == ".sh" or re.match(r"#!.*\b(ba)?sh\b", self.text) is not None
        self.is_python = self.suffix == ".py" or self.text.startswith("#!/usr/bin/env python")
        self.is_build = self.name == "meson.build" or self.name == "meson.options"
        self.is_measured = self.is_code or self.is_shell or self.is_python or self.is_build
        self.layer = path.split("/")[0]
        self.is_production = self.layer in PRODUCTION and self.is_code
        self.comments = []  # (line, text)
        self.code = ""  # comments and the insides of strings are blanks
        self.functions = []  # (first line, last line, head)
        if self.is_code:
            self.code = TOKEN.sub(self._blank, self.text)
            self.code_lines = self.code.split("\n")
            self._find_functions()

    def _blank(self, match):
        token = match.group()
        if token[0] == "/":
            self.comments.append((self.line_of(match.start()), token))
            return re.sub(r"[^\n]", " ", token)
        return token[0] + " " * (len(token) - 2) + token[-1]

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1

    def _find_functions(self):
        """Our format has a function's braces, and no others, alone at the start of a line."""
        first = None
        for number, line in enumerate(self.code_lines, 1):
            if line == "{" and first is None:
                first = number
                while first > 1 and re.match(r"[^#}\s].*[^;]\s*$|\s+\S.*[^;]\s*$",
                                             self.code_lines[first - 2]):
                    first -= 1
                head = " ".join(self.code_lines[first - 1:number - 1])
                self.functions.append([first, number, ATTRIBUTE.sub("", head)])
            elif line == "}" and first is not None:
                self.functions[-1][1] = number
                first = None

    def find(self, pattern, text=None):
        """Every match of `pattern` in the code, with its line."""
        for match in re.finditer(pattern, self.code if text is None else text, re.MULTILINE):
            yield self.line_of(match.start()), match


def wanted(root, path):
    name = os.path.basename(path)
    suffix = os.path.splitext(name)[1]
    if suffix in CODE + SCRIPT + OTHER or name in ("meson.build", "meson.options"):
        return True
    if suffix:
        return False
    with open(os.path.join(root, path), "rb") as file:
        return file.read(2) == b"#!"


def read_tree(root):
    """Every source of the tree; not what was built, nor git's own."""
    sources = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in (".git", "__pycache__") and
                            not os.path.exists(os.path.join(folder, name, "build.ninja")) and
                            not os.path.islink(os.path.join(folder, name)))
        for name in sorted(names):
            path = os.path.relpath(os.path.join(folder, name), root)
            full = os.path.join(root, path)
            if os.path.isfile(full) and not os.path.islink(full) and wanted(root, path):
                sources.append(Source(root, path))
    return sources
