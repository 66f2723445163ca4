"""rules_text: sizes, spaces and words; for every kind of file."""

import ast
import re

FILE_LINES, FUNCTION_LINES, COLUMNS = 400, 70, 100

UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
STATEMENT = re.compile(
    r"^\s*\*?\s*(\w[\w>.\[\]*&\s-]*(\s[-+|&]?=\s[^=].*|\([^()]*(\([^()]*\))*[^()]*\));|"
    r"(if|for|while|switch) \(.*\) \{|\} else \{|return\b.*;|#\s*(include|define) .*)\s*(\*/)?$")
# A path that a comment or a text may name: the system's own, and one that is not there.
ROOTS = ("bin boot dev etc lib media mnt nonexistent opt proc run sbin srv sys tmp usr var "
         "shm cuda libclient sidecar bench tests deploy docs").split()
PATH = re.compile(r"(?<![\w./}>)*\]$&'-])(?<!\w\")/([a-z][a-z0-9_.-]*)/[\w.-]")
HOST = re.compile(r"\b[a-z0-9-]+\.(internal|corp|local|lan|intranet)\b")
LINK = re.compile(r"https?://(?:[^/\s\"'@]*@)?([\w.-]+)")
PUBLIC = re.compile(r"(^|\.)(github\.com|kernel\.org|arxiv\.org|debian\.org|readthedocs\.io|"
                    r"nvidia\.com|ietf\.org|w3\.org|apache\.org|wikipedia\.org|doi\.org)$")


def sizes(source):
    """file, line"""
    if not source.is_measured:
        return
    count = len(source.lines) - 1
    if count > FILE_LINES:
        yield "file", 1, f"{count} lines, at most {FILE_LINES}: its second noun becomes a file"
    for number, line in enumerate(source.lines, 1):
        if len(line) > COLUMNS:
            yield "line", number, f"{len(line)} columns, at most {COLUMNS}"


def spaces(source):
    """space"""
    if source.text and not source.text.endswith("\n"):
        yield "space", len(source.lines), "no newline at the end"
    if source.text.endswith("\n\n"):
        yield "space", len(source.lines) - 1, "an empty line at the end"
    for number, line in enumerate(source.lines, 1):
        if line != line.rstrip():
            yield "space", number, "spaces at the end"
        if "\t" in line and not source.name.endswith(".tsv"):
            yield "space", number, "a tab: four spaces"


def function_spans(source):
    if source.is_code:
        for first, last, head in source.functions:
            yield first, last, head.split("(")[0].split()[-1].lstrip("*")
    elif source.is_python:
        for node in ast.walk(ast.parse(source.text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield node.lineno, node.end_lineno, node.name
    elif source.is_shell:
        first = None
        for number, line in enumerate(source.lines, 1):
            if re.match(r"(function )?\w+\(\) \{", line):
                first, name = number, line.split("(")[0]
            elif line == "}" and first is not None:
                yield first, number, name
                first = None


def functions(source):
    """function"""
    for first, last, name in function_spans(source):
        lines = last - first + 1
        if lines > FUNCTION_LINES:
            yield "function", first, f"{name}: {lines} lines, at most {FUNCTION_LINES}"


def words(source):
    """unfinished, words"""
    for number, line in enumerate(source.lines, 1):
        match = UNFINISHED.search(line)
        if match:
            yield "unfinished", number, f"{match.group()}: finish it, or file an issue"
        match = PATH.search(line)
        if match and match.group(1) not in ROOTS:
            yield "words", number, f"/{match.group(1)}/…: a path that only one machine has"
        match = HOST.search(line)
        if match:
            yield "words", number, f"{match.group()}: a name that only one network knows"
        for match in LINK.finditer(line):
            if not PUBLIC.search(match.group(1)) and not match.group(1).startswith("127."):
                yield "words", number, f"{match.group(1)}: a link to a host not known as public"


def dead_code(source):
    """dead"""
    if not source.is_code:
        return
    for number, _match in source.find(r"^\s*#\s*if\s+0\b"):
        yield "dead", number, "#if 0: git keeps what was"
    for first, text in source.comments:
        if text.startswith("//"):
            yield "dead", first, "a // comment: ours are /* */"
        lines = text.lstrip("/*").split("\n")
        for number, line in enumerate(lines, first):
            # A header's first comment shows how it is used, indented.
            if STATEMENT.match(line) and not re.match(r"^ \*\s{4,}", line):
                yield "dead", number, "code in a comment"


RULES = (sizes, spaces, functions, words, dead_code)
