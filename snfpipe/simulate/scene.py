"""What stands before the telescope: the target's light, its host, and the exposure's conditions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snfpipe.simulate import spectra
from snfpipe.simulate.atmosphere import make_clouds
from snfpipe.simulate.instrument import SPAXEL, Array
from snfpipe.simulate.presets import NightPlan, Preset, Target
from snfpipe.simulate.psf import Host, Psf
from snfpipe.simulate.randomness import generator
from snfpipe.simulate.schedule import Frame, julian_date


@dataclass(frozen=True, slots=True)
class Conditions:
    """What an exposure's channels share.

    Attributes
    ----------
    psf : Psf
        The image of a point.
    x, y : float
        Where it lies at 5000 Angstrom, spaxels.
    transparency : float
        Mean of the clouds over the exposure; 1 under a clear sky.
    moon : float
        Moonlight, see :func:`.spectra.sky_flux`.
    """

    psf: Psf
    x: float
    y: float
    transparency: float
    moon: float


def moonlight(seed: int, night: str) -> float:
    """Return the brightness of a night's moonlight: none on half of the nights."""
    return max(0.0, float(generator(seed, night, "moon").uniform(-2.0, 2.0)))


def make_conditions(preset: Preset, plan: NightPlan, frame: Frame) -> Conditions:
    """Return the conditions of an exposure."""
    chance = generator(preset.seed, frame.night, frame.run, frame.exposure, "conditions")
    alpha = float(chance.uniform(1.7, 2.6))
    psf = Psf(
        a0=alpha,
        a1=alpha * float(-0.20 + chance.normal(0, 0.01)),
        a2=alpha * float(0.07 + chance.normal(0, 0.005)),
        ell=float(1 + np.clip(chance.normal(0, 0.06), -0.15, 0.15)),
        xy=float(np.clip(chance.normal(0, 0.03), -0.08, 0.08)),
    )
    x, y = (float(value) for value in np.clip(chance.normal(0, 0.35, 2), -1, 1))
    clouds = make_clouds(preset.seed, plan.night, plan.photometric)
    seen = clouds.mean(frame.start_h, frame.exptime_s)
    return Conditions(psf, x, y, seen, moonlight(preset.seed, plan.night))


def mirror(seed: int, night: str) -> float:
    """Return the night's grey throughput of the telescope."""
    return float(1 + np.clip(generator(seed, night, "mirror").normal(0, 0.01), -0.03, 0.03))


def object_flux(target: Target, jd: float, wavelength: Array) -> Array:
    """Return a point source's flux above the atmosphere, behind the Milky Way's dust."""
    if target.model is None:
        return spectra.standard_flux(target.name, wavelength)
    supernova = supernova_of(target)
    flux = spectra.supernova_flux(supernova, jd, wavelength)
    return flux * spectra.dust(target.mwebv, wavelength)


def supernova_of(target: Target) -> spectra.Supernova:
    """Return the model of a target that is a supernova."""
    if target.model is None or target.redshift is None:
        raise ValueError(f"{target.name} is no supernova")
    model = target.model
    t0_jd = julian_date(model.t0_night) + 0.5
    return spectra.Supernova(target.redshift, t0_jd, model.x0, model.x1, model.c)


def host_of(target: Target) -> Host | None:
    """Return a target's host galaxy, if it has one."""
    model = target.model
    if model is None:
        return None
    return Host(
        model.host_x / SPAXEL, model.host_y / SPAXEL, model.host_radius / SPAXEL,
        0.35 * model.host_radius / SPAXEL, model.host_axis_ratio, model.host_angle_deg, 0.3,
        model.host_mag,
    )  # fmt: skip
