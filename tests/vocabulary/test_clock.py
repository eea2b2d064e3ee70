"""The one clock: what it says, and that a test moves all of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from snfpipe import clock


def test_the_time_of_day_is_utc_without_a_time_zone():
    before = datetime.now(UTC).replace(tzinfo=None)
    moment = clock.utc_now()
    assert moment.tzinfo is None
    assert before - timedelta(microseconds=1) <= moment
    assert moment <= datetime.now(UTC).replace(tzinfo=None) + timedelta(microseconds=1)


def test_a_sleep_lets_the_monotonic_time_pass():
    began = clock.monotonic()
    clock.sleep(0.01)
    assert clock.monotonic() - began >= 0.01


def test_a_moved_clock_moves_every_time_there_is(manual_clock):
    moment, began = clock.utc_now(), clock.monotonic()
    assert (clock.utc_now(), clock.monotonic()) == (moment, began)
    manual_clock.move(3600)
    clock.sleep(60)
    assert clock.utc_now() - moment == timedelta(seconds=3660)
    assert clock.monotonic() - began == 3660
