"""A small survey in a database, and a project of one step around it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from snfpipe.config.plan_file import Resources
from snfpipe.config.project import Project
from snfpipe.config.site import Site
from snfpipe.config.step import Step
from snfpipe.config.versions import Program, Version
from snfpipe.db import store
from snfpipe.db.models import Exposure, Job, Pose, Process, Run
from snfpipe.db.session import Database, open_database
from snfpipe.declarations.registry import plan_spec
from snfpipe.declarations.unit_kinds import NIGHT
from snfpipe.engines.base import Engine
from snfpipe.engines.local import LocalEngine
from snfpipe.jobs.harvest import Harvester
from snfpipe.jobs.manifest import Finished
from snfpipe.jobs.planning import Planned, claim
from snfpipe.jobs.register import restore_manifests
from snfpipe.jobs.submit import Submitter
from snfpipe.names import ExposureId, Night, VersionName
from snfpipe.plans.unit_plan import ExpectedProduct, Item, SelectedInput, UnitPlan, Verdict

PROGRAM = Path(__file__).parent / "jobs" / "program.py"
EXPOSURES = 3  # runs of a night, one exposure each


@dataclass
class Bench:
    """A project of one step, its database and engine."""

    project: Project
    database: Database
    engine: Engine

    @property
    def step(self) -> Step:
        return self.project.steps[0]

    def told(self, **behaviour: Any) -> Bench:
        """Return the same with a program that behaves so (another digest)."""
        text = json.dumps(behaviour)
        step = replace(self.step, environment={"SNF_TEST_BEHAVIOUR": text})
        return replace(self, project=replace(self.project, steps=(step,)))

    def claim(self, plans: Iterable[UnitPlan]) -> Planned:
        return claim(self.project, self.database, self.step, list(plans))

    def submitter(self) -> Submitter:
        return Submitter(self.project, self.database, self.engine)

    def harvester(self) -> Harvester:
        return Harvester(self.project, self.database, self.engine)

    def finish(self, submitter: Submitter | None = None, timeout_s: float = 60) -> list[Finished]:
        """Drive until nothing is active."""
        submitter, harvester = submitter or self.submitter(), self.harvester()
        deadline = time.monotonic() + timeout_s
        finished: list[Finished] = []
        while self.count("SELECT count(*) FROM job WHERE state IN ('claimed', 'held', 'queued', "
                         "'queue error', 'running', 'ended')"):  # fmt: skip
            assert time.monotonic() < deadline, "jobs do not end"
            submitter.send()
            finished += harvester.look()
            time.sleep(0.02)
        return finished

    def run(self, plans: Iterable[UnitPlan]) -> list[Finished]:
        """Claim, submit and finish."""
        planned = self.claim(plans)
        submitter = self.submitter()
        submitter.add(planned.claimed)
        return [*planned.finished, *self.finish(submitter)]

    def restore(self) -> None:
        """Write the manifests that a kill left missing."""
        restore_manifests(self.project, self.database)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with self.database.read() as session:
            return [tuple(row) for row in session.execute(sa.text(statement))]

    def count(self, statement: str) -> int:
        return int(self.rows(statement)[0][0])

    def job(self, unit: str) -> Any:
        with self.database.read() as session:
            return session.execute(sa.select(Job.__table__).where(Job.unit == unit)).one()

    def live(self) -> dict[str, str]:
        """Return path -> checksum of live products."""
        return dict(self.rows(
            "SELECT path, checksum FROM file JOIN process USING (id_process) "
            "WHERE area = 'archive' AND state = 'live' ORDER BY 1"
        ))  # fmt: skip

    def hold_together(self) -> None:
        """Hold what must be true of rows, files and manifests whenever nothing is active."""
        place = self.project.site.archive
        rows = self.rows("SELECT path, size FROM file WHERE area = 'archive'")
        assert len({path for path, _size in rows}) == len(rows)
        for path, size in rows:
            assert (place / path).stat().st_size == size
        on_disk = {str(it.relative_to(place)) for it in (place / "Prod").rglob("*.*")}
        assert on_disk == {path for path, _size in rows}
        assert not (place / ".incoming").exists() or not any((place / ".incoming").iterdir())
        for folder, name, text in self.rows("SELECT folder, name, manifest FROM job"):
            manifest = self.project.site.jobs / folder / f"{name}.manifest"
            assert manifest.read_text() == text
        twice = "SELECT job_id FROM attempt WHERE outcome = 'done' GROUP BY job_id, number " \
                "HAVING count(*) > 1"  # fmt: skip
        assert self.rows(twice) == []


def night_of(number: int) -> str:
    return f"{number // 300:02}_{number % 300 + 1:03}"


def unit_plan(
    night: str,
    exposures: Iterable[int] = range(1, EXPOSURES + 1),
    *,
    value: float = 1.0,
    verdict: Verdict | None = None,
    auxiliary: bool = True,
) -> UnitPlan:
    """Plan a night: for each exposure a cube (with a plot) and a spectrum made from the cube."""
    inputs, items, expected = [], [], []
    for run in exposures:
        exposure = ExposureId(Night.parse(night), run, 3)
        raw = f"{exposure.id_exposure}40170000000000"
        inputs.append(
            SelectedInput(raw, "object", "raw", f"{raw}.fits", "0" * 64, 10, {"value": value})
        )
        items.append(Item(f"{exposure}_B", {"object": (raw,)}, {"value": value}))
        cube = f"{exposure.id_exposure}40220000203"
        expected += [
            ExpectedProduct(exposure, 4, 22, 0, f"{exposure}_B", "cube", (raw,),
                        auxiliary={"plot": "png"} if auxiliary else {}),
            ExpectedProduct(exposure, 4, 38, 100, f"{exposure}_B", "spectrum", (cube, raw)),
        ]  # fmt: skip
    return UnitPlan(night, tuple(inputs), tuple(items), tuple(expected), verdict)


def observe(database: Database, nights: Iterable[str]) -> None:
    """Put nights into the database."""
    runs, exposures, poses, frames = [], [], [], []
    for night in nights:
        for run in range(1, EXPOSURES + 1):
            it = ExposureId(Night.parse(night), run, 3)
            ident = it.id_exposure
            runs.append({"id_run": it.run_id.id_run, "night": night, "run": run})
            exposures.append(
                {"id_exposure": ident, "id_run": it.run_id.id_run, "night": night, "exposure": 3}
            )
            poses.append({"id_pose": int(f"{ident}4"), "id_exposure": ident, "night": night,
                          "channel": 4})  # fmt: skip
            frames.append({"id_process": f"{ident}40170000000000", "fclass": 17, "xfclass": 0,
                           "channel": 4, "version": 0, "idx": 0, "night": night,
                           "quality_s": "$"})  # fmt: skip
    with database.write() as session:
        for model, rows in ((Run, runs), (Exposure, exposures), (Pose, poses), (Process, frames)):
            store.insert(session, model, rows)


def make_bench(root: Path, url: str, nights: int = 4, slots: int = 4) -> Bench:
    """Return a project in `root` over some nights, made at the first call."""
    database = open_database(url, root, create=True)
    with database.read() as session:
        known = session.scalar(sa.select(Run.id_run).limit(1))
    if known is None:
        observe(database, [night_of(number) for number in range(1800, 1800 + nights)])
    site = Site(
        "local", "local", slots, 0.05, 10, url, root / "raw", root / "archive",
        root / "jobs" / "SNF-02-03", {},
    )  # fmt: skip
    version = Version(VersionName.parse("SNF-02-03"), True, "", {}, {}, {}, root / "version")
    run = ((sys.executable, "-S", str(PROGRAM)),)
    program = Program("cube_generation", "program", "1.0.0", run)
    step = Step(
        root, "cube_generation", plan_spec("cube_generation"), NIGHT, "TEST", "SNF-0203-TESTc",
        root / "nights.list", (), "none", 1, {}, {}, {"gain": 1}, Resources(60, 2000, 60), program,
        {},
    )  # fmt: skip
    project = Project(root, version, "test", "", "SNF-", None, site, (step,))
    return Bench(project, database, LocalEngine(site.jobs.parent / ".local", slots))


@pytest.fixture
def bench(database_url: str, tmp_path: Path) -> Iterator[Bench]:
    """Four nights, on both databases."""
    made = make_bench(tmp_path, database_url)
    yield made
    _end(made)


@pytest.fixture
def sqlite_bench(tmp_path: Path) -> Iterator[Bench]:
    """Four nights on SQLite, where the database makes no difference."""
    made = make_bench(tmp_path, f"sqlite:///{tmp_path}/snfpipe.db")
    yield made
    _end(made)


def _end(bench: Bench) -> None:
    bench.engine.cancel(list(bench.engine.snapshot()))
    bench.database.close()
