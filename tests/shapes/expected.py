"""What a person would expect of every step of the production, for one unit of each."""

from __future__ import annotations

from typing import NamedTuple

_GD71, _SN = "GD71", "SNF20061129-003"


class Expected(NamedTuple):
    """A unit: a product of it, what that is made from, and which units it waits for.

    Files are named without version and index; ``after`` are steps that come first as a whole.
    """

    unit: str
    product: str
    made_from: dict[str, str | list[str]]
    upstream: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    def names(self) -> set[str]:
        """Return every file that it is made from."""
        names: set[str] = set()
        for given in self.made_from.values():
            names.update([given] if isinstance(given, str) else given)
        return names


STEPS = {
    "frames": Expected(
        "06_334", "06_334_001_003_4_018_000", {"raw": "06_334_001_003_17_B"},
    ),
    # all frames of a night; of two inputs that it can do without, one is an empty list
    "night_flat": Expected(
        "06_334", "06_334_000_000_6_030_000",
        {"frames": ["06_334_001_003_2_018_000", "06_334_001_003_4_018_000",
                    "06_334_002_003_2_018_000", "06_334_002_003_4_018_000"], "darks": []},
        ("frames:06_334",),
    ),
    # a list of one, and a product of the night for B and R
    "spectra": Expected(
        "06_334", "06_334_001_003_2_038_100",
        {"frame": "06_334_001_003_2_018_000", "frames": ["06_334_001_003_2_018_000"],
         "flat": "06_334_000_000_6_030_000"},
        ("frames:06_334", "night_flat:06_334"),
    ),
    "merged": Expected(
        "06_334", "06_334_002_003_6_670_100",
        {"spectra": ["06_334_002_003_2_038_100", "06_334_002_003_4_038_100"]},
        ("spectra:06_334",),
    ),
    "photometric": Expected("06_334", "06_334_000_000_6_995_042", {}),
    # named by the target's first run
    "target_spectrum": Expected(
        _GD71, "06_334_001_000_6_680_100",
        {"spectra": ["06_334_001_003_6_670_100", "07_010_001_003_6_670_100"],
         "flats": ["06_334_000_000_6_030_000", "07_010_000_000_6_030_000"]},
        ("merged:06_334", "merged:07_010", "night_flat:06_334", "night_flat:07_010"),
    ),
    # reads a target, whose product is named by another night
    "night_zero": Expected(
        "06_336", "06_336_000_000_6_032_000",
        {"targets": ["06_334_002_000_6_680_100"], "best": "06_334_002_000_6_680_100"},
        (f"target_spectrum:{_SN}",),
    ),
    "light_curve": Expected(
        _GD71, "06_334_001_000_6_700_100", {"spectrum": "06_334_001_000_6_680_100"},
        (f"target_spectrum:{_GD71}",),
    ),
    # the flat that most frames made, of another night
    "reference": Expected(
        "06_336", "06_336_000_000_6_041_000", {"flat": "06_334_000_000_6_030_000"},
        after=("night_flat",),
    ),
    "catalogue": Expected(
        "all", "06_334_000_000_6_026_000",
        {"spectra": ["06_334_001_000_6_680_100", "06_334_002_000_6_680_100"]},
        after=("target_spectrum",),
    ),
    "monthly": Expected(
        "2006-12", "06_336_000_000_6_027_000", {"zeros": ["06_336_000_000_6_032_000"]},
        ("night_zero:06_336",),
    ),
    "half_years": Expected(
        "2006h2", "06_334_000_000_6_031_000",
        {"months": ["06_334_000_000_6_027_000", "06_336_000_000_6_027_000"],
         "photometric": ["06_334_000_000_6_995_042", "06_336_000_000_6_995_042"]},
        ("monthly:2006-11", "monthly:2006-12", "photometric:06_334", "photometric:06_336"),
    ),
    "groups": Expected(
        "standards", "06_334_000_000_6_029_000", {"spectra": ["06_334_001_000_6_680_100"]},
        (f"target_spectrum:{_GD71}",),
    ),
    "calibrated": Expected(
        "06_336", "06_336_001_003_4_023_000",
        {"spectrum": "06_336_001_003_6_670_100", "zero": "06_336_000_000_6_032_000",
         "targets": ["06_334_002_000_6_680_100"], "catalogue": "06_334_000_000_6_026_000"},
        ("merged:06_336", "night_zero:06_336", f"target_spectrum:{_SN}"), ("catalogue",),
    ),
}  # fmt: skip

#: Number of units of each step.
UNITS = {
    "frames": 3, "night_flat": 3, "spectra": 3, "merged": 3, "photometric": 3,
    "target_spectrum": 2, "night_zero": 3, "light_curve": 2, "reference": 3, "catalogue": 1,
    "monthly": 3, "half_years": 2, "groups": 2, "calibrated": 3,
}  # fmt: skip

#: Number of products of each step.
PRODUCTS = {
    "frames": 12, "night_flat": 3, "spectra": 16, "merged": 4, "photometric": 3,
    "target_spectrum": 2, "night_zero": 3, "light_curve": 2, "reference": 3, "catalogue": 1,
    "monthly": 3, "half_years": 2, "groups": 2, "calibrated": 8,
}  # fmt: skip


def stem(name: str) -> str:
    """Return a file's name without version, index and extension; of a raw frame the stem."""
    whole = name.rpartition("/")[2].partition(".")[0]
    return whole.rsplit("_", 2)[0] if "01-00" in whole else whole
