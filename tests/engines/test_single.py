"""What a single job such as Osiris is given by the scheduler: at least the time it asked for."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snfpipe.engines.settings import Settings
from snfpipe.engines.single import Queued, Single, parse_squeue, qsub, sbatch

SECONDS = st.floats(0.1, 30 * 86400)


def job(wall_s: float | None) -> Single:
    return Single("Osiris", Path("/jobs/Osiris.sh"), Path("/jobs/Osiris.log"), wall_s=wall_s)


@given(SECONDS)
def test_slurm_warns_a_job_no_sooner_than_its_time_is_up_and_at_most_a_minute_late(wall_s):
    words = " ".join(sbatch(job(wall_s), Settings.of({})))
    (minutes,) = map(int, re.findall(r"--time=(\d+)", words))
    (warned_s,) = map(int, re.findall(r"--signal=B:TERM@(\d+)", words))
    assert wall_s <= 60 * minutes - warned_s < wall_s + 60


@given(SECONDS)
def test_grid_engine_gives_a_job_the_time_it_asked_for_to_the_second(wall_s):
    words = qsub(job(wall_s), Settings.of({}))
    assert f"h_rt={math.ceil(wall_s)}" in words


@pytest.mark.parametrize(("build", "limit"), [(qsub, "h_rt"), (sbatch, "--time")])
def test_a_job_that_asks_for_no_time_has_no_limit(build, limit):
    assert not any(limit in word for word in build(job(None), Settings.of({})))


def test_jobs_that_squeue_lists_are_found_with_their_folders_oldest_first():
    text = "12|Anubis|/w/.single/Anubis.1\n7|Osiris|/a b/.single/Osiris.2\nslurm_load_jobs: late\n"
    assert parse_squeue(text) == [
        Queued(7, "Osiris", Path("/a b/.single/Osiris.2")),
        Queued(12, "Anubis", Path("/w/.single/Anubis.1")),
    ]
