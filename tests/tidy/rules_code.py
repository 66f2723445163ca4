"""rules_code: calls, macros, guards, includes and globals; for C files."""

import re

CALL = r"(?<![\w.>])(%s)\s*\("
EVERYWHERE = ("strcpy strcat stpcpy sprintf vsprintf gets strtok atoi atol atof rand srand alloca "
              "tmpnam mktemp sleep usleep").split()
SHELL = ["system", "popen"]
PRINTING = "printf fprintf vprintf vfprintf dprintf puts fputs fputc putchar perror syslog".split()
PURE = (r"malloc|calloc|realloc|free|strdup|strndup|aligned_alloc|posix_memalign|pthread_\w+|"
        r"thrd_\w+|mtx_\w+")
ORDER = (r"memory_order_\w+|(?<!\w)atomic_(?!int\b|bool\b|uint|llong\b|size_t\b)\w+|__atomic_\w+|"
         r"__sync_\w+")
# Who touches shared words. Bench and tests have words of their own, between their own threads.
SHARING = ("shm", "cuda", "libclient", "sidecar")

# Function-like macros: what may be one (STYLE, "Macros allowed").
MACROS = {
    "LIKELY": "likely/unlikely", "UNLIKELY": "likely/unlikely",
    "CONTAINER_OF": "container_of", "CHECK_COUNT": "array count",
}
FLOW = re.compile(r"\b(return|goto|break|continue)\b")


def banned(source):
    """banned, order, volatile, print, pure"""
    if not source.is_code:
        return
    names = EVERYWHERE + (SHELL if source.is_production else [])
    for number, match in source.find(CALL % "|".join(names)):
        yield "banned", number, f"{match.group(1)}()"
    for number, match in source.find(r"(?<!__asm__ )\bvolatile\b"):
        yield "volatile", number, "volatile orders nothing: shm/atomic.h"
    if source.layer in SHARING and source.path != "shm/atomic.h":
        for number, match in source.find(ORDER):
            yield "order", number, f"{match.group()}: shared words go through shm/atomic.h"
    if source.layer in ("shm", "cuda", "libclient"):
        for number, match in source.find(CALL % "|".join(PRINTING)):
            yield "print", number, f"{match.group(1)}(): only the sidecar logs"
    if source.layer == "shm":
        for number, match in source.find(CALL % PURE):
            yield "pure", number, f"{match.group(1)}(): shm allocates, locks and starts nothing"


def macros(source):
    """macro, flow"""
    if not source.is_code:
        return
    has_table = re.search(r'^\s*#\s*include ".*\.def"', source.text, re.MULTILINE)
    for number, match in source.find(r"^[ ]*#[ ]*define[ ]+(\w+)(\(?)((?:[^\n]*\\\n)*[^\n]*)"):
        name, is_function, body = match.groups()
        if FLOW.search(body):
            yield "flow", number, f"{name} hides control flow"
        if is_function != "(" or name in MACROS or has_table:
            continue
        # A test's rows are a table; a statement is not a row.
        if source.layer == "tests" and not re.search(r"[;]|\bdo\b|\bif\b|\bfor\b", body):
            continue
        yield "macro", number, f"{name}(): a function can do it"


def guards(source):
    """guard"""
    if source.suffix != ".h":
        return
    expected = "CISTERN_" + re.sub(r"\W", "_", source.path).upper()
    found = re.search(r"^#ifndef (\w+)\n#define \1\n", source.text, re.MULTILINE)
    if found is None:
        yield "guard", 1, f"no guard {expected}"
    elif found.group(1) != expected:
        yield "guard", source.line_of(found.start()), f"{found.group(1)} is not {expected}"


def includes(source):
    """include"""
    if not source.is_code:
        return
    own = f"{source.folder}/{source.stem}.h"
    own_seen = False
    first = True
    system = False
    for number, match in source.find(r'^\s*#\s*include\s*(["<])([^">]+)[">]', source.text):
        quote, name = match.groups()
        if name.endswith(".c"):
            yield "include", number, f"{name}: a .c file is built, not included"
        if quote == "<":
            system = system or not name.startswith("cistern")
            first = False
            continue
        if name == own and not first:
            yield "include", number, f"{name}: the own header comes first"
        own_seen = own_seen or name == own
        first = False
        if name.startswith(".") or "/" not in name:
            yield "include", number, f"{name}: includes start at the root"
        elif system and not name.endswith(".def"):
            yield "include", number, f"{name}: before the system's headers"


def opening(source):
    """opening"""
    if source.is_code and not source.text.startswith("/*"):
        yield "opening", 1, "the first comment says what the file is for"
    elif source.is_python and '"""' not in "\n".join(source.lines[:3]):
        yield "opening", 1, "the first text says what the file is for"


def variables(source):
    """global"""
    if not source.is_production or source.layer == "bench" or source.suffix != ".c":
        return
    pattern = (r"^(?!typedef|extern|return|union|enum \w+ \{|struct \w+ \{)"
               r"((?:[a-z_]\w*[ ]+)+\**)(\w+)((?:\[[^\]]*\])*)(;| = )")
    for number, match in source.find(pattern):
        kind = match.group(1)
        constant = kind.rstrip().endswith("const") or ("const" in kind and "*" not in kind)
        if not constant:
            yield "global", number, f"{match.group(2)}: nothing is global; give it to its owner"


RULES = (banned, macros, guards, includes, opening, variables)
