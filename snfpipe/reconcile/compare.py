"""Two archives, file by file: what one has and the other lacks, or has with other bytes."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

from snfpipe.audit.findings import Finding, Kind, Report
from snfpipe.errors import SnfError
from snfpipe.reconcile.cases import AUDIT
from snfpipe.reconcile.stream import Progress, differences, quiet
from snfpipe.reconcile.verify import Verifier, archived_checksums
from snfpipe.storage.base import Entry, Place


def compare(
    one: Place, other: Place, *, verify: bool = False, progress: Progress = quiet
) -> Report:
    """Hold two archives against each other; changes nothing.

    Parameters
    ----------
    one, other : Place
        The archives.
    verify : bool
        Read every file that both have with one size, and compare the checksums.
    progress : callable, optional
        Told of how many more files of `one` are done with.

    Raises
    ------
    SnfError
        A folder cannot be read.
    """
    verifier = Verifier(one, partial(archived_checksums, other), quiet) if verify else None
    try:
        found = list(_differing(one, other, progress, verifier.take if verifier else None))
        wrong = verifier.end() if verifier else []
        found += [_finding(Kind.WRONG, path, "bytes differ", other.shown) for path in wrong]
    except OSError as error:
        raise SnfError(
            f"{one.shown} or {other.shown} cannot be read: {error}", hint="ask who may read it"
        ) from error
    kinds = Counter(finding.what.partition(",")[0] for finding in found)
    return Report(
        audit=f"{AUDIT} --compare",
        title=f"{one.shown} and {other.shown}",
        columns=("difference", "files"),
        rows=tuple(sorted(kinds.items())),
        findings=tuple(found),
    )


def _differing(
    one: Place, other: Place, progress: Progress, same: Callable[[str], None] | None
) -> Iterator[Finding]:
    """Yield the files that only one has, or both with different sizes."""
    for path, mine, theirs in differences(_counted(one.walk(), progress), other.walk(), same):
        if theirs is None:
            yield _finding(Kind.MISSING, path, "only in the first", other.shown)
        elif mine is None:
            yield _finding(Kind.UNEXPECTED, path, "only in the second", one.shown)
        else:
            what = f"sizes differ, {mine} and {theirs} bytes"
            yield _finding(Kind.WRONG, path, what, other.shown)


def _counted(entries: Iterator[Entry], progress: Progress) -> Iterator[Entry]:
    """Yield what is given, telling of it."""
    for entry in entries:
        yield entry
        progress(1)


def _finding(kind: Kind, path: str, what: str, where: str) -> Finding:
    """Return the finding of a file; `where` is the archive that lacks it."""
    next_step = f"copy it to {where}, or see why it is not wanted there"
    if kind is Kind.WRONG:
        next_step = "`srb_cleanup --verify` tells which is as registered"
    return Finding(AUDIT, kind, posixpath.basename(path), path, what, next_step)
