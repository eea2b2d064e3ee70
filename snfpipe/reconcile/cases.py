"""The verdict on a doubtful file: what is the matter, and the repair that would fix it.

A repair takes the first of: the file is right and its row is wrong, since a finished job's
manifest vouches for its bytes; good bytes are to be had elsewhere; the product is lost, what is
there of it is put aside, and the jobs that made or read it are redone.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from snfpipe.audit.findings import Finding, Kind
from snfpipe.errors import BadName
from snfpipe.names import Night, ProductName
from snfpipe.reconcile import repair as words
from snfpipe.reconcile.repair import Bring, Move, Repair, RowChange
from snfpipe.reconcile.rows import FileRow, Generation, MakerRow, Vouched
from snfpipe.storage import archive
from snfpipe.storage.base import Place, Seen, checked_path, checksum_of

AUDIT = "srb_cleanup"


class Problem(StrEnum):
    """What may be the matter between archive and database."""

    MISSING = "missing"
    WRONG_SIZE = "wrong size"
    WRONG_CHECKSUM = "wrong checksum"
    WRONG_PATH = "wrong path"
    ONE_PATH = "one path in two rows"
    TWO_PLACES = "one product in two places"
    TWO_LIVE = "two live generations"
    ORPHANED = "orphaned"
    LEFTOVER = "leftover"


_KINDS = {
    Problem.MISSING: Kind.MISSING,
    Problem.WRONG_SIZE: Kind.WRONG,
    Problem.WRONG_CHECKSUM: Kind.WRONG,
    Problem.WRONG_PATH: Kind.WRONG,
    Problem.ONE_PATH: Kind.WRONG,
}


class Case(NamedTuple):
    """One thing that is wrong, and how it would be fixed; None where a person must decide."""

    problem: Problem
    path: str
    size: int
    what: str
    next_step: str
    repair: Repair | None

    @property
    def finding(self) -> Finding:
        """What the report says."""
        kind = _KINDS.get(self.problem, Kind.UNEXPECTED)
        name = posixpath.basename(self.path)
        return Finding(AUDIT, kind, name, self.path, f"{self.problem}: {self.what}", self.next_step)


@dataclass(frozen=True)
class Facts:
    """What is known of doubtful files, by path, by name or by id.

    ``seen``: files that are there; ``rows``: those of the archive; ``named``: lost ones too;
    ``strays``: files without a row, by name; ``several``: live generations of one product.
    """

    plan_id: str
    place: Place
    copies: Sequence[Place]
    rows: Mapping[str, FileRow]
    named: Mapping[str, Sequence[FileRow]]
    seen: Mapping[str, Seen]
    strays: Mapping[str, Sequence[str]]
    jobs: Mapping[int, MakerRow]
    readers: Mapping[str, Sequence[int]]
    vouched: Mapping[str, Vouched]
    promised: Mapping[str, int]
    processes: Mapping[str, str]
    several: Sequence[Sequence[Generation]]
    spent: set[str] = field(default_factory=set)  # strays that a repair makes use of already

    def holds(self, path: str, size: int, checksum: str) -> bool:
        """Tell whether a file has these very bytes."""
        seen = self.seen.get(path)
        return seen is not None and seen.size == size and self.checksum(path) == checksum

    def checksum(self, path: str) -> str:
        """Return the checksum of a file, nothing of one that cannot be read."""
        with suppress(OSError):
            return checksum_of(self.place, path)
        return ""

    def aside(self, path: str) -> Move:
        """Return the move of a file out of the way."""
        return Move(path, f"{archive.QUARANTINE}/{self.plan_id}/{path}", *self.seen[path])


# --- files with a row ----------------------------------------------------------------------


def judge_row(facts: Facts, row: FileRow, problem: Problem) -> Case:
    """Judge a registered file that is missing, or not as registered."""
    seen = facts.seen.get(row.path)
    what = _what(row, problem, seen)

    def case(found: Problem, next_step: str, repair: Repair | None) -> Case:
        return Case(found, row.path, row.size, what, next_step, repair)

    job = facts.jobs.get(row.job_id or 0)
    if job and job.active:
        return case(problem, _wait_for(job), None)
    known = facts.vouched.get(row.name)
    if (
        seen
        and known
        and known.id_process == row.id_process
        and facts.holds(row.path, known.size, known.checksum)
    ):
        change = _change(row, size=known.size, checksum=known.checksum)
        name = job.name if job else "its job"
        told = f"the row was changed: the manifest of {name} vouches for the file"
        fix = Repair(words.RE_REGISTER, problem, row.path, f"{what}; {told}", rows=(change,))
        return case(problem, f"{told}; the plan fixes the row", fix)
    home = canonical(row.name)
    if home and home != row.path and facts.holds(home, row.size, row.checksum):
        facts.spent.add(home)
        told = f"the file is at {home}"
        change = _change(row, path=home)
        fix = Repair(words.RE_REGISTER, problem, row.path, f"{what}; {told}", rows=(change,))
        return case(Problem.WRONG_PATH, f"{told}; the plan fixes the row", fix)
    source, steps = _good_bytes(facts, row)
    if source:
        aside = (facts.aside(row.path),) if seen else ()
        moves = tuple(step for step in steps if isinstance(step, Move))
        brings = tuple(step for step in steps if isinstance(step, Bring))
        fix = Repair(
            words.RESTORE, problem, row.path, f"{what}; good bytes are at {source}",
            (*aside, *moves), brings, (_change(row),),
        )  # fmt: skip
        return case(problem, f"the plan brings it back from {source}", fix)
    return case(problem, *_lose(facts, row, seen, problem, what))


def _wait_for(job: MakerRow) -> str:
    """Say what to do about the files of a job whose attempt is on its way."""
    return f"wait until {job.name} is finished, then look again"


def _what(row: FileRow, problem: Problem, seen: Seen | None) -> str:
    """Say what was found."""
    state = "" if row.state == "live" else f" ({row.state} product)"
    if seen is None:
        return f"not there, registered with {row.size} bytes{state}"
    if seen.size < 0:
        return f"no regular file, registered with {row.size} bytes{state}"
    if problem is Problem.WRONG_CHECKSUM:
        return f"of other bytes than registered{state}"
    return f"of {seen.size} bytes, registered were {row.size}{state}"


def _good_bytes(facts: Facts, row: FileRow) -> tuple[str, list[Move | Bring]]:
    """Return where a file can be had from, and the steps that bring it; nothing if nowhere."""
    if not safe(row.path):
        return "", []
    for path in facts.strays.get(row.name, ()):
        if path not in facts.spent and facts.holds(path, row.size, row.checksum):
            facts.spent.add(path)
            return path, [Move(path, row.path, *facts.seen[path])]
    for copy in facts.copies:
        found = copy.look(row.path)
        if found and found.size == row.size and checksum_of(copy, row.path) == row.checksum:
            return copy.shown, [Bring(copy.shown, row.path, row.size, row.checksum)]
    return "", []


def _lose(
    facts: Facts, row: FileRow, seen: Seen | None, problem: Problem, what: str
) -> tuple[str, Repair]:
    """Return the next step and the repair of a file that is lost."""
    rows = [_change(row, area="lost")]
    redone: list[str] = []
    if row.state == "live":
        rows.append(RowChange("process", row.id_process, {"state": "live"}, {"state": "lost"}))
        # what was read before it went was right; what is made again the same outdates no reader
        readers = facts.readers.get(row.id_process, ()) if seen else ()
        concerned = dict.fromkeys([row.job_id or 0, *readers])
        for job in [facts.jobs[ident] for ident in concerned if ident in facts.jobs]:
            if not job.active:
                rows += _outdated(facts, job)
                redone.append(job.name)
    moves = (facts.aside(row.path),) if seen else ()
    word, does = (
        (words.QUARANTINE, "puts it aside") if seen else (words.MARK_LOST, "marks it as lost")
    )
    told = f"the plan {does}"
    if redone:
        told += f"; `doit` redoes {', '.join(redone)}"
    elif row.state == "live":
        told += "; no job of ours made it"
    return told, Repair(word, problem, row.path, f"{what}; {told}", moves, (), tuple(rows))


def _outdated(facts: Facts, job: MakerRow) -> list[RowChange]:
    """Return the change that makes a job outdated, if it is not already."""
    if job.inputs_digest is None:
        return []
    was = {"state": job.state, "inputs_digest": job.inputs_digest, "reason": job.reason}
    reason = f"what it made or read was lost (srb_cleanup {facts.plan_id})"
    return [RowChange("job", job.id, was, {"inputs_digest": None, "reason": reason})]


def _change(row: FileRow, **becomes: Any) -> RowChange:
    """Return a change of a file's row, on condition that nothing else in it has changed."""
    return RowChange("file", row.id, row.columns, becomes)


