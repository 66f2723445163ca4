#!/usr/bin/env python3
"""tools: what the well-known checkers say of the tree, one of them a call; see README.md.

usage: tools.py clang-format|shellcheck|codespell [ROOT] [--only FILE...]

Exits 1 if the tool complains, and 77, with the reason, where it is not installed.
"""

import os
import shutil
import subprocess
import sys

import source as tree

HERE = os.path.dirname(os.path.abspath(__file__))
SKIP = 77


def wants(tool, source):
    if tool == "clang-format":
        return source.suffix in (".c", ".h")  # tables keep their own columns
    if tool == "shellcheck":
        return source.is_shell
    return True


COMMANDS = {
    "clang-format": ["clang-format", "--dry-run", "-Werror"],
    "shellcheck": ["shellcheck", "--external-sources"],
    "codespell": ["codespell"],
}


def main(arguments):
    only = None
    if "--only" in arguments:
        at = arguments.index("--only")
        only = set(arguments[at + 1:])
        arguments = arguments[:at]
    if not arguments or arguments[0] not in COMMANDS:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    tool = arguments[0]
    if shutil.which(tool) is None:
        print(f"skipped: {tool} is not installed; apt-get install {tool}")
        return SKIP
    root = os.path.abspath(arguments[1] if len(arguments) > 1 else os.path.join(HERE, "..", ".."))
    files = [source.path for source in tree.read_tree(root) if wants(tool, source)]
    files = [path for path in files if only is None or path in only]
    if not files:
        return 0
    print(f"{tool}: {len(files)} files")
    return min(1, subprocess.run(COMMANDS[tool] + files, cwd=root, check=False).returncode)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
