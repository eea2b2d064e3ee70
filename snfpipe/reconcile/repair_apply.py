"""Doing repairs and taking them back: each whole or not at all, journalled, again after a kill.

A repair is written to the journal, then files move, then one transaction changes the rows on
condition that they are as they were planned, then the journal says that it is done.  Whoever is
killed in between leaves a beginning without an end; doing or undoing it again finishes it,
since a file that has moved and a row that has changed are known as such.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from snfpipe import clock
from snfpipe.db.session import Database
from snfpipe.errors import NotFound, Refused, printable, shown, told
from snfpipe.errors import Place as At
from snfpipe.killpoint import killpoint
from snfpipe.reconcile.repair import Move, Plan, Repair, checked_line, plan_of, repair_of
from snfpipe.reconcile.repair_rows import change_rows, hold_rows, reversed_rows
from snfpipe.storage import archive
from snfpipe.storage.archive import Watch
from snfpipe.storage.base import Place, Seen, checksum_of
from snfpipe.storage.opening import open_place

DONE = "done"
REFUSED = "refused"
BEFORE = "done before"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a repair; ``why`` where it was refused."""

    repair: Repair
    outcome: str
    why: str = ""


def journal_of(plan: Path) -> Path:
    """Return where the journal of a plan is kept: beside it."""
    return plan.with_name(f"{plan.name}.journal")


def apply(
    database: Database,
    place: Place,
    plan: Plan,
    journal: Path,
    *,
    dry_run: bool = False,
    watch: Watch = lambda: None,
) -> list[Result]:
    """Do the repairs of a plan that are not done; refuse those where something changed since.

    Parameters
    ----------
    database, place : Database, Place
        What the plan was made for.
    plan : Plan
        The repairs.
    journal : Path
        Written to, and read first: what stands there as done is not done again.
    dry_run : bool
        Only look.
    watch : callable, optional
        Called for every repair that is done with.

    Raises
    ------
    Refused
        The plan is of another database or archive, or somebody applies it just now.
    """
    _hold_header(database, place, plan)
    with _Journal.opened(journal, plan, writing=not dry_run) as book:
        results = []
        for repair in plan.repairs:
            results.append(_apply_one(database, place, plan, repair, book, dry_run))
            watch()
    return results


def undo(
    database: Database,
    place: Place,
    journal: Path,
    *,
    dry_run: bool = False,
    watch: Watch = lambda: None,
) -> list[Result]:
    """Take back, the last first, what a journal says was done or begun.

    Parameters are those of :func:`apply`; refused is what changed since, or what a newer
    generation stands in the way of.

    Raises
    ------
    NotFound
        There is no such journal.
    """
    if not journal.exists():
        raise NotFound(f"there is no journal {printable(journal)}", hint="name PLAN.journal")
    with _Journal.opened(journal, None, writing=not dry_run) as book:
        plan = book.plan
        _hold_header(database, place, plan)
        results = []
        for repair in reversed(book.standing()):
            results.append(_undo_one(database, place, plan, repair, book, dry_run))
            watch()
    return results


def _hold_header(database: Database, place: Place, plan: Plan) -> None:
    """Refuse a plan that was made for something else."""
    for what, wanted, found in (
        ("database", plan.database, database.shown),
        ("archive", plan.archive, place.shown),
    ):
        if wanted != found:
            raise Refused(
                f"the plan was made for the {what} {shown(wanted, 200)}, this is {found}",
                hint="go to the project it was made in, or make another plan",
            )


#: What one repair may meet; a service that is away ends all of it, to be run again.
_TROUBLES = (Refused, OSError)


