"""Many rows changed by one statement, on both databases."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from snfpipe.db import store
from snfpipe.db.models import Attempt, Job
from snfpipe.db.session import Database

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678)
LATER = datetime(2026, 1, 2, 3, 4, 6)
ODD = 'it\'s "odd" \\ \n é \U0001f30c {}'


def make_jobs(database: Database, count: int) -> None:
    with database.write() as session:
        production = {"name": "P", "meta_prefix": "", "version": "SNF-02-03", "number": 203,
                      "prefix": "P", "plan": "p", "unit_kind": "night"}  # fmt: skip
        [ident] = store.ensure_productions(session, [production | {"outver": None}]).values()
        jobs = [{"id": n, "production_id": ident, "unit": f"u{n}", "unit_kind": "night",
                 "name": f"j{n}", "folder": f"f{n}", "state": "running", "token": f"t{n}",
                 "created": MOMENT, "updated": MOMENT} for n in range(1, count + 1)]  # fmt: skip
        store.insert(session, Job, jobs)
        attempts = [{"token": f"t{n}", "job_id": n, "number": 1, "engine": "local",
                     "claimed_at": MOMENT} for n in range(1, count + 1)]  # fmt: skip
        store.insert(session, Attempt, attempts)


def test_every_row_gets_its_own_values_of_any_type(database):
    make_jobs(database, 3)
    rows = [
        {"token": f"t{n}", "ended_at": MOMENT if n < 3 else None, "cpu_s": n / 4, "reason": ODD,
         "exit_status": None if n == 1 else n, "environment": {"a": [n, None, {"b": ODD}]}}
        for n in (1, 2, 3)
    ]  # fmt: skip
    with database.write() as session:
        store.update_rows(session, Attempt, rows, ["token"])
    with database.read() as session:
        found = {it["token"]: it for it in session.execute(sa.select(Attempt.__table__)).mappings()}
    for row in rows:
        assert {name: found[row["token"]][name] for name in row} == row


def test_a_row_that_does_not_match_or_fulfil_the_condition_stays(database):
    make_jobs(database, 4)
    with database.write() as session:
        session.execute(sa.update(Job).where(Job.id == 2).values(state="done"))
    rows = [
        {"id": n, "token": "other" if n == 3 else f"t{n}", "state": "ended", "updated": LATER}
        for n in (1, 2, 3)
    ]
    with database.write() as session:
        store.update_rows(session, Job, rows, ["id", "token"], Job.state == "running")
        store.update_rows(session, Job, [], ["id"])
    with database.read() as session:
        found = session.execute(sa.select(Job.id, Job.state, Job.updated).order_by(Job.id)).all()
    assert found == [
        (1, "ended", LATER), (2, "done", MOMENT), (3, "running", MOMENT), (4, "running", MOMENT)
    ]  # fmt: skip


def test_more_rows_than_a_statement_takes_parameters(database):
    make_jobs(database, 12_000)
    rows = [{"id": n, "reason": f"r{n}"} for n in range(1, 12_001)]
    with database.write() as session:
        store.update_rows(session, Job, rows, ["id"])
    with database.read() as session:
        own = sa.literal("r") + sa.cast(Job.id, sa.String)
        count = sa.select(sa.func.count()).select_from(Job)
        assert session.scalar(count.where(Job.reason == own)) == 12_000


def test_rows_of_many_values_come_once_each_in_order_however_few_are_asked_for_at_a_time(database):
    make_jobs(database, 7)
    names = sa.select(Job.name, Job.id)
    wanted = [6, 2, 2, 7, 99, 1]
    with database.read() as session:
        for size in (1, 2, 100):
            found = list(store.rows_in(session, names, Job.id, wanted, size))
            assert found == [("j1", 1), ("j2", 2), ("j6", 6), ("j7", 7)]
            assert list(store.scalars_in(session, names, Job.id, wanted, size)) == [
                "j1", "j2", "j6", "j7",
            ]  # fmt: skip
        assert list(store.rows_in(session, names, Job.id, [])) == []


def test_only_the_rows_of_the_values_are_changed(database):
    make_jobs(database, 5)
    with database.write() as session:
        ended = sa.update(Job).where(Job.id < 5).values(state="ended")
        store.change_in(session, ended, Job.id, [2, 4, 5, 2])
        store.change_in(session, sa.delete(Attempt), Attempt.job_id, range(3, 9))
        store.change_in(session, sa.delete(Attempt), Attempt.job_id, [])
    with database.read() as session:
        query = sa.select(Job.id).where(Job.state == "ended").order_by(Job.id)
        assert list(session.scalars(query)) == [2, 4]
        assert list(session.scalars(sa.select(Attempt.job_id).order_by(Attempt.job_id))) == [1, 2]
