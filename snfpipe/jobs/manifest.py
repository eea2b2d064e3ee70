"""Manifests: a unit's finished result as a text that is the same wherever and whenever it was made.

The database holds the text (``job.manifest``); the file beside the job is what doit depends on,
and is rewritten from the database where it is missing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from snfpipe.states import State
from snfpipe.wholefile import write_whole
from snfpipe.worker.document import document

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Finished:
    """A job that was finished, and the text and place of the manifest that says so.

    ``unwritten`` is why the manifest does not lie there.
    """

    job: str
    production: str
    unit: str
    path: Path
    state: State
    reason: str
    manifest: str
    unwritten: str = ""


def manifest_text(
    production: str,
    unit: str,
    state: State,
    reason: str,
    selection: Sequence[Mapping[str, Any]],
    identity: Mapping[str, Any],
    products: Iterable[Mapping[str, Any]],
    missing: Mapping[str, str] | None = None,
) -> str:
    """Return the text: what was read, by what, and what came of it; no time, host or attempt.

    ``products`` are those that stand registered for the unit; ``missing`` says why others were
    not made.
    """
    content = {
        "format": FORMAT,
        "production": production,
        "unit": unit,
        "outcome": str(state),
        "reason": reason,
        "identity": identity,
        "inputs": list(selection),
        "products": sorted(products, key=lambda product: str(product["id_process"])),
        "missing": missing or {},
    }
    return document(content)


def sha256(text: str) -> str:
    """Return the digest the database keeps beside the text."""
    return hashlib.sha256(text.encode()).hexdigest()


def manifest_path(folder: Path, job: str) -> Path:
    """Return where a job's manifest lies: in the job's folder."""
    return folder / f"{job}.manifest"


def stamp_of(path: str) -> int:
    """Return a manifest's modification time [ns]; 0 where there is none."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def write_manifest(path: Path, text: str) -> None:
    """Write a manifest aside and rename it, unless it says just that already."""
    try:
        if path.read_text(encoding="utf-8") == text:
            return
    except OSError:
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text, sync=True, point="manifest:before-rename")


def write_manifests(finished: Iterable[Finished]) -> list[Finished]:
    """Write the manifests of finished jobs; return the jobs, with the reason where that failed."""
    return [_written(job) for job in finished]


def _written(job: Finished) -> Finished:
    """Write one manifest."""
    try:
        write_manifest(job.path, job.manifest)
    except OSError as error:
        return replace(job, unwritten=str(error))
    return job
