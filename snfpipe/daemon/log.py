"""The daemons' log: events and remarks as records of :mod:`logging`, a line each.

Events of docs/osiris.md carry their level here; whatever else the daemon remarks (at level debug,
each turn and each renewal of the lease) is written in the same form.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TextIO

from snfpipe.daemon.osiris import Event
from snfpipe.errors import printable

#: Kinds of events that somebody may have to do something about.
_WARNINGS = {"service away", "late end", "no Anubis", "keeps its name", "in error"}

#: Above all loggers of the package: what other modules log is seen, too.
_PACKAGE = logging.getLogger("snfpipe")
_LOGGER = logging.getLogger(__name__)


def start(level: str, *, as_json: bool) -> None:
    """Write what is logged from `level` on to standard output.

    Parameters
    ----------
    level : str
        ``debug``, ``info``, ``warning`` or ``error``.
    as_json : bool
        An object a line instead of text.
    """
    handler = _Lines(sys.stdout)
    handler.setFormatter(_Form(json_of if as_json else text_of))
    _PACKAGE.handlers = [handler]
    _PACKAGE.setLevel(level.upper())


def say(event: Event) -> None:
    """Log an event at its level."""
    level = logging.WARNING if event.kind in _WARNINGS else logging.INFO
    _LOGGER.log(level, "%s", event.kind, extra={"event": event})


def text_of(event: Event) -> str:
    """Return an event's line; control characters of foreign text are shown, not sent."""
    told = ": ".join(filter(None, (event.state or event.text, event.reason)))
    what = " ".join(filter(None, (event.kind, event.job, told)))
    return printable(f"{utc_text(event.time)} {what}")


def json_of(event: Event) -> str:
    """Return an event's line of JSON."""
    return json.dumps(asdict(event) | {"time": utc_text(event.time)})


def utc_text(moment: datetime) -> str:
    """Return a naive UTC moment as it is printed."""
    return f"{moment.isoformat(timespec='seconds')}Z"


class _Form(logging.Formatter):
    """Writes records as events are written; a remark is one whose kind is its level."""

    def __init__(self, write: Callable[[Event], str]) -> None:
        super().__init__()
        self._write = write

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's line."""
        event = getattr(record, "event", None)
        if event is None:
            moment = datetime.fromtimestamp(record.created, UTC).replace(tzinfo=None)
            event = Event(record.levelname.lower(), record.getMessage(), time=moment)
        return self._write(event)


class _Lines(logging.StreamHandler[TextIO]):
    """Writes lines at once; a log that cannot be written ends the daemon, as it would a command."""

    def handleError(self, _record: logging.LogRecord) -> None:
        """Let the error go on to whoever logs."""
        raise  # what logging has just caught
