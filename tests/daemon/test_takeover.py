"""Osiris killed and its lease taken over: no job missed, none finished twice."""

from __future__ import annotations

import random
import time
from functools import partial

import pytest

from snfpipe.daemon.osiris import Event, Osiris, lease_name
from snfpipe.db import lease
from snfpipe.errors import Refused
from snfpipe.states import State
from tests.bench import Bench, make_bench, night_of
from tests.daemon.conftest import launch, times_settled, until, watch_settling

UNITS = [night_of(number) for number in range(1800, 1806)]
POINTS = [
    "harvest:after-note", "register:before-links", "register:after-links",
    "register:after-commit", "manifest:before-rename", "osiris:before-report",
]  # fmt: skip
LEAVE_WORK = POINTS[:4]
ACTIVE = ("SELECT count(*) FROM job WHERE state IN "
           "('claimed', 'held', 'queued', 'queue error', 'running', 'ended')")  # fmt: skip


def check(bench: Bench, units: list[str]) -> None:
    """Hold that every job was finished once, whole, and is there for its readers."""
    until(lambda: bench.count(ACTIVE) == 0)
    assert times_settled(bench) == {bench.job(unit).name: 1 for unit in units}
    assert {bench.job(unit).state for unit in units} == {State.DONE}
    assert {bench.job(unit).attempts for unit in units} == {1}
    assert len(bench.live()) == len(units) * 9


def test_osiris_killed_at_any_point_is_followed_by_anubis(postgresql, tmp_path, daemons):
    """Each daemon is killed at another point; the next, which waits, finishes its work."""
    bench = make_bench(tmp_path, postgresql.new_database(), nights=6)
    watch_settling(bench)
    serving = daemons.start("osiris", bench, SNF_KILL_AT=POINTS[0])
    until(lambda: serving.said("began"))
    units = []
    for turn, point in enumerate(POINTS, 1):
        passed = 2 if point in LEAVE_WORK else 1  # the next one passes its own point over that
        following = {"SNF_KILL_AT": f"{POINTS[turn]}@{passed}"} if turn < len(POINTS) else {}
        waiting = daemons.start("anubis", bench, **following)
        units.append(UNITS[turn - 1])
        launch(bench, units[-1:])
        assert serving.process.wait(60) == -9, point
        until(partial(waiting.said, "took over"))
        check(bench, units)
        serving = waiting
    assert serving.stop() == 0
    bench.hold_together()
    bench.database.close()


def test_osiris_killed_again_and_again_misses_no_job_and_settles_none_twice(tmp_path, daemons):
    bench = make_bench(tmp_path, f"sqlite:///{tmp_path}/snfpipe.db", nights=12, slots=12)
    units = [night_of(number) for number in range(1800, 1812)]
    watch_settling(bench)
    chance = random.Random(5)
    serving = daemons.start("osiris", bench)
    until(lambda: serving.said("began"))
    for turn in range(4):
        waiting = daemons.start("anubis", bench)
        launch(bench, units[3 * turn : 3 * turn + 3], sleep_s=0.2)
        time.sleep(chance.uniform(0.1, 1.5))
        serving.kill()
        until(partial(waiting.said, "took over"))
        serving = waiting
    check(bench, units)
    assert serving.stop() == 0
    bench.hold_together()
    bench.database.close()


def test_only_one_osiris_serves_and_one_that_was_silent_for_too_long_stops(
    sqlite_bench, manual_clock
):
    bench = sqlite_bench
    one, other = (Osiris(bench.project, bench.database, bench.engine, lambda _event: None,
                         heartbeat_s=1) for _n in range(2))  # fmt: skip
    one._me, other._me = "host one", "host other"
    one.begin()
    with pytest.raises(Refused, match="host one"):
        other.begin()
    manual_clock.move(1.1)
    other.begin()
    with pytest.raises(Refused, match="took over"):
        one.serve()
    with bench.database.read() as session:
        assert lease.holder_of(session, lease_name("local")) == "host other"


def test_osiris_hands_over_at_the_end_of_its_time_without_waiting_for_the_heartbeat(
    sqlite_bench, manual_clock
):
    bench = sqlite_bench
    said: list[Event] = []
    one = Osiris(bench.project, bench.database, bench.engine, said.append,
                 heartbeat_s=1000, limit_s=0.5)  # fmt: skip
    one.begin()
    one.serve()
    assert said[-1].kind == "stopped"
    other = Osiris(bench.project, bench.database, bench.engine, said.append, limit_s=20)
    assert other.wait()


def test_osiris_goes_on_when_its_database_comes_back(postgresql, tmp_path, daemons):
    bench = make_bench(tmp_path, postgresql.new_database())
    watch_settling(bench)
    osiris = daemons.start("osiris", bench)
    until(lambda: osiris.said("began"))
    units = UNITS[:4]
    launch(bench, units, sleep_s=1.5)
    with postgresql.away():
        until(lambda: osiris.said("service away"), 30)
        until(lambda: not bench.engine.snapshot())  # the jobs end meanwhile
    until(lambda: osiris.said("service back"))
    check(bench, units)
    assert osiris.stop() == 0
    bench.hold_together()
    bench.database.close()
