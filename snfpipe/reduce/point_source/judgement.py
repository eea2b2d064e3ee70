"""Flags and quality of an extraction, from what was measured alone."""

from __future__ import annotations

from snfpipe.reduce.point_source.extraction import Extraction, Options

#: Parameter -> flag of a value far from what was known beforehand.
_PRIORS = {
    "x": "ES_PRIOR_POSITION",
    "y": "ES_PRIOR_POSITION",
    "a0": "ES_PRIOR_SEEING",
    "delta": "ES_PRIOR_AIRMASS",
    "theta": "ES_PRIOR_PARANGLE",
}

#: Flags that tell of a spectrum which may be that of something else, or of nothing.
_BAD = frozenset({
    "ES_CHI2", "ES_EXTRA_LIGHT", "ES_MIS-CENTERED", "ES_NO_SOURCE", "ES_PLACE_UNSURE",
    "ES_PRIOR_POSITION",
})  # fmt: skip

_CENTRED = 4.0  # spaxels from the middle of the array
_SEEN = 0.5  # median signal over error a bin, below which there is no source: noise gives 0.3
_CLEAR = 2.0  # the same, below which a spectrum's sum is off by some per cent by its noise alone
_SCATTER = 1.0  # spaxel between metaslices and the 3-D fit; noise alone scatters them by 2 to 7
_APART = 0.5  # spaxel between the places that both channels show
_CHI2 = 1.5
_WIDE, _POINT = 3.0, 6.0  # errors of light beside the source; isolated ones give 1.5 and 5
_PART = 0.003  # of the source's light in another point, below which it does no harm
_HOST_SEEING = 0.4  # part by which the seeing beside a fitted galaxy is off what is known


def flags(found: Extraction, options: Options) -> list[str]:
    """Return the quality flags of an extraction, in order and once."""
    fitted = found.fit.values
    told = {
        flag
        for name, flag in _PRIORS.items()
        if (prior := found.priors.get(name))
        and abs(fitted[name] - prior.mean) > options.flag_sigma * prior.sigma
    }
    if max(abs(found.place)) > _CENTRED:
        told.add("ES_MIS-CENTERED")
    if found.signal < _CLEAR:
        told.add("ES_NO_SOURCE" if found.signal < _SEEN else "ES_LOW_SN")
    if _unsure(found):
        told.add("ES_PLACE_UNSURE")
    if found.misfit > _CHI2:
        told.add("ES_CHI2")
    if _beside(found) or (found.other is not None and _beside(found.other)):
        told.add("ES_EXTRA_LIGHT")
    if found.scene.host:
        told.add("ES_HOST_MODEL")
    return sorted(told)


def quality(found: Extraction, options: Options) -> int:
    """Return the quality of an extraction: 1 good, 2 bad."""
    bad = not _BAD.isdisjoint(flags(found, options))
    if found.scene.host:
        known = found.priors["a0"]
        off = abs(found.fit.values["a0"] - known.mean) / known.mean
        bad |= found.chi2 > _CHI2 or off > _HOST_SEEING
    return 2 if bad else 1


def _unsure(found: Extraction) -> bool:
    """Tell whether metaslices or channels disagree on the place."""
    other = found.other
    shows = other if found.follows and other is not None else found
    if shows.metaslices_off > _SCATTER:
        return True
    both_clear = other is not None and min(found.signal, other.signal) > _CLEAR
    return both_clear and (found.channels_apart or 0.0) > _APART


def _beside(found: Extraction) -> bool:
    """Tell whether there is light beside a source that may have a host: one on a sloped sky."""
    if found.scene.sky_degree == 0 or found.scene.host:
        return False
    light = found.light
    return abs(light.wide) > _WIDE or (light.point > _POINT and light.part > _PART)
