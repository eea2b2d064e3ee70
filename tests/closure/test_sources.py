"""Flags and quality of supernovae by what was measured; run with -s, every test prints figures."""

from __future__ import annotations

from itertools import cycle, islice, product
from pathlib import Path

import numpy as np
import pytest

from tests.closure.sources import Seen, Source, observe

_OWN = (0.0, 1.0, 1.0)  # the target's own galaxy

#: Faded, empty and misplaced; in none of them is a spectrum of the supernova.
_BAD = (
    Source(fainter=None),
    Source(fainter=2.0, place=(5.2, -1.0)),
    Source(fainter=None, host=_OWN),
    Source(fainter=None, light=0.0),
    Source(fainter=4.0, place=(0.5, 6.0)),
    Source(fainter=None),
    Source(fainter=3.0, place=(-4.8, 4.2)),
    Source(fainter=None, host=(2.0, 1.0, 1.0)),
)
#: Alone on the sky, down to a signal to noise of 3 a bin.
_GOOD = tuple(Source(fainter=fainter) for fainter in (4.0, 0.0, 3.0, 1.5, 3.7))

_FEW_OR_ALL = [4, pytest.param(20, marks=pytest.mark.soak)]


@pytest.mark.parametrize("exposures", _FEW_OR_ALL)
def test_what_is_no_spectrum_of_the_supernova_never_passes_as_good(
    exposures: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list(observe(list(islice(cycle(_BAD), exposures)), tmp_path, monkeypatch))
    show(seen)
    passed = [one.name for one in seen if one.quality == 1 or not one.flags]
    print(f"{len(passed)} of {len(seen)} pass as good (limit 0)")
    assert len(seen) == 2 * exposures and passed == []


@pytest.mark.parametrize("exposures", _FEW_OR_ALL)
def test_a_supernova_alone_on_the_sky_is_good_and_not_flagged(
    exposures: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list(observe(list(islice(cycle(_GOOD), exposures)), tmp_path, monkeypatch))
    show(seen)
    clear = [one for one in seen if one.compared.signal_to_noise >= 3]
    flagged = [one.name for one in clear if one.flags]
    faintest = min(one.compared.signal_to_noise for one in clear)
    print(f"{len(flagged)} of {len(clear)} flagged (limit 1), the faintest of S/N {faintest:.1f}")
    assert len(clear) >= 2 * exposures - 1 and faintest < 4.5
    assert len(flagged) <= 1 and all(one.quality == 1 for one in clear if not one.flags)
    for one in clear:
        assert abs(one.compared.ratio - 1) < 0.005 + 5 * one.error, one
        assert 0.85 < one.compared.pull_rms < 1.2, one
    pulls = np.array([one.compared.pull_rms for one in clear])
    print(f"pulls {pulls.min():.2f} to {pulls.max():.2f}, mean {pulls.mean():.2f}")


@pytest.mark.parametrize("exposures", [3, pytest.param(36, marks=pytest.mark.soak)])
def test_light_of_a_host_is_flagged_wherever_it_costs_five_per_cent(
    exposures: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = [(0.0, 1.0, 1.0), (2.0, 0.3, 2.0), (3.0, 1.0, 1.0), (4.0, 0.0, 1.0), (1.5, 0.0, 1.0),
             (1.0, 2.5, 1.0), (0.0, 1.5, 3.0), (5.0, 0.5, 1.0), (2.0, 2.0, 1.5)]  # fmt: skip
    sources = [Source(fainter, host) for fainter, host in product((1.5, 0.0, 3.0, 0.7), hosts)]
    seen = list(observe(sources[:exposures], tmp_path, monkeypatch))
    show(seen)
    off = [one for one in seen if abs(one.compared.ratio - 1) > 0.05]
    silent = [one.name for one in off if not one.flags]
    print(f"{len(off)} of {len(seen)} off by over 5 %, {len(silent)} of them without a flag")
    assert len(off) > exposures / 2 and silent == []
    assert all(one.quality == 2 for one in off)


def test_both_channels_of_an_exposure_are_looked_for_in_one_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # R shows this one, B by itself does not
    blue, red = observe([Source(fainter=5.2)], tmp_path, monkeypatch)
    print(f"\n{blue}\n{red}")
    cards = [one.compared.spectrum.header for one in (blue, red)]
    assert [card["ES_PLACE"] for card in cards] == ["R", "R"]
    apart = np.hypot(*(cards[0][card] - cards[1][card] for card in ("ES_XC", "ES_YC")))
    assert apart < 0.2
    assert blue.flags == ["ES_LOW_SN"] and blue.quality == 1
    assert abs(blue.compared.ratio - 1) < 4 * blue.error


def test_a_fitted_galaxy_is_flagged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for one in observe([Source(0.0, _OWN)], tmp_path, monkeypatch, host=True):
        print(f"\n{one}")
        assert one.flags == ["ES_HOST_MODEL"] and one.quality == 1
        assert abs(one.compared.ratio - 1) < 0.01


def show(seen: list[Seen]) -> None:
    """Print a line a spectrum."""
    print("", *seen, sep="\n")