def canonical(name: str) -> str | None:
    """Return where a file of this name belongs; None where the name is no product's."""
    with suppress(BadName):
        return archive.place_of(name)
    return None


def safe(path: str) -> bool:
    """Tell whether a path stays below the archive."""
    with suppress(BadName):
        return checked_path(path) == path
    return False


# --- two rows, two generations -------------------------------------------------------------


def judge_second_row(facts: Facts, row: FileRow, other: FileRow) -> Case:
    """Judge a row that says of a file what `other`, where the file belongs, says as well."""
    one_path = posixpath.normpath(row.path) == other.path
    problem = Problem.ONE_PATH if one_path else Problem.TWO_PLACES
    what = f"row {row.id} of table file says {row.path!r}, row {other.id} {other.path!r}"
    if row.id_process != other.id_process:
        what += ", of another product"
        return Case(problem, row.path, row.size, what, "see which of them is right", None)
    moves = (facts.aside(row.path),) if not one_path and row.path in facts.seen else ()
    gone = RowChange("file", row.id, row.columns, None)
    fix = Repair(words.UNREGISTER, problem, row.path, what, moves, (), (gone,))
    return Case(problem, row.path, row.size, what, f"the plan removes row {row.id}", fix)


def judge_generations(facts: Facts, several: Sequence[Generation]) -> Iterator[Case]:
    """Judge the live generations of one product: one stays, that of the manifest if it says."""
    told = {known.id_process for known in facts.vouched.values()}
    stays = next((it for it in several if it.id_process in told), several[-1])
    what = f"{stays.id_process} is live too"
    for one in (it for it in several if it is not stays):
        path = ProductName.from_id(one.id_process).archive_path
        job = facts.jobs.get(one.job_id or 0)
        if job and job.active:
            yield Case(Problem.TWO_LIVE, path, 0, what, _wait_for(job), None)
            continue
        change = RowChange("process", one.id_process, {"state": "live"}, {"state": "superseded"})
        fix = Repair(words.SUPERSEDE, Problem.TWO_LIVE, path, what, rows=(change,))
        yield Case(Problem.TWO_LIVE, path, 0, what, "the plan makes it superseded", fix)


