"""What an end is: late, doubtful and contradictory ones, told by an engine that is scripted.

The real engines cannot be brought to say these things at will.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from snfpipe import clock
from snfpipe.daemon.osiris import Event, Osiris
from snfpipe.db.models import Attempt
from snfpipe.engines.base import EngineOutcome, EngineState, Submission
from snfpipe.errors import Refused, ServiceUnavailable
from snfpipe.jobs.active import of_engine
from snfpipe.jobs.harvest import LATE, Harvester
from snfpipe.jobs.late_ends import note_late_ends
from snfpipe.states import State
from snfpipe.worker import ledger
from snfpipe.worker.spec import AttemptFolder, JobSpec
from tests.bench import Bench, night_of, unit_plan
from tests.jobs.test_many import pretend
from tests.manual_clock import ManualClock

A, B = night_of(1800), night_of(1801)
GRACE_S = 1.0


@dataclass
class Scripted:
    """An engine that says what a test tells it to say."""

    name: str = "scripted"
    grace_s: float = GRACE_S
    asks_scheduler: bool = False
    notices: tuple[str, ...] = ()
    queue: dict[str, EngineState] = field(default_factory=dict)
    accounting: dict[str, EngineOutcome] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)

    def capacity(self) -> int:
        return 100

    def submit(self, batch: Sequence[Submission]) -> dict[str, str]:
        taken = {job.token: f"id-{job.token}" for job in batch}
        self.queue |= dict.fromkeys(taken.values(), EngineState.QUEUED)
        return taken

    def refused(self, _engine_ids: Collection[str]) -> dict[str, str]:
        return {}

    def snapshot(self) -> Mapping[str, EngineState]:
        return dict(self.queue)

    def fill(self) -> None:
        pass

    def find(self, tokens: Collection[str]) -> dict[str, str]:
        return {token: it for token, it in self.elsewhere.items() if token in tokens}

    def folders(self, _engine_ids: Collection[str]) -> dict[str, Path]:
        return {}

    def outcomes(self, engine_ids: Collection[str]) -> dict[str, EngineOutcome]:
        return {it: self.accounting[it] for it in engine_ids if it in self.accounting}

    def cancel(self, engine_ids: Collection[str]) -> None:
        for engine_id in engine_ids:
            self.queue.pop(engine_id, None)

    def hold(self, _engine_ids: Collection[str]) -> None:
        raise Refused("what is scripted cannot be held")

    def release(self, _engine_ids: Collection[str]) -> None:
        raise Refused("what is scripted cannot be held")


@dataclass
class ScriptedBench(Bench):
    """A bench whose engine a test tells what to say."""

    engine: Scripted


@pytest.fixture
def scripted(sqlite_bench: Bench, manual_clock: ManualClock) -> ScriptedBench:
    return ScriptedBench(sqlite_bench.project, sqlite_bench.database, Scripted())


def submit(bench: ScriptedBench, unit: str = A) -> JobSpec:
    """Claim and submit a unit; it is taken out of the queue at once, without a trace."""
    [spec] = bench.claim([unit_plan(unit)]).claimed
    submitter = bench.submitter()
    submitter.add([spec])
    submitter.send()
    bench.engine.queue.clear()
    clock.sleep(1)  # a snapshot tells only of what was submitted before it
    return spec


def says(bench: ScriptedBench, spec: JobSpec, **outcome: Any) -> None:
    """Let the accounting have an end."""
    bench.engine.accounting[f"id-{spec.token}"] = EngineOutcome(**outcome)


def give_up(harvester: Harvester) -> None:
    """Miss the jobs that left no trace for their whole grace."""
    assert harvester.look() == []
    clock.sleep(GRACE_S)
    assert [str(it.state) for it in harvester.look()] == ["lost"]


def test_a_job_without_a_trace_is_lost_after_the_grace_and_not_before(scripted, manual_clock):
    submit(scripted)
    harvester = scripted.harvester()
    assert harvester.look() == []
    manual_clock.move(0.75 * GRACE_S)
    assert harvester.look() == []
    assert scripted.job(A).state == State.QUEUED
    manual_clock.move(0.25 * GRACE_S)
    [finished] = harvester.look()
    assert finished.state is State.LOST
    assert "no trace" in finished.reason


@pytest.mark.parametrize("told", [None, {"exit_status": 0}])
def test_one_turn_of_osiris_waits_for_the_grace_and_gives_its_lease_back(scripted, told):
    spec = submit(scripted)
    if told:
        says(scripted, spec, **told)
    said: list[Event] = []
    osiris = Osiris(scripted.project, scripted.database, scripted.engine, said.append)
    osiris.begin()
    began = clock.monotonic()
    osiris.once()
    assert GRACE_S <= clock.monotonic() - began < GRACE_S + 2 * scripted.project.site.poll_s
    assert [event.state for event in said if event.kind == "finished"] == ["lost"]
    again = Osiris(scripted.project, scripted.database, scripted.engine, said.append)
    again.begin()
    began = clock.monotonic()
    again.once()  # of what is finished there is no doubt
    assert clock.monotonic() == began


def test_an_osiris_that_ends_by_an_error_gives_its_lease_back(scripted, monkeypatch):
    submit(scripted)

    def fail() -> None:
        raise ServiceUnavailable("qmaster does not answer")

    monkeypatch.setattr(scripted.engine, "snapshot", fail)
    osiris, heir = (
        Osiris(scripted.project, scripted.database, scripted.engine, lambda _event: None)
        for _n in range(2)
    )
    osiris.begin()
    with pytest.raises(ServiceUnavailable):
        osiris.once()
    heir.begin()


def test_a_disk_that_gives_errors_is_waited_for(scripted, monkeypatch):
    submit(scripted)
    said: list[Event] = []
    osiris = Osiris(
        scripted.project, scripted.database, scripted.engine, said.append,
        heartbeat_s=3, limit_s=9,
    )  # fmt: skip
    look: Callable[[], Mapping[str, EngineState]] = scripted.engine.snapshot
    broken = [OSError(5, "Input/output error", "/archive")] * 4

    def snapshot() -> Mapping[str, EngineState]:
        if broken:
            raise broken.pop()
        return look()

    monkeypatch.setattr(scripted.engine, "snapshot", snapshot)
    osiris.begin()
    osiris.serve()
    kinds = [event.kind for event in said]
    assert kinds == ["began", "service away", "service back", "finished", "stopped"]
    assert "/archive" in said[1].text


def test_a_job_that_was_there_again_has_its_whole_grace_anew(scripted):
    spec = submit(scripted)
    harvester = scripted.harvester()
    assert harvester.look() == []
    scripted.engine.queue[f"id-{spec.token}"] = EngineState.QUEUED
    clock.sleep(GRACE_S)
    assert harvester.look() == []
    scripted.engine.queue.clear()
    assert harvester.look() == []
    clock.sleep(GRACE_S / 2)
    assert harvester.look() == []
    clock.sleep(GRACE_S)
    assert [str(it.state) for it in harvester.look()] == ["lost"]


def test_what_has_ended_is_settled_while_nothing_can_be_submitted(scripted, monkeypatch):
    """The claim of a process that is gone has to be submitted, and the engine does not answer."""
    ended = submit(scripted)
    says(scripted, ended, exit_status=3)
    [orphan] = scripted.claim([unit_plan(B)]).claimed
    dead = {"claimed_by": {"host": "elsewhere", "process": "1:1"}}
    gone = sa.update(Attempt).where(Attempt.token == orphan.token).values(
        engine="scripted", environment=dead, claimed_at=clock.utc_now() - timedelta(days=1)
    )  # fmt: skip
    scripted.database.transact(lambda session: session.execute(gone))

    def away(_batch: Sequence[Submission]) -> dict[str, str]:
        raise ServiceUnavailable("nobody takes jobs")

    monkeypatch.setattr(scripted.engine, "submit", away)
    said: list[Event] = []
    osiris = Osiris(scripted.project, scripted.database, scripted.engine, said.append)
    osiris.begin()
    with pytest.raises(ServiceUnavailable, match="nobody takes jobs"):
        osiris.once()
    assert [(it.unit, it.state) for it in said if it.kind == "finished"] == [(A, "failed")]
    assert scripted.job(B).state == State.CLAIMED


def test_accounting_that_comes_within_the_grace_is_waited_for(scripted):
    spec = submit(scripted)
    harvester = scripted.harvester()
    assert harvester.look() == []
    clock.sleep(GRACE_S / 2)  # the grace is twice this delay
    says(scripted, spec, exit_status=None, signal=9, host="worker")
    [finished] = harvester.look()
    assert finished.state is State.KILLED
    assert "SIGKILL" in finished.reason
    rows = scripted.rows("SELECT signal, host FROM attempt")
    assert rows == [(9, "worker")]


def test_a_failed_start_beside_exit_status_0_is_a_failure(scripted):
    spec = submit(scripted)
    says(scripted, spec, exit_status=0, failure="failed 21: in recognizing job")
    [finished] = scripted.harvester().look()
    assert finished.state is State.FAILED
    assert "in recognizing job" in finished.reason


def test_failed_starts_alone_are_no_end_but_the_reason_of_the_loss(scripted):
    spec = submit(scripted)
    says(scripted, spec, failure="failed 1: assumedly before job", final=False)
    harvester = scripted.harvester()
    assert harvester.look() == []
    clock.sleep(GRACE_S)
    [finished] = harvester.look()
    assert finished.state is State.LOST
    assert "assumedly before job" in finished.reason


def test_a_good_end_without_a_ledger_is_lost_only_after_the_grace(scripted):
    spec = submit(scripted)
    says(scripted, spec, exit_status=0)
    harvester = scripted.harvester()
    assert harvester.look() == []
    assert scripted.job(A).state == State.ENDED
    pretend(spec)  # a slow file system shows what the job left
    [finished] = harvester.look()
    assert finished.state is State.DONE
    scripted.hold_together()


def test_what_was_noted_is_settled_by_another_without_the_accounting(scripted):
    spec = submit(scripted)
    says(scripted, spec, exit_status=3, host="worker")
    assert len(scripted.harvester().note()) == 1
    scripted.engine.accounting.clear()  # rotated away
    [finished] = scripted.harvester().look()
    assert finished.state is State.FAILED
    assert "status 3" in finished.reason


def test_a_late_end_of_the_current_attempt_corrects_its_loss(scripted):
    spec = submit(scripted)
    harvester = scripted.harvester()
    give_up(harvester)
    assert scripted.job(A).state == State.LOST
    since = clock.utc_now() - LATE
    assert harvester.look(since) == []
    AttemptFolder.of(spec).taken.unlink()  # it had begun; only its host was out of reach
    pretend(spec)
    [finished] = harvester.look(since)
    assert finished.state is State.DONE
    assert scripted.count("SELECT count(*) FROM expected WHERE failure IS NOT NULL") == 0
    scripted.hold_together()
    assert harvester.look(since) == []


def test_a_late_word_of_the_accounting_corrects_a_loss(scripted):
    spec = submit(scripted)
    harvester = scripted.harvester()
    give_up(harvester)
    says(scripted, spec, exit_status=1, host="worker")
    [finished] = harvester.look(clock.utc_now() - LATE)
    assert finished.state is State.FAILED
    assert scripted.rows("SELECT outcome, exit_status FROM attempt") == [("failed", 1)]


def test_a_late_end_of_an_older_attempt_is_told_once_and_never_registered(scripted):
    old = submit(scripted)
    harvester = scripted.harvester()
    give_up(harvester)
    with scripted.database.write() as session:
        session.execute(sa.text("UPDATE job SET state = 'created'"))
    new = submit(scripted)
    AttemptFolder.of(old).taken.unlink()
    pretend(old)
    said: list[Event] = []
    osiris = Osiris(scripted.project, scripted.database, scripted.engine, said.append)
    osiris.begin()
    osiris.cycle()
    [late] = [event for event in said if event.kind == "late end"]
    assert late.job == old.job
    assert "nothing of it is registered" in late.text
    rows = scripted.rows("SELECT outcome, reason FROM attempt ORDER BY number")
    assert rows[0][0] == "lost"
    assert "attempt 2 had taken its place" in rows[0][1]
    whose = of_engine(scripted.engine)
    site = scripted.project.site
    assert note_late_ends(scripted.database, site, whose, clock.utc_now() - LATE) == []
    pretend(new)
    osiris.cycle()
    assert scripted.job(A).state == State.DONE
    assert scripted.rows("SELECT count(*) FROM attempt WHERE outcome = 'done'") == [(1,)]
    scripted.hold_together()


def test_an_attempt_that_found_its_unit_taken_does_not_end_the_one_that_took_it(scripted):
    spec = submit(scripted)
    path = AttemptFolder.of(spec).ledger
    ledger.append(path, "starting", host="elsewhere", process="1:1")
    ledger.append(path, "superseded", host="worker", pid=1)
    says(scripted, spec, exit_status=75)
    harvester = scripted.harvester()
    assert harvester.look() == []
    records: list[ledger.Record] = [
        {"kind": "accounted", "missing": {}},
        {"kind": "ending", "exit_status": 0},
    ]
    ledger.append_all(path, records)
    [finished] = harvester.look()
    assert finished.state is State.DONE


def test_a_job_that_the_engine_has_under_another_id_is_found_before_it_is_given_up(scripted):
    spec = submit(scripted)
    scripted.engine.elsewhere = {spec.token: "other"}
    scripted.engine.queue = {"other": EngineState.RUNNING}
    harvester = scripted.harvester()
    harvester.look()
    clock.sleep(GRACE_S)
    for _turn in range(3):
        assert harvester.look() == []
    assert scripted.rows("SELECT engine_id FROM attempt") == [("other",)]


def test_ends_of_all_kinds_are_noted_by_few_statements(scripted):
    """A hundred times as many jobs take no more statements."""
    counts = []
    for nights in ([A], [night_of(number) for number in range(1801, 1804)]):
        specs = [submit(scripted, night) for night in nights]
        for spec in specs:
            says(scripted, spec, exit_status=1)
        statements: list[str] = []
        listen = (scripted.database.engine, "before_cursor_execute")

        def count(*given, into=statements):
            into.append(given[2])

        sa.event.listen(*listen, count)
        scripted.harvester().look()
        sa.event.remove(*listen, count)
        counts.append(len(statements))
    assert counts[0] == counts[1]
