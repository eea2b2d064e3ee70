"""Every fault of docs/ingest.md, held cell by cell: what it costs, and who says what of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import sqlalchemy as sa

from snfpipe.audit.raw_frames import audit_raw_frames
from snfpipe.config.project import Project, load_project
from snfpipe.db.models import Exposure, Pose, Process, Run, Target
from snfpipe.db.session import Database, open_database
from snfpipe.ingest.refresh import refresh
from snfpipe.plans.selection import expected_products
from tests.e2e import project as e2e
from tests.ingest.conftest import moment_of
from tests.ingest.faults import AROUND, FAULTS, LATER, TARGETS, RawNight

DOCUMENT = Path(__file__).parents[2] / "docs" / "ingest.md"
SCHEMA = DOCUMENT.parent / "schemas" / "ingest.json"
DIGITS = {"id_run": 8, "id_exposure": 11, "id_pose": 12}
GOOD, *_ = NAMES = [*FAULTS, *LATER]
NIGHT_OF = {name: f"06_{number:03}" for number, name in enumerate(NAMES, 1)}
JD_OF = {night: moment_of(night)["JD"] for night in NIGHT_OF.values()}


def table() -> dict[str, dict[str, str]]:
    """Return fault -> column -> the cell of the documentation's table."""
    lines = DOCUMENT.read_text().splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("| fault |"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().replace("`", "") for cell in line.strip("|").split("|")])
    return {row[0]: dict(zip(rows[0][1:], row[1:], strict=True)) for row in rows[2:]}


def audited(row: dict[str, str], column: str) -> str:
    """Return the cell of an audit; `the same` is what the ingest calls a problem."""
    if row[column] != "the same":
        return row[column]
    told = [words for words in row["snf ingest, doit"].split("; ") if not words.startswith("note")]
    return "; ".join(told) or "-"


def hold(told: list[str], cell: str) -> None:
    """Hold what was said against a cell: a dash, or `kind: words`, several with a semicolon."""
    if cell == "-":
        assert told == []
        return
    wanted = cell.split("; ")
    for words in wanted:
        kind, _, rest = words.partition(": ")
        assert any(line.startswith(kind) and rest in line for line in told), (words, told)
    kinds = {words.partition(": ")[0] for words in wanted}
    assert {line.partition(":")[0] for line in told} == kinds, told


# --- what is in the database of a night --------------------------------------------------------


@dataclass(frozen=True)
class Rows:
    """What one night has, in terms that do not depend on which night it is."""

    frames: frozenset[str]
    values: dict[tuple[str, str, str], Any]
    expected: frozenset[str]


def rows_of(project: Project, database: Database, night: str) -> Rows:
    """Return what the database has of a night."""
    values: dict[tuple[str, str, str], Any] = {}
    (step,) = (step for step in project.steps if step.plan == "cube_generation")
    with database.read() as session:
        frames = session.scalars(
            sa.select(Process.id_process).where(
                Process.night == night, Process.version == 0, Process.state == "live"
            )
        )
        tails = frozenset(ident.zfill(25)[5:] for ident in frames)
        of_night: dict[Any, str] = {Run: "id_run", Exposure: "id_exposure", Pose: "id_pose"}
        for model, key in of_night.items():
            for row in session.scalars(sa.select(model).where(model.night == night)):
                tail = str(getattr(row, key)).zfill(DIGITS[key])[5:]
                for column in sa.inspect(model).columns:
                    value = getattr(row, column.key)
                    if column.key == "jd":
                        value = value and round(value - JD_OF[night], 4)
                    elif column.key == "target_id":
                        value = session.scalar(sa.select(Target.name).where(Target.id == value))
                    if not column.key.startswith("id_") and column.key not in ("night",):
                        values[model.__tablename__, tail, column.key] = value
        products = expected_products(session, step, [night])
        expected = frozenset(
            f"{it.exposure.run}/{it.channel}"
            for it in products
            if (it.fclass, it.reason) == (22, None)
        )
    return Rows(tails, values, expected)


def cost(good: Rows, now: Rows) -> str:
    """Return what a night with a fault lacks, beside a good one."""
    lost = good.frames - now.frames
    if lost == good.frames or not now.expected:
        return "the night"
    if lost:
        assert len(lost) == 1
        assert len(good.expected - now.expected) == 1
        return "the frame"
    if good.expected != now.expected:
        assert {what.partition("/")[0] for what in good.expected - now.expected} == {"1"}
        return "the run" if len(good.expected - now.expected) == 2 else "the exposure"
    assert good.values.keys() == now.values.keys()
    changed = {key[2] for key, value in good.values.items() if now.values[key] != value}
    return " ".join(sorted(changed)) or "nothing"


# --- a night a fault, one ingest and one production of all --------------------------------------


