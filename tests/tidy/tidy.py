#!/usr/bin/env python3
"""tidy: the house style, as far as a program can see it. See README.md.

usage: tidy.py [ROOT] [--only FILE...]

Prints one line a complaint, `path:line: rule: what`, and exits 1 if there is one. --only shows
those about the given files alone. What the tree does differently for a reason stands in
exceptions.txt.
"""

import fnmatch
import os
import sys

import rules_code
import rules_text
import rules_tree
import source as tree

HERE = os.path.dirname(os.path.abspath(__file__))
EXCEPTIONS = "tests/tidy/exceptions.txt"


class Exceptions:
    """Lines `rule  path[:word]  reason`. The path is a pattern; the complaint has the word."""

    def __init__(self, root):
        self.rows = []
        self.bad = []
        path = os.path.join(root, EXCEPTIONS)
        if not os.path.exists(path):
            return
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                fields = line.split(None, 2)
                if not fields or line.startswith("#"):
                    continue
                if len(fields) < 3 or len(fields[2].split()) < 3:
                    self.bad.append((number, "rule, path, and a reason of a few words"))
                    continue
                pattern, _, word = fields[1].partition(":")
                self.rows.append({"rule": fields[0], "path": pattern, "word": word,
                                  "line": number, "used": False})

    def excuse(self, path, rule, what):
        for row in self.rows:
            if row["rule"] == rule and fnmatch.fnmatch(path, row["path"]) and row["word"] in what:
                row["used"] = True
                return True
        return False

    def complaints(self):
        for number, what in self.bad:
            yield EXCEPTIONS, number, "exception", what
        for row in self.rows:
            if not row["used"]:
                yield (EXCEPTIONS, row["line"], "exception",
                       f"{row['rule']} {row['path']}: nothing needs it any more")


def complaints(root):
    sources = tree.read_tree(root)
    exceptions = Exceptions(root)
    found = []
    for source in sources:
        for rule in rules_text.RULES + rules_code.RULES:
            for name, line, what in rule(source):
                found.append((source.path, line, name, what))
    for rule in rules_tree.RULES:
        for source, name, line, what in rule(sources):
            found.append((source.path, line, name, what))
    kept = [row for row in found if not exceptions.excuse(row[0], row[2], row[3])]
    return sorted(kept + list(exceptions.complaints())), len(sources)


def main(arguments):
    only = None
    if "--only" in arguments:
        at = arguments.index("--only")
        only = set(arguments[at + 1:])
        arguments = arguments[:at]
    root = arguments[0] if arguments else os.path.join(HERE, "..", "..")
    found, count = complaints(os.path.abspath(root))
    if only is not None:
        found = [row for row in found if row[0] in only]
    for path, line, rule, what in found:
        print(f"{path}:{line}: {rule}: {what}")
    print(f"tidy: {count} files, {len(found)} complaints" if found else f"tidy: {count} files")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
