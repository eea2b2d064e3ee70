"""Raw frames as the cameras write them, by numbers of real headers and not by our own writers.

The headers are those of frames of February 2025 (DetCom 3.68, Otcom 1.33): a continuum raster in
B, the same in R, and a full frame in R.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from snfpipe.reduce.detector.frames import Amplifier, RawFrame, read_raw, side_by_side
from snfpipe.reduce.detector.overscan import measure_overscan
from snfpipe.reduce.detector.sections import find_section
from snfpipe.reduce.errors import BadInput
from snfpipe.reduce.formats import read_frame
from snfpipe.reduce.programs.program import run
from tests.closure.night import Work
from tests.reduce.conftest import ARC, CONTINUUM, STAR

Pixels = NDArray[np.uint16]
LEVEL = 1945

#: A full frame of R: 2112 x 4096 pixels.
R_FULL = {
    "DATASEC": "[1:2048,1:4096]", "BIASSEC": "[2049:2112,1:4096]", "CCDSEC": "[1:2048,2:4097]",
    "DATASEC0": "[1:1024,1:4096]", "DATASEC1": "[1025:2048,1:4096]",
    "BIASSEC0": "[2049:2080,1:4096]", "BIASSEC1": "[2081:2112,1:4096]",
    "CCDSEC0": "[1:1024,2:4097]", "CCDSEC1": "[1025:2048,2:4097]",
}  # fmt: skip
#: A raster of R: 166 x 4096 pixels, the second amplifier's sections outside the image.
R_RASTER = R_FULL | {
    "DATASEC": "[1:102,1:4096]", "BIASSEC": "[103:166,1:4096]", "CCDSEC": "[974:1075,2:4097]",
    "DATASEC0": "[1:51,1:4096]", "BIASSEC0": "[103:134,1:4096]",
}  # fmt: skip
#: A raster of B: two extensions of 83 x 4128 pixels, the second stored mirrored.
B_RASTER = (
    {"DATASEC": "[4:54,1:4096]", "BIASSEC": "[55:83,1:4096]", "CCDSEC": "[974:1024,1:4096]"},
    {"DATASEC": "[4:54,1:4096]", "BIASSEC": "[55:83,1:4096]", "CCDSEC": "[1075:1025,1:4096]"},
)
#: A full frame of B: 3 + 1024 + 29 columns an amplifier, 4096 + 32 rows.
B_FULL = tuple(
    {"DATASEC": "[4:1027,1:4096]", "BIASSEC": "[1028:1056,1:4096]", "CCDSEC": ccd}
    for ccd in ("[1:1024,1:4096]", "[2048:1025,1:4096]")
)


def noise(nx: int, ny: int, level: float = LEVEL) -> Pixels:
    """Return an image of overscan's level everywhere, read noise 3.4 ADU."""
    chance = np.random.default_rng(nx)
    return np.rint(chance.normal(level, 3.4, (ny, nx))).astype(np.uint16)


def write_image(path: Path, pixels: Pixels, cards: Mapping[str, Any]) -> Path:
    """Write a file of one image."""
    hdu = fits.PrimaryHDU(pixels)
    hdu.header.update(cards)
    hdu.writeto(path, overwrite=True)
    return path


def write_extensions(
    path: Path, images: list[Pixels], sections: tuple[dict[str, str], ...],
    names: tuple[str, ...] = ("chip00", "chip01"),
) -> Path:  # fmt: skip
    """Write a file of an extension an amplifier; FCLASS is the number 07, as DetCom writes it."""
    primary = fits.PrimaryHDU()
    primary.header["CHANNEL"] = "B"
    primary.header.append(fits.Card.fromstring("FCLASS  =                   07"))
    primary.header.update({"OBSTYPE": "FLAT", "EXPTIME": 11.0, "DARKTIME": 11.0, "RDNOISE": 2.5})
    hdus = [primary]
    for image, cards, name in zip(images, sections, names, strict=True):
        hdu = fits.ImageHDU(image, name=name)
        hdu.header.update(cards)
        hdus.append(hdu)
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return path


def preprocessed(path: Path) -> tuple[fits.Header, NDArray[np.float64]]:
    """Return header and electrons of a frame after file_quality without models."""
    out = path.with_name("frame.fits")
    assert run("file_quality", [str(path), "-o", str(out)]) == 0
    frame = read_frame(str(out))
    return frame.header, frame.data


