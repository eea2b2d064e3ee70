"""Rows as a stream, twice live, changed and changed back: the same on both databases."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from snfpipe.db import store
from snfpipe.db.models import File, Process
from snfpipe.db.session import Database
from snfpipe.errors import Refused
from snfpipe.reconcile.repair import RowChange
from snfpipe.reconcile.repair_rows import change_rows, hold_rows, reversed_rows
from snfpipe.reconcile.rows import live_twice, twice_named
from snfpipe.reconcile.stream import Difference, differences, registered

PATHS = ["a-b/x", "a.x", "a/b", "a/b-c/d", "a/b.c", "a/b0", "Z", "a", "ä/ö", "z", "_", "a b", "A/x"]
PRODUCT = "63340010034022000020300"  # and the last digit of its index


@pytest.fixture
def filled(database):
    """A database with a product of two live generations, and files of it."""
    with database.write() as session:
        store.insert(session, Process, [process(0), process(1), process(2, "superseded")])
        rows = [
            {"name": f"n{n}", "area": "archive", "path": path, "size": n, "checksum": f"{n:064}",
             "id_process": f"{PRODUCT}0", "role": f"r{n}", "night": "06_334"}
            for n, path in enumerate(PATHS)
        ]  # fmt: skip
        store.insert(session, File, [*rows, rows[0] | {"area": "raw", "path": "b", "name": "raw"}])
    return database


def process(index: int, state: str = "live") -> dict[str, Any]:
    return {"id_process": f"{PRODUCT}{index}", "fclass": 22, "xfclass": 0, "channel": 4,
            "version": 203, "idx": index, "night": "06_334", "state": state}  # fmt: skip


@pytest.mark.services
@pytest.mark.parametrize("page", [1, 4, 100])
def test_rows_come_in_the_order_of_their_bytes_whatever_the_page(filled, monkeypatch, page):
    monkeypatch.setattr("snfpipe.reconcile.stream._PAGE", page)
    expected = sorted(((path, n) for n, path in enumerate(PATHS)), key=lambda it: it[0].encode())
    counted: list[int] = []
    assert list(registered(filled, counted.append)) == expected
    assert sum(counted) == len(PATHS)


def test_differences_are_told_by_side():
    left = [("a", 1), ("b", 2), ("c", 3), ("e", 5)]
    right = [("b", 2), ("c", 4), ("d", 4), ("f", 6)]
    same: list[str] = []
    assert list(differences(iter(left), iter(right), same.append)) == [
        Difference("a", 1, None), Difference("c", 3, 4), Difference("d", None, 4),
        Difference("e", 5, None), Difference("f", None, 6),
    ]  # fmt: skip
    assert same == ["b"]


@pytest.mark.services
def test_live_generations_and_names_that_are_there_twice(filled):
    with filled.read() as session:
        ((one, other),) = live_twice(session)
        assert (one.id_process, other.id_process) == (f"{PRODUCT}0", f"{PRODUCT}1")
        assert twice_named(session) == []
    with filled.write() as session:
        session.execute(sa.update(Process).values(state="superseded"))
        session.execute(sa.update(File).where(File.name == "n1").values(name="n2"))
    with filled.read() as session:
        assert live_twice(session) == []
        assert twice_named(session) == ["n2"]


def rows_of(database: Database) -> list[tuple[Any, ...]]:
    with database.read() as session:
        return [
            *session.execute(sa.select(File.path, File.area, File.size).order_by(File.path)),
            *session.execute(sa.select(Process.id_process, Process.state).order_by(sa.text("1"))),
        ]


@pytest.mark.services
def test_rows_are_changed_added_and_removed_all_or_none_and_back(filled):
    with filled.read() as session:
        ident = session.scalar(sa.select(File.id).where(File.path == "z"))
        row = session.execute(
            sa.select(*(c for c in File.__table__.c if c.name not in ("id", "mtime_ns"))).where(
                File.path == "Z"
            )
        )
        (whole,) = [dict(it) for it in row.mappings()]
        other = session.scalar(sa.select(File.id).where(File.path == "Z"))
    new = whole | {"path": "new", "name": "new"}
    changes = (
        RowChange("file", ident, {"area": "archive", "path": "z"}, {"area": "lost"}),
        RowChange("process", f"{PRODUCT}1", {"state": "live"}, {"state": "superseded"}),
        RowChange("file", other, whole, None),
        RowChange("file", None, None, new),
        RowChange("file", ident, {"size": 9}, {}),
    )
    before = rows_of(filled)
    hold_rows(filled, changes)
    for _again in range(2):
        filled.transact(lambda session: change_rows(session, changes))
        after = rows_of(filled)
        assert ("z", "lost", 9) in after
        assert ("new", "archive", PATHS.index("Z")) in after
        assert ("Z", "archive", PATHS.index("Z")) not in after
        assert (f"{PRODUCT}1", "superseded") in after
    for _again in range(2):
        filled.transact(lambda session: change_rows(session, reversed_rows(changes)))
        assert rows_of(filled) == before
    wrong = (*changes, RowChange("process", f"{PRODUCT}0", {"state": "lost"}, {"state": "gone"}))
    with pytest.raises(Refused, match="has changed since"):
        filled.transact(lambda session: change_rows(session, wrong))
    assert rows_of(filled) == before


@pytest.mark.services
def test_a_lost_product_is_not_made_live_beside_a_newer_one(filled):
    lost = RowChange("process", f"{PRODUCT}0", {"state": "live"}, {"state": "lost"})
    filled.transact(lambda session: change_rows(session, [lost]))
    with pytest.raises(Refused, match="a newer generation stands"):
        filled.transact(lambda session: change_rows(session, reversed_rows([lost])))
