"""What an audit says: a table, and findings that each name the object, the place, the next step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame


class Kind(StrEnum):
    """What is the matter with an object."""

    MISSING = "missing"  # it should be there
    UNEXPECTED = "unexpected"  # it should not
    WRONG = "wrong"  # it is not as it should be
    FAILED = "failed"  # a unit that did not get to its end
    WAITING = "waiting"  # a unit that is not finished yet


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that an operator has to see.

    Parameters
    ----------
    audit : str
        Who found it: the audit's name.
    kind : Kind
        What is the matter.
    object : str
        The file, job, unit or row.
    place : str
        Where to look: a task, a path, a table.
    what : str
        What was found, in words.
    next_step : str
        What to do about it.
    """

    audit: str
    kind: Kind
    object: str
    place: str
    what: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Report:
    """The result of one audit: a table, whose rows have a value a column, and the findings.

    ``notes`` are lines that belong under the table.
    """

    audit: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def verdict(self) -> str:
        """``OK``, or how many findings of which kind."""
        return verdict(self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as docs/audit.md describes them."""
        return {
            "audit": self.audit,
            "title": self.title,
            "clean": self.clean,
            "table": [dict(zip(self.columns, row, strict=True)) for row in self.rows],
            "findings": [asdict(finding) for finding in self.findings],
            "notes": list(self.notes),
        }


def verdict(findings: Iterable[Finding]) -> str:
    """Return ``OK``, or how many findings there are, of which kinds."""
    kinds = Counter(str(finding.kind) for finding in findings)
    if not kinds:
        return "OK"
    count = kinds.total()
    told = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
    return f"{count} finding{'s' if count > 1 else ''} ({told})"


def distinct(reports: Iterable[Report]) -> list[Finding]:
    """Return the findings of some audits; what several of them found is told by the first."""
    found: dict[tuple[Kind, str], Finding] = {}
    kept = []
    for report in reports:
        for finding in report.findings:
            first = found.setdefault((finding.kind, finding.object), finding)
            if first is finding or first.audit == finding.audit:
                kept.append(finding)
    return kept


def findings_table(
    findings: Iterable[Finding],
) -> tuple[tuple[str, ...], tuple[tuple[object, ...], ...]]:
    """Return findings as the columns and rows of a table, a column a field."""
    columns = tuple(field.name for field in fields(Finding))
    rows = tuple(tuple(getattr(finding, name) for name in columns) for finding in findings)
    return columns, rows


def findings_frame(findings: Iterable[Finding]) -> DataFrame:
    """Return findings as a data frame."""
    from pandas import DataFrame

    columns, rows = findings_table(findings)
    return DataFrame(list(rows), columns=list(columns))