def _apply_one(
    database: Database, place: Place, plan: Plan, repair: Repair, book: _Journal, dry_run: bool
) -> Result:
    """Do one repair, or say why not."""
    if book.last(repair) == "done":
        return Result(repair, BEFORE)
    try:
        hold_files(place, repair)
        hold_rows(database, repair.rows)
    except _TROUBLES as error:
        return _refused(repair, error, book, dry_run)
    if dry_run:
        return Result(repair, DONE)
    book.write("begun", repair, whole=True)
    killpoint("repair:begun")
    try:
        _move(place, plan, repair)
        killpoint("repair:moved")
        database.transact(lambda session: change_rows(session, repair.rows))
    except _TROUBLES as error:
        try:
            _move_back(place, plan, repair)
        except _TROUBLES as worse:
            return Result(repair, REFUSED, f"{told(error)}; left half-way: {told(worse)}")
        return _refused(repair, error, book, dry_run)
    killpoint("repair:committed")
    book.write("done", repair)
    return Result(repair, DONE)


def _undo_one(
    database: Database, place: Place, plan: Plan, repair: Repair, book: _Journal, dry_run: bool
) -> Result:
    """Take one repair back, or say why not."""
    rows = reversed_rows(repair.rows)
    try:
        hold_files(place, replace(repair, moves=_moves_back(place, plan, repair), brings=()))
        hold_rows(database, rows)
        if dry_run:
            return Result(repair, DONE)
        book.write("undoing", repair)
        killpoint("undo:begun")
        database.transact(lambda session: change_rows(session, rows))
        killpoint("undo:committed")
        _move_back(place, plan, repair)
        killpoint("undo:moved")
        book.write("undone", repair)
    except _TROUBLES as error:
        return _refused(repair, error, book, dry_run)
    return Result(repair, DONE)


def _refused(repair: Repair, error: Exception, book: _Journal, dry_run: bool) -> Result:
    """Return the result of a repair that cannot be done or taken back; note it."""
    if not dry_run:
        book.write("refused", repair, why=told(error))
    return Result(repair, REFUSED, told(error))


# --- files ---------------------------------------------------------------------------------


def hold_files(place: Place, repair: Repair) -> None:
    """Refuse a repair whose files are neither as planned nor moved already."""
    free: set[str] = set()
    for move in repair.moves:
        source, target = place.look(move.path), place.look(move.to)
        if target != _as_seen(move):
            if source != _as_seen(move):
                how = "gone" if source is None else "changed"
                raise Refused(f"{shown(move.path, 200)} has {how} since the plan was made")
            if target is not None and move.to not in free:
                raise Refused(f"another file stands at {shown(move.to, 200)}")
        free.add(move.path)
    for bring in repair.brings:
        found = place.look(bring.path)
        if found and found.size != bring.size and bring.path not in free:
            raise Refused(f"another file stands at {shown(bring.path, 200)}")


def _as_seen(move: Move) -> Seen:
    """Return how a file was seen."""
    return Seen(move.size, move.mtime_ns)


def _move(place: Place, plan: Plan, repair: Repair) -> None:
    """Move and bring files; those that are there are done."""
    for move in repair.moves:
        if place.look(move.to) != _as_seen(move) or place.look(move.path) == _as_seen(move):
            place.move(move.path, move.to)
    for bring in repair.brings:
        if place.look(bring.path) is not None:
            if checksum_of(place, bring.path) != bring.checksum:
                raise Refused(f"another file stands at {shown(bring.path, 200)}")
            continue
        aside = f"{archive.QUARANTINE}/{plan.id}/new/{bring.path}"
        with _source(bring.source).open(bring.path) as file:
            place.bring(file, bring.path, aside, bring.checksum)


def _moves_back(place: Place, plan: Plan, repair: Repair) -> tuple[Move, ...]:
    """Return the moves that take a repair's moves back; what was brought goes aside."""
    back = []
    for bring in repair.brings:
        found = place.look(bring.path)
        same = found and found.size == bring.size
        if found and same and checksum_of(place, bring.path) == bring.checksum:
            to = f"{archive.QUARANTINE}/{plan.id}/taken back/{bring.path}"
            back.append(Move(bring.path, to, *found))
    back += [replace(move, path=move.to, to=move.path) for move in reversed(repair.moves)]
    return tuple(back)


