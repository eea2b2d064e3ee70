"""The names and ids of nights, runs, exposures, poses, frames, products, versions and jobs.

Every kind of name is a frozen value with a strict ``parse`` and a ``str`` that gives back what
was parsed.  Ids are the digits of the names, the year without its leading zero; the id of a
process has up to 25 of them and stays text, since no integer type of a database holds it.  Where
an id of a process is read, one with that zero is taken, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, lru_cache, total_ordering
from typing import Self

from snfpipe.errors import BadName, shown

#: Bit of each channel in a mask: photometric, red and blue.
CHANNELS = {"P": 1, "R": 2, "B": 4}


@lru_cache
def channel_text(mask: int) -> str:
    """Return the letters of a channel mask, blue first: 6 -> ``BR``."""
    if not 0 < mask < 8:
        raise BadName(f"{mask} is no channel mask", hint="a mask is a sum of P=1, R=2, B=4")
    return "".join(letter for letter, bit in reversed(CHANNELS.items()) if mask & bit)


def channel_mask(text: str) -> int:
    """Return the mask of channel letters: ``BR`` -> 6."""
    if not text or len(set(text)) != len(text) or not set(text) <= set(CHANNELS):
        raise BadName(f"{shown(text)} names no channels", hint="use letters of B, R, P, each once")
    return sum(CHANNELS[letter] for letter in text)


def _match(pattern: re.Pattern[str], text: str, kind: str, example: str) -> re.Match[str]:
    """Match `text` as a whole or say what was expected."""
    match = pattern.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise BadName(f"{shown(text)} is no {kind}", hint=f"expected something like {example}")
    return match


#: How many digits at the end of a process id are the index, and before it the version.
INDEX_DIGITS, VERSION_DIGITS = 3, 4
#: How many digits at its end are not those of exposure and channel: class, version, index.
ENTITY_END = 13

# --- nights, runs, exposures, poses --------------------------------------------------------

_NIGHT = re.compile(r"([0-9]{2})_?([0-9]{3})", re.ASCII)


@total_ordering
@dataclass(frozen=True, slots=True)
class Night:
    """A UTC day of observations: two digits of the year (2000 on) and the day of the year."""

    year: int
    day: int

    def __post_init__(self) -> None:
        """Refuse a day that the year does not have."""
        leap = self.year % 4 == 0
        if not (0 <= self.year <= 99 and 1 <= self.day <= 365 + leap):
            raise BadName(
                f"year {self.year}, day {self.day} is no night",
                hint="a night is YY_DDD, days from 001 to 365 or 366",
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``09_239`` or ``09239``."""
        match = _match(_NIGHT, text, "night", "09_239")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        """Return ``09_239``."""
        return f"{self.year:02}_{self.day:03}"

    def __lt__(self, other: Night) -> bool:
        """Order by time."""
        return (self.year, self.day) < (other.year, other.day)

    @property
    def code(self) -> str:
        """The night as a job's unit: ``09239``."""
        return f"{self.year:02}{self.day:03}"

    @property
    def folder(self) -> str:
        """The night as a path: ``09/239``."""
        return f"{self.year:02}/{self.day:03}"

    @property
    def date(self) -> date:
        """The UTC date."""
        return date(2000 + self.year, 1, 1) + timedelta(days=self.day - 1)


def _part(number: int, kind: str, low: int = 0) -> None:
    """Refuse a number that three digits cannot hold."""
    if not low <= number <= 999:
        raise BadName(f"{number} is no {kind}", hint=f"a {kind} has three digits")


@dataclass(frozen=True, slots=True)
class RunId:
    """A run of a night; run 000 stands for the night itself."""

    night: Night
    run: int

    def __post_init__(self) -> None:
        """Check the range."""
        _part(self.run, "run")

    @property
    def id_run(self) -> int:
        """The id: 9239060 for run 060 of night 09_239."""
        return int(f"{self.night.code}{self.run:03}")

    @classmethod
    def from_id(cls, id_run: int) -> Self:
        """Return the run of an id."""
        digits = _digits(id_run, 8, "run id")
        return cls(Night.parse(digits[:5]), int(digits[5:]))

    def __str__(self) -> str:
        """Return ``09_239_060``."""
        return f"{self.night}_{self.run:03}"


