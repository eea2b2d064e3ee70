"""Every injected problem x every audit: what docs/audit.md says, and clean after the repair."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from snfpipe.audit.findings import Finding
from tests.audit.conftest import NIGHTS, opened
from tests.audit.problems import AUDITS, QUICK, TROUBLES, reread
from tests.e2e.conftest import make_project

DOCUMENT = Path(__file__).parents[2] / "docs" / "audit.md"


def table() -> dict[str, dict[str, str]]:
    """Return problem -> audit -> the cell of the documentation's table."""
    lines = DOCUMENT.read_text().splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("| problem |"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().replace("`", "") for cell in line.strip("|").split("|")])
    return {row[0]: dict(zip(rows[0][1:], row[1:], strict=True)) for row in rows[2:]}


def hold(found: Iterable[Finding], cell: str) -> None:
    """Hold an audit's findings against a cell: a dash, or `kind: words of a finding`."""
    told = [f"{it.kind}: {it.object} {it.place} {it.what}" for it in found]
    if cell == "-":
        assert told == []
        return
    kind, _, words = cell.partition(": ")
    matching = [line for line in told if line.startswith(f"{kind}:") and words in line]
    assert matching, (cell, told)


def test_the_documentation_has_a_row_a_trouble_and_a_column_an_audit():
    cells = table()
    assert set(cells) == set(TROUBLES)
    for row in cells.values():
        assert set(AUDITS) <= set(row)


@pytest.mark.parametrize("problem", TROUBLES)
def test_each_audit_finds_what_it_must_and_nothing_after_the_repair(case, problem):
    TROUBLES[problem].inject(case)
    spoilt = reread(case)
    for audit, run in AUDITS.items():
        hold(run(spoilt), table()[problem][audit])
    TROUBLES[problem].repair(case)
    fixed = reread(case)
    assert [finding for run in AUDITS.values() for finding in run(fixed)] == []


@pytest.mark.services
def test_the_audits_find_the_same_on_postgresql(postgresql, tmp_path):
    driven = make_project(tmp_path / "project", NIGHTS, postgresql.new_database())
    driven.doit()
    with opened(driven) as case:
        for problem in QUICK:
            TROUBLES[problem].inject(case)
            for audit, run in AUDITS.items():
                hold(run(case), table()[problem][audit])
            TROUBLES[problem].repair(case)
        assert [finding for run in AUDITS.values() for finding in run(case)] == []
