"""Reading raw frames: dirty headers are taken with a warning that names the card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snfpipe.ingest.cards import Frame
from snfpipe.ingest.frames import BadFits, read_frame
from snfpipe.names import RawName
from tests.ingest.conftest import JD, cards, write_frame

NAME = "06_334_001_003_17_B.fits"


def read(folder: Path, name: str = NAME, **other: Any) -> Frame:
    """Write a frame with other cards and read it."""
    return read_frame(write_frame(folder, name, **other), RawName.parse(name))


def test_a_clean_frame_has_no_warnings(tmp_path: Path) -> None:
    frame = read(tmp_path)
    assert frame.warnings == ()
    assert (frame.number("EXPTIME"), frame.number("JD"), frame.text("OBJECT")) == (300, JD, "GD71")


@pytest.mark.parametrize(
    ("other", "warning"),
    [
        ({"FCLASS": "17"}, "FCLASS is the text '17', not a number"),
        ({"FCLASS": 7}, "FCLASS '7' is not that of the name, 17"),
        ({"FCLASS": "07"}, "FCLASS '07' is not that of the name, 17"),
        ({"FILENAME": NAME.removesuffix(".fits")}, "FILENAME '06_334_001_003_17_B' is not the"),
        ({"MJD_OBS": None}, "MJD-OBS is missing"),
        ({"DATE_OBS": "2006-11-30T05:59:00"}, "DATE-OBS is -60 s off JD"),
        ({"DATE_OBS": "2006-11-30T06:01:00Z"}, "DATE-OBS is +60 s off JD"),
        ({"DATE_OBS": "30/11/06"}, "DATE-OBS='30/11/06': no date"),
        ({"BIASSEC1": "[5000:5031,1:9999]"}, "BIASSEC1=[5000:5031,1:9999] lies outside the image"),
        ({"BIASSEC": "[1:2,9:1]"}, "BIASSEC=[1:2,9:1] lies outside the image of 40 x 8"),
        ({"DATASEC1": "all of it"}, "DATASEC1='all of it': no section like"),
        ({"DATASEC": 5}, "DATASEC='5': no section like"),
        ({"RAIN": 9999999}, "RAIN=9999999: no such sensor"),
        ({"HUMIDITY": 0}, "HUMIDITY=0: no such sensor"),
        ({"PRESSURE": 0, "TEMP": 0, "HUMIDITY": 0}, "PRESSURE=0: no such sensor"),
        ({"PRESSURE": 0, "TEMP": 0, "HUMIDITY": 0}, "TEMP=0: no such sensor"),
        ({"EXPTIME": "long"}, "EXPTIME='long': left out, expected 0 to 100000"),
        ({"EXPTIME": -1.0}, "EXPTIME='-1.0': left out"),
        ({"AIRMASS": 0.0}, "AIRMASS='0.0': left out, expected 1 to 40"),
        ({"AIRMASS": True}, "AIRMASS='True': left out"),
        ({"JD": 0.0}, "JD='0.0': left out"),
        ({"TEMP": -273.0}, "TEMP='-273.0': left out"),
    ],
)
def test_a_dirty_card_is_named(tmp_path: Path, other: dict[str, Any], warning: str) -> None:
    frame = read(tmp_path, **other)
    told = (*frame.warnings, *frame.problems)
    assert any(text.startswith(warning) for text in told), told
    assert all(text.isprintable() for text in told)
    assert frame.cards["OBJECT"] == "GD71"


def test_a_class_written_with_or_without_its_zero_is_the_same(tmp_path: Path) -> None:
    name = "06_334_001_001_07_R.fits"
    assert read(tmp_path, name, FCLASS=7).warnings == ()
    assert read(tmp_path, name, FCLASS="07").warnings == ("FCLASS is the text '07', not a number",)


@pytest.mark.parametrize(
    ("card", "value"),
    [("EXPTIME", "long"), ("AIRMASS", 0.5), ("JD", 1.0), ("TEMP", 9999999), ("PRESSURE", 0)],
)
def test_what_cannot_be_true_is_left_out_and_kept_as_found(
    tmp_path: Path, card: str, value: Any
) -> None:
    frame = read(tmp_path, **{card: value})
    assert frame.number(card) is None
    assert frame.cards[card] == value
    assert any(text.startswith(f"{card}=") for text in frame.warnings)


def test_zero_degrees_are_a_temperature_unless_the_station_is_away(tmp_path: Path) -> None:
    assert read(tmp_path, TEMP=0).number("TEMP") == 0.0
    assert read(tmp_path, TEMP=0, PRESSURE=0).number("TEMP") is None
    assert read(tmp_path, TEMP=-1.5, PRESSURE=0).number("TEMP") == -1.5


def test_a_card_without_a_value_is_unknown(tmp_path: Path) -> None:
    frame = read(tmp_path, RASTER=fits.card.UNDEFINED, PARANG=fits.card.UNDEFINED)
    assert (frame.text("RASTER"), frame.number("PARANG"), frame.cards["RASTER"]) == ("", None, None)


def by_amplifier(path: Path, name: RawName, **second: Any) -> Path:
    """Write a frame as the older camera program does: an empty primary, an image an amplifier."""
    header = cards(name)
    sections = {card: header.pop(card) for card in ("BIASSEC1", "DATASEC1")}
    images = []
    for number in (1, 2):
        image = fits.ImageHDU(np.full((8, 20), number, dtype=np.int16))
        image.header["BIASSEC"] = "[17:20,1:8]"
        image.header["DATASEC"] = "[1:16,1:8]"
        image.header["CCDGAIN"] = 0.77 + 0.01 * number
        images.append(image)
    images[1].header.update(second)
    assert sections
    fits.HDUList([fits.PrimaryHDU(header=header), *images]).writeto(path, overwrite=True)
    return path


def test_a_frame_of_an_image_an_amplifier_is_taken(tmp_path: Path) -> None:
    name = RawName.parse(NAME)
    frame = read_frame(by_amplifier(tmp_path / NAME, name), name)
    assert frame.warnings == ()
    assert (frame.text("OBJECT"), frame.number("EXPTIME")) == ("GD71", 300.0)
    assert (frame.cards["CCDGAIN"], frame.cards["CCDGAIN@2"]) == (0.78, 0.79)


def test_sections_are_held_against_the_image_they_are_of(tmp_path: Path) -> None:
    name = RawName.parse(NAME)
    frame = read_frame(by_amplifier(tmp_path / NAME, name, BIASSEC="[17:40,1:8]"), name)
    assert frame.warnings == ("BIASSEC=[17:40,1:8] lies outside the image of 20 x 8",)


def test_a_second_image_that_is_cut_short_is_noticed(tmp_path: Path) -> None:
    name = RawName.parse(NAME)
    path = by_amplifier(tmp_path / NAME, name)
    path.write_bytes(path.read_bytes()[:-2800])
    with pytest.raises(BadFits, match="cut short"):
        read_frame(path, name)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 5000), st.binary(min_size=1, max_size=200))
def test_whatever_befalls_a_file_it_is_read_or_refused_with_a_reason(
    tmp_path: Path, place: int, noise: bytes
) -> None:
    path = write_frame(tmp_path, NAME)
    content = bytearray(path.read_bytes())
    content[place : place + len(noise)] = noise
    path.write_bytes(content)
    try:
        frame = read_frame(path, RawName.parse(NAME))
    except BadFits as error:
        assert error.message.isprintable()
    else:
        assert all(text.isprintable() for text in frame.warnings)
        assert frame.text("OBJECT").isprintable()
