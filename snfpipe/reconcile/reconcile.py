"""``srb_cleanup``: the archive against the database, file by file, beside a live production.

Rows and files are two streams in one order; where they differ is doubtful.  When the scan is over,
doubtful files are looked at again, with fresh rows.  A file without a row counts only if it is
old enough, no active job may be registering it, and the scan before saw it just so.  Equal
bytes alone are nothing.  The audit changes nothing but its own memory.
"""

from __future__ import annotations

import hashlib
import posixpath
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from snfpipe import clock
from snfpipe.audit.findings import Finding, Kind, Report
from snfpipe.config.project import Project
from snfpipe.db.session import Database
from snfpipe.errors import SnfError
from snfpipe.grouping import grouped
from snfpipe.reconcile import rows as rows
from snfpipe.reconcile.cases import (
    AUDIT,
    Case,
    Facts,
    Problem,
    canonical,
    judge_generations,
    judge_row,
    judge_second_row,
    judge_stray,
    safe,
)
from snfpipe.reconcile.memory import read_memory, write_memory
from snfpipe.reconcile.repair import Plan
from snfpipe.reconcile.stream import Limit, Progress, differences, quiet, registered
from snfpipe.reconcile.verify import Verifier, registered_checksums
from snfpipe.storage import archive
from snfpipe.storage.base import Place, Seen
from snfpipe.storage.local import LocalPlace

COLUMNS = ("problem", "files", "bytes", "repairs")

MIN_AGE_S = 3600.0
MAX_WRONG = 0.02


@dataclass(frozen=True)
class Options:
    """How to look.

    Parameters
    ----------
    verify : bool
        Read every file and compare its checksum.
    min_age_s : float
        How long a file without a row must have been left alone.
    max_wrong : float
        The fraction of files that may look wrong; beyond it, nothing is planned.
    copies : sequence of Place
        Other archives that good bytes may come from.
    remember : bool
        Keep what has no row for the next scan to compare.
    """

    verify: bool = False
    min_age_s: float = MIN_AGE_S
    max_wrong: float = MAX_WRONG
    copies: Sequence[Place] = ()
    remember: bool = True


class Reconciled(NamedTuple):
    """The result: what was found, and the plan that would fix it."""

    report: Report
    plan: Plan


class _Doubts(NamedTuple):
    """What the scan leaves to be looked at again: paths, and those whose bytes are wrong."""

    paths: list[str]
    wrong: set[str]
    expected: int


def reconcile(
    project: Project,
    database: Database,
    place: Place | None = None,
    options: Options = Options(),
    progress: Progress = quiet,
) -> Reconciled:
    """Hold an archive against the rows.

    Parameters
    ----------
    project, database : Project, Database
        Whose archive, and its rows.
    place : Place, optional
        The archive; by default that of the site.
    options : Options
        How to look.
    progress : callable, optional
        Told of how many more rows are done with.

    Raises
    ------
    Refused
        So much looks wrong that something else must be: nothing is planned.
    SnfError
        A folder cannot be read: what is in it must not be taken for missing.
    """
    place = place or LocalPlace(project.site.archive)
    started = clock.utc_now()
    plan_id = f"{started:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    memory = memory_path(project, place)
    try:
        with ThreadPoolExecutor(1) as aside:
            twice = aside.submit(_twice, database)
            doubts = _scan(database, place, options, progress)
            facts = _gather(database, place, options, doubts, plan_id, twice.result())
        strays = _strays(database, facts, doubts)
        before = read_memory(memory)
        cases = [*_check(facts, doubts)]
        ripe = [path for path in strays if before.get(path) == facts.seen[path]]
        cases += [*_check_strays(facts, ripe, options)]
        if options.remember:
            write_memory(memory, {path: facts.seen[path] for path in strays})
    except OSError as error:
        raise SnfError(
            f"{place.shown} cannot be read: {error}",
            hint="nothing was planned; fix the archive, or ask who may read it",
        ) from error
    report = Report(
        audit=AUDIT,
        title=f"{place.shown} against {database.shown}",
        columns=COLUMNS,
        rows=tuple(_table(cases)),
        findings=tuple(case.finding for case in cases),
        notes=tuple(_notes(doubts, strays, ripe)),
    )
    repairs = tuple(case.repair for case in cases if case.repair)
    made = f"{started:%Y-%m-%dT%H:%M:%S}"
    return Reconciled(report, Plan(plan_id, database.shown, place.shown, made, repairs))


