"""Names and ids: real examples, round trips, and what is refused."""

from __future__ import annotations

import string
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snfpipe import names
from snfpipe.declarations.unit_kinds import NIGHT, TARGET, UnitKind
from snfpipe.errors import BadName
from snfpipe.names import ExposureId, Night, PoseId, ProductName, RawName, RunId, VersionName

# --- all that can be named -----------------------------------------------------------------

nights = st.dates(date(2000, 1, 1), date(2099, 12, 31)).map(
    lambda day: Night(day.year - 2000, day.timetuple().tm_yday)
)
three_digits = st.integers(0, 999)
exposures = st.builds(ExposureId, nights, three_digits, three_digits)
masks = st.integers(1, 7)
raw_names = st.builds(RawName, exposures, st.integers(0, 99), st.sampled_from("BRP"))
product_names = st.builds(
    ProductName, exposures, masks, three_digits, three_digits, st.integers(0, 9999), three_digits,
    st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8),
)  # fmt: skip


@given(nights)
def test_a_night_is_read_as_it_is_written(night: Night) -> None:
    assert Night.parse(str(night)) == night == Night.parse(night.code)
    assert (night.date.year - 2000, night.date.timetuple().tm_yday) == (night.year, night.day)
    assert night.folder == f"{night.code[:2]}/{night.code[2:]}"


@given(nights, nights)
def test_nights_are_in_order_of_time(one: Night, other: Night) -> None:
    assert (one < other) == (one.date < other.date) == (str(one) < str(other))


@given(exposures, masks)
def test_ids_give_back_what_they_were_made_of(exposure: ExposureId, mask: int) -> None:
    pose = PoseId(exposure, mask)
    assert ExposureId.parse(str(exposure)) == exposure
    assert ExposureId.from_id(exposure.id_exposure) == exposure
    assert RunId.from_id(exposure.run_id.id_run) == exposure.run_id
    assert PoseId.from_id(pose.id_pose) == pose


@given(raw_names)
def test_a_raw_name_is_read_as_it_is_written(name: RawName) -> None:
    assert RawName.parse(str(name)) == name
    assert name.path == f"{name.exposure.night.folder}/{name}"
    assert ProductName.from_id(name.id_process).fclass == name.fclass


@given(product_names)
def test_a_product_name_is_read_as_it_is_written(name: ProductName) -> None:
    assert ProductName.parse(str(name)) == name
    assert ProductName.from_id(name.id_process, name.extension) == name
    assert name.id_process == str(int("".join(filter(str.isdigit, name.stem))))
    assert len(name.id_process) <= 25
    assert name.archive_path.endswith(f"/{name.exposure.night.folder}/{name}")


@given(product_names, product_names)
def test_products_of_different_names_have_different_ids(
    one: ProductName, other: ProductName
) -> None:
    assert (one.stem == other.stem) == (one.id_process == other.id_process)


@given(masks)
def test_a_channel_mask_is_read_as_it_is_written(mask: int) -> None:
    assert names.channel_mask(names.channel_text(mask)) == mask


@given(st.integers(0, 99), st.integers(0, 99))
def test_a_version_is_read_as_it_is_written(major: int, minor: int) -> None:
    version = VersionName.parse(f"SNF-{major:02}-{minor:02}")
    assert version.number == 100 * major + minor
    assert version.lite == f"{major:02}{minor:02}" == version.dashed.replace("-", "")


@given(st.text(max_size=40))
def test_any_text_is_taken_or_refused_as_a_bad_name_that_can_be_printed(text: str) -> None:
    for parse in (
        Night.parse, ExposureId.parse, RawName.parse, ProductName.parse, ProductName.from_id,
        VersionName.parse, names.check_target, names.check_production, names.channel_mask,
    ):  # fmt: skip
        try:
            parse(text)
        except BadName as error:
            assert error.hint and error.message.isascii() and error.message.isprintable()


# --- real examples -------------------------------------------------------------------------


def test_a_real_raw_frame() -> None:
    name = RawName.parse("25_056_084_001_07_B.fits")
    assert (str(name.exposure), name.fclass, name.channel) == ("25_056_084_001", 7, "B")
    assert name.pose.id_pose == 250560840014
    assert name.path == "25/056/25_056_084_001_07_B.fits"
    assert name.exposure.night.date == date(2025, 2, 25)


def test_a_real_product_with_its_ids_and_place() -> None:
    name = ProductName.parse("09_239_060_003_4_640_110_02-03_001.fits")
    assert (name.channel, name.fclass, name.xfclass, name.version, name.index) == (
        names.CHANNELS["B"], 640, 110, 203, 1,
    )  # fmt: skip
    assert name.exposure.run_id.id_run == 9239060
    assert name.exposure.id_exposure == 9239060003
    assert PoseId(name.exposure, name.channel).id_pose == 92390600034
    assert name.id_process == "923906000346401100203001"
    assert name.archive_path == "Prod/02-03/09/239/09_239_060_003_4_640_110_02-03_001.fits"
    assert name.base + "001" == name.id_process
    assert ProductName.from_id("923906000346401100203001") == name


