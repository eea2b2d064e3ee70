"""update_sge_job: one job finished by hand."""

from __future__ import annotations

import json
import re

from tests.daemon.conftest import until
from tests.daemon.test_daemon import abandon, project  # noqa: F401 - a fixture
from tests.e2e.project import Project


def logs(project: Project, unit: str) -> list[str]:  # noqa: F811
    """Return the words that name a job's logs."""
    [folder] = project.root.glob(f"work/jobs/*/PFQ/{unit.replace('_', '/')}")
    [script] = folder.glob("*.sh")
    return [str(script.with_suffix(end)) for end in (".out", ".err")]


def test_a_job_is_settled_by_its_logs_and_no_other_job_is(project):  # noqa: F811
    abandon(project)
    mine, other = logs(project, "06_334"), logs(project, "06_336")
    mixed = project.run("update_sge_job", mine[0], other[1], exit_code=2)
    assert "not output and errors of one attempt" in mixed.stderr

    told = json.loads(project.run("update_sge_job", "-n", "--json", *mine).stdout)
    assert (told["unit"], told["new"], told["dry_run"]) == ("06_334", "done", True)
    done = "SELECT unit FROM job WHERE state = 'done'"
    assert project.query(done) == []
    shown = project.run("update_sge_job", *mine).stdout
    assert "done" in shown
    assert project.query(done) == [("06_334",)]
    again = project.run("update_sge_job", *mine, exit_code=3)
    assert "finished: done" in again.stderr
    nobody = project.run("update_sge_job", "no.out", "no.err", exit_code=2)
    assert "not output and errors of one attempt" in nobody.stderr
    project.doit()


def test_a_job_that_runs_is_left_alone(project):  # noqa: F811
    project.write_behaviour(sleep_s=60)
    driver = project.start("doit", "file_quality")
    until(project.running_wrappers)
    until(lambda: project.query("SELECT count(*) FROM job WHERE state = 'running'") == [(2,)])
    refused = project.run("update_sge_job", *logs(project, "06_334"), exit_code=3)
    assert "still with the engine" in refused.stderr
    project.run("snf", "cancel", "file_quality:*")
    assert driver.wait(60) == 1


def test_a_running_job_of_any_production_is_ended_by_the_command_that_is_named(project):  # noqa: F811
    project.write_behaviour(sleep_s=60)
    project.run("batch_jobs", "-s", "-p", "OTHER", "-m", "z", "06_334")
    until(project.running_wrappers)
    refused = project.run("update_sge_job", *logs(project, "06_334"), exit_code=3)
    [command] = re.findall("end it by `(.*)`", refused.stderr)
    project.run(*command.split())
    project.wait_for_jobs()
    assert project.query("SELECT state FROM job") == [("cancelled",)]
