"""Where exposures stop: from raw science frames through what jobs declared and made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import fclass
from snfpipe.audit.findings import Report
from snfpipe.audit.patterns import REASON, Pattern, gist, match, told
from snfpipe.config.project import Step
from snfpipe.db import store
from snfpipe.db.models import Job, Owed, Process, Production
from snfpipe.names import CHANNELS
from snfpipe.units.states import GOES_ON

#: The product that stands for an exposure in a plan's output.
MAIN_PRODUCT = {
    "file_quality": (18, 207),
    "cube_generation": (22, 0),
    "extract_star": (38, 100),
    "flux_calibration": (23, 0),
    "cubefit": (260, 820),
}

_SCIENCE = (17, 0)
_SPECTRAL = CHANNELS["B"] | CHANNELS["R"]


def follow_exposures(
    session: Session, steps: Sequence[Step], patterns: Sequence[Pattern]
) -> Iterator[Report]:
    """Follow science exposures, a channel each, through the steps that make a product of each."""
    nights = sorted({unit for step in steps if step.unit_kind == "night" for unit in step.units})
    raw = 0
    for part in store.chunks(nights):
        raw += session.scalar(
            sa.select(sa.func.count()).where(
                Process.fclass == _SCIENCE[0],
                Process.xfclass == _SCIENCE[1],
                Process.version == 0,
                Process.night.in_(part),
                Process.state == "live",
                Process.channel.op("&")(_SPECTRAL) != 0,
            )
        ) or 0  # fmt: skip
    counts = _declared(session, steps)
    rows: list[tuple[object, ...]] = []
    for step in steps:
        pair = MAIN_PRODUCT.get(step.plan)
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


def _declared(
    session: Session, steps: Sequence[Step]
) -> dict[str, Counter[tuple[str, str | None, str | None]]]:
    """Return production -> (state of the job, reason, failure) -> number of main products."""
    wanted = {it.production: MAIN_PRODUCT[it.plan] for it in steps if it.plan in MAIN_PRODUCT}
    jobs = {
        ident: (production, state)
        for ident, production, state in session.execute(
            sa.select(Job.id, Production.name, Job.state)
            .join(Production, Production.id == Job.production_id)
            .where(Production.name.in_(wanted))
        )
    }
    of_class = [
        sa.and_(Owed.fclass == major, Owed.xfclass == minor)
        for major, minor in sorted(set(wanted.values()))
    ]
    # counted by job, which a database does quicker than by the names that a job leads to
    query = (
        sa.select(
            Owed.job_id, Owed.fclass, Owed.xfclass, Owed.reason, Owed.failure, sa.func.count()
        )
        .where(sa.or_(sa.false(), *of_class))
        .group_by(Owed.job_id, Owed.fclass, Owed.xfclass, Owed.reason, Owed.failure)
    )
    found: dict[str, Counter[tuple[str, str | None, str | None]]] = {}
    rows = session.connection().execute(query)  # of the ORM they need nothing
    for job_id, major, minor, reason, failure, count in rows:
        production, state = jobs.get(job_id, ("", ""))
        if wanted.get(production) == (major, minor):
            found.setdefault(production, Counter())[state, reason, failure] += count
    return found
