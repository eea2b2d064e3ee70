"""doit's record: what goes in comes out, and no state of its file stops a run."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from doit.dependency import Dependency, JsonDB
from doit.task import Task
from hypothesis import given
from hypothesis import strategies as st

from snfpipe.tasks.record import ManifestChecker, RecordCodec

NAMES = st.from_regex(r"[a-z_]{1,8}:[0-9]{2}_[0-9]{3}", fullmatch=True)
PATHS = st.from_regex(r"work/jobs/[A-Za-z0-9/_-]{1,20}\.manifest", fullmatch=True)


@given(st.dictionaries(NAMES, st.dictionaries(PATHS, st.integers(0, 2**63))))
def test_stamps_survive_a_round_trip(record):
    codec = RecordCodec()
    assert codec.decode(codec.encode(record)) == record


def test_what_doit_ignores_stays_ignored():
    record = {"step:06_334": {"a.manifest": 1, "ignore:": "1", "_values_:": {}, "deps:": ["x"]}}
    kept = RecordCodec().decode(RecordCodec().encode(record))
    assert kept == {"step:06_334": {"a.manifest": 1, "ignore:": "1"}}


@given(st.text())
def test_any_text_is_a_record_or_an_empty_one(text):
    assert isinstance(RecordCodec().decode(text), dict)


@pytest.mark.parametrize("cut", [0, 1, 20, 60])
def test_a_torn_record_is_an_empty_one(cut):
    text = RecordCodec().encode({"step:06_334": {"a.manifest": 5}})
    assert RecordCodec().decode(text[: min(cut, len(text) - 1)]) == {}


def manager(path: Path, stamps: dict[str, int]) -> Dependency:
    return Dependency(
        JsonDB, str(path / "record"), partial(ManifestChecker, stamps), codec_cls=RecordCodec
    )


def test_doit_sees_a_rewritten_manifest_and_only_that(tmp_path):
    manifest = tmp_path / "a.manifest"
    manifest.write_text("one")
    task = Task("step:1", None, file_dep=[str(manifest)], uptodate=[True])
    first = manager(tmp_path, {})
    assert first.get_status(task, {}).status == "run"
    first.save_success(task)
    first.close()
    again = manager(tmp_path, {str(manifest): manifest.stat().st_mtime_ns})
    assert again.get_status(task, {}).status == "up-to-date"
    again.checker.stamps.clear()
    other = tmp_path / "b.manifest"
    other.write_text("two")
    other.replace(manifest)
    assert again.get_status(task, {}).status == "run"


def test_a_missing_manifest_is_no_error(tmp_path):
    task = Task("step:1", None, file_dep=[str(tmp_path / "none.manifest")], uptodate=[True])
    status = manager(tmp_path, {}).get_status(task, {})
    assert status.status == "run"
    assert status.error_reason is None
