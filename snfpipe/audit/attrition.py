"""job_attrition: every unit in exactly one state, and where nights, targets and exposures stop.

Units come with their words from :mod:`snfpipe.units.status`, which knows what is outdated and
who waits for whom; here they are counted, and followed along the chain of the steps.  A unit
*goes on* from a step where it is finished and no failure; it *stops* at the first step where it
does not.  A target goes on from a step of nights as long as one of its nights does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from snfpipe.audit.exposures import follow_exposures
from snfpipe.audit.findings import Finding, Kind, Report
from snfpipe.audit.patterns import REASON, Pattern, gist, load_patterns, match, told
from snfpipe.audit.scope import select_steps
from snfpipe.config.project import Project
from snfpipe.config.step import Step
from snfpipe.db.session import Database
from snfpipe.declarations.unit_kinds import Observed
from snfpipe.plans.observed import SurveySoFar
from snfpipe.plans.reach import Members
from snfpipe.states import FAILURES, State
from snfpipe.units.states import GOES_ON, UnitState

AUDIT = "job_attrition"

_FAILING = {*FAILURES, State.QUEUE_ERROR, "validated but outdated"}
#: What of something is left after a step; counts why where it stops.
_LeftIn = Callable[[Step, str, set[str], Counter[str]], set[str] | None]


def job_attrition(
    project: Project, database: Database, units: Sequence[UnitState], word: str = ""
) -> list[Report]:
    """Count the units of steps by state, and say where along the chain they stop.

    Parameters
    ----------
    project, database : Project, Database
        Where to look.
    units : sequence of UnitState
        All units of the configured production.
    word : str
        A step, its folder or its production; everything by default.

    Returns
    -------
    list of Report
        The states, which hold the findings; then, of the whole production, the chains of
        nights, targets and exposures.
    """
    steps = select_steps(project, word)
    patterns = load_patterns(project)
    reports = [_states(steps, units, word or f"{project.title} {project.version.label}")]
    if len(steps) == len(project.steps):
        with database.read() as session:
            chain = _Chain(steps, units, patterns, SurveySoFar.of(session, project.root))
            reports += [*chain.units(), *chain.targets()]
            reports += follow_exposures(session, steps, patterns)
    return reports


# --- one state a unit ----------------------------------------------------------------------


def _states(steps: Sequence[Step], units: Iterable[UnitState], title: str) -> Report:
    """Count units by state, a row a step; the sum of a row is the length of the step's list."""
    counts: dict[str, Counter[str]] = {step.key: Counter() for step in steps}
    open_units: defaultdict[tuple[str, str], list[UnitState]] = defaultdict(list)
    findings = []
    for unit in units:
        if unit.step not in counts:
            continue
        counts[unit.step][unit.word] += 1
        if unit.word in _FAILING:
            findings.append(
                Finding(AUDIT, Kind.FAILED, unit.task, unit.step, f"{unit.word}: {unit.reason}",
                        f"fix the cause, then `snf retry {unit.task}` and `doit`")
            )  # fmt: skip
        elif unit.word not in GOES_ON:
            open_units[unit.step, unit.word].append(unit)
    findings += [_open(members) for members in open_units.values()]
    seen = {word for counter in counts.values() for word in counter}
    words = [word for word in State if word in seen] + sorted(seen - set(State))
    rows = [
        (step.key, len(step.units), *(counts[step.key][word] for word in words)) for step in steps
    ]
    if len(steps) > 1:
        rows.append(("all", *(sum(column) for column in zip(*(r[1:] for r in rows), strict=True))))
    return Report(AUDIT, title, ("step", "units", *words), tuple(rows), tuple(findings))


def _open(units: Sequence[UnitState]) -> Finding:
    """Return one finding for the units of a step in one state that is not finished."""
    first = units[0]
    what = f"{len(units)} unit{'s' if len(units) > 1 else ''} '{first.word}'"
    if first.waits_for:
        what += f"; {first.unit} for {', '.join(first.waits_for[:3])}"
        what += f" and {len(first.waits_for) - 3} more" if len(first.waits_for) > 3 else ""
    elif len(units) > 1:
        what += f", {first.unit} first"
    step = "`manage_jobs -s 2` validates" if "validation" in first.word else "`doit` makes them"
    return Finding(AUDIT, Kind.WAITING, f"{first.step}: {first.word}", first.step, what, step)


# --- along the chain -----------------------------------------------------------------------


