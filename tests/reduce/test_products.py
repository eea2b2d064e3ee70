"""What the programs leave: formats, and the same bytes wherever and whenever they run."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from snfpipe.reduce.formats import read_cube, write_cube3d
from tests.closure.night import Work
from tests.reduce.conftest import ARC, CONTINUUM, ROLES, STAR, make


def products(work: Work) -> dict[str, bytes]:
    """Return all products of a folder by name."""
    inputs = {f"{name}.fits" for name in (STAR, ARC, CONTINUUM)}
    return {
        path.name: path.read_bytes()
        for path in work.folder.iterdir()
        if path.suffix in (".fits", ".png", ".txt") and path.name not in inputs
    }


def test_two_runs_in_different_folders_give_the_same_bytes(
    star: Work, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Pacific/Honolulu")
    first, second = products(star), products(make(tmp_path_factory, "elsewhere"))
    assert len(first) == 3 + 4 + len(ROLES)
    assert {name for name in first if first[name] != second.get(name)} == set()
    assert len({hashlib.sha256(content).digest() for content in first.values()}) == len(first)


def test_products_know_neither_time_nor_host_nor_folder(star: Work) -> None:
    foreign = [str(star.folder), "DATE    =", "Software", "matplotlib"]
    for name, content in products(star).items():
        assert not [word for word in foreign if word.encode() in content], name
        if name.endswith(".fits"):
            with fits.open(star.folder / name) as hdus:
                cards = "\n".join(repr(hdu.header) for hdu in hdus)
            assert f"'{os.uname().nodename}" not in cards, name


def test_a_frame_has_electrons_variance_and_its_cards(star: Work) -> None:
    with fits.open(star.path(STAR, "frame")) as hdus:
        header = hdus[0].header
        assert [hdu.data.dtype.str for hdu in hdus] == [">f4", ">f4"]
        assert hdus[0].data.shape == hdus[1].data.shape == (1152, 512)
        assert (hdus[1].data > 0).all()
        assert (header["FCLASS"], header["OVSCDONE"], header["CHANNEL"]) == (18, True, "B")
        assert 4 < header["RDNOISE1"] < 5 and header["SATURAT1"] == 0
        assert re.fullmatch("[0-9a-f]{12}", header["CALIBDAT"])


def test_a_cube_is_euro3d_and_goes_through_the_other_format(star: Work, tmp_path: Path) -> None:
    path = star.path(STAR, "cube")
    with fits.open(path) as hdus:
        assert hdus[0].header["EURO3D"] is True and hdus[0].header["E3D_VERS"] == "1.0"
        assert [hdu.name for hdu in hdus[1:]] == ["E3D_DATA", "E3D_GRP", "TIGERTBL"]
        table = hdus[1]
        assert table.columns.names == (
            "SPEC_ID SELECTED NSPAX SPEC_LEN SPEC_STA XPOS YPOS GROUP_N SPAX_ID DATA_SPE "
            "QUAL_SPE STAT_SPE".split()
        )
        assert len(table.data) == 225 and table.header["CTYPES"] == "WAVE"
        assert set(hdus[3].data["I"]) == set(range(-7, 8))
    cube = read_cube(str(path))
    write_cube3d(str(tmp_path / "cube.fits"), cube)
    again = read_cube(str(tmp_path / "cube.fits"))
    here, there = np.lexsort(cube.lens.T), np.lexsort(again.lens.T)
    assert np.array_equal(cube.lens[here], again.lens[there])
    assert np.allclose(cube.data[here], again.data[there])
    assert np.allclose(cube.wavelength, again.wavelength)


def test_a_spectrum_has_its_cards_and_the_sky_is_by_square_arcsec(star: Work) -> None:
    spectrum, sky = (fits.open(star.path(STAR, role)) for role in ("spectrum", "sky"))
    with spectrum, sky:
        header = spectrum[0].header
        for card in (
            "ES_CUBE ES_LREF ES_SDEG ES_CHI2 ES_AIRM ES_PARAN ES_XC ES_YC ES_LMIN ES_LMAX "
            "ES_METH ES_PSF ES_TFLUX ES_SFLUX ES_PRIOR SEEING CRVAL1 CDELT1 OBJECT"
        ).split():
            assert card in header, card
        assert header["ES_CUBE"] == star.path(STAR, "cube").name
        assert spectrum[1].name == "VARIANCE" and (spectrum[1].data > 0).all()
        assert (spectrum[0].header["BUNIT"], sky[0].header["BUNIT"]) == (
            "electron",
            "electron arcsec-2",
        )
        assert header["ES_SFLUX"] == pytest.approx(sky[0].data.sum(), rel=1e-3)


def test_plots_are_images_of_some_size(star: Work) -> None:
    for role in ("plot_fit", "plot_adr", "plot_spectrum"):
        content = star.path(STAR, role).read_bytes()
        assert content.startswith(b"\x89PNG") and len(content) > 20_000
