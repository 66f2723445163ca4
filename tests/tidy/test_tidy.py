#!/usr/bin/env python3
"""test_tidy: each rule of tidy is seen to complain, about that and nothing else, and to stay silent
where it should.

A small tree that breaks no rule is written to a temporary folder; each case changes one file.
"""

import os
import sys
import tempfile

import tidy

GUARD = "/* {0}: it. */\n#ifndef {1}\n#define {1}\n{2}\n#endif\n"
README = "# here\n"


def header(path, body=""):
    guard = "CISTERN_" + path.upper().replace("/", "_").replace(".", "_")
    return GUARD.format(path, guard, body)


def c_file(own, body=""):
    return f'/* it: does it. */\n#include "{own}"\n\n#include <stdint.h>\n{body}'


def instead(text):
    """A case that replaces the file."""
    return "!" + text


BUILD = "files('slot.c', 'fetch.c', 'pool.c', 'door.c', 'config.c', 'main.c', 'cli/main.c')\n"

# A tree in the image of ours.
GOOD = {
    "meson.build": BUILD,
    "shm/README.md": README,
    "shm/slot.h": header("shm/slot.h"),
    "shm/slot.c": c_file("shm/slot.h", "\nvoid slot_free(void)\n{\n}\n"),
    "libclient/README.md": README,
    "libclient/fetch.h": header("libclient/fetch.h"),
    "libclient/fetch.c": c_file("libclient/fetch.h", "\nint cistern_fetch(void)\n{\n}\n"),
    "sidecar/README.md": README,
    "sidecar/config.h": header("sidecar/config.h"),
    "sidecar/config.c": c_file("sidecar/config.h"),
    "sidecar/main.c": c_file("sidecar/config.h", "\nint main(void)\n{\n    return 0;\n}\n"),
    "sidecar/block/README.md": README,
    "sidecar/block/pool.h": header("sidecar/block/pool.h", '#include "shm/slot.h"'),
    "sidecar/block/pool.c": c_file("sidecar/block/pool.h"),
    "sidecar/session/README.md": README,
    "sidecar/session/door.h": header("sidecar/session/door.h", '#include "sidecar/block/pool.h"'),
    "sidecar/session/door.c": c_file("sidecar/session/door.h"),
    "sidecar/cli/README.md": README,
    "sidecar/cli/main.c": c_file("shm/slot.h", "\nint main(void)\n{\n    return 0;\n}\n"),
    "bench/README.md": README,
    "bench/run": "#!/usr/bin/env bash\necho run\n",
    "tests/README.md": README,
    "tests/unit/shm/test_slot.c": c_file("shm/slot.h"),
    "tests/unit/libclient/test_fetch.c": c_file("libclient/fetch.h"),
    "tests/unit/sidecar/test_config.c": c_file("sidecar/config.h"),
    "tests/unit/sidecar/block/test_pool.c": c_file("sidecar/block/pool.h"),
    "tests/unit/sidecar/session/test_door.c": c_file("sidecar/session/door.h"),
    "tests/tidy/exceptions.txt": (
        "readme tests/unit/* mirrors the folders of the sources\n"
        "untested sidecar/*main.c:main started by another suite instead\n"),
}

