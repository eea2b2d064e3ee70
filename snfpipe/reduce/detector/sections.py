"""Sections of an image as cards tell them: ``[1:1024,1:4096]``, counted from 1, ends included.

The notation is that of IRAF and of NOAO's mosaic cameras (DATASEC, BIASSEC, CCDSEC).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from astropy.io import fits

from snfpipe.errors import shown
from snfpipe.reduce.errors import BadInput

_PATTERN = re.compile(r"\s*\[\s*(\d{1,6}):(\d{1,6})\s*,\s*(\d{1,6}):(\d{1,6})\s*\]\s*", re.ASCII)


@dataclass(frozen=True)
class Section:
    """A section: columns `x0` to `x1`, rows `y0` to `y1`.

    Attributes
    ----------
    source : str
        What said so, for messages: ``card DATASEC0 '[1:1024,1:4096]'``.
    mirrored : bool
        Whether the card counts columns backwards: ``[2048:1025,1:4096]``.
    """

    x0: int
    x1: int
    y0: int
    y1: int
    source: str
    mirrored: bool = False

    def __str__(self) -> str:
        """Return it as a card tells it."""
        return f"[{self.x0}:{self.x1},{self.y0}:{self.y1}]"

    @property
    def nx(self) -> int:
        """Columns."""
        return self.x1 - self.x0 + 1

    @property
    def ny(self) -> int:
        """Rows."""
        return self.y1 - self.y0 + 1

    @property
    def place(self) -> tuple[slice, slice]:
        """Rows and columns of an array."""
        return slice(self.y0 - 1, self.y1), slice(self.x0 - 1, self.x1)

    def overlaps(self, other: Section) -> bool:
        """Whether both cover a pixel."""
        apart = self.x1 < other.x0 or other.x1 < self.x0 or self.y1 < other.y0 or other.y1 < self.y0
        return not apart

    def columns(self, first: int, count: int) -> Section:
        """Return `count` of its columns, from the one number `first` (0: its own first)."""
        start = self.x0 + first
        return Section(start, start + count - 1, self.y0, self.y1, self.source, self.mirrored)


def find_section(header: fits.Header, card: str, where: str = "") -> Section | None:
    """Return the section of a card, or None without the card.

    Parameters
    ----------
    header : fits.Header
        Of the image.
    card : str
        For example ``DATASEC``.
    where : str
        The extension, for messages.

    Raises
    ------
    BadInput
        The card holds something else.
    """
    if card not in header:
        return None
    try:
        value = header[card]
    except fits.VerifyError as error:
        raise BadInput(f"card {card}{where} cannot be read: {error}") from error
    source = f"card {card}{where} {shown(value)}"
    match = _PATTERN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise BadInput(f"{source} is no section like '[1:1024,1:4096]'")
    x0, x1, y0, y1 = (int(text) for text in match.groups())
    if y0 > y1 or min(x0, x1, y0) < 1:
        raise BadInput(f"{source} is no section of an image that counts from 1")
    return Section(min(x0, x1), max(x0, x1), y0, y1, source, mirrored=x0 > x1)


def read_section(header: fits.Header, card: str, where: str = "") -> Section:
    """Return the section of a card that has to be there; see :func:`find_section`."""
    found = find_section(header, card, where)
    if found is None:
        raise BadInput(f"there is no card {card}{where}")
    return found


def check_inside(section: Section, shape: tuple[int, ...]) -> None:
    """Refuse a section that reaches out of an image of (rows, columns), or counts backwards."""
    ny, nx = shape
    if section.mirrored:
        raise BadInput(f"{section.source} counts the image's columns backwards")
    if section.x1 > nx or section.y1 > ny:
        raise BadInput(f"{section.source} lies outside the image of {nx} x {ny} pixels")


def check_same_size(one: Section, other: Section) -> None:
    """Refuse two sections that should be of one size and are not."""
    if (one.nx, one.ny) != (other.nx, other.ny):
        raise BadInput(
            f"{one.source} holds {one.nx} x {one.ny} pixels, {other.source} {other.nx} x {other.ny}"
        )


def check_holds(whole: Section, part: Section) -> None:
    """Refuse a section that leaves columns of its part out; rows may count from 1 or from 2."""
    if not whole.x0 <= part.x0 <= part.x1 <= whole.x1 or part.ny > whole.ny:
        raise BadInput(f"{part.source} is not within {whole.source}")


def check_apart(*sections: Section) -> None:
    """Refuse sections that share pixels."""
    for number, one in enumerate(sections):
        for other in sections[number + 1 :]:
            if one.overlaps(other):
                raise BadInput(f"{one.source} and {other.source} overlap")


def joined(left: Section, right: Section) -> Section:
    """Return two sections that lie side by side as one.

    Raises
    ------
    BadInput
        They do not: there are columns between them, or their rows differ.
    """
    source = f"{left.source} and {right.source}"
    if left.x1 + 1 != right.x0 or (left.y0, left.y1) != (right.y0, right.y1):
        raise BadInput(f"{source} do not lie side by side")
    return Section(left.x0, right.x1, left.y0, left.y1, source)