def audit_reconcile(project: Project, database: Database, *, verify: bool = False) -> Report:
    """Return the report of :func:`reconcile`; that it stopped is a finding among the others'."""
    place = LocalPlace(project.site.archive)
    if not place.root.exists() and registered_count(database) == 0:
        return Report(AUDIT, place.shown, COLUMNS, (), (), ("nothing was produced yet",))
    try:
        return reconcile(project, database, place, Options(verify=verify)).report
    except SnfError as error:
        stopped = Finding(
            AUDIT, Kind.WRONG, place.root.name, place.shown, error.message, error.hint
        )
        return Report(AUDIT, place.shown, COLUMNS, (), (stopped,))


def registered_count(database: Database) -> int:
    """Return how many files the archive should have."""
    with database.read() as session:
        return rows.count(session)


def folder_of(project: Project) -> Path:
    """Return where plans, journals and the scans' memory are kept: beside the job folders."""
    return project.site.jobs.parent / "repairs"


def memory_path(project: Project, place: Place) -> Path:
    """Return where the memory of scans of an archive is kept."""
    digest = hashlib.sha256(place.shown.encode(errors="replace")).hexdigest()[:12]
    return folder_of(project) / f".seen-{digest}.json"


class _Twice(NamedTuple):
    """What is there twice, by rows alone: names of files, generations of products."""

    names: list[str]
    generations: list[list[rows.Generation]]


def _twice(database: Database) -> _Twice:
    """Ask for what is there twice."""
    with database.read() as session:
        return _Twice(rows.twice_named(session), rows.live_twice(session))


# --- looking -------------------------------------------------------------------------------


def _scan(database: Database, place: Place, options: Options, progress: Progress) -> _Doubts:
    """Compare rows and files; stop where too much differs."""
    expected = registered_count(database)
    limit = Limit(expected, options.max_wrong, place.shown)
    doubts = _Doubts([], set(), expected)
    expected_of = partial(registered_checksums, database)
    verifier = Verifier(place, expected_of, progress) if options.verify else None
    files = registered(database, quiet if verifier else progress)
    missing = 0
    for found in differences(files, place.walk(), verifier.take if verifier else None):
        limit.count()
        missing += found.right is None
        doubts.paths.append(found.path)
    limit.end(missing)
    if verifier:
        for path in verifier.end():
            limit.count()
            doubts.paths.append(path)
            doubts.wrong.add(path)
    doubts.paths.extend(path for path, _size in place.walk(archive.INCOMING))
    return doubts


def _gather(
    database: Database,
    place: Place,
    options: Options,
    doubts: _Doubts,
    plan_id: str,
    twice: _Twice,
) -> Facts:
    """Look at doubtful files again, then read everything about them afresh."""
    if twice.generations:  # a job may just have finished
        twice = _twice(database)
    with database.read() as session:
        rows_of_names = rows.by_name(session, twice.names)
    paths = dict.fromkeys(doubts.paths)
    paths |= dict.fromkeys(row.path for same in rows_of_names.values() for row in same)
    homes = [canonical(name) for name in rows.names_of(paths)]
    paths |= dict.fromkeys(home for home in homes if home)
    seen = {path: found for path in paths if safe(path) and (found := place.look(path))}
    with database.read() as session:
        names = set(rows.names_of(paths))
        named = rows.by_name(session, names)
        found_rows = rows.by_path(session, paths)
        promised = rows.promised(session, names)
        several = twice.generations
        readers = rows.readers(session, {row.id_process for row in found_rows.values()})
        made = {row.job_id for same in named.values() for row in same}
        made |= {one.job_id for generations in several for one in generations}
        made |= {*promised.values()}
        known = {ident for ident in made if ident}
        generations = {one.id_process for same in several for one in same}
        vouched = rows.vouched(session, known, names, generations)
        return Facts(
            plan_id=plan_id,
            place=place,
            copies=options.copies,
            rows=found_rows,
            named=named,
            seen=seen,
            strays=grouped(
                (posixpath.basename(path), path) for path in seen if path not in found_rows
            ),
            jobs=rows.jobs(session, known | {it for ids in readers.values() for it in ids}),
            readers=readers,
            vouched=vouched,
            promised=promised,
            processes=rows.processes(session, [it.id_process for it in vouched.values()]),
            several=several,
        )


