"""A lease is held by one, and passes on when it runs out or is given back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from snfpipe.db import lease


def test_a_lease_is_held_by_one_until_it_runs_out_or_is_given_back(database, manual_clock):
    take = partial(lease.take, name="osiris")
    assert database.transact(lambda s: take(s, holder="first", seconds=60))
    assert not database.transact(lambda s: take(s, holder="second", seconds=60))
    assert database.transact(lambda s: take(s, holder="first", seconds=5)), "renewed"
    with database.read() as session:
        assert lease.holder_of(session, "osiris") == "first"
        assert lease.holder_of(session, "another") is None
    manual_clock.move(5.5)
    assert database.transact(lambda s: take(s, holder="second", seconds=60))
    database.transact(lambda s: lease.release(s, "osiris", "first"))
    assert not database.transact(lambda s: take(s, holder="first", seconds=60))
    database.transact(lambda s: lease.release(s, "osiris", "second"))
    assert database.transact(lambda s: take(s, holder="first", seconds=60))


def test_of_many_who_ask_at_once_one_gets_it(database):
    def ask(number: int) -> bool:
        work = partial(lease.take, name="cap", holder=f"holder-{number}", seconds=60)
        taken: bool = database.transact(work)
        return taken

    with ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(ask, range(24))) == 1
