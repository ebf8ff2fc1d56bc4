"""Writes what was measured into doc: document.py RESULTS

doc/performance.json keeps the numbers (figures that were not measured this time
stay), doc/performance.md gets the table between its two marks, doc/drain.svg is
drawn anew.  Run in the top directory of the tree.
"""

import json
import pathlib
import sys
from statistics import median

import figures
import picture

NUMBERS = pathlib.Path("doc/performance.json")
PAGE = pathlib.Path("doc/performance.md")
PICTURE = pathlib.Path("doc/drain.svg")
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"


def merge(old, new):
    """The newer of each figure and each timeline."""
    return {"about": new["about"],
            "figures": {**old.get("figures", {}), **new["figures"]},
            "timelines": {**old.get("timelines", {}), **new["timelines"]}}


def lines_of(results):
    """JSON with a line for each figure, so that a diff shows what changed."""
    parts = []
    for part, content in results.items():
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
                           for key, value in content.items())
        parts.append(f' {json.dumps(part)}: {{\n{lines}\n }}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def table(results):
    """The figures, a row each, in their order."""
    about = results["about"]
    kind = "Measured with --quick" if about["quick"] else "Measured"
    lines = [f"{kind} on {about['date']}: {about['machine']}; {about['postgresql']}. "
             f"The provider alone answers {about['provider']} requests a second; "
             f"a flush to disk takes {about['flush_ms']} ms.", "",
             "| figure | what | roleferry: median (minimum – maximum) | at least | aim | peers (ratio) |",
             "|---|---|---|---|---|---|"]
    for figure in figures.ALL:
        samples = results["figures"].get(figure.name, {})
        if "roleferry" in samples:
            lines.append(row(figure, samples))
    return "\n".join(lines) + "\n"


def row(figure, samples):
    ours = samples["roleferry"]
    rivals = [f"{who} {short(figure, median(values))} ({figure.ratio(median(ours), median(values)):.2f})"
              for who, values in samples.items() if who != "roleferry"]
    return (f"| `{figure.name}` | {figure.meaning} | **{short(figure, median(ours))}** {figure.unit} "
            f"({short(figure, min(ours))} – {short(figure, max(ours))}) | {figure.at_least} | {figure.aim} "
            f"| {', '.join(rivals)} |")


def short(figure, value):
    """Thousands as k, so that the table stays readable."""
    if figure.digits == 0 and value >= 10000:
        return f"{value / 1000:.1f} k"
    return figure.text(value)


def main():
    new = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    old = json.loads(NUMBERS.read_text(encoding="utf-8")) if NUMBERS.exists() else {}
    results = merge(old, new)
    NUMBERS.write_text(lines_of(results), encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(before + BEGIN + table(results) + END + after, encoding="utf-8")
    PICTURE.write_text(picture.draw(results), encoding="utf-8")


main()
