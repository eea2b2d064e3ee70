"""Where exposures stop: from raw science frames through what jobs declared and made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import fclass
from snfpipe.audit.findings import Report
from snfpipe.audit.patterns import REASON, Pattern, gist, match, told
from snfpipe.config.step import Step
from snfpipe.db import store
from snfpipe.db.models import Expected, Job, Process, Production
from snfpipe.declarations.spec import Per
from snfpipe.names import CHANNELS
from snfpipe.plans.observed import SurveySoFar
from snfpipe.units.states import GOES_ON

_SCIENCE = (17, 0)
_SPECTRAL = CHANNELS["B"] | CHANNELS["R"]


def follow_exposures(
    session: Session, steps: Sequence[Step], patterns: Sequence[Pattern]
) -> Iterator[Report]:
    """Follow science exposures, a channel each, through the steps that make a product of each."""
    observed = SurveySoFar.of(session, steps[0].root)
    nights = sorted(
        {n for it in steps for unit in it.units for n in it.kind.nights(unit, observed)}
    )
    science = sa.select(sa.func.count()).where(
        Process.fclass == _SCIENCE[0],
        Process.xfclass == _SCIENCE[1],
        Process.version == 0,
        Process.state == "live",
        Process.channel.op("&")(_SPECTRAL) != 0,
    )
    raw = sum(store.scalars_in(session, science, Process.night, nights))
    counts = _declared(session, steps)
    rows: list[tuple[object, ...]] = []
    for step in steps:
        pair = main_class(step)
        if pair is None or step.production not in counts:
            continue
        made, missing, excused = 0, Counter[str](), Counter[str]()
        for (state, reason, failure), count in counts[step.production].items():
            if reason is None and failure is None and state in GOES_ON:
                made += count
                continue
            text = failure or reason
            known = match(patterns, REASON, step.plan, text or "")
            why = known.group if known else gist(text) if text else f"the unit is '{state}'"
            (excused if reason and not known else missing)[why] += count
        total = made + excused.total() + missing.total()
        why = "; excused: ".join(part for part in (told(missing), told(excused)) if part)
        if excused and not missing:
            why = f"excused: {why}"
        rows.append(
            (step.key, fclass.code(*pair), total, made, excused.total(), missing.total(), why)
        )
    yield Report(
        audit="job_attrition: exposures",
        title=f"{raw} raw science exposures (B and R, one a channel)",
        columns=("step", "class", "declared", "made", "excused", "missing", "why"),
        rows=tuple(rows),
    )


def main_class(step: Step) -> fclass.Pair | None:
    """Return the class of the product that stands for an exposure in a step's output."""
    main = step.spec.main
    return main.classes[0] if main and main.per is Per.POSE else None


def _declared(
    session: Session, steps: Sequence[Step]
) -> dict[str, Counter[tuple[str, str | None, str | None]]]:
    """Return production -> (state of the job, reason, failure) -> number of main products."""
    wanted = {it.production: pair for it in steps if (pair := main_class(it)) is not None}
    jobs = {
        ident: (production, state)
        for ident, production, state in session.execute(
            sa.select(Job.id, Production.name, Job.state)
            .join(Production, Production.id == Job.production_id)
            .where(Production.name.in_(wanted))
        )
    }
    of_class = [
        sa.and_(Expected.fclass == major, Expected.xfclass == minor)
        for major, minor in sorted(set(wanted.values()))
    ]
    columns = (
        Expected.job_id, Expected.fclass, Expected.xfclass, Expected.reason, Expected.failure
    )  # fmt: skip
    # counted by job, which a database does quicker than by the names that a job leads to
    query = (
        sa.select(*columns, sa.func.count()).where(sa.or_(sa.false(), *of_class)).group_by(*columns)
    )
    found: dict[str, Counter[tuple[str, str | None, str | None]]] = {}
    rows = session.connection().execute(query)  # of the ORM they need nothing
    for job_id, major, minor, reason, failure, count in rows:
        production, state = jobs.get(job_id, ("", ""))
        if wanted.get(production) == (major, minor):
            found.setdefault(production, Counter())[state, reason, failure] += count
    return found
