"""What can be simulated: targets, nights and the surveys made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from snfpipe.errors import NotFound, shown

if TYPE_CHECKING:
    from snfpipe.simulate.instrument import Size
    from snfpipe.simulate.layouts import Kind


@dataclass(frozen=True, slots=True)
class Model:
    """A supernova and its host, as the simulator makes them; see :mod:`.spectra`, :mod:`.psf`."""

    t0_night: str
    x0: float
    x1: float
    c: float
    host_mag: float
    host_x: float  # arcsec from the supernova
    host_y: float
    host_radius: float  # arcsec
    host_axis_ratio: float
    host_angle_deg: float


@dataclass(frozen=True, slots=True)
class Target:
    """A line of the target list, with exposure time and, for supernovae, the model behind it."""

    name: str
    kind: str
    ra_deg: float
    dec_deg: float
    exptime_s: float
    type: str = ""
    redshift: float | None = None
    mwebv: float = 0.0
    model: Model | None = None


def _standard(name: str, ra_deg: float, dec_deg: float, exptime_s: float) -> Target:
    """Return a standard star."""
    return Target(name, "StdStar", ra_deg, dec_deg, exptime_s)


def _supernova(
    name: str, ra_deg: float, dec_deg: float, redshift: float, mwebv: float, model: Model
) -> Target:
    """Return a type Ia supernova."""
    return Target(name, "SuperNova", ra_deg, dec_deg, 1200.0, "Ia", redshift, mwebv, model)


#: All targets.  Stars are real, their tables ship with the package; supernovae are invented.
TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        _standard("GD71", 88.1151, 15.8870, 150.0),
        _standard("GD153", 194.2597, 22.0313, 180.0),
        _standard("Feige110", 349.9933, -5.1656, 90.0),
        _standard("HZ44", 200.8969, 36.1332, 90.0),
        _standard("BD+17d4708", 332.8807, 18.0928, 1.5),
        _supernova("SNF20061129-003", 31.2512, 12.4031, 0.0382, 0.045,
                   Model("06_341", 2.8e-3, 0.6, 0.03, 17.3, 1.1, -0.7, 1.0, 0.65, 35.0)),
        _supernova("SNF20061121-001", 52.8047, -4.7128, 0.0525, 0.061,
                   Model("06_337", 1.7e-3, -0.4, -0.05, 17.9, -0.8, 0.9, 0.8, 0.8, 110.0)),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class NightPlan:
    """One night.

    Attributes
    ----------
    night : str
        ``06_334``.
    targets : tuple of str
        One run each.
    photometric : bool
        Whether the sky is clear.
    final_reference : bool
        Whether runs of supernovae are final references.
    biases, darks : int
        Calibration exposures of B and R.
    faults : tuple of str
        Names of :data:`snfpipe.simulate.faults.FAULTS`.
    """

    night: str
    targets: tuple[str, ...]
    photometric: bool = True
    final_reference: bool = False
    biases: int = 3
    darks: int = 1
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preset:
    """A survey: its nights, size and layout of frames, the channels, and the seed of all chance."""

    name: str
    title: str
    nights: tuple[NightPlan, ...]
    size: Size = "reduced"
    channels: str = "BRP"
    seed: int = 2006
    layout: Kind = "camera"


_TWO = ("SNF20061129-003", "SNF20061121-001")

PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "tiny",
            "two nights of a standard and a supernova, for tests",
            (
                NightPlan("06_334", ("GD71", "SNF20061129-003"), biases=1),
                NightPlan("06_336", ("GD71", "SNF20061129-003"), photometric=False, biases=1),
            ),
        ),
        Preset(
            "sample",
            "three nights and final references, each of two standards and two supernovae",
            (
                NightPlan("06_334", ("GD71", "Feige110", *_TWO)),
                NightPlan("06_336", ("GD71", "Feige110", *_TWO), photometric=False),
                NightPlan("06_339", ("GD71", "BD+17d4708", *_TWO)),
                NightPlan("07_245", ("GD71", "Feige110", *_TWO), final_reference=True),
            ),
        ),
        Preset(
            "six",
            "six small nights of a standard and a supernova",
            tuple(
                NightPlan(night, ("GD71", "SNF20061129-003"), photometric=clear, biases=1)
                for night, clear in (
                    ("06_334", True), ("06_335", True), ("06_336", False),
                    ("06_339", True), ("06_342", False), ("06_345", True),
                )
            ),
        ),
        Preset(
            "full",
            "one run of a standard at the detectors' real size",
            (NightPlan("06_334", ("GD71",), biases=1),),
            size="full",
            channels="BR",
        ),
    )
}  # fmt: skip


def find_preset(name: str) -> Preset:
    """Return a preset.

    Raises
    ------
    NotFound
        No preset has that name.
    """
    if name not in PRESETS:
        raise NotFound(f"there is no preset {shown(name)}", hint=f"use one of {', '.join(PRESETS)}")
    return PRESETS[name]
