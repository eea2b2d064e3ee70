"""An attempt's logs: whole as files in its folder, their ends in the database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from snfpipe.worker.spec import AttemptFolder

_TAIL_BYTES = 4000


@dataclass(frozen=True, slots=True)
class Tails:
    """The ends of an attempt's output and of its errors."""

    out: str = ""
    err: str = ""


NO_LOGS = Tails()


def tails(folder: AttemptFolder) -> Tails:
    """Return the ends of an attempt's logs; what the engine complained of follows the job's own."""
    return Tails(
        tail(folder.out), "\n".join(filter(None, map(tail, (folder.err, folder.engine_err))))
    )


def tail(path: Path, size: int = _TAIL_BYTES) -> str:
    """Return the last bytes of a file as text that a database takes; empty where it is missing."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size))
            return file.read().decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    except OSError:
        return ""


def last_line(path: Path) -> str:
    """Return the last line that is not empty."""
    return next((line.strip() for line in reversed(tail(path).split("\n")) if line.strip()), "")
