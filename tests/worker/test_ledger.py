"""The ledger: appended whole, read whatever a kill has torn."""

from __future__ import annotations

import multiprocessing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snfpipe.worker import ledger

VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
FIELDS = st.dictionaries(st.text().filter(lambda key: key not in ("kind", "time")), VALUES)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "job.ledger"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(records=st.lists(st.tuples(st.text(min_size=1), FIELDS), max_size=4))
def test_what_is_appended_is_read(path, records):
    path.unlink(missing_ok=True)
    for kind, fields in records:
        ledger.append_all(path, [{"kind": kind, **fields}])
    found = ledger.read(path)
    assert [record["kind"] for record in found] == [kind for kind, _fields in records]
    for record, (_kind, fields) in zip(found, records, strict=True):
        assert record.items() >= fields.items()
    assert [record["time"] for record in found] == sorted(record["time"] for record in found)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(cut=st.integers(0, 200), junk=st.binary(max_size=20))
def test_a_torn_line_costs_only_itself(path, cut, junk):
    path.unlink(missing_ok=True)
    ledger.append(path, "one", text="é\n")
    whole = path.stat().st_size
    ledger.append(path, "two", text="x" * 100)
    path.write_bytes(path.read_bytes()[: whole + cut] + junk.replace(b"\n", b""))
    ledger.append(path, "three")
    kinds = [record["kind"] for record in ledger.read(path)]
    assert kinds[0] == "one"
    assert kinds[-1] == "three"


def test_a_missing_ledger_is_empty(path):
    assert ledger.read(path) == []


def _append_many(path, name):
    for _n in range(50):
        ledger.append(path, name, text="y" * 500)


def test_many_writers_do_not_mix_their_lines(path):
    writers = [
        multiprocessing.get_context("spawn").Process(target=_append_many, args=(path, f"w{n}"))
        for n in range(4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(ledger.read(path)) == 200
    # a line may stand empty where a writer saw another's half-way, never two in one
    assert len([line for line in path.read_bytes().splitlines() if line]) == 200