@dataclass(frozen=True)
class ExposureId:
    """An exposure of a run; its texts are made once, thousands of products share it."""

    night: Night
    run: int
    exposure: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        _part(self.run, "run")
        _part(self.exposure, "exposure")

    @property
    def run_id(self) -> RunId:
        """The run it belongs to."""
        return RunId(self.night, self.run)

    @cached_property
    def id_exposure(self) -> int:
        """The id: 9239060003."""
        return int(f"{self.night.code}{self.run:03}{self.exposure:03}")

    @classmethod
    def from_id(cls, id_exposure: int) -> Self:
        """Return the exposure of an id."""
        digits = _digits(id_exposure, 11, "exposure id")
        return cls(Night.parse(digits[:5]), int(digits[5:8]), int(digits[8:]))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``09_239_060_003``."""
        match = _match(_EXPOSURE, text, "exposure", "09_239_060_003")
        return cls(Night.parse(match[1]), int(match[2]), int(match[3]))

    @cached_property
    def _text(self) -> str:
        return f"{self.night}_{self.run:03}_{self.exposure:03}"

    def __str__(self) -> str:
        """Return ``09_239_060_003``."""
        return self._text


@dataclass(frozen=True, slots=True)
class PoseId:
    """One channel (or several: a mask) of an exposure."""

    exposure: ExposureId
    channel: int

    def __post_init__(self) -> None:
        """Check the mask."""
        channel_text(self.channel)

    @property
    def id_pose(self) -> int:
        """The id: 92390600034."""
        return int(f"{self.exposure.id_exposure}{self.channel}")

    @classmethod
    def from_id(cls, id_pose: int) -> Self:
        """Return the pose of an id."""
        digits = _digits(id_pose, 12, "pose id")
        return cls(ExposureId.from_id(int(digits[:11])), int(digits[11]))

    def __str__(self) -> str:
        """Return ``09_239_060_003_B``."""
        return f"{self.exposure}_{channel_text(self.channel)}"


_EXPOSURE = re.compile(r"([0-9]{2}_[0-9]{3})_([0-9]{3})_([0-9]{3})", re.ASCII)


def _digits(number: int, width: int, kind: str) -> str:
    """Return the digits of an id with the zeros its year may have lost."""
    if number < 0 or len(str(number)) > width:
        raise BadName(f"{number} is no {kind}", hint=f"a {kind} has at most {width} digits")
    return f"{number:0{width}}"


# --- files ---------------------------------------------------------------------------------

_RAW = re.compile(r"([0-9]{2}_[0-9]{3})_([0-9]{3})_([0-9]{3})_([0-9]{2})_([BRP])\.fits", re.ASCII)
_PRODUCT = re.compile(
    r"([0-9]{2}_[0-9]{3})_([0-9]{3})_([0-9]{3})_([1-7])_([0-9]{3})_([0-9]{3})"
    r"_([0-9]{2}-[0-9]{2})_([0-9]{3})\.([a-z0-9]{1,8})",
    re.ASCII,
)
_ID_PROCESS = re.compile(r"[0-9]{1,25}", re.ASCII)
_ROLE = re.compile(r"[a-z0-9][a-z0-9_]{0,31}", re.ASCII)
_EXTENSION = re.compile(r"[a-z0-9]{1,8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class RawName:
    """A raw frame: ``25_056_084_001_07_B.fits``."""

    exposure: ExposureId
    fclass: int
    channel: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a raw file name."""
        match = _match(_RAW, text, "raw file name", "25_056_084_001_07_B.fits")
        exposure = ExposureId(Night.parse(match[1]), int(match[2]), int(match[3]))
        return cls(exposure, int(match[4]), match[5])

    def __str__(self) -> str:
        """Return the file name."""
        return f"{self.exposure}_{self.fclass:02}_{self.channel}.fits"

    @property
    def pose(self) -> PoseId:
        """The pose it belongs to."""
        return PoseId(self.exposure, CHANNELS[self.channel])

    @property
    def id_process(self) -> str:
        """The id of its process: XFclass, version and index are zero."""
        return ProductName(self.exposure, CHANNELS[self.channel], self.fclass, 0).id_process

    @property
    def path(self) -> str:
        """Where it lies below the raw folder: ``25/056/25_056_084_001_07_B.fits``."""
        return f"{self.exposure.night.folder}/{self}"


