"""What is known of a point source once it was extracted: the values that all that follows reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from snfpipe.reduce.optics import SIDE
from snfpipe.reduce.point_source.photometry import Fit, MetasliceFit, Prior
from snfpipe.reduce.point_source.psf import seeing_arcsec
from snfpipe.reduce.point_source.scene import IMAGE_ERROR, Scene
from snfpipe.reduce.point_source.search import OtherLight
from snfpipe.reduce.point_source.slices import METASLICES, Slices, Solved, covariance

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Options:
    """Options of the plan.

    Attributes
    ----------
    psf : str
        Family of images, see :data:`snfpipe.reduce.point_source.psf.FAMILIES`.
    sky_degree : int or None
        Degree of the sky's polynomial, 0 to 2; None: as the item asks, or 0.
    airmass_sigma, parang_sigma : float
        How well the refraction's power (tan z) and angle [deg] are known beforehand.
    position_sigma : float
        How near the pointing brings the source to the middle of the array, spaxels.
    flag_sigma : float
        How far from what was known a value lies that is flagged, in these units.
    truncate_r : pair of float
        The range of R cubes that is extracted [Angstrom]; their ends hold no light to speak of.
    clip_sigma : float
        How far from the model a spaxel of a slice stands that is left out.
    host : bool
        Fit a galaxy beside the source where the item's sky has a slope: for supernovae.
    """

    psf: str = "gaussian-moffat"
    sky_degree: int | None = None
    airmass_sigma: float = 0.1
    parang_sigma: float = 5.0
    position_sigma: float = 1.0
    flag_sigma: float = 3.0
    truncate_r: Sequence[float] = (5100.0, 9700.0)
    clip_sigma: float = 6.0
    host: bool = False


@dataclass(frozen=True)
class Extraction:
    """All that is known of a point source.

    Attributes
    ----------
    scene : Scene
        The cube, and what fits share.
    slices : Slices
        The cube's slices as the last solve saw them.
    metaslices : list of MetasliceFit
    fit : Fit
    solved : Solved
        Flux and sky by slice.
    priors : dict
        What was known beforehand, by parameter.
    light : OtherLight
        Light that is neither the source nor its sky.
    other : Extraction or None
        The source in the exposure's other channel, extracted for itself.
    channels_apart : float or None
        Distance between the places that both channels show by themselves, spaxels.
    follows : bool
        Whether the other channel, which shows the source better, gave the place.
    """

    scene: Scene
    slices: Slices
    metaslices: list[MetasliceFit]
    fit: Fit
    solved: Solved
    priors: Mapping[str, Prior]
    light: OtherLight = field(default_factory=OtherLight)
    other: Extraction | None = None
    channels_apart: float | None = None
    follows: bool = False

    @property
    def wavelength(self) -> Array:
        """Wavelengths of the slices, Angstrom."""
        return self.slices.wavelength

    @property
    def channel(self) -> str:
        """Channel of the cube."""
        return str(self.scene.cube.header.get("CHANNEL", "?")).strip()

    @property
    def seeing(self) -> float:
        """Full width at half maximum at 5000 Angstrom, arcsec."""
        return seeing_arcsec(self.scene.family, self.fit.values["a0"])

    @property
    def _free(self) -> int:
        """Degrees of freedom of the slices' solves."""
        used = self.solved.coefficients.size + len(self.fit.values)
        return max(int(self.slices.there.sum()) - used, 1)

    @property
    def chi2(self) -> float:
        """Chi2 a degree of freedom of the slices' solves."""
        rest = self.slices.pull_scale * (self.slices.data - self.solved.model)
        return float((rest**2).sum()) / self._free

    @property
    def misfit(self) -> float:
        """The same, where images are known to some per cent only: what it says of a bright star."""
        variance = self.slices.variance + (IMAGE_ERROR * self.solved.model) ** 2
        rest2 = (self.slices.data - self.solved.model) ** 2
        return float((rest2 / variance).sum()) / self._free

    @property
    def distance(self) -> float:
        """Chi2 of all that the cube holds; what stands off counts as one at its limit."""
        cube = self.scene.cube
        good = np.isfinite(cube.variance.T)
        rest2 = np.where(good, (cube.data.T - self.solved.model) ** 2, 0)
        return float(np.minimum(rest2 / np.where(good, cube.variance.T, 1), 36.0).sum())

    @property
    def flux(self) -> Array:
        """Flux of the source, electrons a bin."""
        return self.solved.coefficients[:, 0]

    @cached_property
    def covariance(self) -> Array:
        """Covariance of the terms by slice: flux, sky."""
        return covariance(self.slices, self.solved)

    @property
    def flux_variance(self) -> Array:
        """Variance of the flux."""
        return self.covariance[:, 0, 0]

    @cached_property
    def signal(self) -> float:
        """Median over the bins of the flux over its error."""
        there = self.slices.there.any(axis=1)
        return float(np.median(self.flux[there] / np.sqrt(self.flux_variance[there])))

    @property
    def place(self) -> Array:
        """Where the source lies at 5000 Angstrom, spaxels."""
        return np.array([self.fit.values["x"], self.fit.values["y"]])

    @cached_property
    def metaslices_off(self) -> float:
        """Median distance of the metaslices' places from the 3-D fit, spaxels.

        A metaslice that shows no source counts as being off by the width of the array.
        """
        wavelength = np.array([one.wavelength for one in self.metaslices])
        found = np.array([one.values[:2] for one in self.metaslices]).reshape(-1, 2)
        off = np.hypot(*(found - np.column_stack(self.scene.place(self.fit.values, wavelength))).T)
        return float(np.median([*off, *[float(SIDE)] * (METASLICES - off.size)]))
