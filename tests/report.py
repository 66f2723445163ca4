#!/usr/bin/env python3
"""report: what the tests said, from the JSON logs that `meson test` leaves in build directories.

Called by tests/run. Prints the log of each failure and the reason of each skip; the last line is
always "N passed, N failed, N skipped". Exits 1 if a test failed, or if none ran.
"""
import glob
import json
import os
import sys

PASSED = {"OK", "EXPECTEDFAIL"}
LOG_LINES = 60


def read_results(build):
    """All results of one build directory, in the order in which the tests ended."""
    results = []
    for path in sorted(glob.glob(os.path.join(build, "meson-logs", "testlog*.json"))):
        with open(path, encoding="utf-8") as log:
            results += [json.loads(line) for line in log if line.strip()]
    return results


def lines_of(result):
    text = (result.get("stdout") or "") + "\n" + (result.get("stderr") or "")
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def reason(result):
    """Why a test skipped: the line of it that says so, else its last one."""
    lines = lines_of(result)
    told = [line for line in lines if line.strip().lower().startswith("skip")]
    return (told or lines or ["it gave no reason"])[-1].strip()


def main(builds):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    failures, skips = [], []
    for build in builds:
        results = read_results(build)
        if not results:
            failures.append((build, {"name": "no test ran", "result": "NONE"}))
            counts["failed"] += 1
        for result in results:
            if result["result"] in PASSED:
                counts["passed"] += 1
            elif result["result"] == "SKIP":
                counts["skipped"] += 1
                skips.append((build, result))
            else:
                counts["failed"] += 1
                failures.append((build, result))
    for build, result in skips:
        print(f"skipped: {result['name']} ({build}): {reason(result)}")
    for build, result in failures:
        print(f"\nFAILED: {result['name']} ({build}): {result['result']}")
        for line in lines_of(result)[-LOG_LINES:]:
            print(f"    {line}")
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
