"""rules_tree: who includes whom, who is called what, what is tested and described; for the tree."""

import os
import re

# What each folder may include, beside itself. An include only goes left (STYLE, section 3).
BELOW = {
    "shm": (),
    "cuda": ("shm",),
    "libclient": ("shm", "cuda"),
    "sidecar": ("shm", "cuda"),
    "bench": (),
    "tests": ("shm", "cuda", "libclient", "sidecar", "bench"),
}
# Inside the sidecar: each row may include itself and the rows before.
SIDECAR = (
    ("channel", "config", "keep", "log", "loop", "host", "uring", "moment"),
    ("tier",),
    ("block", "peer"),
    ("device",),
    ("session", "http", "metrics"),
    ("recover",),
    ("server",),
    ("keeper",),
    ("main",),
)


def sidecar_rank(path):
    """The row and the name of a file of the sidecar: block/pool.h is `block`."""
    part = path.split("/")[1]
    word = re.split(r"[_.]", part)[0]
    for rank, names in enumerate(SIDECAR):
        if word in names:
            return rank, word
    return None, word


def sidecar_layer(source, name):
    """Why one file of the sidecar may not include the other, or None."""
    from_cli = source.path.startswith("sidecar/cli/")
    if from_cli or name.startswith("sidecar/cli/"):
        return None if from_cli and name.startswith("sidecar/cli/") else "cli/ stands alone on shm"
    mine, my_word = sidecar_rank(source.path)
    theirs, their_word = sidecar_rank(name)
    if mine is None:
        return f"{my_word} has no place in the order of the sidecar (rules_tree.py)"
    if theirs is None:
        return f"{their_word} has no place in the order of the sidecar (rules_tree.py)"
    if theirs > mine or (theirs == mine and mine > 0 and my_word != their_word):
        return f"{my_word} stands below or beside {their_word}"
    return None


def layers(sources):
    """layer"""
    paths = {source.path for source in sources}
    for source in sources:
        if not source.is_code or source.layer not in BELOW:
            continue
        for number, match in source.find(r'^\s*#\s*include\s*(["<])([^">]+)[">]', source.text):
            quote, name = match.groups()
            layer = name.split("/")[0]
            why = None
            if quote == '"' and "/" in name and name not in paths:
                why = "no such file"
            elif quote == "<" and name in paths:
                why = "ours is written with quotes"
            elif quote == '"' and name == "cistern.h":
                why = "the public header is <cistern.h>, as any program writes it"
            elif name.endswith("cistern.h") and source.layer in ("shm", "cuda", "sidecar"):
                why = f"{source.layer} does not know the library"
            elif name.startswith("libclient/") and source.layer == "bench":
                why = "bench uses <cistern.h> alone"
            elif quote == '"' and layer in BELOW and layer != source.layer:
                if layer not in BELOW[source.layer]:
                    why = f"{source.layer} does not include {layer}"
            elif layer == source.layer == "sidecar":
                why = sidecar_layer(source, name)
            if why:
                yield source, "layer", number, f"{name}: {why}"


def prefixes(stem, siblings):
    """The module names that a file may give its functions: its own, and that of the header which
    it is a part of (config_print.c: config_print, config)."""
    words = stem.split("_")
    found = [stem]
    for count in range(len(words) - 1, 0, -1):
        if "_".join(words[:count]) in siblings:
            found.append("_".join(words[:count]))
    return found


def names(sources):
    """name, clash"""
    headers = {}
    modules = {}
    for source in sources:
        if source.is_production and source.suffix in (".c", ".h"):
            if source.suffix == ".h":
                headers.setdefault(source.folder, set()).add(source.stem)
            if source.layer in ("shm", "cuda", "sidecar"):
                modules.setdefault(source.stem, set()).add(source.folder)
    for source in sources:
        if not source.is_production or source.layer == "bench" or source.suffix not in (".c", ".h"):
            continue
        allowed = prefixes(source.stem, headers.get(source.folder, ()))
        if source.layer == "libclient" and source.suffix == ".c" and source.stem in modules:
            allowed = []
        if source.layer == "libclient":
            allowed = allowed + ["cistern"]
        for first, _last, head in source.functions:
            if source.suffix == ".c" and "static " in head:
                continue
            name = re.findall(r"\w+(?=\()", head)[0]
            if name != "main" and not any(name == a or name.startswith(a + "_") for a in allowed):
                yield source, "name", first, f"{name}: not {' or '.join(allowed)}_…"
        others = ", ".join(sorted(modules.get(source.stem, set()) - {source.folder}))
        if others and source.layer != "libclient" and source.suffix == ".c" and \
                source.stem != "main":
            yield source, "clash", 1, f"{source.stem} is a module of {others} too"


def mirrors(sources):
    """untested, orphan"""
    paths = {source.path for source in sources}
    for source in sources:
        if source.is_production and source.suffix == ".c":
            test = f"tests/unit/{source.folder}/test_{source.stem}.c"
            if test not in paths:
                yield source, "untested", 1, f"no {test}"
        match = re.match(r"tests/unit/(.*)/test_(\w+)\.c$", source.path)
        if match:
            folder, stem = match.groups()
            words = stem.split("_")
            parts = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
            if not any(f"{folder}/{part}{end}" in paths for part in parts for end in (".c", ".h")):
                yield source, "orphan", 1, f"{folder}/ has no {stem} that it could test"


def readmes(sources):
    """readme"""
    paths = {source.path for source in sources}
    seen = set()
    for source in sources:
        if source.folder and source.folder not in seen and (source.is_code or source.is_python):
            seen.add(source.folder)
            if f"{source.folder}/README.md" not in paths:
                yield source, "readme", 1, f"{source.folder}/ has no README.md"


def built(sources):
    """unbuilt"""
    text = "\n".join(source.text for source in sources if source.is_build)
    for source in sources:
        if source.suffix == ".c" and not source.path.startswith("tests/"):
            end = os.path.basename(source.folder)
            if f"'{source.name}'" not in text and f"'{end}/{source.name}'" not in text:
                yield source, "unbuilt", 1, "no meson.build names it"


RULES = (layers, names, mirrors, readmes, built)
