"""Expected, declared, registered, archived: the products of a production, held against each other.

What is expected follows from raw exposures and the plans' rules alone.  A product that is missing
is excused where its plan says why it cannot be made from what was observed, where its unit was
waived, or where somebody has marked one of its ancestors as bad; every other one is a finding
with the reason that is known.  Units that are not finished are one finding each.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import fclass
from snfpipe.audit.ancestors import audit_ancestors, audit_deletions
from snfpipe.audit.archived import audit_archive
from snfpipe.audit.doubtful import doubtful_spectra
from snfpipe.audit.findings import Finding, Kind, Report
from snfpipe.audit.raw_frames import audit_raw_frames
from snfpipe.config.project import Project
from snfpipe.config.step import Step
from snfpipe.db.models import Expected, Job, Process, Production
from snfpipe.db.session import Database
from snfpipe.names import INDEX_DIGITS, Night, ProductName
from snfpipe.plans.observed import SurveySoFar
from snfpipe.plans.selection import expected_products
from snfpipe.plans.unit_plan import ExpectedProduct
from snfpipe.states import ACTIVE, FAILURES, FINISHED, State
from snfpipe.storage.archive import Watch

AUDIT = "products"

COLUMNS = (
    "step", "class", "expected", "excused", "declared", "registered", "archived", "meaning",
)  # fmt: skip

_BASE_DIGITS = 22  # of a process id without its index, leading zeros of the year kept


class _Job(NamedTuple):
    """A unit's job."""

    name: str
    state: State
    reason: str


class _Declared(NamedTuple):
    """What a job declared about a product."""

    name: str
    unit: str
    reason: str | None
    failure: str | None


class _Live(NamedTuple):
    """A live product."""

    id_process: str
    unit: str
    quality: int


@dataclass
class _Books:
    """What four sources say of one step; the keys are process ids without their index."""

    step: Step
    jobs: dict[str, _Job]
    expected: dict[str, ExpectedProduct]
    declared: dict[str, _Declared]
    live: dict[str, list[_Live]]
    excused: Counter[tuple[int, int]] = field(default_factory=Counter)

    def unit_of(self, base: str) -> str:
        """Return the unit a product belongs to."""
        if base in self.declared:
            return self.declared[base].unit
        if base in self.live:
            return self.live[base][0].unit
        return self.expected[base].unit

    def name_of(self, base: str) -> str:
        """Return a product's file name."""
        if base in self.live:
            return str(ProductName.from_id(self.live[base][0].id_process))
        if base in self.declared:
            return self.declared[base].name
        return str(
            ProductName.from_id(f"{base}{'0' * INDEX_DIGITS}", self.expected[base].extension)
        )


def audit_products(
    project: Project, database: Database, *, verify: bool = False, watch: Watch = lambda: None
) -> Report:
    """Hold the configured production's products against what is expected; changes nothing.

    Parameters
    ----------
    project : Project
        The configured production.
    database : Database
        Its database.
    verify : bool
        Read every file, raw frames too: checksum, structure of FITS files.
    watch : callable, optional
        Called for every file that is looked at.
    """
    findings: list[Finding] = []
    books = []
    notes: list[str] = []
    bad: dict[tuple[int, int], str] = {}
    with database.read() as session:
        for step in project.steps:
            book = _read(session, project, step)
            findings += _check(book, bad)
            bad |= _bad_products(session, step)
            notes += doubtful_spectra(session, step)
            books.append(book)
        observed = SurveySoFar.of(session, project.root)
        nights = sorted({night for book in books for night in _nights(book, observed)})
        findings = [
            *audit_raw_frames(session, project, nights, verify=verify, watch=watch),
            *findings,
            *audit_ancestors(session, project),
            *audit_deletions(session),
        ]
    lost, file_findings = audit_archive(project, database, nights, verify=verify, watch=watch)
    findings += file_findings
    return Report(
        audit=AUDIT,
        title=f"{project.title} {project.version.label}",
        columns=COLUMNS,
        rows=tuple(row for book in books for row in _count(book, lost)),
        findings=tuple(findings),
        notes=tuple(notes),
    )


