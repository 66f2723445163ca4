"""judge: makes the variants, runs the tools on them, and says what each found."""
import concurrent.futures
import csv
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import variants

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TOOLS = {"genmc": "GENMC", "herd7": "HERD7", "spin": "SPIN"}
# What a tool cannot work without.
HELPERS = {"genmc": ("clang-14", "opt-14"), "herd7": (), "spin": ("cc",)}
SECONDS_MAX = 120


@dataclasses.dataclass
class Result:
    tool: str
    model: str
    variant: str
    memory: str
    expected: str
    verdict: str
    count: str
    output: str

    @property
    def as_expected(self):
        return self.verdict == self.expected


def find(tool):
    """The tool's program, or None if it or one of its helpers is missing."""
    if any(shutil.which(helper) is None for helper in HELPERS[tool]):
        return None
    return shutil.which(os.environ.get(TOOLS[tool], tool))


def version(tool):
    flag = {"genmc": "--version", "herd7": "-version", "spin": "-V"}[tool]
    text = subprocess.run([find(tool), flag], capture_output=True, text=True, timeout=60).stdout
    match = re.search(r"v?\d+\.\d+(\.\d+)?", text)
    return match.group(0) if match else "unknown"


def call(command, folder):
    """Run one tool, bounded in time. Returns its output and exit status."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=SECONDS_MAX)
        return done.stdout + done.stderr, done.returncode
    except subprocess.TimeoutExpired:
        return "no answer within %d s" % SECONDS_MAX, -1


def function_span(text, function):
    """Where the definition of `function` begins and ends in the text."""
    for match in re.finditer(r"^[a-z][^\n;]*\b%s\([^;]*?^\{" % re.escape(function), text, re.M):
        return match.start(), text.index("\n}\n", match.end()) + 1
    raise LookupError("no function %s" % function)


def edit(folder, change):
    """Apply one edit of variants.py below `folder`."""
    name, function, old, new = change
    path = folder / (name if "/" in name else "tests/model/" + name)
    text = path.read_text()
    start, end = function_span(text, function) if function else (0, len(text))
    if text.count(old, start, end) != 1:
        raise LookupError("%s: %s: the variant's text is not there exactly once: %s"
                          % (name, function, old))
    path.write_text(text[:start] + text[start:end].replace(old, new) + text[end:])


def make(folder, model, variant):
    """Copy the sources below `folder` and break them as the variant says."""
    (folder / "tests").mkdir()
    shutil.copytree(ROOT / "shm", folder / "shm")
    shutil.copytree(HERE, folder / "tests/model")
    for change in variants.ALWAYS.get(model, []) + variants.VARIANTS[variant]:
        edit(folder, change)


def genmc_include():
    """The checker's own headers: beside a built tree's binary, or where it was installed."""
    program = pathlib.Path(shutil.which(find("genmc"))).resolve()
    for folder in (program.parent / "include",
                   program.parent.parent / "include/genmc/genmc/include"):
        if (folder / "genmc.h").exists():
            return str(folder)
    raise LookupError("genmc's headers are not beside %s" % program)


def compile_bitcode(folder, row):
    """Compile one model to what the checker reads. Returns an error text, or nothing.

    Structs that are passed by value would reach the checker as memcpy, which it does not follow. So
    functions are inlined and locals become values; no pass here moves or removes an atomic access.
    """
    flags = ["-I" + str(folder), "-I" + genmc_include(), "-std=c11", "-D_GNU_SOURCE", "-w"]
    flags += ["-Dstatic_assert=_Static_assert", "-D__CONFIG_GENMC_INODE_DATA_SIZE=64"]
    flags += ["-DCISTERN_TSAN"] if row["variant"] in variants.TSAN else []
    # The checker takes one file; the .c files of shm that a model needs come before it.
    flags += ["-include", "shm/pin.c", "-include", "shm/slot.c"]
    passes = ("internalize,function(sroa),cgscc(inline),"
              "function(sroa,dse,sroa,instsimplify),globaldce")
    keep = "-internalize-public-api-list=main,__genmc_dir_inode,__genmc_dummy_file"
    for command in (
            ["clang-14"] + flags + ["-O1", "-Xclang", "-disable-llvm-passes", "-g", "-emit-llvm",
                                    "-fno-discard-value-names", "-c", "-o", "whole.bc",
                                    "tests/model/%s.c" % row["model"]],
            ["opt-14", "-passes=" + passes, keep, "-o", "model.bc", "whole.bc"]):
        output, status = call(command, folder)
        if status != 0:
            return output
    return ""


def run_genmc(row):
    """One line of expected.tsv under its three memory models."""
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make(folder, row["model"], row["variant"])
        broken = compile_bitcode(folder, row)
        for memory in ("rc11", "imm", "tso"):
            output = broken or call(
                [find("genmc"), "--" + memory, "--disable-estimation", "--disable-mm-detector",
                 "--input-from-bitcode-file", "model.bc"], name)[0]
            count = re.search(r"complete executions explored: (\d+)", output)
            verdict = "failed"
            if count and "No errors were detected" in output:
                verdict = "ok"
            elif re.search(r"^(Assertion violation|Error: Non-atomic race)", output, re.M):
                verdict = "BAD"
            results.append(Result("genmc", row["model"], row["variant"], memory, row[memory],
                                  verdict, count.group(1) if count else "-", output))
    return results


def run_herd7(row):
    output, _ = call([find("herd7"), str(HERE / "herd" / (row["model"] + ".litmus"))], HERE)
    seen = re.search(r"^Observation \S+ (Never|Sometimes|Always) (\d+) (\d+)", output, re.M)
    verdict = seen.group(1).lower() if seen else "failed"
    count = "%d" % (int(seen.group(2)) + int(seen.group(3))) if seen else "-"
    return [Result("herd7", row["model"], "", "aarch64", row["expected"], verdict, count, output)]


def run_spin(row):
    with tempfile.TemporaryDirectory() as name:
        output, status = call([find("spin"), "-a"] + row["defines"].split() +
                              [str(HERE / "spin" / (row["model"] + ".pml"))], name)
        if status == 0:
            output, status = call(["cc", "-O1", "-w", "-o", "pan", "pan.c"], name)
        if status == 0:
            output, status = call(["./pan", "-m100000"] + row["flags"].split(), name)
    errors = re.search(r"errors: (\d+)", output)
    states = re.search(r"(\d+) states, stored", output)
    verdict = "failed"
    if errors and "max search depth too small" not in output:
        verdict = "ok" if errors.group(1) == "0" else "BAD"
    return [Result("spin", row["model"], row["variant"], "interleavings", row["expected"], verdict,
                   states.group(1) if states else "-", output)]


def run(tool, only):
    """Run all that the tool's table lists, or the one model named `only`."""
    table = {"genmc": HERE / "expected.tsv", "herd7": HERE / "herd/expected.tsv",
             "spin": HERE / "spin/expected.tsv"}[tool]
    with open(table, encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    rows = [row for row in rows if only in ("", row["model"])]
    one = {"genmc": run_genmc, "herd7": run_herd7, "spin": run_spin}[tool]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return [result for results in pool.map(one, rows) for result in results]
