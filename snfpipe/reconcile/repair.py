"""Repairs of archive and database, as data: what moves, what is brought, which rows change.

A plan is a file of JSON lines: a header, then a repair a line, to be read, and cut, by a person
before it is applied.  A repair says how everything it touches was when it was planned; so it can
be refused where something changed since, done again after a kill, and taken back.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from snfpipe.errors import ConfigError, NotFound, Place, SnfError, printable, shown
from snfpipe.storage.base import checked_path
from snfpipe.wholefile import aside

FORMAT = 1

#: The words for what a repair does.
RESTORE = "restore"  # good bytes come back to their place
RE_REGISTER = "re-register"  # the file is right, and its row is made to say so
QUARANTINE = "quarantine"  # a file is put aside, and what was registered there is lost
MARK_LOST = "mark lost"  # there is no such file any more
SUPERSEDE = "supersede"  # an older generation makes way
UNREGISTER = "unregister"  # a second row of a file goes


@dataclass(frozen=True, slots=True)
class Move:
    """A file that gets another path below the archive; how it was seen."""

    path: str
    to: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Bring:
    """A file that is copied from the same path of another place."""

    source: str
    path: str
    size: int
    checksum: str


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row before and after; ``was`` None: it is added, ``becomes`` None: it goes.

    ``becomes`` holds the columns that change, ``was`` those and the ones that must not have.
    """

    table: str
    key: int | str | None
    was: Mapping[str, Any] | None
    becomes: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Repair:
    """One repair: what is done, about what, why; and the steps, in this order."""

    repair: str
    problem: str
    path: str
    why: str
    moves: tuple[Move, ...] = ()
    brings: tuple[Bring, ...] = ()
    rows: tuple[RowChange, ...] = ()

    def to_json(self) -> str:
        """Return it as a line."""
        return json.dumps(asdict(self))

    @property
    def key(self) -> str:
        """What tells it from others in a journal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:20]


@dataclass(frozen=True, slots=True)
class Plan:
    """Repairs of one archive and its database."""

    id: str
    database: str
    archive: str
    made: str
    repairs: tuple[Repair, ...]

    @property
    def header(self) -> dict[str, Any]:
        """What the first line of the plan and of its journal says."""
        names = ("id", "database", "archive", "made")
        return {"plan": "srb_cleanup", "format": FORMAT} | {it: getattr(self, it) for it in names}


def write_plan(path: Path, plan: Plan) -> None:
    """Write a plan aside and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with aside(path, sync=True) as new, new.open("w", encoding="ascii") as file:
        file.write(f"{json.dumps(plan.header)}\n")
        file.writelines(f"{repair.to_json()}\n" for repair in plan.repairs)


def read_plan(path: Path) -> Plan:
    """Read a plan; lines that a person took out are not missed.

    Raises
    ------
    NotFound
        There is no such file.
    ConfigError
        It is no plan; names the line and the field.
    """
    place = printable(path)
    try:
        with path.open(encoding="utf-8") as file:
            header = checked_line(next(file, ""), "header", Place(place, 1))
            repairs = [
                repair_of(checked_line(line, "repair", Place(place, number)), Place(place, number))
                for number, line in enumerate(file, 2)
                if line.strip()
            ]
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {place}", hint="name a plan") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"it cannot be read: {error}", "name a plan", Place(place)) from error
    return plan_of(header, repairs)


def plan_of(header: Mapping[str, Any], repairs: Iterable[Repair] = ()) -> Plan:
    """Return a plan with what a header says."""
    return Plan(header["id"], header["database"], header["archive"], header["made"], tuple(repairs))


def repair_of(content: Mapping[str, Any], place: Place) -> Repair:
    """Return a repair from a line's value, which fits the schema.

    Raises
    ------
    ConfigError
        A path in it leads out of the archive.
    """
    content = dict(content)
    moves = tuple(Move(**move) for move in content.pop("moves"))
    brings = tuple(Bring(**bring) for bring in content.pop("brings"))
    rows = tuple(RowChange(**row) for row in content.pop("rows"))
    try:
        moved = (path for move in moves for path in (move.path, move.to))
        for path in (*moved, *(bring.path for bring in brings)):
            checked_path(path)
    except SnfError as error:
        raise ConfigError(error.message, error.hint, place) from error
    return Repair(**content, moves=moves, brings=brings, rows=rows)


def checked_line(line: str, part: str, place: Place) -> dict[str, Any]:
    """Return a line's value.

    Raises
    ------
    ConfigError
        It does not fit this part of the schema: ``header``, ``repair`` or ``record``.
    """
    import jsonschema

    hint = "plans are written by `srb_cleanup`; whole lines may be taken out, nothing else"
    try:
        content: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"no JSON: {error}", hint, place) from error
    schema = {"$ref": f"#/$defs/{part}", "$defs": _schema()["$defs"]}
    try:
        jsonschema.validate(content, schema)
    except jsonschema.ValidationError as error:
        field = ".".join(str(part) for part in error.absolute_path) or None
        told = shown(error.message, 200)
        raise ConfigError(told, hint, Place(place.file, place.line, field)) from error
    return content


@cache
def _schema() -> dict[str, Any]:
    """Return the schema of plans and journals."""
    path = resources.files("snfpipe").joinpath("data/repairs.schema.json")
    return dict(json.loads(path.read_text("ascii")))