# The rule that must complain, the file that is changed, and what is appended to it. No rule: a near
# miss, which must pass. A "!" replaces the file; with nothing behind it, removes it.
SLOT, POOL, RUN = "shm/slot.c", "sidecar/block/pool.c", "bench/run"
TEST = "tests/unit/shm/test_slot.c"
CASES = [
    # sizes, spaces
    ("file", SLOT, "\n/* a */" * 400 + "\n"),
    ("", SLOT, "/* " + "é" * 94 + " */\n"),
    ("line", SLOT, "/* " + "é" * 95 + " */\n"),
    ("line", RUN, "# " + "a" * 99 + "\n"),
    ("", SLOT, "\nvoid slot_long(void)\n{\n" + "    ;\n" * 67 + "}\n"),
    ("function", SLOT, "\nvoid slot_long(void)\n{\n" + "    ;\n" * 68 + "}\n"),
    ("function", RUN, "long() {\n" + "    true\n" * 69 + "}\n"),
    ("function", "tests/long.py", '!"""long."""\ndef long():\n' + "    pass\n" * 70),
    ("space", SLOT, "/* a */ \n"),
    ("space", RUN, "\ttrue\n"),
    ("space", RUN, "true"),
    ("space", RUN, "\n"),
    # words, dead code
    ("unfinished", SLOT, "/* TO" "DO: more */\n"),
    ("unfinished", RUN, "# FIX" "ME\n"),
    ("words", RUN, 'cd "/build' 'box/tree"\n'),
    ("words", SLOT, '\nstatic const char where[] = "/home' '/somebody/x";\n'),
    ("words", RUN, "curl http:" "//mirror.example.net/x\n"),
    ("words", RUN, "ping cache.dc1" ".internal\n"),
    ("", RUN, "ls /dev/shm /proc/self tests/unit; : https://www.kernel.org/doc\n"),
    ("dead", SLOT, "\n#if 0\n#endif\n"),
    ("dead", SLOT, "// slot\n"),
    ("dead", SLOT, "/* slot_free(slot); */\n"),
    ("dead", SLOT, "/*\n * left = right + 1;\n */\n"),
    ("", SLOT, "/* A slot is free; slot_free() says so; the generation rises. */\n"),
    # calls
    ("banned", SLOT, "\nvoid slot_copy(void)\n{\n    strcpy(a, b);\n}\n"),
    ("banned", TEST, "\nstatic void copy(void)\n{\n    (void)sprintf(a, b);\n}\n"),
    ("banned", POOL, "\nvoid pool_run(void)\n{\n    system(a);\n}\n"),
    ("banned", POOL, "\nvoid pool_run(void)\n{\n    popen(a, b);\n}\n"),
    ("", TEST, "\nstatic void run(void)\n{\n    system(a);\n    popen(a, b);\n}\n"),
    ("", SLOT, '\nstatic const char text[] = "strcpy(a, b) \\" gets(c)"; /* gets(a) is bad */\n'),
    ("volatile", POOL, "\nvoid pool_spin(volatile int *word)\n{\n}\n"),
    ("", POOL, '\nvoid pool_spin(void)\n{\n    __asm__ volatile("");\n}\n'),
    ("order", POOL, "\nvoid pool_fence(void)\n{\n    use(memory_order_relaxed);\n}\n"),
    ("order", POOL, "\nvoid pool_fence(void)\n{\n    atomic_load(&word);\n}\n"),
    ("print", SLOT, '\nvoid slot_say(void)\n{\n    (void)printf("");\n}\n'),
    ("print", "libclient/fetch.c", '\nint cistern_fetch_say(void)\n{\n    fputs("", stderr);\n}\n'),
    ("", SLOT, "\nvoid slot_say(void)\n{\n    (void)snprintf(a, b, c);\n}\n"),
    ("pure", SLOT, "\nvoid *slot_make(void)\n{\n    return malloc(1);\n}\n"),
    ("pure", SLOT, "\nvoid slot_lock(void)\n{\n    pthread_mutex_lock(a);\n}\n"),
    # macros, guards, globals, openings
    ("macro", SLOT, "\n#define SLOT_MAX(a, b) ((a) > (b) ? (a) : (b))\n"),
    ("macro", TEST, "\n#define CHECK(a) do { check(a); } while (0)\n"),
    ("", TEST, "\n#define ROW(a) {#a, a}\n"),
    ("flow", SLOT, "\n#define SLOT_OUT \\\n    return 0\n"),
    ("guard", "shm/slot.h", "!/* slot. */\n#ifndef SLOT_H\n#define SLOT_H\n#endif\n"),
    ("guard", "shm/slot.h", "!/* slot. */\n"),
    ("global", POOL, "\nstatic uint32_t pool_count;\n"),
    ("global", POOL, "\nstruct pool *pool_first = NULL;\n"),
    ("global", POOL, "\nstatic const char *pool_names[4];\n"),
    ("", POOL, "\nstatic const char *const names[] = {0};\nstatic const uint32_t rows = 4;\n"),
    ("opening", SLOT, '!#include "shm/slot.h"\n'),
    ("opening", "tests/long.py", "!import os\n"),
    # includes, layers
    ("include", POOL, '!/* it. */\n#include "shm/slot.h"\n#include "sidecar/block/pool.h"\n'),
    ("include", POOL, '!/* it. */\n#include <stdint.h>\n\n#include "shm/slot.h"\n'),
    ("include", TEST, '#include "../test_slot.h"\n'),
    ("include", TEST, "#include <shm/slot.c>\n"),
    ("layer", "shm/slot.h", instead(header("shm/slot.h", '#include "sidecar/config.h"'))),
    ("layer", "libclient/fetch.h",
     instead(header("libclient/fetch.h", '#include "sidecar/config.h"'))),
    ("layer", "sidecar/config.h",
     instead(header("sidecar/config.h", '#include "sidecar/block/pool.h"'))),
    ("layer", "sidecar/block/pool.h",
     instead(header("sidecar/block/pool.h", '#include "sidecar/session/door.h"'))),
    ("layer", "sidecar/config.h", instead(header("sidecar/config.h", "#include <cistern.h>"))),
    ("layer", "sidecar/cli/main.c", instead(c_file("sidecar/config.h"))),
    ("layer", "sidecar/util.h", instead(header("sidecar/util.h", '#include "sidecar/config.h"'))),
    ("layer", "bench/run.h", instead(header("bench/run.h", '#include "libclient/fetch.h"'))),
    ("layer", "bench/run.h", instead(header("bench/run.h", '#include "shm/slot.h"'))),
    ("layer", TEST, '!/* it. */\n#include "shm/gone.h"\n'),
    ("", "bench/run.h", instead(header("bench/run.h", "#include <cistern.h>"))),
    # names, mirrors
    ("name", SLOT, "\nvoid drop(void)\n{\n}\n"),
    ("name", SLOT, "\n__attribute__((cold)) void slots_drop(\n    void)\n{\n}\n"),
    ("", SLOT, "\nstatic void drop(void)\n{\n}\n"),
    ("name", "shm/slot.h", instead(header("shm/slot.h", "static inline int f(void)\n{\n}"))),
    ("clash", "sidecar/block/slot.c", instead(c_file("shm/slot.h"))),
    ("untested", TEST, "!"),
    ("orphan", "tests/unit/shm/test_gone.c", instead(c_file("shm/slot.h"))),
    ("", "tests/unit/shm/test_slot_races.c", instead(c_file("shm/slot.h"))),
    ("readme", "sidecar/block/README.md", "!"),
    ("unbuilt", "meson.build", instead(BUILD.replace("slot.c", "slots.c"))),
    # exceptions
    ("exception", "tests/tidy/exceptions.txt", "line shm/gone.c the table is wide\n"),
    ("exception", "tests/tidy/exceptions.txt", "line shm/slot.c\n"),
]
# A case may need more to be wrong than the one thing: new files have no tests, for instance.
BESIDE = {"clash": {"untested", "unbuilt"}, "include": {"layer"}}


def write(root, path, text):
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf-8") as file:
        file.write(text)


def failure(root, case):
    """What is wrong with the complaints about one case, or None."""
    rule, path, text = case
    if text == "!":
        os.remove(os.path.join(root, path))
    else:
        write(root, path, text[1:] if text.startswith("!") else GOOD[path] + text)
    found, _count = tidy.complaints(root)
    if path not in GOOD:
        os.remove(os.path.join(root, path))
    else:
        write(root, path, GOOD[path])
    rules = {row[2] for row in found}
    if rule and rule not in rules:
        return "no complaint"
    others = rules - {rule} - BESIDE.get(rule, set())
    return f"also {sorted(found)}" if others else None


def main():
    failures = 0
    with tempfile.TemporaryDirectory() as root:
        for path, text in GOOD.items():
            write(root, path, text)
        found, _count = tidy.complaints(root)
        for row in found:
            print("the good tree:", row)
        failures += len(found)
        for case in CASES:
            wrong = failure(root, case)
            if wrong:
                failures += 1
                print(f"{case[0] or 'near miss'}: {case[1]}: {case[2][:60]!r}: {wrong}")
    rules = {case[0] for case in CASES} - {""}
    print(f"{len(CASES)} cases, {len(rules)} rules, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