# --- files without a row -------------------------------------------------------------------


def judge_stray(facts: Facts, path: str) -> Case | None:
    """Judge a file that no row knows; None where its job may be registering it just now."""
    seen = facts.seen[path]
    name = posixpath.basename(path)
    job = facts.jobs.get(facts.promised.get(name, 0))
    if job and job.active and not path.startswith("."):
        return None
    for row in facts.named.get(name, ()):
        if row.area == "archive":
            what = f"it is registered at {row.path}"
            return _put_aside(facts, path, seen, Problem.TWO_PLACES, what)
        if row.path == path and facts.holds(path, row.size, row.checksum):
            return _found_again(facts, row, seen)
    if path.startswith(f"{archive.INCOMING}/"):
        what = "left of an attempt that is over"
        return _put_aside(facts, path, seen, Problem.LEFTOVER, what)
    if name.endswith(".part"):
        return _put_aside(facts, path, seen, Problem.LEFTOVER, "left of a write that broke off")
    known = facts.vouched.get(name)
    if job and known and path == canonical(name):
        if known.id_process not in facts.processes:
            what = f"the manifest of {job.name} has it, the product has no row"
            return _put_aside(facts, path, seen, Problem.ORPHANED, what, job)
        if facts.holds(path, known.size, known.checksum):
            return _register_again(path, job, known)
    return _put_aside(facts, path, seen, Problem.ORPHANED, "it is not in the database")


def _put_aside(
    facts: Facts, path: str, seen: Seen, problem: Problem, what: str, redo: MakerRow | None = None
) -> Case:
    """Return the case of a file that is not wanted where it is."""
    rows = tuple(_outdated(facts, redo)) if redo else ()
    told = "the plan puts it aside" + (f"; `doit` redoes {redo.name}" if redo else "")
    fix = Repair(words.QUARANTINE, problem, path, what, (facts.aside(path),), (), rows)
    return Case(problem, path, max(seen.size, 0), what, told, fix)


def _found_again(facts: Facts, row: FileRow, seen: Seen) -> Case:
    """Return the case of a lost file that is there again."""
    known = facts.vouched.get(row.name)
    stands = known is not None and known.id_process == row.id_process
    rows = [RowChange("file", row.id, row.columns, {"area": "archive"})]
    if row.state == "lost":
        state = "live" if stands else "superseded"
        rows.append(RowChange("process", row.id_process, {"state": "lost"}, {"state": state}))
    what = "it was lost, and is there again"
    fix = Repair(words.RE_REGISTER, Problem.ORPHANED, row.path, what, rows=tuple(rows))
    return Case(Problem.ORPHANED, row.path, seen.size, what, "the plan registers it again", fix)


def _register_again(path: str, job: MakerRow, known: Vouched) -> Case:
    """Return the case of a file whose row has gone, while its product and a manifest know it."""
    name = posixpath.basename(path)
    night: Night = ProductName.from_id(known.id_process).exposure.night
    row = {
        "area": "archive", "name": name, "path": path, "size": known.size,
        "checksum": known.checksum, "id_process": known.id_process, "role": known.role,
        "night": str(night),
    }  # fmt: skip
    what = f"its row has gone; the manifest of {job.name} vouches for it"
    added = RowChange("file", None, None, row)
    fix = Repair(words.RE_REGISTER, Problem.ORPHANED, path, what, rows=(added,))
    return Case(Problem.ORPHANED, path, known.size, what, "the plan registers it again", fix)
