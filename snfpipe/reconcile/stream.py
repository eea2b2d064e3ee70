"""Two streams of files in one order, compared side by side: rows, an archive, another archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import NamedTuple, cast

import sqlalchemy as sa

from snfpipe.db.models import File
from snfpipe.db.session import Database
from snfpipe.errors import Refused
from snfpipe.storage.base import Entry

#: Called with the number of files that are done with.
Progress = Callable[[int], None]


def quiet(_count: int) -> None:
    """Tell nobody."""


_PAGE = 20_000  # rows a query
_FEW = 10  # wrong ones that are no reason to stop, however small the archive


class Difference(NamedTuple):
    """A path on which two streams differ; the size on each side, None where it is not there."""

    path: str
    left: int | None
    right: int | None


def registered(database: Database, progress: Progress) -> Iterator[Entry]:
    """Yield path and registered size of all files of the archive, ordered by path.

    A page of rows is a transaction of its own: a scan of hours holds nothing up, and sees rows
    that are hardly older than the files beside them.
    """
    return chain.from_iterable(_pages(database, progress))


def _pages(database: Database, progress: Progress) -> Iterator[list[Entry]]:
    """Yield the rows, a page at a time."""
    query = (
        sa.select(File.path, File.size)
        .where(File.area == "archive", File.path > sa.bindparam("last"))
        .order_by(File.path)
        .limit(_PAGE)
    )

    def read(last: str) -> list[Entry]:
        with database.read() as session:
            found = session.connection().execute(query, {"last": last})
            return cast(list[Entry], found.cursor.fetchall())  # plain tuples, as of a walk

    with ThreadPoolExecutor(1) as reader:  # the next page comes while this one is compared
        coming = reader.submit(read, "")
        while page := coming.result():
            coming = reader.submit(read, page[-1][0])
            yield page
            progress(len(page))


def differences(
    left: Iterator[Entry], right: Iterator[Entry], same: Callable[[str], None] | None = None
) -> Iterator[Difference]:
    """Yield where two streams differ, in their order.

    Parameters
    ----------
    left, right : iterator of (path, size)
        Both ordered by path.
    same : callable, optional
        Told of every path that both have with one size.
    """
    one, other = next(left, None), next(right, None)
    while one is not None and other is not None:
        if one == other:
            if same:
                same(one[0])
            one, other = next(left, None), next(right, None)
        elif one[0] == other[0]:
            yield Difference(one[0], one[1], other[1])
            one, other = next(left, None), next(right, None)
        elif one[0] < other[0]:
            yield Difference(one[0], one[1], None)
            one = next(left, None)
        else:
            yield Difference(other[0], None, other[1])
            other = next(right, None)
    while one is not None:
        yield Difference(one[0], one[1], None)
        one = next(left, None)
    while other is not None:
        yield Difference(other[0], None, other[1])
        other = next(right, None)


class Limit:
    """How much may look wrong before it is taken for a sign of something else.

    Parameters
    ----------
    expected : int
        How many files there should be.
    fraction : float
        Of them, how many may be wrong.
    where : str
        The archive.
    """

    def __init__(self, expected: int, fraction: float, where: str) -> None:
        self.allowed = max(_FEW, int(expected * fraction))
        self._expected, self._where = expected, where
        self._wrong = 0

    def count(self) -> None:
        """Count one that looks wrong.

        Raises
        ------
        Refused
            It is one too many.
        """
        self._wrong += 1
        if self._wrong > self.allowed:
            raise self._refusal(f"more than {self.allowed} of {self._expected} files look wrong")

    def end(self, missing: int) -> None:
        """Say how many of the expected ones were not there at all."""
        if self._expected and missing >= self._expected:
            raise self._refusal(f"none of {self._expected} files is there")

    def _refusal(self, told: str) -> Refused:
        """Say what to look at first."""
        return Refused(
            f"stopped, nothing was planned: {told} in {self._where}",
            hint="is the archive mounted, all of it, and the database its own? "
            "If so, `--max-wrong` takes a larger fraction",
        )