def _move_back(place: Place, plan: Plan, repair: Repair) -> None:
    """Take a repair's moves back; those that are back are done."""
    for move in _moves_back(place, plan, repair):
        if place.look(move.path) == _as_seen(move):
            place.move(move.path, move.to)


@cache
def _source(where: str) -> Place:
    """Return the place that copies come from, reached once."""
    return open_place(where)


# --- the journal ---------------------------------------------------------------------------


class _Journal:
    """What was begun, done and undone, in a file that one process at a time writes."""

    def __init__(self, path: Path, handle: int | None, plan: Plan) -> None:
        self.plan, self._path, self._handle = plan, path, handle
        self._last: dict[str, str] = {}
        self._repairs: dict[str, Repair] = {}

    @classmethod
    @contextmanager
    def opened(cls, path: Path, plan: Plan | None, *, writing: bool) -> Iterator[_Journal]:
        """Open a journal; a new one begins with the plan's header, an old one gives it."""
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND) if writing else None
        try:
            if handle is not None:
                _lock(handle, path)
            lines = _whole_lines(path, handle)
            header = checked_line(lines[0], "header", At(printable(path), 1)) if lines else None
            if header and plan and plan.id != header["id"]:
                raise Refused(
                    f"{printable(path)} is the journal of another plan",
                    hint="give the plan another name",
                )
            plan = plan_of(header) if header else plan
            if plan is None:
                raise Refused(f"{printable(path)} is no journal", hint="name PLAN.journal")
            book = cls(path, handle, plan)
            book._read(lines[1:])
            if not header:
                book._append(plan.header)
            yield book
        finally:
            if handle is not None:
                os.close(handle)

    def last(self, repair: Repair) -> str | None:
        """Return the last word on a repair."""
        return self._last.get(repair.key)

    def standing(self) -> list[Repair]:
        """Return the repairs that are done, or begun either way, in the order of their first."""
        return [repair for key, repair in self._repairs.items() if self._last[key] != "undone"]

    def write(self, what: str, repair: Repair, *, whole: bool = False, why: str = "") -> None:
        """Add a word; it is on disk when this returns."""
        record = {
            "key": repair.key,
            "is": what,
            "at": f"{clock.utc_now():%Y-%m-%dT%H:%M:%S}",
            **({"why": why} if why else {}),
            **({"repair": asdict(repair)} if whole else {}),
        }
        self._append(record)
        self._note(repair.key, what)

    def _note(self, key: str, what: str) -> None:
        """Take a word in; what was done and could not be taken back stands."""
        if what != "refused":
            self._last[key] = what
        elif self._last.get(key) == "begun":
            self._last[key] = "undone"

    def _read(self, lines: list[str]) -> None:
        """Take in what stands there."""
        for number, line in enumerate(lines, 2):
            place = At(printable(self._path), number)
            record = checked_line(line, "record", place)
            if "repair" in record:
                self._repairs[record["key"]] = repair_of(record["repair"], place)
            self._note(record["key"], record["is"])

    def _append(self, record: Mapping[str, object]) -> None:
        """Write a line, where anything is to be written."""
        if self._handle is not None:
            os.write(self._handle, f"{json.dumps(record)}\n".encode("ascii"))
            os.fsync(self._handle)


def _lock(handle: int, path: Path) -> None:
    """Let one process at a time write; a lock goes with its process."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refused(
            f"somebody works with {printable(path)} just now", hint="wait for that srb_cleanup"
        ) from None


def _whole_lines(path: Path, handle: int | None) -> list[str]:
    """Return a journal's lines; cut off one that a kill left half written."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    whole = content.rpartition(b"\n")[0]
    if handle is not None and content:
        os.ftruncate(handle, len(whole) + 1 if whole else 0)
    return whole.decode(errors="replace").split("\n") if whole else []