class _Chain:
    """The steps, what each reads of the others, and how every unit stands in each.

    Steps form a graph whose branches fork and join again.  What goes on from a step is followed
    into every step that reads it, so that in each those that come in go on or stop.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        units: Iterable[UnitState],
        patterns: Sequence[Pattern],
        observed: Observed,
    ) -> None:
        self.steps = steps
        self._patterns = patterns
        self._stops: dict[str, dict[str, str]] = {step.key: {} for step in steps}
        plan_of = {step.key: step.plan for step in steps}
        for unit in units:
            if unit.word not in GOES_ON and unit.step in plan_of:
                self._stops[unit.step][unit.unit] = self._why(unit, plan_of[unit.step])
        self.observed = observed
        self.members = {it.key: Members(it.kind, it.units, observed) for it in steps}

    def units(self) -> Iterator[Report]:
        """Follow each kind of unit through the steps that work on it."""
        for kind in dict.fromkeys(step.kind for step in self.steps):
            steps = [step for step in self.steps if step.kind == kind]
            names = dict.fromkeys(unit for step in steps for unit in step.units)
            yield self._follow(f"{kind.name}s", steps, {it: {it} for it in names}, self._itself)

    def targets(self) -> Iterator[Report]:
        """Follow the targets through all steps: one of their nights is enough to go on."""
        nights = {it for found in self.members.values() for it in found.by_night}
        listed = dict.fromkeys(it for found in self.members.values() for it in found.by_target)
        alive = {target: set[str]() for target in listed}
        for target, own in self.observed.nights_of.items():
            here = nights.intersection(own)
            if target in listed or (here and not listed):
                alive[target] = here
        if alive:
            yield self._follow("targets", self.steps, alive, self._its_nights)

    def _follow(
        self, what: str, steps: Sequence[Step], whole: Mapping[str, set[str]], left_in: _LeftIn
    ) -> Report:
        """Count what comes into each step, goes on and stops; what is read by none is an end."""
        alive: dict[str, dict[str, set[str]]] = {}
        rows = []
        read: set[str] = set()
        for step in steps:
            roles = self._needs(step, alive)
            read.update(key for keys in roles for key in keys)
            coming = dict(whole)
            for keys in roles:
                above = _either([alive[key] for key in keys])
                coming = {name: own & above[name] for name, own in coming.items() if name in above}
            stopped: Counter[str] = Counter()
            alive[step.key] = {}
            for name, own in coming.items():
                left = left_in(step, name, own, stopped)
                if left is not None:
                    alive[step.key][name] = left
            through = len(alive[step.key])
            rows.append((step.key, len(coming), through, len(coming) - through, told(stopped)))
        ends = [found for key, found in alive.items() if key not in read]
        return _chain_report(what, rows, len(whole), len({it for found in ends for it in found}))

    def _needs(self, step: Step, followed: Mapping[str, object]) -> list[list[str]]:
        """Return, for each role that a step has to fill, the followed steps that may fill it."""
        sources = step.spec.sources
        roles = [role for role, needed in sources.items() if needed] or list(sources)
        found = []
        for role in roles:
            keys = self._nearest(step.input_steps.get(role, ()), followed)
            if keys:
                found.append(keys)
        return found

    def _nearest(self, keys: Iterable[str], followed: Mapping[str, object]) -> list[str]:
        """Return the nearest followed steps at or above some steps."""
        found: dict[str, None] = {}
        by_key = {step.key: step for step in self.steps}
        for key in keys:
            if key in followed:
                found[key] = None
            elif key in by_key:
                above = [it for its in by_key[key].input_steps.values() for it in its]
                found.update(dict.fromkeys(self._nearest(above, followed)))
        return list(found)

    def _itself(
        self, step: Step, name: str, own: set[str], stopped: Counter[str]
    ) -> set[str] | None:
        """Return a unit where it goes on from a step; one that the step lacks is no hurdle."""
        why = self._stops[step.key].get(name)
        if why is None:
            return own
        stopped[why] += 1
        return None

    def _its_nights(
        self, step: Step, name: str, own: set[str], stopped: Counter[str]
    ) -> set[str] | None:
        """Return the nights with which a target goes on from a step, None where it stops."""
        stops, members = self._stops[step.key], self.members[step.key]
        if members.by_target:
            units = list(members.by_target.get(name, ()))
            left = own if not units or any(unit not in stops for unit in units) else None
        else:
            units = [unit for night in sorted(own) for unit in members.by_night.get(night, ())]
            left = own if stops.keys().isdisjoint(units) else self._left(own, stops, members)
            left = left or None
        if left is None:
            why = Counter(stops[unit] for unit in units if unit in stops).most_common(1)
            stopped[why[0][0] if why else "no night in the list"] += 1
        return left

    def _left(self, own: set[str], stops: Mapping[str, str], members: Members) -> set[str]:
        """Return the nights of which a unit goes on, or of which the step has none."""
        return {
            night
            for night in own
            if not (units := members.by_night.get(night, ()))
            or any(unit not in stops for unit in units)
        }

    def _why(self, unit: UnitState, plan: str) -> str:
        """Say why a unit does not go on."""
        why = ""
        if unit.word in _FAILING:
            known = match(self._patterns, REASON, plan, unit.reason)
            why = known.group if known else gist(unit.reason)
        return f"{unit.word}: {why}" if why else unit.word


def _either(parts: Sequence[dict[str, set[str]]]) -> dict[str, set[str]]:
    """Return what goes on from any of some steps."""
    if len(parts) == 1:
        return parts[0]
    names = {name for part in parts for name in part}
    return {name: set().union(*(part.get(name, ()) for part in parts)) for name in names}


def _chain_report(kind: str, rows: Sequence[tuple[object, ...]], total: int, end: int) -> Report:
    """Return the table of a chain; what came in either goes on or stops, with a reason."""
    return Report(
        audit=f"{AUDIT}: {kind}",
        title=f"{total} {kind}, {end} get to the end, {total - end} stop on their way",
        columns=("step", "in", "go on", "stop", "why"),
        rows=tuple(rows),
    )
