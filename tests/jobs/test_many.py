"""Many jobs: planned in one transaction, ended at once, registered by one while others write."""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path

import sqlalchemy as sa

from snfpipe.db.session import open_database
from snfpipe.states import State
from snfpipe.storage import archive
from snfpipe.worker import ledger
from snfpipe.worker.accountant import account
from snfpipe.worker.script import write_attempt
from snfpipe.worker.spec import AttemptFolder, JobSpec
from snfpipe.worker.starting import take
from tests.bench import Bench, make_bench, night_of, unit_plan

MANY = 360


def pretend(spec: JobSpec) -> None:
    """Leave behind what a job leaves that has just ended: ledger and incoming products."""
    folder = write_attempt(spec)
    folder.work.mkdir()
    assert take(folder, "job")
    ledger.append(folder.ledger, "starting", host="worker", process="")
    with (folder.work / "results.jsonl").open("w") as results:
        for item in spec.worklist():
            for name in item["outputs"].values():
                (folder.work / name).write_text(f"SIMPLE  = {spec.unit} {name}".ljust(2880))
            outputs = list(item["outputs"])
            results.write(json.dumps({"item": item["item"], "ok": True, "outputs": outputs}) + "\n")
    place = archive.incoming(Path(spec.archive), spec.token)
    ledger.append_all(folder.ledger, account(spec, folder.work, [], place))
    ledger.append_all(
        folder.ledger,
        [{"kind": "ending", "exit_status": 0},
         {"kind": "end", "exit_status": 0, "signal": None, "limit": "", "cpu_s": 0.1,
          "memory_mb": 10.0}],
    )  # fmt: skip


def keep_writing(url: str, stop: Event) -> None:
    """Write as other tools do, all the time."""
    database = open_database(url)
    while not stop.is_set():
        database.transact(
            lambda session: session.execute(sa.text("UPDATE run SET type = 'SPECTRED'"))
        )
        time.sleep(0.005)


def test_360_jobs_that_end_at_once_are_registered_while_others_write(tmp_path):
    url = f"sqlite:///{tmp_path}/snfpipe.db"
    bench = make_bench(tmp_path, url, nights=MANY)
    plans = [unit_plan(night_of(number)) for number in range(1800, 1800 + MANY)]
    began = time.monotonic()
    planned = bench.claim(plans)
    print(
        f"planned {MANY} jobs of {len(plans[0].expected)} products "
        f"in {time.monotonic() - began:.2f} s"
    )
    assert len(planned.claimed) == MANY
    for spec in planned.claimed:
        pretend(spec)
    with bench.database.write() as session:
        session.execute(sa.text("UPDATE job SET state = 'queued'"))
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    writers = [context.Process(target=keep_writing, args=(url, stop)) for _n in range(3)]
    for writer in writers:
        writer.start()
    began = time.monotonic()
    finished = bench.harvester().look()
    print(f"registered {MANY} jobs in {time.monotonic() - began:.2f} s")
    stop.set()
    for writer in writers:
        writer.join(timeout=90)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert {job.state for job in finished} == {State.DONE}
    assert len(finished) == MANY
    assert len(bench.live()) == MANY * 9
    bench.hold_together()
    bench.database.close()


def test_the_folder_of_an_attempt_has_the_familiar_names(sqlite_bench):
    [spec] = sqlite_bench.claim([unit_plan(night_of(1800))]).claimed
    folder = write_attempt(spec)
    before = folder.script.read_text()
    write_attempt(spec)  # again, as after a crash
    assert folder.script.read_text() == before
    link = folder.job_folder / f"{spec.job}.sh"
    assert link.is_symlink()
    assert link.read_text() == before
    assert AttemptFolder.at(folder.path) == folder
    assert folder.load() == spec


def test_two_productions_claimed_at_the_same_moment_are_promised_different_names(bench):
    plans = [unit_plan(night_of(1800 + number)) for number in range(4)]
    step = replace(bench.step, prefix="OTHER", production="SNF-0203-OTHERc")
    other = replace(bench, project=replace(bench.project, steps=(step,)))
    barrier = threading.Barrier(2)

    def claim(who: Bench) -> list[str]:
        barrier.wait()
        claimed = who.claim(plans).claimed
        return [str(product.name) for spec in claimed for product in spec.products]

    with ThreadPoolExecutor(2) as both:
        one, two = both.map(claim, (bench, other))
    assert one and len(one) == len(two)
    assert not set(one) & set(two)
