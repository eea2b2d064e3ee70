"""Daemons over the small survey of the tests of jobs, and a witness of what they finish."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import sqlalchemy as sa

from snfpipe.states import FINISHED
from tests.bench import Bench

SOURCE = Path(__file__).parents[2]
HEARTBEAT_S = 2.0
SCHEMA = json.loads((SOURCE / "docs/schemas/osiris.json").read_text())


@dataclass
class Daemon:
    """A process and the file that its events go to."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def events(self) -> list[dict[str, Any]]:
        lines = self.log.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def said(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)


@dataclass
class Daemons:
    """Starts daemons over a bench; whatever still runs at the end is killed."""

    folder: Path
    started: list[Daemon] = field(default_factory=list)

    def start(self, who: str, bench: Bench, **environment: str) -> Daemon:
        log = self.folder / f"{who}-{len(self.started)}.log"
        url = bench.database.url.render_as_string(hide_password=False).replace("+psycopg2", "")
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.daemon.serve", who, str(bench.project.root), url,
                 str(HEARTBEAT_S)],
                cwd=SOURCE, env=os.environ | environment, stdout=file, stderr=file,
            )  # fmt: skip
        self.started.append(Daemon(process, log))
        return self.started[-1]


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Daemons]:
    made = Daemons(tmp_path)
    yield made
    for daemon in made.started:
        daemon.kill()


def events(text: str) -> list[dict[str, str]]:
    """Return what lines of osiris --json say; each is as the schema has it."""
    found = [json.loads(line) for line in text.splitlines()]
    for event in found:
        jsonschema.validate(event, SCHEMA)
    return found


def until(holds: Callable[[], Any], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def watch_settling(bench: Bench) -> None:
    """Let the database itself note each time that a job comes to a finished state."""
    finished = ", ".join(f"'{state}'" for state in sorted(FINISHED))
    condition = f"NEW.state IN ({finished}) AND OLD.state NOT IN ({finished})"
    with bench.database.write() as session:
        session.execute(sa.text("CREATE TABLE witness (job TEXT, state TEXT)"))
        if bench.database.dialect == "sqlite":
            session.execute(sa.text(
                f"CREATE TRIGGER witness AFTER UPDATE OF state ON job WHEN {condition} "
                "BEGIN INSERT INTO witness VALUES (NEW.name, NEW.state); END"
            ))  # fmt: skip
        else:
            session.execute(sa.text(
                "CREATE FUNCTION witness() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN INSERT INTO witness VALUES (NEW.name, NEW.state); RETURN NEW; END $$"
            ))  # fmt: skip
            session.execute(sa.text(
                f"CREATE TRIGGER witness AFTER UPDATE OF state ON job FOR EACH ROW "
                f"WHEN ({condition}) EXECUTE FUNCTION witness()"
            ))  # fmt: skip


def times_settled(bench: Bench) -> Counter[str]:
    """Return how often each job was finished."""
    return Counter(job for (job,) in bench.rows("SELECT job FROM witness"))


def launch(bench: Bench, units: list[str], **told: Any) -> None:
    """Claim and submit units, and look after them no more."""
    from tests.bench import unit_plan

    told_bench = bench.told(**told)
    submitter = told_bench.submitter()
    submitter.add(told_bench.claim([unit_plan(unit) for unit in units]).claimed)
    submitter.send()