def test_a_full_frame_of_r_gives_both_amplifiers_and_is_turned(tmp_path: Path) -> None:
    pixels = noise(2112, 4096)
    pixels[:, 2080 - 1], pixels[:, 2081 - 1] = 519, 316  # junk as seen in real frames
    pixels[10 - 1, 100 - 1] = pixels[4000 - 1, 1900 - 1] = 12_000
    path = write_image(
        tmp_path / "25_056_084_003_17_R.fits", pixels,
        R_FULL | {"CHANNEL": "R", "FCLASS": 17, "EXPTIME": 220.0, "DARKTIME": 222.501},
    )  # fmt: skip
    header, electrons = preprocessed(path)
    assert electrons.shape == (4096, 2048)
    assert (header["FCLASS"], header["EXPTIME"], header["DARKTIME"]) == (18, 220.0, 222.501)
    assert abs(header["OVSCMED1"] - 1945) < 0.3 and abs(header["OVSCMED2"] - 1945) < 0.3
    assert 2.4 < header["RDNOISE1"] < 2.7, "3.4 ADU at 0.757 e-/ADU"
    # (x, y) of the stored image, from 1, is (2048 - x, 4096 - y) of the assembled one, from 0
    assert abs(electrons[4096 - 10, 2048 - 100] - (12_000 - 1945) * 0.757) < 15
    assert abs(electrons[4096 - 4000, 2048 - 1900] - (12_000 - 1945) * 0.770) < 15
    assert (electrons > 1000).sum() == 2


def test_a_raster_of_r_is_read_where_the_second_amplifiers_sections_lie_outside(
    tmp_path: Path,
) -> None:
    pixels = noise(166, 4096)
    pixels[:, 134 - 1], pixels[:, 135 - 1] = 519, 316
    pixels[:, 1 - 1], pixels[:, 51 - 1], pixels[:, 52 - 1], pixels[:, 102 - 1] = (
        3000, 4000, 5000, 6000,
    )  # fmt: skip
    path = write_image(
        tmp_path / "25_056_084_001_07_R.fits", pixels,
        R_RASTER | {"CHANNEL": "R", "FCLASS": 7, "EXPTIME": 1.0, "DARKTIME": 2.445},
    )  # fmt: skip
    raw = read_raw(str(path))
    assert raw.raster and raw.chip == (2048, 4096)
    assert (raw.window.x0, raw.window.x1) == (974, 1075)
    header, electrons = preprocessed(path)
    assert electrons.shape == (4096, 102)
    assert header["CCDSEC"] == "[974:1075,2:4097]"
    columns = np.median(electrons, axis=0)[[101, 51, 50, 0]]  # turned by 180 degrees
    expected = np.array([1055 * 0.757, 2055 * 0.757, 3055 * 0.770, 4055 * 0.770])
    assert np.allclose(columns, expected, atol=0.5)


@pytest.mark.parametrize(
    ("sections", "width", "shape", "raster"),
    [(B_RASTER, 83, (4096, 102), True), (B_FULL, 1056, (4096, 2048), False)],
    ids=["raster", "full"],
)
def test_a_frame_of_b_loses_its_margins_and_its_second_amplifier_is_turned_round(
    sections: tuple[dict[str, str], ...], width: int, shape: tuple[int, int], raster: bool,
    tmp_path: Path,
) -> None:  # fmt: skip
    images = [noise(width, 4128), noise(width, 4128, LEVEL + 70)]
    last = width - 29  # the last column of data, from 1
    for image in images:
        image[:, :3] = 60_000  # prescan
        image[4096:] = 50_000  # overscan rows
    for column, bright in ((4, 3000), (last, 4000)):
        images[0][:4096, column - 1] = bright
        images[1][:4096, column - 1] = bright + 2000
    path = write_extensions(tmp_path / "25_056_084_001_07_B.fits", images, sections)
    assert b"FCLASS  =                   07 " in path.read_bytes()[:2880]
    raw = read_raw(str(path))
    assert raw.raster == raster and raw.chip == (2048, 4096)
    header, electrons = preprocessed(path)
    assert electrons.shape == shape
    assert (header["FCLASS"], "CCDSEC" in header) == (8, raster)
    assert abs(header["OVSCMED1"] - 1945) < 0.3 and abs(header["OVSCMED2"] - 2015) < 0.3
    middle = shape[1] // 2
    columns = np.median(electrons, axis=0)
    assert np.allclose(columns[[0, middle - 1]], [1055 * 0.773, 2055 * 0.773], atol=0.5)
    # stored backwards: the last column read lies beside the middle of the chip
    assert np.allclose(columns[[middle, -1]], [3985 * 0.744, 2985 * 0.744], atol=0.5)
    assert electrons.max() < 3000, "no pixel of prescan or overscan rows is taken for light"


