"""What the programs of a job have loaded, as the worker's kernel shows it: libraries, packages.

Looks at ``/proc/<pid>/maps`` now and then: what a program loads and keeps for less than a look is
not seen.  A package is known by a compiled module of its own and by the metadata that its installer
left beside it.  Standard library only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_LIBRARY = re.compile(r"\.so(\.[0-9.]+)?$")
#: Our own commands, which come and go between a job's steps.
_LIGHT = frozenset({
    "accountant", "record_outcome", "record_processing", "record_quality", "record_timestamp",
    "update_job",
})  # fmt: skip


class Loaded:
    """The files that programs mapped for running, gathered over many looks."""

    def __init__(self) -> None:
        self._paths: set[str] = set()

    def look(self, pids: Iterable[int]) -> None:
        """Add what some processes have loaded by now."""
        for pid in pids:
            with suppress(OSError):  # it has ended
                words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")[:2]
                if _LIGHT.isdisjoint(map(os.path.basename, words)):
                    lines = Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines()
                    self._paths |= {it[it.find("/") :] for it in lines if _LIBRARY.search(it)}

    def packages(self) -> dict[str, str]:
        """Return Python package -> version, of those with compiled modules."""
        found = {}
        for path in self._paths:
            before, _, below = path.partition("/site-packages/")
            name = below.partition("/")[0].split(".")[0]  # numpy, numpy.libs, _module.cpython-...
            if below:
                found.update(_version(Path(before, "site-packages"), name))
        return dict(sorted(found.items()))

    def libraries(self) -> dict[str, str]:
        """Return shared library -> where it lies and its size, but for packages' own modules."""
        found = {}
        for path in sorted(self._paths):
            if ".cpython-" not in path and not path.endswith(".abi3.so"):
                found[os.path.basename(path)] = path
                with suppress(OSError):
                    found[os.path.basename(path)] += f" ({os.stat(path).st_size} bytes)"
        return found


def _version(folder: Path, name: str) -> dict[str, str]:
    """Return a package's name and version from the name of its metadata's folder."""
    for entry in folder.glob(f"{name}-*.dist-info"):
        return {name: entry.name.removeprefix(f"{name}-").removesuffix(".dist-info")}
    return {}
