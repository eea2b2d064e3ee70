"""The closing summary: a production in a few lines, and where to look next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from snfpipe.audit.products import audit_products
from snfpipe.config.project import Project
from snfpipe.db.models import Job, Process, Production, Run
from snfpipe.db.session import open_database
from snfpipe.names import CHANNELS
from snfpipe.plans.observed import SurveySoFar
from snfpipe.units.status import Status, status

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_RAW_SCIENCE = (17, 0)
_CUBE = (22, 0)
_SPECTRUM = (38, 100)
_SPECTROSCOPIC = CHANNELS["B"] | CHANNELS["R"]


@dataclass(frozen=True, slots=True)
class Summary:
    """What came in, what came out, and whether it is all that should have.

    ``raw``, ``cubes`` and ``spectra`` count frames of one channel each.
    """

    version: str
    production: str
    nights: int
    targets: int
    raw: int
    cubes: int
    spectra: int
    jobs: Mapping[str, int]
    failing: tuple[str, ...]
    audit: str
    clean: bool
    places: Mapping[str, str]

    def lines(self) -> Iterator[str]:
        """Yield the lines of the summary."""
        jobs = ", ".join(f"{count} {state}" for state, count in self.jobs.items())
        yield f"{self.production} {self.version}"
        yield f"nights {self.nights} · targets {self.targets} · jobs: {jobs}"
        yield f"raw science exposures {self.raw} -> cubes {self.cubes} -> spectra {self.spectra}"
        yield f"audit: {self.audit}"
        for line in self.failing:
            yield f"  {line}"
        yield "where to look next:"
        for what, where in self.places.items():
            yield f"  {what:<28} {where}"


def summarize(project: Project) -> Summary:
    """Sum up the configured production; changes nothing."""
    found = status(project)
    database = open_database(project.site.database_url, project.root)
    with database.read() as session:
        nights, targets, raw = _observed(session, project)
        cubes, spectra = (_made(session, project, kind) for kind in (_CUBE, _SPECTRUM))
    verdict = audit_products(project, database).verdict
    database.close()
    return Summary(
        version=project.version.label,
        production=project.title,
        nights=nights,
        targets=targets,
        raw=raw,
        cubes=cubes,
        spectra=spectra,
        jobs=dict(found.totals),
        failing=tuple(f"{t.task} {t.state}: {t.reason}" for t in found.problems),
        audit=verdict,
        clean=verdict == "OK" and not found.failing,
        places=_places(project, found),
    )


def _observed(session: Session, project: Project) -> tuple[int, int, int]:
    """Count the nights of the lists, their targets, and their raw science frames."""
    observed = SurveySoFar.of(session, project.root)
    nights = sorted({n for s in project.steps for u in s.units for n in s.kind.nights(u, observed)})
    targets = session.scalar(
        sa.select(sa.func.count(sa.distinct(Run.target_id))).where(Run.night.in_(nights))
    )
    fclass, xfclass = _RAW_SCIENCE
    raw = session.scalar(
        sa.select(sa.func.count()).where(
            Process.fclass == fclass,
            Process.xfclass == xfclass,
            Process.version == 0,
            Process.night.in_(nights),
            Process.channel.op("&")(_SPECTROSCOPIC) != 0,
        )
    )
    return len(nights), targets or 0, raw or 0


def _made(session: Session, project: Project, kind: tuple[int, int]) -> int:
    """Count the live products of a class that the configured productions made."""
    fclass, xfclass = kind
    count = session.scalar(
        sa.select(sa.func.count())
        .select_from(Process)
        .join(Job, Job.id == Process.job_id)
        .join(Production, Production.id == Job.production_id)
        .where(
            Process.fclass == fclass,
            Process.xfclass == xfclass,
            Process.state == "live",
            Production.name.in_([step.production for step in project.steps]),
        )
    )
    return count or 0


def _places(project: Project, found: Status) -> dict[str, str]:
    """Return what to look at next -> where it is."""
    places = {
        "products": str(project.site.archive / "Prod"),
        "job scripts and logs": str(project.site.jobs),
        "units and states": "snf status",
        "a unit's case": "snf why STEP:UNIT",
        "missing, unexpected, wrong": "snf audit",
    }
    if found.failing:
        places["try failed units again"] = "snf retry UNIT"
    return places
