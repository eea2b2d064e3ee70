"""Both layouts of real frames, whole and as rasters, packed or not, are read alike."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from snfpipe.ingest.cards import Frame
from snfpipe.ingest.diagnose import diagnose
from snfpipe.ingest.frames import BadFits, frame_name, read_frame
from snfpipe.names import RawName

COMMON = {
    "OBJECT": "BD+023375", "RUNID": "25_056_084", "EVTID": 1, "OBSTYPE": "FLAT",
    "IMTYPE": "COMPARISON", "AIRMASS": 1.324, "DATE-OBS": "2025-02-25T15:09:00",
    "JD": 2460732.130567, "LPSARCR": 0, "LPSCNTR": 1, "RAIN": 9999999,
}  # fmt: skip


def header(name: str, **cards: Any) -> fits.Header:
    made = fits.Header()
    made.update({**COMMON, "FILENAME": name.removesuffix(".fits"), "CHANNEL": name[18], **cards})
    return made


def detcom(folder: Path, name: str, sections: tuple[str, str], shape: tuple[int, int]) -> Path:
    """Write a frame of B: an empty primary, an image an amplifier, the second one mirrored."""
    primary = header(name, EXPTIME=11.0, RUNID="25_056_084", FCLASS="@@")
    images = [fits.PrimaryHDU(header=primary)]
    for amplifier, section in enumerate(sections):
        image = fits.ImageHDU(np.full(shape, 300, np.int16), name=f"CHIP{amplifier:02}")
        image.header.update(
            {"DATASEC": f"[4:{shape[1] - 29},1:{shape[0] - 32}]", "CCDSEC": section,
             "BIASSEC": f"[{shape[1] - 28}:{shape[1]},1:{shape[0] - 32}]"}
        )  # fmt: skip
        images.append(image)
    path = folder / name
    fits.HDUList(images).writeto(path, overwrite=True)
    # the class is a number with its zero, which no writer of ours makes
    content = path.read_bytes()
    at = content.index(b"FCLASS  =")
    path.write_bytes(content[:at] + f"FCLASS  = {'07':>20}".encode().ljust(80) + content[at + 80 :])
    return path


def otcom(folder: Path, name: str, sections: dict[str, str], shape: tuple[int, int]) -> Path:
    """Write a frame of R: one image, sections of the whole and of amplifiers 0 and 1."""
    made = header(name, EXPTIME=1.0, FCLASS=7, **sections)
    path = folder / name
    fits.PrimaryHDU(np.full(shape, 300, np.int16), made).writeto(path, overwrite=True)
    return path


B, R = "25_056_084_001_07_B.fits", "25_056_084_001_07_R.fits"
FULL_B = ("[1:1024,1:4096]", "[2048:1025,1:4096]")
RASTER_B = ("[974:1024,1:4096]", "[1075:1025,1:4096]")
FULL_R = {
    "CCDSEC": "[1:2048,2:4097]", "CCDSEC0": "[1:1024,2:4097]", "CCDSEC1": "[1025:2048,2:4097]",
    "DATASEC": "[1:32,1:64]", "DATASEC0": "[1:16,1:64]", "DATASEC1": "[17:32,1:64]",
    "BIASSEC": "[33:48,1:64]", "BIASSEC0": "[33:40,1:64]", "BIASSEC1": "[41:48,1:64]",
}  # fmt: skip
RASTER_R = {**FULL_R, "CCDSEC": "[974:1075,2:4097]", "CCDSEC0": "[974:1024,2:4097]",
            "CCDSEC1": "[1025:1075,2:4097]", "DATASEC1": "[1025:1075,1:64]"}  # fmt: skip


def read(path: Path) -> Frame:
    return read_frame(path, frame_name(path.name))


@pytest.mark.parametrize(("sections", "raster"), [(FULL_B, ""), (RASTER_B, "RASTER")])
def test_a_frame_of_b_is_an_image_an_amplifier(
    tmp_path: Path, sections: tuple[str, str], raster: str
) -> None:
    frame = read(detcom(tmp_path, B, sections, (64, 83)))
    assert (frame.problems, frame.raster) == ((), raster)
    assert frame.cards["FCLASS"] == 7
    assert (frame.text("OBJECT"), frame.number("EXPTIME")) == ("BD+023375", 11.0)
    assert frame.cards["CCDSEC@2"] == sections[1]
    assert not any("outside" in note or "FCLASS" in note for note in frame.warnings)


@pytest.mark.parametrize(("sections", "raster"), [(FULL_R, ""), (RASTER_R, "RASTER")])
def test_a_frame_of_r_is_one_image(tmp_path: Path, sections: dict[str, str], raster: str) -> None:
    frame = read(otcom(tmp_path, R, sections, (64, 48)))
    assert (frame.problems, frame.raster) == ((), raster)
    outside = [note for note in frame.warnings if "lies outside" in note]
    assert bool(outside) == bool(raster)
    assert all(note.startswith("DATASEC1=[1025:1075,1:64]") for note in outside)


@pytest.mark.parametrize(
    ("sections", "raster"),
    [({"CCDSEC": "[974:1075,2:4097]"}, "RASTER"), ({"CCDSEC": "[1:2048,1:4096]"}, ""),
     ({"CCDSEC": "[1:2048,900:1100]"}, "RASTER"), ({"CCDSEC": "everything"}, ""), ({}, ""),
     ({"CCDSEC0": "[1:1024,1:9]", "CCDSEC1": "[1025:1100,1:9]"}, "RASTER"),
     ({"CCDSEC1": "[1:256,1:9]", "CCDSEC2": "[257:512,1:9]"}, ""),
     ({"CCDSEC": "[974:1075,2:4097]", "RASTER": "E3D"}, "E3D"),
     ({"CCDSEC": "[1:2048,1:4096]", "RASTER": "FULL"}, "FULL")],
)  # fmt: skip
def test_a_raster_is_told_by_what_it_covers_of_the_chip(
    sections: dict[str, str], raster: str
) -> None:
    assert Frame(RawName.parse(R), sections).raster == raster


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".fz"])
@pytest.mark.parametrize("layout", ["otcom", "detcom"])
def test_a_packed_frame_says_what_it_said_before(tmp_path: Path, layout: str, suffix: str) -> None:
    if layout == "otcom":
        path = otcom(tmp_path, R, FULL_R, (64, 48))
    else:
        path = detcom(tmp_path, B, RASTER_B, (64, 83))
    packed = path.with_name(path.name + suffix)
    if suffix == ".fz":
        with fits.open(path) as hdus:
            made = [
                fits.CompImageHDU(hdu.data, hdu.header) if hdu.data is not None else hdu.copy()
                for hdu in hdus
            ]
            first = [] if made[0].data is None else [fits.PrimaryHDU()]
            fits.HDUList([*first, *made]).writeto(packed)
    else:
        pack = gzip.compress if suffix == ".gz" else bz2.compress
        packed.write_bytes(pack(path.read_bytes()))
    before, after = read(path), read(packed)
    assert (after.problems, after.warnings, after.raster) == (
        before.problems, before.warnings, before.raster,
    )  # fmt: skip
    of_files = ("SIMPLE", "XTENSION", "EXTEND", "PCOUNT", "GCOUNT", "NAXIS", "BITPIX", "EXTNAME")
    known = {key: value for key, value in before.cards.items() if not key.startswith(of_files)}
    assert known.items() <= after.cards.items()


@pytest.mark.parametrize("suffix", [".gz", ".bz2"])
def test_a_packed_frame_that_is_damaged_is_refused(tmp_path: Path, suffix: str) -> None:
    path = otcom(tmp_path, R, FULL_R, (64, 48))
    pack = gzip.compress if suffix == ".gz" else bz2.compress
    packed = path.with_name(path.name + suffix)
    for content in (pack(path.read_bytes())[:-40], b"no archive", pack(b"no frame"), b""):
        packed.write_bytes(content)
        with pytest.raises(BadFits):
            read(packed)


#: Key cards of real frames of 2025: name, OBSTYPE, FCLASS, OBJECT, EVTID, IMTYPE, EXPTIME, AIRMASS,
#: DATE-OBS, JD, arc lamp, continuum lamp.
REAL = [
    ("25_056_084_001_07_B", "FLAT", 7, "BD+023375", 1, "COMPARISON", 11.0, 1.324,
     "2025-02-25T15:09:00", 2460732.130567, 0, 1),
    ("25_056_084_001_07_R", "FLAT", 7, "BD+023375", 1, "COMPARISON", 1.0, 1.324,
     "2025-02-25T15:08:29", 2460732.130896, 0, 1),
    ("25_056_084_003_17_R", "OBJECT", 17, "BD+023375", 3, "OBJECT", 220.0, 1.317,
     "2025-02-25T15:10:06", 2460732.132025, 0, 0),
    ("25_056_084_004_03_R", "ARC", 3, "BD+023375", 4, "COMPARISON", 1.0, 1.295,
     "2025-02-25T15:15:15", 2460732.135592, 1, 0),
    ("25_121_118_008_24_R", "BIAS", 24, "unknown", 8, "BIAS", 0.0, 3.149,
     "2025-05-01T22:44:58", 2460797.447905, 0, 0),
]  # fmt: skip


@pytest.mark.parametrize("real", REAL, ids=lambda real: real[0])
def test_real_headers_are_odd_and_without_a_problem(real: tuple[Any, ...]) -> None:
    names = ("FILENAME", "OBSTYPE", "FCLASS", "OBJECT", "EVTID", "IMTYPE", "EXPTIME", "AIRMASS",
             "DATE-OBS", "JD", "LPSARCR", "LPSCNTR")  # fmt: skip
    cards = {**dict(zip(names, real, strict=True)), "RUNID": real[0][:10], "RAIN": 9999999}
    problems, notes = diagnose(Frame(RawName.parse(f"{real[0]}.fits"), cards))
    assert problems == []
    assert {note.partition(" ")[0] for note in notes} >= {"FILENAME", "MJD-OBS", "RAIN=9999999:"}