def test_junk_in_the_overscan_does_not_shift_the_level(tmp_path: Path) -> None:
    pixels = noise(2112, 4096)
    clean = read_raw(str(write_image(tmp_path / "clean.fits", pixels, R_FULL)))
    pixels[:, 2080 - 1], pixels[:, 2081 - 1] = 519, 316
    pixels[:, 2049 - 1 : 2058] += 40  # charge left behind by the data
    pixels[100:110, 2065 - 1] = 65_535  # a cosmic ray
    junk = read_raw(str(write_image(tmp_path / "junk.fits", pixels, R_FULL)))
    for number in (0, 1):
        before, after = (
            measure_overscan(raw.amplifiers[number], number, 5) for raw in (clean, junk)
        )
        assert np.abs(after.level - before.level).max() < 2.5
        assert abs(float((after.level - before.level).mean())) < 0.02
        assert after.noise == pytest.approx(before.noise, rel=0.01)


@pytest.mark.parametrize(("width", "step"), [(29, 0.22), (32, 1.60), (32, -1.12)])
def test_odd_and_even_columns_and_the_noise_are_those_put_in(width: int, step: float) -> None:
    columns = np.arange(2048, 2048 + width)
    chance = np.random.default_rng(1)
    over = chance.normal(1945, 3.0, (4096, width)) + step * (columns % 2 - 0.5)
    amplifier = Amplifier(
        np.zeros((4096, 1), np.float32), np.arange(1), np.rint(over).astype(np.float32), columns,
        mirrored=False,
    )  # fmt: skip
    found = measure_overscan(amplifier, 0, 5)
    assert found.odd_even == pytest.approx(-step, abs=0.06)
    assert found.noise == pytest.approx(np.hypot(3.0, 1 / np.sqrt(12)), rel=0.01)
    assert float(found.level.mean()) == pytest.approx(1945, abs=0.03)


#: The smallest frame of one image: 512 x 1024 pixels of the chip.
SMALL = {
    "DATASEC": "[1:512,1:1024]", "BIASSEC": "[513:576,1:1024]", "CCDSEC": "[1:512,2:1025]",
    "DATASEC0": "[1:256,1:1024]", "DATASEC1": "[257:512,1:1024]",
    "BIASSEC0": "[513:544,1:1024]", "BIASSEC1": "[545:576,1:1024]",
    "CCDSEC0": "[1:256,2:1025]", "CCDSEC1": "[257:512,2:1025]", "CHANNEL": "P", "FCLASS": 17,
}  # fmt: skip


