"""Osiris and Anubis as batch jobs whose scheduler fails: somebody serves, somebody waits."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from snfpipe.services.grid_engine import GridEngineCell
from tests.daemon.conftest import events, until
from tests.e2e.conftest import make_project
from tests.e2e.project import Project
from tests.farm.test_osiris import ask, names
from tests.launch.farm import to_farm

pytestmark = [pytest.mark.services, pytest.mark.slow]

AWAY = """\
#!/bin/sh
echo 'error: commlib error: got select error (Connection refused)' >&2
echo 'Unable to run job: unable to send message to qmaster.' >&2
exit 1
"""


@dataclass
class Farm:
    """A project on Grid Engine, whose commands can be made to fail."""

    project: Project
    cell: GridEngineCell
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def script(self, program: str) -> str:
        """Return what stands in the place of a scheduler's program."""
        return (self.project.root / "counted" / program).read_text()

    def write(self, program: str, script: str) -> None:
        """Put a script in the place of a scheduler's program."""
        path = self.project.root / "counted" / program
        made = path.with_suffix(".new")
        made.write_text(script)
        made.chmod(0o755)
        made.replace(path)

    @contextmanager
    def without_qmaster(self, program: str) -> Iterator[None]:
        """Let a program answer for a while as it does when the qmaster is away."""
        real = self.script(program)
        self.write(program, AWAY)
        yield
        self.write(program, real)

    def start(self, *words: str, job: str = "99") -> tuple[subprocess.Popen[str], Path]:
        """Start a daemon as if it ran in a job; return it with its log."""
        log = f"{words[0]}.log"
        process = self.project.start(*words, "--json", log=log, JOB_ID=job)
        self.started.append(process)
        return process, self.project.root / log

    def submit(self, *words: str) -> list[tuple[str, str]]:
        """Call osiris or anubis with --submit; return what it says it did to which."""
        shown = self.project.run(*words, "--submit", "--json").stdout
        return [(event["kind"], event["job"]) for event in events(shown)]

    def jobs(self) -> list[str]:
        """Return the names of the daemons' jobs in the queue."""
        return [name for name in names(self.cell) if name in ("Osiris", "Anubis")]


@pytest.fixture
def farm(grid_engine: GridEngineCell, tmp_path: Path) -> Iterator[Farm]:
    project = make_project(tmp_path / "project", ["06_334"])
    to_farm(project, grid_engine, poll_s=0.5)
    site = project.root / "configs" / "sites" / "farm.toml"
    site.write_text(site.read_text().replace(
        "[settings.environment]", "[settings]\ntimeout_s = 2\n\n[settings.environment]"
    ))  # fmt: skip
    made = Farm(project, grid_engine)
    yield made
    for process in made.started:  # of a test that failed
        process.kill()
        process.wait()

    def gone() -> bool:
        ask(grid_engine, "qdel", "Osiris", "Anubis", check=False)  # they may be gone
        return made.jobs() == []

    until(gone)


def said(log: Path, kind: str) -> list[dict[str, str]]:
    """Return the events of a kind; what is no event is an error's words."""
    assert "Traceback" not in log.read_text(), log.read_text()
    lines = [line for line in log.read_text().split("\n")[:-1] if line.startswith("{")]
    return [event for event in events("\n".join(lines)) if event["kind"] == kind]


def test_anubis_serves_under_its_own_name_where_it_cannot_be_renamed_in_time(farm):
    farm.write("qalter", "#!/bin/sh\nexec sleep 30\n")
    anubis, log = farm.start("anubis", "--in-batch", "60", "--heartbeat", "8")
    until(lambda: said(log, "took over"))
    until(lambda: said(log, "queued Anubis"))
    assert "qalter gave no answer" in said(log, "keeps its name")[0]["text"]
    assert anubis.poll() is None
    refused = farm.project.run("osiris", "--once", exit_code=3)
    assert "serves already" in refused.stderr
    anubis.send_signal(signal.SIGTERM)
    assert anubis.wait(30) == 0


def test_a_daemon_that_cannot_write_its_events_keeps_no_lease(farm):
    """It dies between taking the lease and its first turn."""
    done = farm.project.run("/bin/sh", "-c", "osiris --heartbeat 1000 > /dev/full", exit_code=None)
    assert done.returncode == 3, done.stderr
    farm.project.run("osiris", "--once")


def test_osiris_queues_the_next_anubis_when_the_scheduler_is_back(farm):
    with farm.without_qmaster("qsub"):
        anubis, log = farm.start("anubis", "--in-batch", "80", "--heartbeat", "3")
        until(lambda: said(log, "no Anubis"))
        assert said(log, "took over")
        assert farm.jobs() == []
    until(lambda: said(log, "queued Anubis"))
    assert farm.jobs() == ["Anubis"]
    anubis.send_signal(signal.SIGTERM)
    assert anubis.wait(30) == 0


