"""The files of deleted jobs: where they lie, in their places and in the trash, and moving them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from snfpipe.config.project import Project
from snfpipe.deletion.rows import Content
from snfpipe.handles import opened
from snfpipe.jobs.manifest import manifest_path, sha256, write_manifest
from snfpipe.names import VersionName
from snfpipe.storage import archive
from snfpipe.worker.script import link_attempt
from snfpipe.worker.spec import AttemptFolder

_LINKS = ("sh", "out", "err")


@contextmanager
def locked(project: Project) -> Iterator[None]:
    """Hold the trash's lock, waiting for whoever has it."""
    trash = project.site.archive / archive.TRASH
    trash.mkdir(parents=True, exist_ok=True)
    with opened(trash, os.O_RDONLY | os.O_DIRECTORY) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def paths_of(contents: Iterable[Content]) -> list[str]:
    """Return the files of jobs, below the archive."""
    return [row["path"] for content in contents for row in content.get("file", ())]


def _jobdir(project: Project, content: Content) -> Path:
    """Return the JOBDIR of a job, which may be of another version than the configured one."""
    return project.site.jobs.parent / VersionName.parse(content["version"]).label


def attempt_folders(project: Project, deletion: str, content: Content) -> dict[Path, Path]:
    """Return where a job's attempts lie -> where they lie in the trash."""
    (job,) = content["job"]
    jobdir, folder = _jobdir(project, content), archive.check_path(job["folder"])
    places = (jobdir / folder, jobdir / archive.TRASH / deletion / folder)
    pairs = (
        [AttemptFolder.numbered(it, job["name"], row["number"], row["token"]).path for it in places]
        for row in content.get("attempt", ())
    )
    return {there: in_trash for there, in_trash in pairs}


def put_job_away(
    project: Project, deletion: str, content: Content, standing: Collection[str]
) -> None:
    """Remove a job's manifest, links and leftovers, and move its attempts into the trash.

    A job of that name that was made since keeps what is its own.
    """
    (job,) = content["job"]
    jobdir = _jobdir(project, content)
    if job["name"] not in standing:
        manifest = manifest_path(jobdir / job["folder"], job["name"])
        if job["manifest"] is None or _sha_of(manifest) == job["manifest_sha"]:
            manifest.unlink(missing_ok=True)
    for place, aside in attempt_folders(project, deletion, content).items():
        if place.is_dir():
            aside.parent.mkdir(parents=True, exist_ok=True)
            place.rename(aside)
        for name in _LINKS:
            link = place.parent.parent / f"{job['name']}.{name}"
            if link.is_symlink() and place.name in os.readlink(link):
                link.unlink(missing_ok=True)
        archive.remove_empty(place.parent, jobdir)
    for it in content.get("attempt", ()):
        archive.drop_incoming(project.site.archive, it["token"])


def bring_job_back(project: Project, deletion: str, content: Content) -> None:
    """Undo :func:`_put_job_away`."""
    (job,) = content["job"]
    jobdir = _jobdir(project, content)
    for place, aside in attempt_folders(project, deletion, content).items():
        if aside.is_dir():
            place.parent.mkdir(parents=True, exist_ok=True)
            aside.rename(place)
        folder = AttemptFolder(place, job["name"])
        current = job["token"] and place.name.endswith(job["token"])
        if current and not (folder.job_folder / folder.script.name).is_symlink():
            link_attempt(folder)
    if job["manifest"] is not None:
        write_manifest(manifest_path(jobdir / job["folder"], job["name"]), job["manifest"])


def _sha_of(path: Path) -> str:
    """Return the digest of a manifest on disk, nothing where there is none."""
    try:
        return sha256(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return ""


def clear(project: Project, deletion: str, contents: Iterable[Content]) -> None:
    """Remove folders of the trash that are empty."""
    trash = project.site.archive / archive.TRASH
    for content in contents:
        for path in paths_of([content]):
            archive.remove_empty((trash / deletion / path).parent, trash)
        jobdir = _jobdir(project, content)
        for aside in attempt_folders(project, deletion, content).values():
            archive.remove_empty(aside.parent, jobdir / archive.TRASH)
