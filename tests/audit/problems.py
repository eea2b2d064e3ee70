"""Injected problems, their repairs, and the audits that must find them.

The table of what each audit must find stands in docs/audit.md; a new audit is a column there and
an entry of AUDITS here, a new problem a row there and an entry of TROUBLES here.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from snfpipe.audit.attrition import job_attrition
from snfpipe.audit.environment import job_env_check
from snfpipe.audit.errors import error_groups
from snfpipe.audit.findings import Finding, Report
from snfpipe.audit.outputs import check_job_output
from snfpipe.config.project import load_project
from snfpipe.reconcile.reconcile import Options, reconcile
from tests.audit.conftest import Case
from tests.e2e import survey

NEW = "06_337"
CUBE = "06_334_001_003_4_022_000_02-03_000.fits"


def _reports(found: Report | Sequence[Report]) -> list[Finding]:
    reports = [found] if isinstance(found, Report) else found
    return [finding for report in reports for finding in report.findings]


#: Audit, as its column is called -> how to run it.
AUDITS: dict[str, Callable[[Case], list[Finding]]] = {
    "products": lambda case: _reports(case.products()),
    "products --verify": lambda case: _reports(case.products(verify=True)),
    "check_job_output": lambda case: _reports(check_job_output(case.project, case.database)),
    "check_job_output --verify": lambda case: _reports(
        check_job_output(case.project, case.database, verify=True)
    ),
    "job_attrition": lambda case: _reports(
        job_attrition(case.project, case.database, case.units())
    ),
    "jobErrors": lambda case: _reports(error_groups(case.project, case.database)),
    "job_env_check": lambda case: _reports(job_env_check(case.project, case.database)),
    "srb_cleanup": lambda case: _reconciled(case),
    "srb_cleanup --verify": lambda case: _reconciled(case, verify=True),
}


def _reconciled(case: Case, **options: Any) -> list[Finding]:
    """Look twice, as long after the problem as it takes."""
    for _scan in range(2):
        chosen = Options(min_age_s=0, **options)
        found = reconcile(case.project, case.database, options=chosen)
    return _reports(found.report)


class Problem(NamedTuple):
    """What goes wrong, and how it is fixed."""

    inject: Callable[[Case], None]
    repair: Callable[[Case], None]


# --- jobs ----------------------------------------------------------------------------------


def add_night(case: Case) -> None:
    """Let a third night arrive."""
    survey.write_night(case.driven.root / "work" / "raw", NEW)
    case.driven.set_nights(["06_334", "06_336", NEW])
    case.driven.arrive()


def run_and_kill(whole_session: bool) -> Callable[[Case], None]:
    """Run a job of the new night and kill its script, or its wrapper as well."""

    def inject(case: Case) -> None:
        add_night(case)
        log = case.driven.root / "starts.log"
        case.behave(sleep_s=60, only="file_quality", log=str(log))
        thread = threading.Thread(target=murder, args=(case, log, whole_session))
        thread.start()
        case.driven.doit(f"file_quality:{NEW}", exit_code=1)
        thread.join()
        case.behave()

    return inject


def murder(case: Case, log: Path, whole_session: bool) -> None:
    """Kill what runs, once its program has started."""
    deadline = time.monotonic() + 60
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    (wrapper,) = case.driven.running_wrappers()
    members = [
        int(entry.name)
        for entry in Path("/proc").glob("[0-9]*")
        if _session(int(entry.name)) == os.getsid(wrapper)
    ]
    for pid in members:
        if whole_session or pid != wrapper:
            os.kill(pid, signal.SIGKILL)


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def leave_half(case: Case) -> None:
    add_night(case)
    case.behave(leave="half", only="cube_generation")
    case.driven.doit(exit_code=1)
    case.behave()


def run(case: Case) -> None:
    case.driven.doit()


def retry(case: Case) -> None:
    case.driven.run("snf", "retry", "*")
    case.driven.doit()


def second_start(case: Case) -> None:
    """A second attempt of a unit, and a second start record in the ledger of the first."""
    statement = (
        "INSERT INTO attempt (token, job_id, number, engine, claimed_at, started_at, ended_at,"
        " host, limit_hit, outcome, reason, out_tail, err_tail, environment, spec)"
        " SELECT 'feedfeedfeedfeed', job_id, 2, engine, claimed_at, started_at, ended_at, host,"
        " limit_hit, 'failed', '', '', '', environment, spec FROM attempt"
        " WHERE job_id = (SELECT min(id) FROM job)"
    )
    case.driven.query(statement)
    case.driven.query("UPDATE job SET attempts = 2 WHERE id = (SELECT min(id) FROM job)")


def forget_second_start(case: Case) -> None:
    case.driven.query("DELETE FROM attempt WHERE token = 'feedfeedfeedfeed'")
    case.driven.query("UPDATE job SET attempts = 1 WHERE id = (SELECT min(id) FROM job)")


def see_program(version: str) -> Callable[[Case], None]:
    """Let the worker of one job have seen a version of its program."""

    def change(case: Case) -> None:
        where = "token = (SELECT token FROM job WHERE name = 'SNF-0203-SAMPLEc-06336')"
        ((seen,),) = case.driven.query(f"SELECT environment FROM attempt WHERE {where}")
        seen = json.loads(seen) if isinstance(seen, str) else seen
        seen["program"] = f"cube_generation {version}"
        case.driven.query(f"UPDATE attempt SET environment = :seen WHERE {where}",
                          seen=json.dumps(seen))  # fmt: skip

    return change


# --- files and rows ------------------------------------------------------------------------


def spoil(change: Callable[[Path], object]) -> Problem:
    """Change a cube in the archive; the repair brings its bytes back."""

    def inject(case: Case) -> None:
        path = case.file(CUBE)
        shutil.copy2(path, case.driven.root / "kept")
        change(path)

    def repair(case: Case) -> None:
        shutil.copy2(case.driven.root / "kept", case.archive / "Prod/02-03/06/334" / CUBE)

    return Problem(inject, repair)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-2880] ^= 1
    path.write_bytes(content)


def strange_file(case: Case) -> Path:
    return case.archive / "Prod/02-03/06/334" / "06_334_009_003_4_022_000_02-03_000.fits"


def add_file(case: Case) -> None:
    strange_file(case).write_bytes(b"x")


def edit_row(case: Case) -> None:
    ((checksum,),) = case.driven.query("SELECT checksum FROM file WHERE name = :name", name=CUBE)
    (case.driven.root / "kept").write_text(checksum)
    case.driven.query("UPDATE file SET checksum = :sum WHERE name = :name", sum="0" * 64, name=CUBE)


def edit_row_back(case: Case) -> None:
    checksum = (case.driven.root / "kept").read_text()
    case.driven.query("UPDATE file SET checksum = :sum WHERE name = :name", sum=checksum, name=CUBE)


def delete_parent(case: Case) -> None:
    """Delete the cubes of a night, and keep the spectra made from them."""
    words = ("-d", "-j", "SAMPLEc-06334", "--keep-descendants", "--yes")
    case.driven.run("manage_jobs", *words)


def restore_parent(case: Case) -> None:
    """Bring the cubes back."""
    case.driven.run("manage_jobs", "--restore", "-j", "SAMPLEc-06334")


#: Problem, as its row is called -> what it is.
TROUBLES: dict[str, Problem] = {
    "a job killed": Problem(run_and_kill(whole_session=False), retry),
    "a job lost": Problem(run_and_kill(whole_session=True), retry),
    "a night not run": Problem(add_night, run),
    "a step that silently leaves less": Problem(leave_half, retry),
    "two starts of one unit": Problem(second_start, forget_second_start),
    "a mixed version": Problem(see_program("1.0.1"), see_program("1.0.0")),
    "a file deleted": spoil(lambda path: path.unlink()),
    "a file truncated": spoil(lambda path: path.write_bytes(path.read_bytes()[:2880])),
    "a bit flipped": spoil(flip),
    "a file added": Problem(add_file, lambda case: strange_file(case).unlink()),
    "a row edited": Problem(edit_row, edit_row_back),
    "a parent deleted": Problem(delete_parent, restore_parent),
}

#: Those that need no job to run.
QUICK = [name for name in TROUBLES if not name.startswith(("a job", "a night", "a step"))]


def reread(case: Case) -> Case:
    """Return the case with its lists read again."""
    return Case(case.driven, load_project(case.driven.root), case.database)