def test_anubis_makes_way_no_sooner_than_a_fresh_one_is_queued(farm):
    osiris, served = farm.start("osiris", "--heartbeat", "3")
    until(lambda: said(served, "began"))
    with farm.without_qmaster("qsub"):
        anubis, log = farm.start("anubis", "--in-batch", "32", "--heartbeat", "3")
        until(lambda: said(log, "no Anubis"))
        assert anubis.poll() is None
    assert anubis.wait(60) == 0
    assert said(log, "queued Anubis")
    assert farm.jobs() == ["Anubis"]
    osiris.send_signal(signal.SIGTERM)
    assert osiris.wait(30) == 0


def test_anubis_that_could_queue_no_other_to_its_limit_says_so_by_its_exit_code(farm):
    osiris, served = farm.start("osiris", "--heartbeat", "3")
    until(lambda: said(served, "began"))
    with farm.without_qmaster("qsub"):
        anubis, log = farm.start("anubis", "--in-batch", "16", "--heartbeat", "3")
        assert anubis.wait(60) == 4
    assert len(said(log, "no Anubis")) == 1  # of many tries
    assert "no Anubis waits after this one: qsub ended with 1" in log.read_text()
    osiris.send_signal(signal.SIGTERM)
    assert osiris.wait(30) == 0


def test_submit_submits_what_is_missing_and_leaves_alone_what_stands(farm):
    words = ("osiris", "--for", "600", "--heartbeat", "8")
    both = ["Osiris", "Anubis"]
    assert farm.submit(*words, "-n") == [("would submit", name) for name in both]
    assert farm.jobs() == []
    assert farm.submit(*words) == [("submitted", name) for name in both]
    until(lambda: farm.jobs() == ["Anubis", "Osiris"])
    assert farm.submit(*words) == [("stands already", name) for name in both]
    assert farm.submit("anubis") == [("stands already", "Anubis")]
    assert len(farm.jobs()) == 2


def test_submit_sees_an_osiris_that_is_no_job_and_no_jobs_of_another_site(farm, tmp_path):
    osiris, served = farm.start("osiris", "--heartbeat", "30")
    until(lambda: said(served, "began"))
    elsewhere = tmp_path / "Anubis"
    elsewhere.mkdir()
    ask(farm.cell, "qsub", "-N", "Anubis", "-h", "-wd", str(elsewhere), "-b", "y", "/bin/true")
    assert farm.submit("osiris", "-n") == [("stands already", "Osiris"), ("would submit", "Anubis")]
    assert farm.submit("anubis", "-n") == [("would submit", "Anubis")]
    osiris.send_signal(signal.SIGTERM)
    assert osiris.wait(30) == 0


def test_anubis_at_the_end_of_its_wait_adds_none_to_a_younger_one(farm):
    osiris, served = farm.start("osiris", "--heartbeat", "30")
    until(lambda: said(served, "began"))
    assert farm.submit("anubis", "--for", "600") == [("submitted", "Anubis")]
    anubis, log = farm.start("anubis", "--in-batch", "8", "--heartbeat", "3", job="0")
    assert anubis.wait(60) == 0
    assert said(log, "queued Anubis")
    assert farm.jobs() == ["Anubis"]
    osiris.send_signal(signal.SIGTERM)
    assert osiris.wait(30) == 0


def test_an_anubis_that_the_scheduler_cannot_start_is_told_and_does_not_count(farm):
    osiris, served = farm.start("osiris", "--heartbeat", "30")
    until(lambda: said(served, "began"))
    ask(farm.cell, "qmod", "-d", "*")
    try:
        assert farm.submit("anubis", "--for", "600") == [("submitted", "Anubis")]
        [script] = farm.project.root.glob("work/jobs/.single/Anubis*")
        shutil.rmtree(script)
    finally:
        ask(farm.cell, "qmod", "-e", "*")
    until(lambda: "Eqw" in ask(farm.cell, "qstat"))
    shown = farm.project.run("anubis", "--submit", "-n", "--json").stdout
    stuck, wanted = events(shown)
    assert (stuck["kind"], stuck["job"], wanted["kind"]) == ("in error", "Anubis", "would submit")
    assert "can't chdir" in stuck["reason"]
    assert farm.submit("anubis", "--for", "600")[-1] == ("submitted", "Anubis")
    assert farm.jobs() == ["Anubis", "Anubis"]
    osiris.send_signal(signal.SIGTERM)
    assert osiris.wait(30) == 0


def test_of_two_that_submit_at_once_one_stands_back(farm):
    farm.write("qsub", "#!/bin/sh\nsleep 1\n" + farm.script("qsub").removeprefix("#!/bin/sh\n"))
    words = ("osiris", "--submit", "--for", "600")
    both = [farm.project.start(*words, log=f"{number}.log") for number in (1, 2)]
    assert sorted(it.wait(60) for it in both) == [0, 3]
    assert farm.jobs() == ["Anubis", "Osiris"]