# --- what four sources say -----------------------------------------------------------------


def _read(session: Session, project: Project, step: Step) -> _Books:
    """Gather what is expected, declared and registered for a step's units."""
    units = set(step.units)
    of_step = sa.and_(Job.production_id == Production.id, Production.name == step.production)
    jobs = sa.select(Job.unit, Job.name, Job.state, Job.reason).join(Production, of_step)
    declared = (
        sa.select(Expected.id_process, Expected.name, Job.unit, Expected.reason, Expected.failure)
        .join(Job, Job.id == Expected.job_id)
        .join(Production, of_step)
    )
    live = (
        sa.select(Process.id_process, Job.unit, Process.quality)
        .join(Job, Job.id == Process.job_id)
        .join(Production, of_step)
        .where(Process.state == "live")
        .order_by(Process.id_process)
    )
    book = _Books(step, {}, {}, {}, defaultdict(list))
    for unit, name, state, reason in session.execute(jobs):
        if unit in units:
            book.jobs[unit] = _Job(name, State(state), reason)
    for id_process, *told in session.execute(declared):
        found = _Declared._make(told)
        if found.unit in units:
            book.declared[id_process[:-INDEX_DIGITS]] = found
    for row in session.execute(live):
        product = _Live(*row)
        if product.unit in units:
            book.live[product.id_process[:-INDEX_DIGITS]].append(product)
    for expected in expected_products(session, step, step.units):
        first = ProductName(
            expected.exposure, expected.channel, expected.fclass, expected.xfclass, project.number
        )
        book.expected[first.base] = expected
    return book


def _bad_products(session: Session, step: Step) -> dict[tuple[int, int], str]:
    """Return (exposure, channel) -> what is marked as bad there, among a step's live products."""
    query = (
        sa.select(Process.id_exposure, Process.channel, Process.id_process, Process.quality)
        .join(Job, Job.id == Process.job_id)
        .join(Production, Production.id == Job.production_id)
        .where(
            Production.name == step.production,
            Process.state == "live",
            Process.quality != 1,
        )
    )
    return {
        (exposure, channel): f"quality {quality} of {ProductName.from_id(ident)}"
        for exposure, channel, ident, quality in session.execute(query)
        if exposure is not None
    }


# --- the verdict on products ---------------------------------------------------------------


def _check(book: _Books, bad: Mapping[tuple[int, int], str]) -> Iterator[Finding]:
    """Yield the findings of a step; ``book.excused`` counts what is missing with good reason."""
    open_units: Counter[str] = Counter()
    products: list[Finding] = []
    for base in sorted({*book.expected, *book.declared, *book.live}):
        job = book.jobs.get(unit := book.unit_of(base))
        if base in book.live:
            products += _check_live(book, base, job)
        elif base not in book.expected:
            products += _check_not_expected(book, base, job)
        elif _excuse(book, base, job, bad):
            expected = book.expected[base]
            book.excused[expected.fclass, expected.xfclass] += 1
        elif job is None or job.state not in FINISHED:
            open_units[unit] += 1
        else:
            products.append(_missing(book, base, job))
    yield from _check_units(book, open_units)
    yield from products


def _check_units(book: _Books, open_units: Mapping[str, int]) -> Iterator[Finding]:
    """Yield the units that failed, and those not finished of which something is expected still."""
    for unit in book.step.units:
        job = book.jobs.get(unit)
        task = f"{book.step.key}:{unit}"
        if job and job.state in FAILURES:
            yield Finding(
                AUDIT, Kind.FAILED, task, job.name, f"{job.state}: {job.reason}",
                f"fix the cause, then `snf retry {task}` and `doit`",
            )  # fmt: skip
        elif open_units.get(unit):
            state = job.state if job else "not created"
            what = f"{open_units[unit]} products expected, the unit is '{state}'"
            yield Finding(AUDIT, Kind.WAITING, task, task, what, "`doit` makes them")


