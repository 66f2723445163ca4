#!/usr/bin/env python3
"""errors_page: cistern_errors(7), from shm/status.def.

    errors_page.py TABLE VERSION OUT

Run by the build. A row that does not have the form of the others is an error.
"""
import re
import sys

ROW = re.compile(r'STATUS\(\s*(\w+),\s*(-?\d+),\s*"([^"]*)",\s*"([^"]*)"\s*\)')
GROUPS = [
    (0, 0, "Done"),
    (1, 10**6, "Answers, not failures: compute, or wait"),
    (-99, -1, "This call is wrong: correct the caller"),
    (-199, -100, "Not now: try again later"),
    (-299, -200, "No cache for now: compute; the library attaches again by itself"),
    (-399, -300, "The two sides differ: upgrade one of them"),
    (-499, -400, "Something broke: report it, with the log line"),
]
HEAD = """.\\" Made from shm/status.def by libclient/man/errors_page.py; do not edit.
.TH cistern_errors 7 "" "cistern {version}" "Cistern"
.SH NAME
cistern_errors \\- statuses of libcistern
.SH DESCRIPTION
Every call of
.BR cistern (3)
returns a status. Its range says what to do next; a number once released never changes.
.BR cistern_status_name (3),
.BR cistern_status_meaning (3)
and
.BR cistern_status_advice (3)
return the texts below;
.BR cistern_why (3)
says more about the last failure of the calling thread.
"""
FOOT = """.SH SEE ALSO
.BR cistern (3),
.BR cisternd (8)
"""


def roff(text):
    return text.replace("\\", "\\e").replace("-", "\\-")


def main():
    table, version, out = sys.argv[1:]
    with open(table, encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    rows = [(name, int(number), meaning, advice)
            for name, number, meaning, advice in ROW.findall(text)]
    if len(rows) != text.count("STATUS("):
        sys.exit(f"{table}: a row has another form than STATUS(name, number, meaning, advice)")
    page = HEAD.format(version=version)
    shown = 0
    for low, high, title in GROUPS:
        page += f".SS {roff(title)}\n"
        for name, number, meaning, advice in rows:
            if low <= number <= high:
                page += f".TP\n.BR CISTERN_{name} \" ({roff(str(number))})\"\n"
                page += f"{roff(meaning[0].upper() + meaning[1:])}.\n"
                page += f"Next: {roff(advice)}.\n"
                shown += 1
    if shown != len(rows):
        sys.exit(f"{table}: a number is in no group")
    with open(out, "w", encoding="utf-8") as file:
        file.write(page + FOOT)


if __name__ == "__main__":
    main()