def _strays(database: Database, facts: Facts, doubts: _Doubts) -> list[str]:
    """Return the files that no row knows, and that nobody is registering or deleting."""
    strays = [path for path in doubts.paths if path in facts.seen and path not in facts.rows]
    tokens = {_token(path) for path in strays if path.startswith(f"{archive.INCOMING}/")}
    with database.read() as session:
        waiting = rows.open_tokens(session, tokens)
        moving = rows.in_transit(session)
    return [path for path in strays if _token(path) not in waiting and path not in moving]


def _token(path: str) -> str:
    """Return the attempt whose incoming folder a file lies in, if it is one."""
    parts = path.split("/")
    return parts[1] if parts[0] == archive.INCOMING else ""


# --- judging -------------------------------------------------------------------------------


def _check(facts: Facts, doubts: _Doubts) -> Iterator[Case]:
    """Yield what is wrong with rows and the files they name."""
    second: set[str] = set()
    for same in facts.named.values():
        mine = [row for row in same if row.area == "archive"]
        home = next((row for row in mine if row.path == canonical(row.name)), None)
        for row in mine:
            if home and row is not home:
                second.add(row.path)
                yield judge_second_row(facts, row, home)
    for path in doubts.paths:
        if path in facts.rows and path not in second:
            problem = _trouble(facts.rows[path], facts.seen.get(path), doubts.wrong)
            if problem:
                yield judge_row(facts, facts.rows[path], problem)
    for several in facts.several:
        yield from judge_generations(facts, several)


def _trouble(row: rows.FileRow, seen: Seen | None, wrong: set[str]) -> Problem | None:
    """Return what is the matter with a registered file, now that it was looked at again."""
    if seen is None:
        return Problem.MISSING
    if seen.size != row.size:
        return Problem.WRONG_SIZE
    return Problem.WRONG_CHECKSUM if row.path in wrong else None


def _check_strays(facts: Facts, ripe: Iterable[str], options: Options) -> Iterator[Case]:
    """Yield what is to be done about files that two scans saw without a row."""
    now_s = clock.epoch_s()
    for path in ripe:
        age_s = now_s - facts.seen[path].mtime_ns / 1e9
        if path in facts.spent or age_s < options.min_age_s:
            continue
        case = judge_stray(facts, path)
        if case:
            yield case


def _table(cases: Sequence[Case]) -> Iterator[tuple[object, ...]]:
    """Yield a row a kind of problem."""
    for problem in Problem:
        mine = [case for case in cases if case.problem is problem]
        if mine:
            repairs = Counter(case.repair.repair for case in mine if case.repair)
            told = ", ".join(f"{count} {word}" for word, count in sorted(repairs.items()))
            yield str(problem), len(mine), sum(case.size for case in mine), told or "none"


def _notes(doubts: _Doubts, strays: Sequence[str], ripe: Sequence[str]) -> Iterator[str]:
    """Yield what belongs under the table."""
    yield f"{doubts.expected} files are registered"
    new = len(strays) - len(ripe)
    if new:
        yield (
            f"{new} without a row were seen for the first time: "
            "they count if the next scan finds them unchanged"
        )