@dataclass(frozen=True)
class ProductName:
    """A product: ``09_239_060_003_4_640_110_02-03_001.fits``.

    Products of a whole night have run 000 and exposure 000.  Its texts are made once.
    """

    exposure: ExposureId
    channel: int
    fclass: int
    xfclass: int
    version: int = 0
    index: int = 0
    extension: str = "fits"

    def __post_init__(self) -> None:
        """Check what the name must hold."""
        channel_text(self.channel)
        for number, kind in ((self.fclass, "Fclass"), (self.xfclass, "XFclass")):
            _part(number, kind)
        _part(self.index, "index")
        if not 0 <= self.version <= 9999:
            raise BadName(f"{self.version} is no version number", hint="it has four digits")
        _match(_EXTENSION, self.extension, "file extension", "fits")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a product's file name."""
        example = "09_239_060_003_4_640_110_02-03_001.fits"
        match = _match(_PRODUCT, text, "product file name", example)
        exposure = ExposureId(Night.parse(match[1]), int(match[2]), int(match[3]))
        channel, fclass, xfclass = (int(match[n]) for n in (4, 5, 6))
        version = int(match[7].replace("-", ""))
        return cls(exposure, channel, fclass, xfclass, version, int(match[8]), match[9])

    @classmethod
    def from_id(cls, id_process: str, extension: str = "fits") -> Self:
        """Return the name of the main file of a process; its id may be padded with zeros."""
        _match(_ID_PROCESS, id_process, "process id", "923906000346401100203001")
        digits = id_process.zfill(25)
        exposure = ExposureId.from_id(int(digits[:11]))
        channel, fclass, xfclass = int(digits[11]), int(digits[12:15]), int(digits[15:18])
        version, index = int(digits[18:22]), int(digits[22:])
        return cls(exposure, channel, fclass, xfclass, version, index, extension)

    def __str__(self) -> str:
        """Return the file name."""
        return f"{self.stem}.{self.extension}"

    @cached_property
    def stem(self) -> str:
        """The file name without its extension."""
        classes = f"{self.channel}_{self.fclass:03}_{self.xfclass:03}"
        version = f"{self.version // 100:02}-{self.version % 100:02}"
        return f"{self.exposure}_{classes}_{version}_{self.index:03}"

    @cached_property
    def base(self) -> str:
        """The process id without its index: what products that differ only by it share."""
        classes = f"{self.channel}{self.fclass:03}{self.xfclass:03}"
        return f"{self.exposure.id_exposure}{classes}{self.version:04}"

    @property
    def id_process(self) -> str:
        """The process id: 923906000346401100203001."""
        return f"{self.base}{self.index:03}"

    @property
    def archive_path(self) -> str:
        """Where it lies below the archive: ``Prod/02-03/09/239/<file name>``."""
        version = f"{self.version // 100:02}-{self.version % 100:02}"
        return f"Prod/{version}/{self.exposure.night.folder}/{self}"

    def auxiliary(self, role: str, extension: str) -> str:
        """Return the name of an auxiliary file: ``<stem>.<role>.<extension>``."""
        _match(_ROLE, role, "role of a file", "plot_fit")
        _match(_EXTENSION, extension, "file extension", "png")
        return f"{self.stem}.{role}.{extension}"


