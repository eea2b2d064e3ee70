"""The daemons' log: a line an event at its level, and remarks in the same form."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snfpipe.daemon import log
from snfpipe.daemon.osiris import Event, Osiris
from snfpipe.errors import ServiceUnavailable
from tests.daemon.conftest import events
from tests.daemon.test_ends import ScriptedBench, scripted, submit

__all__ = ["scripted"]  # a fixture

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (.*)")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Give the package's logger back as it was."""
    package = logging.getLogger("snfpipe")
    handlers, level = package.handlers, package.level
    yield
    package.handlers = handlers
    package.setLevel(level)


def serve(bench: ScriptedBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve while the engine is away once and a job is lost."""
    submit(bench)
    look, problem = bench.engine.snapshot, [ServiceUnavailable("qmaster does not answer")]

    def snapshot() -> dict[str, object]:
        if problem:
            raise problem.pop()
        return dict(look())

    monkeypatch.setattr(bench.engine, "snapshot", snapshot)
    osiris = Osiris(bench.project, bench.database, bench.engine, log.say, limit_s=4)
    osiris.begin()
    osiris.serve()


@pytest.mark.parametrize(
    ("level", "kinds"),
    [
        ("warning", {"service away"}),
        ("info", {"began", "service away", "service back", "finished", "stopped"}),
        ("debug", {"began", "service away", "service back", "finished", "stopped", "debug"}),
    ],
)
def test_a_level_leaves_what_is_below_it_out(scripted, monkeypatch, capsys, level, kinds):
    log.start(level, as_json=True)
    serve(scripted, monkeypatch)
    told = events(capsys.readouterr().out)
    assert {event["kind"] for event in told} == kinds
    remarks = Counter(event["text"].split()[0] for event in told if event["kind"] == "debug")
    assert set(remarks) == ({"a", "holds"} if level == "debug" else set())


def test_text_has_a_line_an_event_with_its_time(scripted, monkeypatch, capsys):
    log.start("info", as_json=False)
    serve(scripted, monkeypatch)
    lines = [LINE.fullmatch(line) for line in capsys.readouterr().out.splitlines()]
    assert all(lines)
    told = [line[1] for line in lines if line]
    assert told[1] == "service away qmaster does not answer"
    assert told[-1] == "stopped whoever waits takes over now"


def test_what_other_modules_log_is_a_remark(capsys):
    log.start("warning", as_json=True)
    logging.getLogger("snfpipe.storage").warning("slow: %s", "a disk")
    logging.getLogger("snfpipe.storage").info("not told")
    [event] = events(capsys.readouterr().out)
    assert (event["kind"], event["text"]) == ("warning", "slow: a disk")


@given(st.text(), st.text())
def test_hostile_text_stays_in_its_line(text, reason):
    assert log.text_of(Event("finished", text, reason=reason)).isprintable()
    assert log.json_of(Event("finished", text, reason=reason)).isprintable()


class Full:
    """A log on a disk that is full."""

    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")

    def flush(self) -> None:
        pass


def test_a_log_that_cannot_be_written_is_no_secret(monkeypatch):
    monkeypatch.setattr("sys.stdout", Full())
    log.start("info", as_json=False)
    with pytest.raises(OSError, match="No space left"):
        log.say(Event("began"))
