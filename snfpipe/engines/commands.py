"""The one place that runs a scheduler's commands."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snfpipe.errors import ServiceUnavailable, shown

_KEPT = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "TZ", "USER")
_KEPT_PREFIXES = ("SGE_", "SLURM_CONF")
_SHOWN = 300
_SHELLS = 126  # from here on a shell tells that there is no such program, or of a signal
_MINUS_ONE = 255  # sbatch ends so where it cannot read an option


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said, stripped, and the status it ended with."""

    status: int
    out: str
    err: str

    @property
    def is_error(self) -> bool:
        """Whether the program says what is wrong: it was there, and no signal ended it."""
        return (0 < self.status < _SHELLS or self.status == _MINUS_ONE) and self.err != ""

    @property
    def said(self) -> str:
        """All of it, as a message may quote it."""
        return shown("; ".join(" ".join(text.split()) for text in (self.err, self.out) if text),
                     _SHOWN)  # fmt: skip


class Commands:
    """Calls programs in a site's environment, and waits for none of them for ever.

    Parameters
    ----------
    environment : mapping
        Variables that go over those kept of this process: PATH, SGE_*, SLURM_CONF and the like.
    timeout_s : float
        How long a call may take.

    Attributes
    ----------
    environment : dict
        All variables of a call.
    """

    def __init__(self, environment: Mapping[str, str], timeout_s: float = 60.0) -> None:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in _KEPT or name.startswith(_KEPT_PREFIXES)
        }
        self.environment = kept | dict(environment)
        self._timeout_s = timeout_s

    def call(self, *words: str, holding: Sequence[int] = ()) -> Answer:
        """Run a program to its end.

        Parameters
        ----------
        *words : str
            Program and arguments; no shell sees them.
        holding : sequence of int
            Open files that the program is to hold as well: a lock that must outlive this process.

        Raises
        ------
        ServiceUnavailable
            It is not installed, or gave no answer in time.
        """
        try:
            done = subprocess.run(
                words,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                pass_fds=holding,
                timeout=self._timeout_s,
                check=False,
            )
        except FileNotFoundError as error:
            raise ServiceUnavailable(
                f"the program {words[0]} is not installed here",
                hint="install the scheduler's client, or set PATH in the site's "
                "[settings.environment]",
            ) from error
        except subprocess.TimeoutExpired as error:
            raise ServiceUnavailable(
                f"{words[0]} gave no answer in {self._timeout_s:g} s",
                hint="look whether the scheduler's master is up; nothing is lost, call again",
            ) from error
        return Answer(done.returncode, _text(done.stdout), _text(done.stderr))

    def ask(self, *words: str) -> str:
        """Return what a program prints.

        Raises
        ------
        ServiceUnavailable
            It ended with an error, which is quoted.
        """
        answer = self.call(*words)
        if answer.status != 0:
            raise unavailable(words[0], answer)
        return answer.out


def unavailable(program: str, answer: Answer) -> ServiceUnavailable:
    """Return the error of a program that should have worked."""
    return ServiceUnavailable(
        f"{program} ended with {answer.status}: {answer.said}",
        hint="look whether the scheduler's master is up; nothing is lost, call again",
    )


def _text(output: bytes) -> str:
    """Return a program's output as text, without blanks around it."""
    return output.decode(errors="replace").strip()