def _check_live(book: _Books, base: str, job: _Job | None) -> Iterator[Finding]:
    """Yield what is unexpected about a live product."""
    if job is None or job.state in ACTIVE:
        return  # its attempt may be about to replace it
    expected, declared = book.expected.get(base), book.declared.get(base)
    task = f"{book.step.key}:{book.unit_of(base)}"
    if expected is None:
        what = "registered, but no raw exposure calls for it"
    elif expected.reason:
        what = f"registered, though it should not be made: {expected.reason}"
    elif declared is None:
        what = "registered, but its job never declared it"
    elif declared.reason:
        what = f"registered, though its job declared that it cannot be made: {declared.reason}"
    elif len(book.live[base]) > 1:
        others = ", ".join(str(ProductName.from_id(it.id_process)) for it in book.live[base][1:])
        what = f"two live generations of one product: also {others}"
    else:
        return
    yield Finding(
        AUDIT, Kind.UNEXPECTED, book.name_of(base), task, what,
        f"`snf why {task}`; if it is outdated, `doit` retires the product",
    )  # fmt: skip


def _check_not_expected(book: _Books, base: str, job: _Job | None) -> Iterator[Finding]:
    """Yield a product that a job promised, though no raw exposure calls for it."""
    if job is None or job.state in ACTIVE or book.declared[base].reason:
        return
    task = f"{book.step.key}:{book.declared[base].unit}"
    yield Finding(
        AUDIT, Kind.UNEXPECTED, book.name_of(base), task,
        "promised by its job and not made, though no raw exposure calls for it",
        f"`snf why {task}`",
    )  # fmt: skip


def _excuse(
    book: _Books, base: str, job: _Job | None, bad: Mapping[tuple[int, int], str]
) -> str | None:
    """Return why nobody needs to ask for a missing product, or None."""
    expected = book.expected[base]
    if expected.reason:
        return expected.reason
    if expected.optional and job and job.state in FINISHED - FAILURES:
        return "optional"
    if job and job.state is State.WAIVED:
        return f"waived: {job.reason}"
    declared = book.declared.get(base)
    if declared and declared.reason and expected.exposure.exposure:
        return bad.get((expected.exposure.id_exposure, expected.channel))
    return None


def _missing(book: _Books, base: str, job: _Job) -> Finding:
    """Return the finding of an expected product that a finished unit has not left."""
    task = f"{book.step.key}:{book.unit_of(base)}"
    declared = book.declared.get(base)
    expected = book.expected[base]
    reason = job.reason or f"the unit is '{job.state}'"
    if declared is None:
        reason = f"its job never declared it ({reason})"
    elif declared.reason or declared.failure:
        reason = declared.reason or declared.failure or ""
    what = f"{fclass.meaning(expected.fclass, expected.xfclass)}: {reason}"
    return Finding(AUDIT, Kind.MISSING, book.name_of(base), task, what, f"`snf why {task}`")


def _count(book: _Books, lost: Collection[str]) -> Iterator[tuple[object, ...]]:
    """Yield a row a class: products expected, excused, declared, registered, archived."""
    expected = Counter((it.fclass, it.xfclass) for it in book.expected.values())
    declared: Counter[tuple[int, int]] = Counter()
    for base, it in book.declared.items():
        declared[_class_of(base)] += it.reason is None
    registered = Counter(_class_of(base) for base, live in book.live.items() for _ in live)
    archived = Counter(
        _class_of(base)
        for base, live in book.live.items()
        for it in live
        if it.id_process not in lost
    )
    for pair in sorted({*expected, *declared, *registered}):
        excused = book.excused[pair]
        yield (
            book.step.key, fclass.code(*pair), expected[pair] - excused, excused, declared[pair],
            registered[pair], archived[pair], fclass.meaning(*pair),
        )  # fmt: skip


def _class_of(base: str) -> tuple[int, int]:
    """Return the class of a process id without its index."""
    return int(base[-10:-7]), int(base[-7:-4])


def _nights(book: _Books, observed: SurveySoFar) -> Iterator[str]:
    """Yield the nights a step's products may be of."""
    for unit in book.step.units:
        yield from book.step.kind.nights(unit, observed)
    for code in {base.zfill(_BASE_DIGITS)[:5] for base in (*book.expected, *book.live)}:
        yield str(Night.parse(code))
