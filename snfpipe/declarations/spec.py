"""What a plan reads and writes, as data: one value says it all, and everything else asks it.

A plan is a :class:`PlanSpec` and its pure functions.  From it follow what is selected for a
unit, the products that are expected, the edges of the graph, when a unit is outdated, which
roles a production file has to fill, the chain of attrition and the tables in the docs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum

from snfpipe.declarations.rows import Candidate, Choice, Piece, UnitView
from snfpipe.declarations.unit_kinds import UnitKind
from snfpipe.fclass import Pair
from snfpipe.states import State


class Scope(Enum):
    """Where an input may come from, as seen from a unit; the texts stand in the docs."""

    SAME_EXPOSURE = "the same exposure"
    SAME_UNIT = "the same unit"
    SAME_NIGHT = "the same night"
    TARGET_NIGHTS = "the nights of the target"
    NIGHT_TARGETS = "the targets of the night"
    NEARBY = "nights within some days"
    SURVEY = "the whole survey"

    @property
    def ordered_only(self) -> bool:
        """Whether it orders whole steps, because an edge a candidate would be far too many."""
        return self in (Scope.NEARBY, Scope.SURVEY)


class Lacking(Enum):
    """What it means for a piece of work that an input is not there."""

    FAILED = "the piece fails"
    NOTHING = "there is nothing to do"
    OPTIONAL = "it goes on without"


#: Chooses among the candidates of an input, seeing what was chosen for the inputs before it.
Choose = Callable[[Piece, Sequence[Candidate], Mapping[str, tuple[Candidate, ...]]], Choice]


@dataclass(frozen=True, slots=True)
class Input:
    """One role of files that a plan reads.

    Attributes
    ----------
    role : str
        As its program calls it.
    classes : tuple of (Fclass, XFclass)
        What may fill it.
    scope : Scope
        Where it may come from.
    source : str
        The role in production files that says from which productions; the role itself by
        default.  Several roles may share one.
    raw : bool
        It is the raw frame that the piece of work follows from.
    many : bool
        Its program gets a list, of any length; else one file.
    days : int
        How far nights may be away, for NEARBY.
    lacking : Lacking
        What it means that there is none.
    reason : str
        What is said then; may hold ``{night}``, ``{unit}`` and ``{validated}``.
    minimum_status : int or None
        1 registered, 2 validated; the step's own by default.
    values : tuple of str
        The database values that select it or that its item uses; their change makes a unit
        outdated.  ``measured.NAME`` is one that a production measured.
    listed_as : str
        The role under which manifests list it, its own by default: for roles that one file may fill
        at once.
    choose : callable or None
        The choice among good candidates; by default the one of the same exposure and channel,
        or the first that shares a channel, or with `many` all.
    """

    role: str
    classes: tuple[Pair, ...]
    scope: Scope
    source: str = ""
    raw: bool = False
    many: bool = False
    days: int = 0
    lacking: Lacking = Lacking.FAILED
    reason: str = ""
    minimum_status: int | None = None
    values: tuple[str, ...] = ()
    listed_as: str = ""
    choose: Choose | None = None

    @property
    def named(self) -> str:
        """The role that a production file fills."""
        return self.source or self.role


class Per(StrEnum):
    """What there is one product of an output for."""

    POSE = "pose"
    EXPOSURE = "exposure"
    RUN = "run"
    NIGHT = "night"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class Output:
    """One role of files that a plan writes.

    Attributes
    ----------
    role : str
        As its program calls it.
    classes : tuple of (Fclass, XFclass)
        What it may be; where there are several, each piece says which.
    per : Per
        What there is one of it for.
    channel : int or None
        The mask of its channels where it is not that of the piece.
    main : bool
        Whether attrition and summaries count it.
    extension : str
        Of its main file.
    auxiliary : mapping
        Further roles -> extension: files beside the main one, each of which may be left out.
    optional : bool
        Whether a program may leave it out without a reason.
    """

    role: str
    classes: tuple[Pair, ...]
    per: Per = Per.POSE
    channel: int | None = None
    main: bool = False
    extension: str = "fits"
    auxiliary: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Empty:
    """What becomes of a unit for which nothing was observed; the reason may hold ``{unit}``."""

    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class PlanSpec:
    """A plan.

    Attributes
    ----------
    name, letter, folder, title : str
        ``extract_star``, ``e``, ``PES``, and a line of text.
    unit_kinds : tuple of UnitKind
        What it works on, one of them a step.
    observed : tuple of int
        The raw classes (Fclass) from which its work follows.
    pieces : callable
        The pieces of work that what was observed of a unit asks for.
    inputs : tuple of Input
        What it reads, in the order in which it is missed.
    outputs : tuple of Output
        What it writes.
    idle : str
        What is said of a unit where every piece is excused: ``{counted}`` are the reasons with
        their numbers, ``{reasons}`` the reasons alone.
    empty : Empty
        What a unit without any piece comes to.
    by_hand : tuple of str
        Tables ``lists/NAME.csv`` of values entered by a person, a row a unit.
    """

    name: str
    letter: str
    folder: str
    title: str
    unit_kinds: tuple[UnitKind, ...]
    observed: tuple[int, ...]
    pieces: Callable[[UnitView], Iterable[Piece]]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    idle: str = "no exposure can be used: {counted}"
    empty: Empty = Empty(State.NOTHING_TO_DO, "nothing was observed for {unit}")
    by_hand: tuple[str, ...] = ()

    @property
    def sources(self) -> dict[str, bool]:
        """Roles that a production file fills -> whether it has to."""
        found: dict[str, bool] = {}
        for it in self.inputs:
            if not it.raw:
                needed = it.lacking is not Lacking.OPTIONAL
                found[it.named] = found.get(it.named, False) or needed
        return found

    @property
    def main(self) -> Output | None:
        """The output that stands for a piece of work, where there is one."""
        return next((it for it in self.outputs if it.main), None)

    def kind(self, name: str) -> UnitKind | None:
        """Return the kind of unit called `name`, if the plan works on it."""
        return next((it for it in self.unit_kinds if it.name == name), None)
