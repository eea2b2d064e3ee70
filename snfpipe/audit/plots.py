"""The plots of job_attrition: units by state, and how far nights, targets and exposures get."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snfpipe.audit.findings import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colours by what a state means for the operator: finished, on its way, failing, open.
_COLOURS = {
    "done": "#2a7f4f", "validated": "#14532d", "nothing to do": "#a3c9a8", "waived": "#c9bfa3",
    "incomplete": "#e8a33d", "failed": "#c0392b", "killed": "#8e2420", "lost": "#5b2333",
    "cancelled": "#b57fae", "queue error": "#e05d44", "running": "#3b78c2", "queued": "#8fb5de",
    "claimed": "#b9d0ea", "held": "#6f86a8", "ended": "#5fa8d3", "created": "#d9d9d9",
    "not created": "#ececec", "waiting": "#c4c4c4", "outdated": "#d9c34a",
    "waiting for validation": "#9a86c9", "validated but outdated": "#b0a020",
}  # fmt: skip


_BESIDE = 58  # characters


def plot_attrition(reports: Sequence[Report], path: Path) -> None:
    """Draw the reports of :func:`~snfpipe.audit.attrition.job_attrition` as a PNG file."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    rows = [len(report.rows) for report in reports]
    figure = Figure(
        figsize=(10, sum(0.34 * count + 1.3 for count in rows)), layout="constrained", dpi=110
    )
    axes: Any = figure.subplots(
        len(reports), 1, squeeze=False, height_ratios=[count + 2 for count in rows]
    )
    for report, axis in zip(reports, axes[:, 0], strict=True):
        if report.columns[1] == "units":
            _draw_states(axis, report)
        else:
            _draw_chain(axis, report)
        axis.invert_yaxis()
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_title(_plain(report.title), loc="left", fontsize=10)
    figure.savefig(path)


def _draw_states(axis: Axes, report: Report) -> None:
    """Draw a bar a step, whose parts are its states; the whole is its list."""
    rows = [row for row in report.rows if row[0] != "all"]
    names = [_plain(str(row[0])) for row in rows]
    left = [0.0] * len(rows)
    for column, word in enumerate(report.columns[2:], 2):
        counts = [float(str(row[column])) for row in rows]
        axis.barh(names, counts, left=left, color=_COLOURS.get(word, "#777777"), label=word)
        for n, count in enumerate(counts):
            if count >= 0.04 * float(str(rows[n][1]) or 1):
                axis.text(left[n] + count / 2, n, f"{count:.0f}", ha="center", va="center",
                          fontsize=8, color=_ink(_COLOURS.get(word, "#777777")))  # fmt: skip
        left = [start + count for start, count in zip(left, counts, strict=True)]
    axis.set_xlabel("units", fontsize=9)
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)


def _draw_chain(axis: Axes, report: Report) -> None:
    """Draw a bar a step: what goes on, and what stops there."""
    goes, stops = ("made", "missing") if "made" in report.columns else ("go on", "stop")
    table = report.to_json()["table"]
    names = [_plain(row["step"]) for row in table]
    on = [row[goes] for row in table]
    excused = [row.get("excused", 0) for row in table]
    off = [row[stops] for row in table]
    axis.barh(names, on, color="#2a7f4f", label=goes)
    if any(excused):
        axis.barh(names, excused, left=on, color="#a3c9a8", label="excused")
    start = [a + b for a, b in zip(on, excused, strict=True)]
    axis.barh(names, off, left=start, color="#c0392b", label=stops)
    for n, row in enumerate(table):
        axis.text(on[n], n, f"{on[n]} ", ha="right", va="center", fontsize=8, color="white")
        if off[n]:
            axis.text(start[n] + off[n], n, f"  {off[n]}: {_plain(_cut(str(row['why'])))}",
                      va="center", fontsize=8, color="#8e2420")  # fmt: skip
    axis.set_xlim(0, 1.9 * max([*(a + b for a, b in zip(start, off, strict=True)), 1]))
    axis.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False, ncols=3)


def _ink(colour: str) -> str:
    """Return black or white, whichever can be read on a colour."""
    red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
    return "white" if 0.3 * red + 0.59 * green + 0.11 * blue < 140 else "black"


def _cut(text: str) -> str:
    """Return what fits beside a bar."""
    return text if len(text) <= _BESIDE else f"{text[: _BESIDE - 1]}…"


def _plain(text: str) -> str:
    """Return text that matplotlib takes as it is: a dollar would begin a formula."""
    return text.replace("$", r"\$")


def plot_products(report: Report, path: Path) -> None:
    """Draw the products of each class, registered and missing, as a PNG file."""
    from matplotlib.figure import Figure

    table = report.to_json()["table"]
    names = [_plain(f"{row['step']}  {row['class']}") for row in table]
    figure = Figure(figsize=(10, 0.3 * len(table) + 1.2), layout="constrained", dpi=110)
    axis = figure.subplots()
    expected = [max(row["expected"] + row["excused"], row["registered"], 1) for row in table]
    start = [0.0] * len(table)
    for name, colour, counts in (
        ("archived", "#2a7f4f", [row["archived"] for row in table]),
        ("registered only", "#e8a33d", [row["registered"] - row["archived"] for row in table]),
        ("excused", "#a3c9a8", [row["excused"] for row in table]),
        ("missing", "#c0392b", [max(0, row["expected"] - row["registered"]) for row in table]),
    ):
        share = [100 * count / of for count, of in zip(counts, expected, strict=True)]
        axis.barh(names, share, left=start, color=colour, label=name)
        start = [a + b for a, b in zip(start, share, strict=True)]
    for n, row in enumerate(table):
        axis.text(101, n, f"{row['registered']} of {row['expected']}", va="center", fontsize=8)
    axis.set_xlim(0, 114)
    axis.set_xticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
    axis.invert_yaxis()
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)
    figure.savefig(path)
