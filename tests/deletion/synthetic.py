"""Jobs that are done, of any number, without having run: rows, files, manifests, attempts."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from snfpipe import clock
from snfpipe.config.project import Project
from snfpipe.config.step import Step
from snfpipe.db import store
from snfpipe.db.models import (
    Attempt,
    Expected,
    Exposure,
    File,
    Job,
    Measurement,
    Pose,
    Process,
    ProcessParent,
    ProductIndex,
    Run,
)
from snfpipe.db.session import Database
from snfpipe.jobs.manifest import manifest_path, manifest_text, sha256, write_manifest
from snfpipe.jobs.planning import ensure_production
from snfpipe.names import ExposureId, Night, ProductName
from snfpipe.states import State
from snfpipe.storage import archive
from snfpipe.worker.script import write_attempt
from snfpipe.worker.spec import JobSpec

#: A step, class and extra class of its product, and the role that it plays.
Link = tuple[str, int, int, str]

CHAIN: tuple[Link, ...] = (
    ("cube_generation", 22, 0, "cube"),
    ("extract_star", 38, 100, "spectrum"),
)


@dataclass(frozen=True)
class Synthetic:
    """Nights of `exposures` cubes (each with a plot) and as many spectra made from them."""

    project: Project
    database: Database

    def observe(self, nights: list[str], exposures: int) -> None:
        """Put what was observed into the database."""
        rows: dict[Any, list[dict[str, Any]]] = {Run: [], Exposure: [], Pose: []}
        for night in nights:
            for run in range(1, exposures + 1):
                it = ExposureId(Night.parse(night), run, 3)
                ident, id_run = it.id_exposure, it.run_id.id_run
                rows[Run].append({"id_run": id_run, "night": night, "run": run})
                rows[Exposure].append(
                    {"id_exposure": ident, "id_run": id_run, "night": night, "exposure": 3}
                )
                rows[Pose].append({"id_pose": int(f"{ident}4"), "id_exposure": ident,
                                   "night": night, "channel": 4})  # fmt: skip
        with self.database.write() as session:
            for model, content in rows.items():
                store.insert(session, model, content)

    def finish(
        self, nights: list[str], exposures: int, *, chain: Sequence[Link] = CHAIN, index: int = 0
    ) -> None:
        """Let the chain's jobs of some nights be done."""
        with self.database.write() as session:
            for place, link in enumerate(chain):
                step = self.project.step(link[0])
                production = ensure_production(session, self.project, step)
                for night in nights:
                    above = chain[place - 1] if place else None
                    self._finish(session, step, production, night, exposures, link, above, index)

    def _finish(
        self, session: Session, step: Step, production: int, night: str, exposures: int,
        made: Link, above: Link | None, index: int,
    ) -> None:  # fmt: skip
        _key, fclass, xfclass, role = made
        name, folder = step.job_name(night), step.job_folder(night)
        token, moment = secrets.token_hex(8), clock.utc_now()
        names = [self._name(night, run, fclass, xfclass, index) for run in range(1, exposures + 1)]
        products, selection, files = [], [], []
        for run, product in enumerate(names, 1):
            ends = {role: str(product)}
            if role == "cube":
                ends["plot"] = product.auxiliary("plot", "png")
            entry: dict[str, Any] = {"id_process": product.id_process, "quality": 1, "files": {}}
            for kind, file in ends.items():
                content = f"{kind} of {product.base}\n".encode() * 8
                path = self.project.site.archive / archive.place_of(file)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                checksum = hashlib.sha256(content).hexdigest()
                files.append(
                    {"name": file, "area": "archive", "path": archive.place_of(file),
                     "size": len(content), "checksum": checksum, "night": night,
                     "id_process": product.id_process, "role": "main" if kind == role else kind}
                )  # fmt: skip
                entry["files"][kind] = {"name": file, "sha256": checksum, "size": len(content)}
            products.append(entry)
            if above:
                _key, fclass_above, xfclass_above, role_above = above
                parent = self._name(night, run, fclass_above, xfclass_above, index)
                content = f"{role_above} of {parent.base}\n".encode() * 8
                selection.append({"id_process": parent.id_process, "role": role_above,
                                  "checksum": hashlib.sha256(content).hexdigest(),
                                  "values": {}})  # fmt: skip
        text = manifest_text(
            step.production, night, State.DONE, "", selection, step.identity, products
        )
        job = {"production_id": production, "unit": night, "unit_kind": "night", "name": name,
               "folder": folder, "state": "done", "reason": "", "token": token, "attempts": 1,
               "inputs_digest": "0" * 64, "manifest": text, "manifest_sha": sha256(text),
               "created": moment, "updated": moment}  # fmt: skip
        job_id = session.scalar(sa.insert(Job).values(job).returning(Job.id))
        self._attempt(session, step, job_id, night, token, selection, moment)
        write_manifest(manifest_path(self.project.site.jobs / folder, name), text)
        processes, expected, links, indices, measures = [], [], [], [], []
        for run, product in enumerate(names, 1):
            exposure = product.exposure
            processes.append(
                {"id_process": product.id_process, "fclass": fclass, "xfclass": xfclass,
                 "channel": 4, "version": product.version, "idx": index, "night": night,
                 "id_run": exposure.run_id.id_run, "id_exposure": exposure.id_exposure,
                 "id_pose": int(f"{exposure.id_exposure}4"), "job_id": job_id}
            )  # fmt: skip
            expected.append(
                {"job_id": job_id, "id_process": product.id_process, "name": str(product),
                 "fclass": fclass, "xfclass": xfclass, "channel": 4, "night": night,
                 "id_exposure": exposure.id_exposure}
            )  # fmt: skip
            indices.append({"base": product.base, "last": index})
            measures.append({"id_entity": int(f"{exposure.id_exposure}4"), "night": night,
                             "job_id": job_id, "measured": {"mean": 1.5}})  # fmt: skip
            if above:
                _key, fclass_above, xfclass_above, _role = above
                parent = self._name(night, run, fclass_above, xfclass_above, index)
                links.append({"child": product.id_process, "parent": parent.id_process})
        for model, rows in ((Process, processes), (File, files), (Expected, expected),
                            (ProcessParent, links), (Measurement, measures)):  # fmt: skip
            store.insert(session, model, rows)
        store.upsert(session, ProductIndex, indices, ["last"])

    def _attempt(
        self, session: Session, step: Step, job_id: int | None, night: str, token: str,
        selection: Sequence[dict[str, Any]], moment: datetime,
    ) -> None:  # fmt: skip
        name, site = step.job_name(night), self.project.site
        folder = site.jobs / step.job_folder(night) / f"{name}.attempts" / f"001-{token}"
        spec = JobSpec(
            name, step.production, step.plan, night, "night", self.project.version.label, token, 1,
            str(folder), str(site.archive), {}, {"cpu_s": 1, "memory_mb": 1, "wall_s": 1},
            (("true",),), {}, (), (), tuple(selection), {},
        )  # fmt: skip
        write_attempt(spec)
        store.insert(
            session, Attempt,
            [{"token": token, "job_id": job_id, "number": 1, "engine": "local", "outcome": "done",
              "claimed_at": moment, "spec": spec.to_json(), "environment": {"host": "here"}}],
        )  # fmt: skip

    def _name(self, night: str, run: int, fclass: int, xfclass: int, index: int) -> ProductName:
        exposure = ExposureId(Night.parse(night), run, 3)
        return ProductName(exposure, 4, fclass, xfclass, self.project.number, index)

    # --- looking ----------------------------------------------------------------------------

    def rows(self, statement: str, **given: Any) -> list[tuple[Any, ...]]:
        with self.database.read() as session:
            return [tuple(row) for row in session.execute(sa.text(statement), given)]

    def run(self, statement: str, **given: Any) -> None:
        with self.database.write() as session:
            session.execute(sa.text(statement), given)

    def jobs(self) -> list[str]:
        return [name for (name,) in self.rows("SELECT name FROM job ORDER BY name")]

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return all rows that belong to jobs, without the numbers that rows have."""
        queries = {
            "job": "SELECT job.name, production.name, unit, state, reason, token, attempts, "
            "manifest, inputs_digest FROM job JOIN production ON production.id = production_id",
            "attempt": "SELECT attempt.token, job.name, number, claimed_at, spec, "
            "accounting IS NULL FROM attempt JOIN job ON job.id = job_id",
            "process": "SELECT id_process, job.name, process.state, status, id_pose FROM process "
            "JOIN job ON job.id = job_id",
            "file": "SELECT path, area, size, checksum, id_process, role FROM file",
            "expected": "SELECT job.name, id_process, fclass FROM expected "
            "JOIN job ON job.id = job_id",
            "process_parent": "SELECT child, parent FROM process_parent",
            "deleted_parent": "SELECT child, parent, job FROM deleted_parent",
            "measurement": "SELECT id_entity, job.name FROM measurement "
            "JOIN job ON job.id = job_id",
        }
        return {table: sorted(self.rows(query)) for table, query in queries.items()}

    def files(self) -> dict[str, str]:
        """Return every file and link below archive and job folders but the trash's."""
        found = {}
        for root in (self.project.site.archive, self.project.site.jobs):
            for path in root.rglob("*"):
                told = str(path.relative_to(root))
                aside = path.name.startswith(".")  # what a kill left of a manifest being written
                if not told.startswith(archive.TRASH) and not aside and not path.is_dir():
                    found[told] = str(path.readlink()) if path.is_symlink() else path.read_text()
        return found

    def hold_together(self) -> None:
        """Hold what must be true of rows, files and manifests whatever was killed before."""
        place, jobs = self.project.site.archive, self.project.site.jobs
        registered = dict(self.rows("SELECT path, checksum FROM file WHERE area = 'archive'"))
        on_disk = {
            str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (place / "Prod").rglob("*.*")
        }
        assert on_disk == registered
        manifests = {
            str(manifest_path(jobs / folder, name)): text
            for folder, name, text in self.rows("SELECT folder, name, manifest FROM job")
        }
        assert {str(it): it.read_text() for it in jobs.rglob("*.manifest")} == manifests
        attempts = {
            f"{number:03}-{token}"
            for number, token in self.rows("SELECT number, token FROM attempt")
        }
        found = {it.name for it in jobs.rglob("*.attempts/*") if archive.TRASH not in it.parts}
        assert found == attempts
        for table, column in (("expected", "job_id"), ("attempt", "job_id")):
            lost = f"SELECT count(*) FROM {table} WHERE {column} NOT IN (SELECT id FROM job)"
            assert self.rows(lost) == [(0,)]

    def trash_files(self) -> set[str]:
        """Return the names of the files in the trash."""
        trash = self.project.site.archive / archive.TRASH
        return {path.name for path in trash.rglob("*") if path.is_file()}


def url_of(database: Database) -> str:
    return database.url.render_as_string(hide_password=False).replace("+psycopg2", "")


def make(root: Path, url: str) -> Synthetic:
    """Open a project of the sample production in `root`."""
    from snfpipe.config.project import load_project
    from snfpipe.db.session import open_database

    project = load_project(root)
    return Synthetic(project, open_database(url, root, create=True))
