"""The report page: all audits as one HTML file with plots, which needs nothing but a browser.

Whatever comes from outside (names, reasons, lines of logs) is escaped.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from snfpipe.audit.findings import Finding, Report, distinct, findings_frame, verdict
from snfpipe.audit.plots import plot_attrition, plot_products
from snfpipe.wholefile import write_whole

_SHOWN = 500  # findings on the page; the file beside it holds them all

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem;
       color: #222; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p.verdict { font-size: 1.15rem; } .clean { color: #2a7f4f; } .found { color: #b03a2e; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; }
th, td { padding: .2rem .7rem; text-align: left; border-bottom: 1px solid #e4e4e4;
         vertical-align: top; }
th { background: #f4f4f4; position: sticky; top: 0; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
td.missing, td.failed, td.wrong { color: #b03a2e; } td.waiting { color: #777; }
td.unexpected { color: #9a6700; }
img { max-width: 100%; } nav a { margin-right: 1rem; } code { font-size: 12.5px; }
"""


def write_page(folder: Path, title: str, reports: Sequence[Report]) -> Path:
    """Write the page, its plots, and all findings as CSV and JSON, into a folder.

    Returns
    -------
    Path
        The page, ``index.html``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    attrition = [report for report in reports if report.audit.startswith("job_attrition")]
    products = [report for report in reports if report.audit == "products"]
    plots = {}
    if attrition:
        plot_attrition(attrition, folder / "attrition.png")
        plots[attrition[0].audit] = "attrition.png"
    if products and products[0].rows:
        plot_products(products[0], folder / "products.png")
        plots["products"] = "products.png"
    found = distinct(reports)
    findings_frame(found).to_csv(folder / "findings.csv", index=False)
    text = json.dumps([report.to_json() for report in reports], indent=1, default=str)
    (folder / "audit.json").write_text(text + "\n", encoding="utf-8")
    page = folder / "index.html"
    write_whole(page, "\n".join(_lines(title, reports, found, plots)) + "\n")
    return page


def _lines(
    title: str, reports: Sequence[Report], found: Sequence[Finding], plots: dict[str, str]
) -> Iterator[str]:
    """Yield the page's lines."""
    yield "<!DOCTYPE html>"
    yield f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}: audit</title>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<style>{_STYLE}</style></head><body>"
    yield f"<h1>{escape(title)}</h1>"
    yield f'<p class="verdict {"found" if found else "clean"}">{escape(verdict(found))}</p>'
    links = [f'<a href="#audit{n}">{escape(report.audit)}</a>' for n, report in enumerate(reports)]
    yield f'<nav><a href="#findings">findings</a>{"".join(links)}</nav>'
    yield "<h2>Summary</h2>"
    yield from _table(("audit", "verdict"), [(report.audit, report.verdict) for report in reports])
    yield '<h2 id="findings">Findings</h2>'
    if found:
        kinds = Counter(str(finding.kind) for finding in found)
        told = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        more = f"; the first {_SHOWN} of them" if len(found) > _SHOWN else ""
        yield f'<p>{escape(told)}{more} (<a href="findings.csv">all as CSV</a>)</p>'
        yield from _table(
            ("kind", "object", "where", "what", "next"),
            [(it.kind, it.object, it.place, it.what, it.next_step) for it in found[:_SHOWN]],
        )
    else:
        yield "<p>none</p>"
    for number, report in enumerate(reports):
        yield f'<h2 id="audit{number}">{escape(report.audit)}: {escape(report.title)}</h2>'
        if report.audit in plots:
            yield f'<p><img src="{plots[report.audit]}" alt="{escape(report.audit)}, drawn"></p>'
        yield from _table(report.columns, report.rows)
        for note in report.notes:
            yield f"<p>{escape(note)}</p>"
    yield "</body></html>"


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Yield a table; numbers stand to the right."""
    heads = "".join(f"<th>{escape(name)}</th>" for name in columns)
    yield f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>'
    for row in rows:
        yield f"<tr>{''.join(_cell(value) for value in row)}</tr>"
    yield "</tbody></table></div>"


def _cell(value: object) -> str:
    """Return a cell."""
    text = escape("" if value is None else str(value))
    if isinstance(value, int | float):
        return f'<td class="number">{text}</td>'
    kind = f' class="{text}"' if text in _KINDS else ""
    return f"<td{kind}>{text}</td>"


_KINDS = frozenset({"missing", "unexpected", "wrong", "failed", "waiting"})