# --- versions ------------------------------------------------------------------------------

_LABEL = re.compile(r"([A-Z][A-Za-z0-9]*)-([0-9]{2})-([0-9]{2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class VersionName:
    """A version as products and jobs name it: a label, and a number of four digits."""

    label: str
    number: int

    @classmethod
    def parse(cls, label: str) -> Self:
        """Read ``SNF-02-03``, or ``HEAD`` (number 0)."""
        if label == "HEAD":
            return cls(label, 0)
        match = _match(_LABEL, label, "version", "SNF-02-03 or HEAD")
        return cls(label, int(match[2] + match[3]))

    @classmethod
    def outver(cls, label: str, number: int) -> Self:
        """Return the name of a personal production that `number` replaces the version's in."""
        if not 0 <= number <= 9999:
            raise BadName(f"{number} is no production id", hint="use 0 to 9999")
        return cls(label, number)

    @property
    def lite(self) -> str:
        """The number in job names: ``0203``."""
        return f"{self.number:04}"

    @property
    def dashed(self) -> str:
        """The number in file names: ``02-03``."""
        return f"{self.lite[:2]}-{self.lite[2:]}"


# --- units and jobs ------------------------------------------------------------------------

_TARGET = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,39}", re.ASCII)
_ID_TARGET = re.compile(r"T([0-9]{5})([0-9]{3})", re.ASCII)
_SURVEY_PREFIX = re.compile(r"\A(?:SNF|PTF|SN)(?=[0-9])", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,29}", re.ASCII)
_META_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,18}-", re.ASCII)


def check_target(name: str) -> str:
    """Return a target's name, or refuse one that could not be a part of a path or a job name."""
    match = _match(_TARGET, name, "target name", "SNF20060530-003, LSQ13vy or BD+17d4708")
    if ".." in name:
        raise BadName(f"{shown(name)} is no target name", hint="it may not hold two dots in a row")
    return match[0]


def id_target(first_run: RunId) -> str:
    """Return a target's id, ``T09239059``, from its first run."""
    return f"T{first_run.night.code}{first_run.run:03}"


def target_exposure(id_target: str) -> ExposureId:
    """Return what names the products of a whole target: exposure 000 of its first run.

    Raises
    ------
    BadName
        It is no target's id.
    """
    match = _match(_ID_TARGET, id_target, "target id", "T09239059")
    return ExposureId(Night.parse(match[1]), int(match[2]), 0)


def short_target(name: str) -> str:
    """Return a target as job names show it: ``09dlc`` for PTF09dlc.

    The shortening cannot be undone: a unit comes from the job's row, never from its name, and
    lists refuse two units that it makes one.
    """
    return _SURVEY_PREFIX.sub("", check_target(name), count=1)


def production_name(meta_prefix: str, version: VersionName, prefix: str, letter: str) -> str:
    """Return what all jobs of a production start with: ``SNF-0203-NEWYORKf``."""
    _match(_META_PREFIX, meta_prefix, "meta prefix", "SNF-")
    _match(_WORD, prefix, "prefix", "NEWYORK")
    if letter and not (len(letter) == 1 and letter.isascii() and letter.islower()):
        raise BadName(f"{shown(letter)} is no plan letter", hint="a lower-case letter, or none")
    return f"{meta_prefix}{version.lite}-{prefix}{letter}"


_PRODUCTION = re.compile(
    r"[A-Za-z][A-Za-z0-9_]{0,18}-[0-9]{4}-[A-Za-z0-9][A-Za-z0-9_-]{0,30}", re.ASCII
)


def check_production(name: str) -> str:
    """Return a production's name, or refuse what none can be called."""
    return _match(_PRODUCTION, name, "production's name", "SNF-0203-NEWYORKf")[0]
