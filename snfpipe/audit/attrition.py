"""job_attrition: every unit in exactly one state, and where nights, targets and exposures stop.

Units come with their words from :mod:`snfpipe.units.status`, which knows what is outdated and
who waits for whom; here they are counted, and followed along the chain of the steps.  A unit
*goes on* from a step where it is settled and no failure; it *stops* at the first step where it
does not.  A target goes on from a step of nights as long as one of its nights does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe.audit.exposures import follow_exposures
from snfpipe.audit.findings import Finding, Kind, Report
from snfpipe.audit.patterns import REASON, Pattern, gist, load_patterns, match, told
from snfpipe.audit.scope import select_steps
from snfpipe.config.project import Project, Step
from snfpipe.db.models import Run, Target
from snfpipe.db.session import Database
from snfpipe.states import FAILURES, MEANING
from snfpipe.units.states import GOES_ON, UnitState

AUDIT = "job_attrition"

_FAILING = {str(it) for it in FAILURES} | {"queue error", "validated but outdated"}
_WORDS = [str(state) for state in MEANING]


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
        chain = _Chain(steps, units, patterns)
        with database.read() as session:
            nights_of = _nights_of(session, steps)
            exposures = list(follow_exposures(session, steps, patterns))
        reports += [*chain.nights(), *chain.targets(nights_of), *exposures]
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
                        f"mend the cause, then `snf retry {unit.task}` and `doit`")
            )  # fmt: skip
        elif unit.word not in GOES_ON:
            open_units[unit.step, unit.word].append(unit)
    findings += [_open(members) for members in open_units.values()]
    seen = {word for counter in counts.values() for word in counter}
    words = [word for word in _WORDS if word in seen] + sorted(seen - set(_WORDS))
    rows = [
        (step.key, len(step.units), *(counts[step.key][word] for word in words)) for step in steps
    ]
    if len(steps) > 1:
        rows.append(("all", *(sum(column) for column in zip(*(r[1:] for r in rows), strict=True))))
    return Report(AUDIT, title, ("step", "units", *words), tuple(rows), tuple(findings))


def _open(units: Sequence[UnitState]) -> Finding:
    """Return one finding for the units of a step in one state that is not settled."""
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
    """The steps in their order, and how every unit stands in each."""

    def __init__(
        self, steps: Sequence[Step], units: Iterable[UnitState], patterns: Sequence[Pattern]
    ) -> None:
        self.steps = steps
        self._patterns = patterns
        self._stops: dict[str, dict[str, str]] = {step.key: {} for step in steps}
        plan_of = {step.key: step.plan for step in steps}
        for unit in units:
            if unit.word not in GOES_ON and unit.step in plan_of:
                self._stops[unit.step][unit.unit] = self._why(unit, plan_of[unit.step])

    def nights(self) -> Iterator[Report]:
        """Follow the nights through the steps that work on nights."""
        steps = [step for step in self.steps if step.unit_kind == "night"]
        alive = list(dict.fromkeys(unit for step in steps for unit in step.units))
        total = len(alive)
        rows = []
        for step in steps:
            came, stops = len(alive), self._stops[step.key]
            stopped = Counter(stops[unit] for unit in alive if unit in stops)
            alive = [unit for unit in alive if unit not in stops]
            rows.append((step.key, came, len(alive), came - len(alive), told(stopped)))
        if steps:
            yield _chain_report("nights", rows, total, len(alive))

    def targets(self, nights_of: Mapping[str, Sequence[str]]) -> Iterator[Report]:
        """Follow the targets through all steps: one of their nights is enough to go on."""
        alive = {target: set(nights) for target, nights in nights_of.items()}
        total = len(alive)
        rows = []
        for step in self.steps:
            came, stops = len(alive), self._stops[step.key]
            if step.unit_kind == "target":
                stopped = Counter(stops[target] for target in alive if target in stops)
                alive = {it: nights for it, nights in alive.items() if it not in stops}
            else:
                stopped = Counter()
                for target, nights in list(alive.items()):
                    lost = nights & stops.keys()
                    nights -= lost
                    if not nights:
                        why = Counter(stops[night] for night in sorted(lost)).most_common(1)
                        stopped[why[0][0] if why else "no night in the list"] += 1
                        del alive[target]
            rows.append((step.key, came, len(alive), came - len(alive), told(stopped)))
        if total:
            yield _chain_report("targets", rows, total, len(alive))

    def _why(self, unit: UnitState, plan: str) -> str:
        """Say why a unit does not go on; one that a step lacks is no hurdle."""
        why = ""
        if unit.word in _FAILING:
            known = match(self._patterns, REASON, plan, unit.reason)
            why = known.group if known else gist(unit.reason)
        return f"{unit.word}: {why}" if why else unit.word


def _chain_report(kind: str, rows: Sequence[tuple[object, ...]], total: int, end: int) -> Report:
    """Return the table of a chain; what came in either goes on or stops, with a reason."""
    return Report(
        audit=f"{AUDIT}: {kind}",
        title=f"{total} {kind}, {end} get to the end, {total - end} stop on their way",
        columns=("step", "in", "go on", "stop", "why"),
        rows=tuple(rows),
    )


def _nights_of(session: Session, steps: Sequence[Step]) -> dict[str, list[str]]:
    """Return target -> its nights on the lists: of the listed targets, or of those observed."""
    nights = {unit for step in steps if step.unit_kind == "night" for unit in step.units}
    listed = dict.fromkeys(u for step in steps if step.unit_kind == "target" for u in step.units)
    found: dict[str, list[str]] = {target: [] for target in listed}
    query = (
        sa.select(Target.name, Run.night)
        .join(Run, Run.target_id == Target.id)
        .distinct()
        .order_by(Target.name, Run.night)
    )
    for target, night in session.execute(query):
        if night in nights and (target in found or not listed):
            found.setdefault(target, []).append(night)
    return found
