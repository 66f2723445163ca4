#!/usr/bin/env python3
"""config_man: the option pages that come from config.def.

    config_man.py man TABLE VERSION OUT         cisternd(8), as roff
    config_man.py markdown TABLE VERSION OUT    the options, as a table for people

Run by the build. The table is a C file of CONFIG(...) rows; what does not have that form is an
error.
"""
import re
import sys

UNITS = {
    "CONFIG_KIB": 1 << 10, "CONFIG_MIB": 1 << 20, "CONFIG_GIB": 1 << 30, "CONFIG_TIB": 1 << 40,
    "CONFIG_MS": 10**6, "CONFIG_MIN": 60 * 10**9,
}
SIZES = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)]
TIMES = [("min", 60 * 10**9), ("s", 10**9), ("ms", 10**6), ("us", 10**3), ("ns", 1)]
ROW = re.compile(r'CONFIG\((\w+),\s*(\w+),\s*"([^"]*)",\s*([^,]+),\s*([^,]+),\s*"([^"]*)",\s*'
                 r'(true|false),\s*((?:"[^"]*"\s*)+)\)')


def number(text):
    """The value of a C expression such as 64 * CONFIG_TIB or 0777."""
    product = 1
    for factor in text.split("*"):
        factor = factor.strip()
        base = 8 if re.fullmatch(r"0[0-7]+", factor) else 10
        product *= UNITS[factor] if factor in UNITS else int(factor, base)
    return product


def with_unit(value, units):
    for name, factor in units:
        if value and value % factor == 0:
            return f"{value // factor}{name}"
    return "0"


def read(path):
    text = open(path, encoding="utf-8").read()
    code = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    rows = []
    for name, kind, default, least, most, unit, reload, words in ROW.findall(code):
        sentence = "".join(re.findall(r'"([^"]*)"', words))
        least, most = number(least), number(most)
        if kind == "size":
            values = f"{with_unit(least, SIZES)} to {with_unit(most, SIZES)}"
        elif kind == "time":
            values = f"{with_unit(least, TIMES)} to {with_unit(most, TIMES)}"
        elif kind == "number":
            values = f"{least} to {most}"
        elif kind == "mode":
            values = f"octal, up to {most:04o}"
        else:
            values = {"choice": ", ".join(unit.split("|")), "users": "users",
                      "path": "absolute path", "paths": "absolute paths, separated by colons",
                      "devices": "auto, all, none, or UUIDs, separated by commas"}[kind]
        if default == "auto" and kind not in ("choice", "devices"):
            values = "auto, or " + values
        rows.append((name, kind, default, values, reload == "true", sentence))
    if len(rows) != len(re.findall(r"^CONFIG\(", code, flags=re.M)):
        sys.exit(f"{path}: a row does not have the form CONFIG(name, type, \"default\", ...)")
    return rows


def roff(text):
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")


def man(rows, version):
    out = [f'.TH CISTERND 8 "" "cistern {version}" "Cistern"',
           ".SH NAME", "cisternd \\- shares KV\\-cache blocks between the processes of a host",
           ".SH SYNOPSIS", ".B cisternd", ".RI [ \\-\\-name = value " "...]",
           ".SH DESCRIPTION",
           "Owns a pool of KV\\-cache blocks in shared memory and its index. Inference processes "
           "link libcistern, find blocks in the index and read them in place.",
           ".PP", "A value comes from, the last one winning: what is built in, the file, the "
           "environment variable CISTERN_NAME, the flag \\-\\-name. Unknown names are refused. In "
           "the file a line is", ".B name = value\\fR;", "a semicolon begins a comment.",
           ".SH OPTIONS",
           ".TP", ".BI \\-\\-config= path",
           "The file; by default /etc/cistern/cistern.conf if it is there.",
           ".TP", ".B \\-\\-print\\-config", "Print every value and where it came from, and exit.",
           ".TP", ".B \\-\\-explain",
           "Print what this host offers and what would be chosen, and exit.",
           ".TP", ".B \\-\\-no\\-keeper", "As \\-\\-keeper=no.",
           ".TP", ".B \\-\\-help\\fR, \\fB\\-\\-version", "Print help or the version, and exit."]
    for name, kind, default, values, reload, sentence in rows:
        flag = roff(name.replace("_", "-"))
        again = " Read again on SIGHUP." if reload else ""
        out += [".TP", f".BI \\-\\-{flag}= {kind}", roff(sentence[0].upper() + sentence[1:]) + ".",
                f"Values: {roff(values)}. Default: {roff(default)}.{again}"]
    out += [".SH FILES", "/etc/cistern/cistern.conf, /run/cistern/cistern.sock"]
    return "\n".join(out) + "\n"


def markdown(rows, version):
    out = [f"<!-- Made from sidecar/config.def of {version} by sidecar/config_man.py. -->", "",
           "| name | default | values | meaning | changes on SIGHUP |", "|---|---|---|---|---|"]
    for name, _, default, values, reload, sentence in rows:
        again = "yes" if reload else ""
        out.append(f"| `{name}` | `{default}` | {values} | {sentence} | {again} |")
    return "\n".join(out) + "\n"


def main():
    form, table, version, path = sys.argv[1:]
    text = {"man": man, "markdown": markdown}[form](read(table), version)
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)


main()
