"""Spectra that deserve a look: those whose programs flagged them or called them bad.

They are no findings: what was measured is what was observed, and nothing is missing or wrong.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import flags
from snfpipe.config.step import Step
from snfpipe.db.models import Job, Process, Production, Target
from snfpipe.names import ProductName

_SPECTRUM = (38, 100)


def doubtful_spectra(session: Session, step: Step) -> Iterator[str]:
    """Yield a line a live point-source spectrum of a step that is flagged or of bad quality.

    Parameters
    ----------
    session : Session
        Reads only.
    step : Step
        Its units' spectra are looked at.
    """
    query = (
        sa.select(Process.id_process, Process.quality, Process.quality_s, Job.unit, Target.name)
        .join(Job, Job.id == Process.job_id)
        .join(Production, Production.id == Job.production_id)
        .outerjoin(Target, Target.id == Process.target_id)
        .where(
            Production.name == step.production,
            Process.state == "live",
            Process.fclass == _SPECTRUM[0],
            Process.xfclass == _SPECTRUM[1],
            sa.or_(Process.quality != 1, Process.quality_s != flags.encode(())),
        )
        .order_by(Process.id_process)
    )
    units = set(step.units)
    for id_process, quality, quality_s, unit, target in session.execute(query):
        if unit in units:
            told = ", ".join(flags.decode(quality_s)) or "no flag"
            name = ProductName.from_id(id_process)
            yield f"look at {name} ({target or 'no target'}): quality {quality}, {told}"
