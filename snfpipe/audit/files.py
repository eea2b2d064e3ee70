"""Files against their rows: there, of the right size, of the right bytes, readable."""

from __future__ import annotations

import os
from pathlib import Path

from snfpipe.errors import told
from snfpipe.storage import archive

#: What :func:`trouble` says first of a file that is not there.
ABSENT = "not there"


def trouble(path: Path, size: int, checksum: str, *, verify: bool) -> str:
    """Return what is wrong with a registered file, nothing if it is as it was registered.

    Parameters
    ----------
    path : Path
        Where it should be.
    size : int
        Its size in bytes, as registered.
    checksum : str
        Its SHA-256, as registered.
    verify : bool
        Read it whole: compare the checksum, check the structure of a FITS file.
    """
    try:
        found = os.lstat(path)
    except OSError as error:
        return f"{ABSENT}: {error.strerror}"
    if found.st_size != size:
        return f"of {found.st_size} bytes, registered were {size}"
    if not verify:
        return ""
    try:
        if archive.sha256_of(path) != checksum:
            return f"of other bytes than registered: the checksum is not {checksum[:12]}..."
    except OSError as error:
        return f"not readable: {error.strerror}"
    return fits_trouble(path) if path.suffix == ".fits" else ""


def fits_trouble(path: Path) -> str:
    """Return what is wrong with the structure of a FITS file, nothing if it can be read whole.

    Headers must follow the standard, data have the length they announce, and checksums that
    the file carries must agree.
    """
    import warnings

    from astropy.io import fits

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with fits.open(path, checksum=True) as units:
                for unit in units:
                    unit.verify("exception")
                    _ = unit.data
    except Exception as error:  # astropy has many kinds for a file that is none
        return f"no good FITS file: {told(error)}"
    return ""