def test_a_padded_process_id_names_the_same_product() -> None:
    name = ProductName.from_id("0723806600346701000110000")
    assert name.id_process == "723806600346701000110000"
    assert str(name) == "07_238_066_003_4_670_100_01-10_000.fits"


@given(product_names)
def test_an_id_is_read_padded_or_not(name: ProductName) -> None:
    assert ProductName.from_id(name.id_process.zfill(25), name.extension) == name


def test_a_real_product_of_a_night() -> None:
    name = ProductName.from_id("923900000019950000200000")
    assert (str(name.exposure.night), name.exposure.run, name.exposure.exposure) == ("09_239", 0, 0)
    assert (name.channel, name.fclass, name.xfclass, name.version) == (1, 995, 0, 200)


def test_a_channel_mask_of_both_spectroscopic_channels() -> None:
    assert names.channel_text(6) == "BR"
    assert names.channel_mask("BR") == names.channel_mask("RB") == 6


def test_a_targets_id_is_that_of_its_first_run() -> None:
    assert names.id_target(RunId.from_id(9239059)) == "T09239059"


def test_versions() -> None:
    version = VersionName.parse("SNF-02-03")
    assert (version.number, version.lite, version.dashed) == (203, "0203", "02-03")
    head = VersionName.parse("HEAD")
    assert (head.number, head.lite, head.dashed) == (0, "0000", "00-00")


def test_a_production_id_stands_for_the_version_everywhere() -> None:
    personal = VersionName.outver("HEAD", 13)
    production = names.production_name("NICO-", personal, "PATTEST", "a")
    assert f"{production}-{TARGET.code('LSQ13vy')}" == "NICO-0013-PATTESTa-LSQ13vy"
    name = ProductName(ExposureId.parse("09_239_060_003"), 4, 640, 110, personal.number, 1)
    assert str(name) == "09_239_060_003_4_640_110_00-13_001.fits"
    assert name.archive_path.startswith("Prod/00-13/09/239/")


@pytest.mark.parametrize(
    ("meta_prefix", "version", "prefix", "letter", "unit", "unit_kind", "job"),
    [
        ("SNF-", "SNF-02-03", "NEWYORK", "f", "PTF09dlc", TARGET, "SNF-0203-NEWYORKf-09dlc"),
        ("SNF-", "SNF-01-15", "Pr0115", "z", "10_145", NIGHT, "SNF-0115-Pr0115z-10145"),
    ],
)
def test_real_jobs(
    meta_prefix: str,
    version: str,
    prefix: str,
    letter: str,
    unit: str,
    unit_kind: UnitKind,
    job: str,
) -> None:
    name = names.production_name(meta_prefix, VersionName.parse(version), prefix, letter)
    assert f"{name}-{unit_kind.code(unit)}" == job
    assert names.check_production(name) == name


@pytest.mark.parametrize("name", ["SNF-0013-CUBEFIT3e", "SNF-0203-INCMFRh", "SNF-0203-ES0203e"])
def test_real_productions(name: str) -> None:
    assert names.check_production(name) == name


@pytest.mark.parametrize(
    ("target", "unit"),
    [
        ("PTF09dlc", "09dlc"),
        ("SNF20060530-003", "20060530-003"),
        ("SN2006X", "2006X"),
        ("LSQ13vy", "LSQ13vy"),
        ("CSS120517_01", "CSS120517_01"),
        ("NGC2370", "NGC2370"),
        ("EG131", "EG131"),
        ("SNfoo", "SNfoo"),
        ("xSN2006X", "xSN2006X"),
    ],
)
def test_a_targets_name_is_shortened_in_job_names_and_nowhere_else(target: str, unit: str) -> None:
    assert TARGET.code(target) == unit
    assert TARGET.folder(target) == target


def test_a_job_folder_of_a_night() -> None:
    assert NIGHT.folder("09_239") == "09/239"


# --- refusals ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "", "09_000", "09_366", "08_367", "9_239", "09_2390", "09-239", " 09_239", "09_239\n",
        "09_239_", "2009_239", "0x_239", "\u0660\u0669_239", "09_23\u0669",
    ],
)  # fmt: skip
def test_what_is_no_night_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        Night.parse(text)


def test_a_leap_year_has_a_366th_day() -> None:
    assert Night.parse("08_366").date == date(2008, 12, 31)


