"""report: the verdicts as a table, on the terminal and in RESULTS.md."""
import datetime

import judge


def group(results):
    """One entry per model and variant, with its results by memory model."""
    rows = {}
    for result in results:
        rows.setdefault((result.tool, result.model, result.variant), []).append(result)
    return rows


def cell(result):
    return "%s (%s)%s" % (
        result.verdict, result.count, "" if result.as_expected else " !!")


def matrix(results):
    lines = []
    for (tool, model, variant), row in group(results).items():
        cells = "  ".join("%s %-12s" % (result.memory, cell(result)) for result in row)
        lines.append("%-5s %-18s %-28s %s" % (tool, model, variant, cells))
    return "\n".join(lines)


def write(path, results):
    """Keep the verdicts, with the versions of the tools and the date."""
    tools = sorted({result.tool for result in results})
    text = ["# Results of the models", "",
            "Written by `tests/model/run --results` on %s, with %s." % (
                datetime.date.today().isoformat(),
                ", ".join("%s %s" % (tool, judge.version(tool)) for tool in tools)), "",
            "A number in brackets is how much was explored: complete executions until the verdict",
            "(genmc; the first error ends a run), final states (herd7), states stored (spin).", ""]
    for tool in tools:
        rows = {key: row for key, row in group(results).items() if key[0] == tool}
        memories = [result.memory for result in next(iter(rows.values()))]
        text += ["## %s" % tool, "", "| model | variant | %s |" % " | ".join(memories),
                 "|---|---|%s" % ("---|" * len(memories))]
        for (_, model, variant), row in rows.items():
            text.append("| %s | %s | %s |" % (model, variant, " | ".join(map(cell, row))))
        text.append("")
    path.write_text("\n".join(text))
