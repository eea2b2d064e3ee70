"""What only the local engine holds: its slots are locks, and a job is its processes."""

from __future__ import annotations

import os
import signal

from tests.contract.places import Place
from tests.jobs.attempts import has_record, make_attempt, record, submission


def test_a_script_outlives_its_wrapper_and_keeps_its_slot(tmp_path):
    place = Place("local", tmp_path, grace_s=0, pause_s=0.02)
    folder = make_attempt(place.root, "sleep 1; echo survived")
    engine = place.make()
    [engine_id] = engine.submit([submission(folder)]).values()
    place.wait_until(lambda: has_record(folder, "program"))
    os.kill(int(engine_id.partition(":")[0]), signal.SIGKILL)
    assert list(engine.snapshot()) == [engine_id]
    place.wait_until_empty(engine)
    assert record(folder, "ending")["exit_status"] == 0