@pytest.mark.parametrize(
    ("card", "value", "told"),
    [
        ("DATASEC0", "all of it", "card DATASEC0 'all of it' is no section like"),
        ("DATASEC0", 5, "card DATASEC0 '5' is no section like"),
        ("DATASEC0", "[0:256,1:1024]", "card DATASEC0 '[0:256,1:1024]' is no section of an image"),
        ("DATASEC0", "[256:1,1:1024]", "card DATASEC0 '[256:1,1:1024]' counts the image's columns"),
        ("BIASSEC1", "[5000:5031,1:9999]",
         "card BIASSEC1 '[5000:5031,1:9999]' lies outside the image of 576 x 1024 pixels"),
        ("BIASSEC", "[513:544,1:1024]",
         "card BIASSEC1 '[545:576,1:1024]' is not within card BIASSEC '[513:544,1:1024]'"),
        ("DATASEC1", "[1:256,1:1024]",
         "card DATASEC0 '[1:256,1:1024]' and card DATASEC1 '[1:256,1:1024]' overlap"),
        ("BIASSEC0", "[545:576,1:1024]", "card BIASSEC0 '[545:576,1:1024]' and card BIASSEC1"),
        ("BIASSEC0", "[513:544,1:1000]",
         "card BIASSEC0 '[513:544,1:1000]' is not of the rows of card DATASEC0 '[1:256,1:1024]'"),
        ("CCDSEC0", "[1:200,2:1025]", "card CCDSEC0 '[1:200,2:1025]' 200 x 1024"),
        ("CCDSEC1", "[200:455,2:1025]", "card CCDSEC1 '[200:455,2:1025]' do not lie side by side"),
        ("CCDSEC1", "[512:257,2:1025]", "card CCDSEC1 '[512:257,2:1025]' is mirrored"),
        ("DATASEC", "[1:400,1:1024]",
         "card DATASEC1 '[257:512,1:1024]' is not within card DATASEC '[1:400,1:1024]'"),
        ("CCDSEC", "[1:512,2:1000]",
         "card DATASEC '[1:512,1:1024]' holds 512 x 1024 pixels, card CCDSEC '[1:512,2:1000]'"),
        ("CCDSEC", "[1:9000,1:1024]", "card CCDSEC '[1:9000,1:1024]' fits on no known chip"),
        ("DATASEC1", None, "there is no card DATASEC1"),
    ],
)  # fmt: skip
def test_sections_that_contradict_each_other_or_the_image_are_named(
    card: str, value: Any, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cards = {key: text for key, text in (SMALL | {card: value}).items() if text is not None}
    path = write_image(tmp_path / "raw.fits", noise(576, 1024), cards)
    assert run("file_quality", [str(path), "-o", str(tmp_path / "frame.fits")]) == 3
    said = capsys.readouterr()
    assert told in said.err and "Traceback" not in said.err
    assert json.loads(said.out)["quality"] == 2
    assert not (tmp_path / "frame.fits").exists()


def test_a_section_outside_the_image_is_named(tmp_path: Path) -> None:
    path = write_image(tmp_path / "raw.fits", noise(560, 1024), SMALL)
    with pytest.raises(BadInput, match=r"BIASSEC1 '\[545:576,1:1024\]' lies outside the image of "):
        read_raw(str(path))
    narrow = [noise(80, 4128), noise(83, 4128)]
    path = write_extensions(tmp_path / "b.fits", narrow, B_RASTER)
    with pytest.raises(BadInput, match=r"BIASSEC of chip00 '\[55:83,1:4096\]' lies outside .* 80"):
        read_raw(str(path))


def test_extensions_that_are_not_the_two_chips_are_named(tmp_path: Path) -> None:
    images = [noise(83, 4128), noise(83, 4128)]
    path = write_extensions(tmp_path / "b.fits", images, B_RASTER, ("chip00", "chip02"))
    with pytest.raises(BadInput, match="extensions are 'chip00' and 'chip02', expected chip00"):
        read_raw(str(path))
    apart = (B_RASTER[0], B_RASTER[1] | {"CCDSEC": "[1076:1026,1:4096]"})
    path = write_extensions(tmp_path / "b.fits", images, apart)
    with pytest.raises(BadInput, match=r"chip00 .* and card CCDSEC of chip01 .* side by side"):
        read_raw(str(path))


@pytest.mark.parametrize("value", [0, 3000, 65535])
@pytest.mark.parametrize("where", ["image", "overscan", "amplifier"])
def test_a_frame_of_one_value_has_a_reason(
    value: int, where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = noise(576, 1024)
    columns = {"image": slice(None), "overscan": slice(512, None), "amplifier": slice(256, 512)}
    pixels[:, columns[where]] = value
    path = write_image(tmp_path / "raw.fits", pixels, SMALL)
    assert run("file_quality", [str(path), "-o", str(tmp_path / "frame.fits")]) == 3
    said = capsys.readouterr().err
    expected = {
        "image": f"raw.fits: every pixel is {value}",
        "overscan": f"most of the overscan of amplifier 0 is {value}: it was not read",
        "amplifier": f"card DATASEC1 '[257:512,1:1024]': every pixel is {value}",
    }
    assert expected[where] in said and "Error:" not in said


@pytest.mark.parametrize("card", ["CHANNEL", "FCLASS", "OBJECT", "EXPTIME", "JD", "RA"])
def test_a_card_that_cannot_be_read_costs_that_card(card: str, tmp_path: Path) -> None:
    cards = SMALL | {"OBJECT": "GD71", "EXPTIME": 5.0, "JD": 2454070.5, "RA": "1"}
    path = write_image(tmp_path / "06_334_001_003_17_P.fits", noise(576, 1024), cards)
    content = path.read_bytes()
    place = content.index(f"{card:<8}= ".encode())
    broken = f"{card:<8}= 1200,0".encode().ljust(80)
    path.write_bytes(content[:place] + broken + content[place + 80 :])
    frame = tmp_path / "06_334_001_003_17_P"
    assert run("file_quality", [str(path), "-o", str(frame)]) == 0
    header = read_frame(str(frame)).header
    assert (card in header) == (card == "CHANNEL"), "the channel is in the name, too"


def chip_image(raw: RawFrame) -> NDArray[np.float32]:
    """Return both amplifiers' data in the chip's order."""
    first, second = raw.amplifiers
    return side_by_side(raw, (first.data, second.data))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    order=st.permutations(["DATASEC0", "DATASEC1", "BIASSEC0", "BIASSEC1"]),
    gaps=st.lists(st.integers(0, 5), min_size=4, max_size=4),
    over=st.integers(24, 40),
)
def test_sections_are_obeyed_wherever_they_lie(
    order: list[str], gaps: list[int], over: int, tmp_path: Path
) -> None:
    chip = np.random.default_rng(over).integers(0, 60_000, (1024, 512)).astype(np.uint16)
    parts = {
        "DATASEC0": chip[:, :256], "DATASEC1": chip[:, 256:],
        "BIASSEC0": noise(over, 1024, 100), "BIASSEC1": noise(over, 1024, 200),
    }  # fmt: skip
    cards = {"CCDSEC0": "[1:256,1:1024]", "CCDSEC1": "[257:512,1:1024]"}
    columns: list[Pixels] = []
    for name, gap in zip(order, gaps, strict=True):
        columns.append(np.full((1024, gap), 65_535, np.uint16))
        first = sum(part.shape[1] for part in columns) + 1
        columns.append(parts[name])
        cards[name] = f"[{first}:{first + parts[name].shape[1] - 1},1:1024]"
    raw = read_raw(str(write_image(tmp_path / "raw.fits", np.hstack(columns), cards)))
    assert np.array_equal(chip_image(raw), chip)
    for number, level in ((0, 100), (1, 200)):
        found = measure_overscan(raw.amplifiers[number], number, 5)
        assert float(np.median(found.level)) == pytest.approx(level, abs=1)
    # what lies nearest to the data comes first
    for amplifier in raw.amplifiers:
        away = np.abs(amplifier.overscan_columns - amplifier.columns.mean())
        assert (np.diff(away) > 0).all()


@given(
    st.one_of(
        st.text(max_size=30),
        st.from_regex(r"\[\d{1,4}:\d{1,4},\d{1,4}:\d{1,4}\]", fullmatch=True),
    )
)
def test_a_sections_text_is_a_section_or_is_named(text: str) -> None:
    header = fits.Header()
    try:
        header["DATASEC"] = text
    except ValueError:  # no text that a card can hold
        return
    try:
        found = find_section(header, "DATASEC")
    except BadInput as error:
        assert "DATASEC" in str(error)
    else:
        assert found is not None
        assert found.nx == abs(found.x1 - found.x0) + 1 and found.ny > 0
        numbers = sorted(map(int, re.findall(r"\d+", text)))
        assert numbers == sorted([found.x0, found.x1, found.y0, found.y1])


def test_a_raster_holds_the_full_frames_light_and_no_cube_is_made_of_it(
    star: Work, tmp_path: Path
) -> None:
    plan = replace(star.plan, faults=("raster_continuum",))
    work = Work(star.preset, plan, tmp_path)
    made = work.file_quality(work.simulate([CONTINUUM]))[CONTINUUM]
    assert made["ok"] and made["quality"] == 1
    raster = read_frame(str(work.path(CONTINUUM, "frame")))
    whole = read_frame(str(star.path(CONTINUUM, "frame")))
    assert raster.data.shape == (1152, 24)
    off = (raster.data - whole.data[:, 244:268])[:, 2:-2]
    # the models of the full chip are not taken off a raster, and two overscans differ by noise
    assert np.abs(np.median(off, axis=0)).max() < 1.5
    for name in (STAR, ARC):
        work.path(name, "frame").write_bytes(star.path(name, "frame").read_bytes())
    refused = work.cube_generation([STAR])[STAR]
    assert f"{CONTINUUM}_frame.fits is a raster, [245:268,1:1152] of the chip" in refused["reason"]
