"""Reading raw frames: FITS files, also compressed ones, whole or refused with the reason.

Real headers are dirty: whatever is wrong with a card costs that card.  Only a frame that cannot be
read as FITS, is cut short, or whose pixels are not those that were written, is refused.
"""

from __future__ import annotations

import bz2
import gzip
import io
import re
import stat
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from snfpipe.errors import SnfError, printable, shown
from snfpipe.ingest.cards import Frame, add_cards, read_cards
from snfpipe.ingest.diagnose import diagnose, odd_sections, serious
from snfpipe.names import RawName

if TYPE_CHECKING:
    from astropy.io.fits import HDUList

_ENDING = re.compile(r"\.fits(\.(gz|bz2|fz))?\Z", re.IGNORECASE)
_UNPACKERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open}
#: Cards of a compressed image that tell of its tiles, and those that stand for the image's own.
_OF_TILES = re.compile(r"Z[A-Z]+\d*|XTENSION|BITPIX|NAXIS\d*|[PG]COUNT|T(FIELDS|TYPE\d|FORM\d)")
_OF_IMAGE = re.compile(r"Z(BITPIX|NAXIS\d*)")
_LARGEST = 1 << 30  #: bytes of an uncompressed frame; what grows larger is none


class BadFits(SnfError):
    """A frame that cannot be taken; the message is the reason."""


def frame_name(file_name: str) -> RawName:
    """Return the raw name of a file, whose ending may say ``.FITS``, or a compression.

    Raises
    ------
    BadName
        It follows no rule of raw names.
    """
    return RawName.parse(_ENDING.sub(".fits", file_name))


def read_frame(path: Path, name: RawName) -> Frame:
    """Read the headers of a raw frame and check that its pixels are all there.

    Raises
    ------
    BadFits
        It is no FITS file, is cut short or damaged, or holds no image.
    OSError
        It is not there, or cannot be opened.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise BadFits("no plain file")
    if not found.st_size:
        raise BadFits("the file is empty")
    cards: dict[str, Any] = {}
    faults: list[tuple[str, str]] = []
    notes: list[str] = []
    images = 0
    with path.open("rb") as stored:
        try:
            with _hdus(_unpacked(path, stored), notes) as (file, hdus):
                for number, hdu in enumerate(hdus):
                    own, found_here = _cards_of(hdu)
                    faults += [*found_here, *_damage(file, hdu, own)]
                    add_cards(cards, own, number)
                    images += own.get("NAXIS", 0) == 2
                    notes += odd_sections(own, (own.get("NAXIS1", 0), own.get("NAXIS2", 0)))
        except BadFits:
            raise
        except Exception as error:  # astropy raises whatever a broken header leads it into
            raise BadFits(f"not readable as FITS: {shown(error)}") from error
    if not images:
        raise BadFits("no image in it")
    problems, odd = diagnose(Frame(name, cards))
    problems += [what for card, what in faults if serious(card)]
    odd += [what for card, what in faults if not serious(card)]
    return Frame(name, cards, tuple(dict.fromkeys((*odd, *notes))), tuple(dict.fromkeys(problems)))


def _unpacked(path: Path, stored: BinaryIO) -> BinaryIO:
    """Return a frame's FITS file; a compressed one is unpacked in memory."""
    unpack = _UNPACKERS.get(path.suffix.lower())
    if unpack is None:
        return stored
    with unpack(stored) as packed:
        content = packed.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise BadFits(f"over {_LARGEST} bytes once it is unpacked")
    return io.BytesIO(content)


@contextmanager
def _hdus(file: BinaryIO, notes: list[str]) -> Iterator[tuple[BinaryIO, HDUList]]:
    """Open a FITS file as it is stored, tiles and all; what astropy warns of is noted."""
    from astropy.io import fits
    from astropy.io.fits.verify import VerifyWarning

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", VerifyWarning)
        warnings.filterwarnings("ignore", message=".*may have been truncated.*")
        with fits.open(
            file, memmap=False, do_not_scale_image_data=True, disable_image_compression=True
        ) as hdus:
            yield file, hdus
    notes += sorted({printable(warning.message)[:200] for warning in said})


def _cards_of(hdu: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the cards of an HDU, and what is wrong with them; of tiles, those of the image."""
    own, faults = read_cards(hdu.header)
    if own.get("ZIMAGE") is not True:
        return own, faults
    image = {key: value for key, value in own.items() if not _OF_TILES.fullmatch(key)}
    return image | {key[1:]: own[key] for key in own if _OF_IMAGE.fullmatch(key)}, faults


def _damage(file: BinaryIO, hdu: Any, cards: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield that a header was changed after it was written; refuse pixels that were.

    Checksums are those of the FITS standard 4.0, section 4.4.2.7.
    """
    info = hdu.fileinfo()
    size = file.seek(0, io.SEEK_END)
    promised = info["datLoc"] + hdu.size
    if promised > size:
        raise BadFits(f"cut short: {size} bytes of at least {promised}")
    stated = str(cards.get("DATASUM", "")).strip()
    if stated.isdecimal():
        found = _ones_complement(file, info["datLoc"], info["datLoc"] + info["datSpan"])
        if found != int(stated):
            raise BadFits(f"its pixels are not those that were written: DATASUM is {found}")
    if "CHECKSUM" in cards:
        found = _ones_complement(file, info["hdrLoc"], info["datLoc"] + info["datSpan"])
        if found not in (0, 0xFFFFFFFF):
            what = "its header" if stated.isdecimal() else "its header or pixels"
            yield "CHECKSUM", f"CHECKSUM is wrong: {what} changed after it was written"


def _ones_complement(file: BinaryIO, start: int, end: int) -> int:
    """Return the 32-bit one's complement sum of a part of a file."""
    import numpy as np

    file.seek(start)
    content = file.read(end - start)
    words = np.frombuffer(content + bytes(-len(content) % 4), dtype=">u4")
    total = int(words.sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total