@dataclass
class Survey:
    """The project with all faults, after doit has run once, and what was said."""

    driven: e2e.Project
    project: Project
    database: Database
    doit: str
    problems: list[dict[str, str]]

    def notes(self, night: str) -> list[str]:
        rows = self.driven.query(
            "SELECT warnings FROM header JOIN process USING (id_process) WHERE night = :night",
            night=night,
        )
        return [f"note: {text}" for (told,) in rows for text in json.loads(told)]


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Survey]:
    """A night a fault, ingested and produced by one doit."""
    driven = e2e.Project.make(
        tmp_path_factory.mktemp("faults") / "project", list(NIGHT_OF.values())
    )
    raw = driven.root / "work/raw"
    raw.mkdir(parents=True)
    (raw / "targets.csv").write_text(TARGETS)
    for name, night in NIGHT_OF.items():
        made = RawNight(raw, night)
        made.make()
        FAULTS.get(name, FAULTS[GOOD])(made)
    said = driven.doit("file_quality", "cube_generation", exit_code=1)
    for name, inject in LATER.items():
        inject(RawNight(raw, NIGHT_OF[name]))
    told = json.loads(driven.run("snf", "ingest", "--json", exit_code=1).stdout)
    jsonschema.validate(told, json.loads(SCHEMA.read_text()))
    assert told["nights"] == []
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SNF_DATABASE_URL", raising=False)
        project = load_project(driven.root)
        database = open_database(project.site.database_url, project.root)
        yield Survey(driven, project, database, said, told["problems"])
        database.close()


def test_the_table_has_a_row_a_fault() -> None:
    assert set(table()) == {*NAMES, *AROUND}
    assert len(NAMES) + len(AROUND) > 40


@pytest.mark.slow
@pytest.mark.parametrize("fault", NAMES)
def test_what_a_fault_costs_and_who_says_so(survey: Survey, fault: str) -> None:
    night, row = NIGHT_OF[fault], table()[fault]
    good = rows_of(survey.project, survey.database, NIGHT_OF[GOOD])
    now = rows_of(survey.project, survey.database, night)
    assert cost(good, now) == row["costs"]
    # nothing else of the night is lost: every cube that is expected was made
    made = {
        path for path in survey.driven.products() if f"/{night}_" in path and "_022_000_" in path
    }
    assert len(made) == len(now.expected)

    problems = [it for it in survey.problems if it["night"] == night]
    usual = set(survey.notes(NIGHT_OF[GOOD]))
    said = [f"{it['kind']}: {it['object']}: {it['what']}" for it in problems]
    said += [note for note in survey.notes(night) if note not in usual]
    hold(said, row["snf ingest, doit"])
    for it in problems:
        assert f"{it['object']}: {it['what']}" in survey.doit
        assert it["next_step"]
    with survey.database.read() as session:
        for column, verify in (("snf audit", False), ("snf audit --verify", True)):
            found = audit_raw_frames(session, survey.project, [night], verify=verify)
            hold([f"{it.kind}: {it.object}: {it.what}" for it in found], audited(row, column))


@pytest.mark.slow
def test_commands_end_with_status_1_where_there_is_a_problem_and_0_where_there_is_none(
    survey: Survey,
) -> None:
    survey.driven.run("snf", "ingest", NIGHT_OF[GOOD])
    survey.driven.run("snf", "ingest", NIGHT_OF["AIRMASS = NaN"], exit_code=1)
    told = survey.driven.run("snf", "audit", "--only", "products", exit_code=1)
    assert "a folder with 1 file" in told.stdout


# --- around the nights -------------------------------------------------------------------------


@pytest.mark.parametrize("fault", AROUND)
def test_what_a_fault_around_the_nights_costs_and_who_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.delenv("SNF_DATABASE_URL", raising=False)
    night = NIGHT_OF[GOOD]
    seen = {}
    for name, inject in (("good", FAULTS[GOOD]), ("bad", AROUND[fault])):
        driven = e2e.Project.make(tmp_path / name, [night])
        project = load_project(driven.root)
        made = RawNight(project.site.raw, night)
        made.make()
        (project.site.raw / "targets.csv").write_text(TARGETS)
        inject(made)
        database = open_database(project.site.database_url, project.root, create=True)
        told = [it for report in refresh(project, database) for it in report.all_problems]
        said = [f"{it.kind}: {it.object}: {it.what}" for it in told]
        with database.read() as session:
            found = list(audit_raw_frames(session, project, [night]))
        by_audit = [f"{it.kind}: {it.object}: {it.what}" for it in found]
        seen[name] = rows_of(project, database, night), said, by_audit
        database.close()
    row = table()[fault]
    assert cost(seen["good"][0], seen["bad"][0]) == row["costs"]
    assert seen["good"][1:] == ([], [])
    hold(seen["bad"][1], row["snf ingest, doit"])
    for column in ("snf audit", "snf audit --verify"):
        hold(seen["bad"][2], audited(row, column))
