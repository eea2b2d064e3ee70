"""Osiris over real projects, by its commands; doit beside it."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.daemon.conftest import events, until
from tests.e2e.conftest import make_project
from tests.e2e.project import Project

NIGHTS = ["06_334", "06_336"]


class Daemon:
    """``osiris`` or ``anubis`` as a user starts it."""

    def __init__(self, project: Project, *words: str) -> None:
        self.log = project.root / f"{words[0]}-{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*words, "--json", "--heartbeat", "2"], cwd=project.root, env=project.environment,
                stdout=log, stderr=log,
            )  # fmt: skip

    def said(self, kind: str) -> list[dict[str, str]]:
        lines = self.log.read_text().split("\n")[:-1]
        assert "Traceback" not in self.log.read_text(), self.log.read_text()
        return [event for line in lines if (event := json.loads(line))["kind"] == kind]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = make_project(tmp_path / "project", NIGHTS)
    yield made
    made.wait_for_jobs()


def test_doit_leaves_post_mortem_to_osiris_and_does_it_itself_without_one(project):
    steps = project.root / "configs" / "productions" / "sample.toml"
    steps.write_text(steps.read_text().replace('validate = "none"', 'validate = "audit"', 1))
    osiris = Daemon(project, "osiris")
    until(lambda: osiris.said("began"))
    refused = project.run("osiris", "--once", exit_code=3)
    assert "serves already" in refused.stderr
    told = project.doit("file_quality")
    assert "2 done" in told
    assert {event["unit"] for event in osiris.said("finished")} == set(NIGHTS)
    assert {event["state"] for event in osiris.said("finished")} == {"done"}
    made = "SELECT DISTINCT status FROM process WHERE job_id IS NOT NULL"
    assert project.query(made) == [(2,)]  # the step validates itself, whoever finishes its jobs
    assert osiris.end() == 0
    assert osiris.said("stopped")
    project.doit()
    assert project.attempts() == 6
    assert len(osiris.said("finished")) == 2
    project.run("snf", "audit")


def test_doit_goes_on_by_itself_when_osiris_dies(project):
    osiris = Daemon(project, "osiris")
    until(lambda: osiris.said("began"))
    project.write_behaviour(sleep_s=3)
    driver = project.start("doit", "file_quality")
    until(project.running_wrappers)
    freeze(osiris, project)  # holds its lease for a while, and does nothing
    assert driver.wait(60) == 0
    osiris.process.send_signal(signal.SIGCONT)
    assert osiris.end() == 0
    assert osiris.said("finished") == []
    assert project.attempts() == 2


def freeze(daemon: Daemon, project: Project) -> None:
    """Stop a daemon where it does not keep others from writing: SQLite has one lock for all."""
    while True:
        daemon.process.send_signal(signal.SIGSTOP)
        path = project.root / "work" / "snfpipe.db"
        try:
            with closing(sqlite3.connect(path, timeout=0.5, isolation_level=None)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            return
        except sqlite3.OperationalError:
            daemon.process.send_signal(signal.SIGCONT)
            time.sleep(0.05)


def abandon(project: Project, jobs: int = 2) -> None:
    """Kill doit when its jobs are with the engine, and wait for their end."""
    driver = project.start("doit", "file_quality")
    begun = "SELECT count(*) FROM job WHERE state IN ('queued', 'running')"
    until(lambda: project.query(begun) == [(jobs,)])
    driver.kill()
    driver.wait()
    project.wait_for_jobs()


def test_osiris_settles_the_jobs_of_a_killed_driver_in_one_turn(project):
    project.write_behaviour(sleep_s=0.5)
    abandon(project)
    shown = project.run("osiris", "-n").stdout
    assert "would be" in shown
    assert shown.count("done") == 2
    told = events(project.run("osiris", "-n", "--json").stdout)
    assert {(it["kind"], it["unit"], it["state"]) for it in told} == {
        ("would finish", night, "done") for night in NIGHTS
    }
    assert events(project.run("anubis", "-n", "--json").stdout)
    assert project.query("SELECT count(*) FROM attempt WHERE outcome = 'done'") == [(0,)]
    told = events(project.run("osiris", "--once", "--json").stdout)
    assert [it["kind"] for it in told] == ["began", "finished", "finished", "stopped"]
    assert project.query("SELECT count(*) FROM attempt WHERE outcome = 'done'") == [(2,)]
    assert "nothing to finish" in project.run("osiris", "-n").stdout
    assert project.run("osiris", "-n", "--json").stdout == ""
    project.doit()
    assert project.attempts() == 6


def test_osiris_serves_every_production_of_the_database(project):
    project.write_behaviour(sleep_s=0.5)
    for turn, version in enumerate(("SNF-02-02", "SNF-02-03"), 1):
        project.run("snf_version", version)
        abandon(project, 2 * turn)
    project.run("osiris", "--once")
    rows = project.query(
        "SELECT version, count(*) FROM job JOIN production ON production.id = job.production_id "
        "WHERE state = 'done' GROUP BY version ORDER BY version"
    )
    assert rows == [("SNF-02-02", 2), ("SNF-02-03", 2)]
    for version in ("SNF-02-02", "SNF-02-03"):
        manifests = (project.root / "work" / "jobs" / version).rglob("*.manifest")
        assert len(list(manifests)) == 2


def test_anubis_with_no_osiris_begins_at_once_and_hands_over_when_its_time_is_up(project):
    first = Daemon(project, "anubis", "--for", "2")
    until(lambda: first.said("took over"))
    second = Daemon(project, "anubis", "--for", "60")
    assert first.process.wait(30) == 0
    until(lambda: second.said("took over"))
    assert second.end(signal.SIGINT) == 0


def test_logs_stay_whole_as_files_and_their_ends_in_the_database(project):
    project.doit("file_quality")
    rows = project.query("SELECT out_tail, name FROM attempt JOIN job ON job.id = attempt.job_id")
    for tail, name in rows:
        [whole] = project.root.glob(f"work/jobs/*/PFQ/*/*/{name}.out")
        assert tail
        assert whole.read_text().endswith(tail)


def test_a_time_that_is_none_is_refused(project):
    for text in ("yesterday", "20261320", "2026", "1795672738000000"):
        for words in (("-n",), ("--submit", "-n")):
            refused = project.run("osiris", *words, "--since", text, exit_code=2)
            assert "epoch seconds" in refused.stderr


def test_since_takes_a_day_without_dashes_as_a_day(project):
    project.write_behaviour(sleep_s=0.5)
    abandon(project)
    project.query("UPDATE job SET state = 'lost'")
    project.query("UPDATE attempt SET ended_at = '2026-11-20 12:00:00.000000'")
    for day, found in {"20261120": 2, "20261121": 0, "2026-11-21": 0, "1700000000": 2}.items():
        shown = project.run("osiris", "-n", "--json", "--since", day).stdout
        assert len(events(shown)) == found, day


def test_osiris_as_a_batch_job_needs_a_batch_site(project):
    for words in (("osiris",), ("osiris", "-n"), ("anubis", "-n")):
        refused = project.run(*words, "--submit", exit_code=3)
        assert "no batch queue" in refused.stderr
