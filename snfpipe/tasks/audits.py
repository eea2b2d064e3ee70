"""All audits over the configured production, and the doit tasks that call them one by one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from snfpipe.audit.findings import Report
from snfpipe.config.project import Project

#: Audit -> the words of its command.
COMMANDS = {
    "products": ("audit", "--only", "products"),
    "check_job_output": ("check_job_output",),
    "job_attrition": ("job_attrition",),
    "jobErrors": ("jobErrors",),
    "job_env_check": ("job_env_check",),
    "srb_cleanup": ("srb_cleanup",),
}


def run_audits(
    project: Project, database: Any, *, verify: bool = False, watch: Any = lambda: None
) -> Iterator[Report]:
    """Yield the report of each audit over the configured production.

    Parameters
    ----------
    project, database : Project, Database
        Where to look.
    verify : bool
        Read every file: checksum, structure of FITS files.
    watch : callable, optional
        Called for every file that is looked at.
    """
    from snfpipe.audit.attrition import job_attrition
    from snfpipe.audit.environment import job_env_check
    from snfpipe.audit.errors import error_groups
    from snfpipe.audit.outputs import check_job_output
    from snfpipe.audit.products import audit_products
    from snfpipe.reconcile.reconcile import audit_reconcile
    from snfpipe.units.freshness import check
    from snfpipe.units.status import unit_states

    yield audit_products(project, database, verify=verify, watch=watch)
    yield check_job_output(project, database)
    yield from job_attrition(project, database, unit_states(check(project)))
    yield error_groups(project, database)
    yield job_env_check(project, database)
    yield audit_reconcile(project, database, verify=verify)


def audit_tasks(project: Project, found: list[str]) -> Iterator[dict[str, Any]]:
    """Yield a doit task an audit; those that find something are put into `found`."""
    yield {"basename": "audit", "name": None, "doc": "what is missing, unexpected or wrong"}
    for name, words in COMMANDS.items():
        yield {
            "basename": "audit",
            "name": name,
            "doc": f"snf {' '.join(words)}",
            "actions": [(_run, [project, f"audit:{name}", words, found])],
            "uptodate": [False],
            "verbosity": 2,
        }


def _run(project: Project, task: str, words: tuple[str, ...], found: list[str]) -> bool:
    """Run an audit's command; tell whether it could be run at all."""
    snf = Path(sys.executable).with_name("snf")
    done = subprocess.run([snf, "--project", project.root, *words], check=False)
    if done.returncode == 1:
        found.append(task)
    return done.returncode in (0, 1)