@pytest.mark.parametrize(
    "text",
    [
        "25_056_084_001_07_B", "25_056_084_001_07_B.fits.gz", "25_056_084_001_07_G.fits",
        "25_056_084_001_07_BR.fits", "25_056_084_001_7_B.fits", "25_056_84_001_07_B.fits",
        "25_056_084_001_07_B.FITS", "../25_056_084_001_07_B.fits", "25_056_084_001_07_B.fits\n",
        "25_366_084_001_07_B.fits", "25_056_084_001_07_b.fits", "25_056_084_001_07_B .fits",
    ],
)  # fmt: skip
def test_what_is_no_raw_name_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        RawName.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "09_239_060_003_0_640_110_02-03_001.fits", "09_239_060_003_8_640_110_02-03_001.fits",
        "09_239_060_003_4_640_110_0203_001.fits", "09_239_060_003_4_640_110_02-03_01.fits",
        "09_239_060_003_4_640_110_02-03_001", "09_239_060_003_4_640_110_02-03_001.",
        "09_239_060_003_4_640_110_02-03_001.fi/ts", "09_239_060_003_4_640_110_02-03_001.fits\0",
        "09_239_060_003_B_640_110_02-03_001.fits",
    ],
)  # fmt: skip
def test_what_is_no_product_name_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        ProductName.parse(text)


@pytest.mark.parametrize(
    "text",
    ["", "12", "-1", "0" * 25, "9" * 26, "923906000306401100203001", "9239x"],
)
def test_what_is_no_process_id_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        ProductName.from_id(text)


@pytest.mark.parametrize(
    "number", [{"channel": 8}, {"fclass": 1000}, {"xfclass": -1}, {"index": 1000},
               {"version": 10000}, {"extension": "a/b"}],
)  # fmt: skip
def test_what_a_product_name_cannot_hold_is_refused(number: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"channel": 4, "fclass": 38, "xfclass": 100, "version": 203, "index": 0}
    with pytest.raises(BadName):
        ProductName(ExposureId.parse("09_239_060_003"), **{**usual, **number})


@pytest.mark.parametrize("role", ["", "Plot", "a.b", "../x", "x" * 33, "a b"])
def test_an_auxiliary_files_role_is_a_plain_word(role: str) -> None:
    name = ProductName.parse("09_239_060_003_4_038_100_02-03_000.fits")
    assert name.auxiliary("plot_fit", "png") == "09_239_060_003_4_038_100_02-03_000.plot_fit.png"
    with pytest.raises(BadName):
        name.auxiliary(role, "png")


@pytest.mark.parametrize("text", ["", "head", "SNF-2-3", "SNF-0203", "snf-02-03", "SNF-02-03\n",
                                  "SNF-02-03-04", "../SNF-02-03"])  # fmt: skip
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        VersionName.parse(text)


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "-rf", "a/b", "../../x; rm -rf $HOME #", "it's", 'say "no"', "two\nlines",
        "a..b", "x" * 41, "a b", "\0", "caf\u00e9", "$HOME", "`id`", "a;b", "a|b", "*",
    ],
)  # fmt: skip
def test_a_hostile_target_name_is_refused(name: str) -> None:
    with pytest.raises(BadName) as refused:
        names.check_target(name)
    assert refused.value.message.isprintable()


@pytest.mark.parametrize("name", ["BD+17d4708", "SNF20060530-003", "CSS120517_01", "PS1-11br.2"])
def test_a_targets_name_may_hold_what_real_ones_do(name: str) -> None:
    assert names.check_target(name) == name


@pytest.mark.parametrize(
    ("meta_prefix", "prefix", "letter"),
    [("SNF", "A", "e"), ("SNF--", "A", "e"), ("1-", "A", "e"), ("SNF-", "", "e"),
     ("SNF-", "A B", "e"), ("SNF-", "A", "E"), ("SNF-", "A", "ee"), ("SNF-", "A/B", "e")],
)  # fmt: skip
def test_a_production_of_odd_parts_is_refused(meta_prefix: str, prefix: str, letter: str) -> None:
    with pytest.raises(BadName):
        names.production_name(meta_prefix, VersionName.parse("SNF-02-03"), prefix, letter)


@pytest.mark.parametrize("name", ["", "SNF-203-Ae", "SNF-0203", "0203-Ae", "SNF-0203-A/e", "x\n"])
def test_what_is_no_production_is_refused(name: str) -> None:
    with pytest.raises(BadName):
        names.check_production(name)


@pytest.mark.parametrize(
    ("text", "mask"), [("", 0), ("BB", 0), ("X", 8), ("b", -1)]
)  # fmt: skip
def test_odd_channels_are_refused(text: str, mask: int) -> None:
    with pytest.raises(BadName):
        names.channel_mask(text)
    with pytest.raises(BadName):
        names.channel_text(mask)
