"""Attempts made by hand: a real spec and script around a few lines of shell."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from snfpipe.engines.base import Submission
from snfpipe.worker import ledger
from snfpipe.worker.script import environment, write_attempt
from snfpipe.worker.spec import AttemptFolder, JobSpec, Product

PROGRAM = """\
[ "${{1:-}}" = --version ] && {{ echo "{says}"; exit; }}
{body}
"""


def product(number: int = 1, item: str | None = None, **auxiliary: str) -> Product:
    """A promised cube of exposure `number`."""
    stem = f"06_334_{number:03}_003_4_022_000_02-03_000"
    return Product(
        id_process=f"6334{number:03}00340220000203000",
        name=f"{stem}.fits",
        item=item or f"item-{number}",
        role="cube",
        fclass=22,
        xfclass=0,
        parents=(),
        auxiliary={role: f"{stem}.{role}.{end}" for role, end in auxiliary.items()},
    )


def make_spec(
    root: Path,
    body: str = "exit 0",
    *,
    unit: str = "06_334",
    products: Iterable[Product] = (),
    says: str = "program 1.0.0",
    cpu_s: int = 60,
    memory_mb: int = 2000,
    wall_s: int = 60,
    **variables: str,
) -> JobSpec:
    """Return the spec of an attempt whose program is `body`."""
    job = f"SNF-0203-TESTc-{unit.replace('_', '')}"
    token = secrets.token_hex(8)
    folder = root / "jobs" / "PCG" / unit / f"{job}.attempts" / f"001-{token}"
    program = folder / "program"
    folder.mkdir(parents=True)
    program.write_text(PROGRAM.format(says=says, body=body))
    identity: dict[str, Any] = {"program": {"name": "program", "version": "1.0.0"}}
    products = tuple(products)
    return JobSpec(
        job=job,
        production="SNF-0203-TESTc",
        plan="cube_generation",
        unit=unit,
        unit_kind="night",
        version="SNF-02-03",
        token=token,
        number=1,
        folder=str(folder),
        archive=str(root / "archive"),
        environment=environment(variables, "SNF-02-03", str(root / "jobs")),
        limits={"cpu_s": cpu_s, "memory_mb": memory_mb, "wall_s": wall_s},
        commands=(("/bin/bash", str(program)),),
        options={},
        items=tuple({"item": it.item, "inputs": {}, "values": {}} for it in products),
        products=products,
        selection=(),
        identity=identity,
    )  # fmt: skip


def make_attempt(root: Path, body: str = "exit 0", **given: Any) -> AttemptFolder:
    """Write an attempt's folder."""
    return write_attempt(make_spec(root, body, **given))


def submission(folder: AttemptFolder) -> Submission:
    """Return what an engine is told of an attempt."""
    spec = folder.load()
    limits = spec.limits
    return Submission(
        spec.token, spec.job, spec.production, spec.plan, folder.script, folder.engine_out,
        folder.engine_err,
        limits["cpu_s"], limits["memory_mb"], limits["wall_s"],
    )  # fmt: skip


def has_record(folder: AttemptFolder, kind: str) -> bool:
    """Tell whether the ledger has a record of a kind."""
    return any(entry["kind"] == kind for entry in ledger.read(folder.ledger))


def record(folder: AttemptFolder, kind: str) -> ledger.Record:
    """Return the last record of a kind, which must be there."""
    found = [entry for entry in ledger.read(folder.ledger) if entry["kind"] == kind]
    assert found, f"{folder.ledger} has no record of kind {kind}"
    return found[-1]
