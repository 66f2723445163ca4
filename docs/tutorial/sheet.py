"""sheet: tables for a terminal, and bars as SVG, for the parts of the tutorial."""

import html
import os

WIDTH, ROW, LEFT, RIGHT, TOP = 760, 26, 250, 130, 58
COLOURS = {"claimed": "#b9c2cc", "measured": "#1f77b4", "computed": "#2a9d8f"}


def table(title, columns, rows):
    """Print rows of texts under their columns, each as wide as it needs to be."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    print(f"\n  {title}")
    for row in (columns, ["─" * width for width in widths], *rows):
        print("    " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def note(text):
    """Print a paragraph, wrapped."""
    line = "   "
    print()
    for word in text.split():
        if len(line) + len(word) > 96:
            print(line)
            line = "   "
        line += " " + word
    print(line)


def number(value):
    """Three digits that count."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def bars(path, title, unit, rows):
    """Horizontal bars as an SVG file.

    rows  (label, kind, value), kind being a key of COLOURS; a value of None is 'not measured here'
    Bars of one chart start at 0 and share one scale; each has its value written beside it.
    """
    most = max((value for _, _, value in rows if value), default=1)
    kinds = [kind for kind in COLOURS if any(row[1] == kind for row in rows)]
    height = TOP + ROW * len(rows) + 34
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
           'font-family="sans-serif" font-size="13">',
           f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
           f'<text x="16" y="28" font-size="16" font-weight="bold">{html.escape(title)}</text>']
    for i, (label, kind, value) in enumerate(rows):
        y = TOP + ROW * i
        out.append(f'<text x="{LEFT - 10}" y="{y + 16}" text-anchor="end">'
                   f'{html.escape(label)}</text>')
        length = 0 if not value else max(1, (WIDTH - LEFT - RIGHT) * value / most)
        out.append(f'<rect x="{LEFT}" y="{y + 3}" width="{length:.1f}" height="{ROW - 8}" '
                   f'fill="{COLOURS[kind]}"/>')
        text = "not measured here" if value is None else f"{number(value)} {unit}"
        out.append(f'<text x="{LEFT + length + 6:.1f}" y="{y + 16}">{html.escape(text)}</text>')
    x = LEFT
    for kind in kinds:
        y = height - 20
        out.append(f'<rect x="{x}" y="{y}" width="12" height="12" fill="{COLOURS[kind]}"/>')
        text = {"claimed": "the notebook claimed", "measured": "measured here",
                "computed": "computed from what was measured"}[kind]
        out.append(f'<text x="{x + 18}" y="{y + 11}">{text}</text>')
        x += 40 + 7 * len(text)
    out.append("</svg>\n")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out))
    print(f"    plot: {os.path.relpath(path)}")
