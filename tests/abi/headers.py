#!/usr/bin/env python3
"""headers: each header compiles alone, and twice; the public one as C11 and C++, pedantically.

usage: headers.py public|internal ROOT

Every compiler that is here is asked. Exits 77, with the reason, where none of them can.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor

SKIP = 77
STRICT = ["-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
LANGUAGES = (("c", "c11"), ("c", "c17"), ("c++", "c++11"), ("c++", "c++20"))
# A model is compiled by its checker, whose own headers stand in for the system's.
ELSEWHERE = ("tests/model/",)


def compile_text(compiler, language, standard, flags, root, text):
    command = [compiler, "-x", language, f"-std={standard}"] + STRICT + flags + ["-"]
    done = subprocess.run(command, cwd=root, input=text, capture_output=True, text=True,
                          check=False)
    return done.returncode, done.stderr


def can(compiler, language, standard):
    if shutil.which(compiler) is None:
        return False
    return compile_text(compiler, language, standard, [], "/", "int one;\n")[0] == 0


def public_jobs():
    flags = ["-pedantic", "-Ilibclient/include"]
    for compiler in ("gcc", "clang"):
        for language, standard in LANGUAGES:
            if can(compiler, language, standard):
                for header in ("cistern.h", "cistern_device.h"):
                    yield compiler, language, standard, flags, header
            else:
                print(f"left out: no {compiler} for {standard} here")


def python_flags():
    """What the headers of the Python package need; None without the headers of Python."""
    folder = sysconfig.get_path("include")
    if not os.path.exists(os.path.join(folder, "Python.h")):
        print("left out: libclient/python/, no headers of Python here")
        return None
    return ["-isystem", folder, "-DPy_LIMITED_API=0x030b0000"]


def internal_jobs(root):
    compiler = next((name for name in ("gcc", "clang", "cc") if shutil.which(name)), None)
    if compiler is None:
        return
    flags = ["-D_GNU_SOURCE", "-I.", "-Ilibclient/include", "-Wconversion", "-Wshadow",
             "-Wundef", "-Wcast-qual"]
    for_python = python_flags()
    for layer in ("shm", "cuda", "libclient", "sidecar", "bench", "tests"):
        for folder, _folders, names in os.walk(os.path.join(root, layer)):
            for name in sorted(names):
                path = os.path.relpath(os.path.join(folder, name), root)
                if not name.endswith(".h") or path.startswith(ELSEWHERE):
                    continue
                if not path.startswith("libclient/python/"):
                    yield compiler, "c", "c11", flags, path
                elif for_python is not None:
                    yield compiler, "c", "c11", flags + for_python, path


def main(which, root):
    jobs = list(public_jobs() if which == "public" else internal_jobs(root))
    if not jobs:
        print("skipped: no compiler here")
        return SKIP

    def run(job):
        *how, header = job
        quoted = f'"{header}"' if "/" in header else f"<{header}>"
        return compile_text(*how, root, f"#include {quoted}\n#include {quoted}\nextern int one;\n")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(run, jobs))
    failures = 0
    for (compiler, _language, standard, _flags, header), (status, text) in zip(jobs, results):
        if status != 0:
            failures += 1
            print(f"{header}: {compiler} -std={standard}:\n{text}")
    print(f"{len(jobs)} compilations, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
