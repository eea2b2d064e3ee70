"""Small surveys for tests of the machinery: real raw frames in all but their number of pixels."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

from snfpipe.names import Night

CLASS_OF = {1: 7, 3: 17, 4: 3}  # exposure number -> raw Fclass: continuum, object, arc
IMAGE_TYPE = {7: "COMPARISON", 17: "OBJECT", 3: "COMPARISON"}

LOG_COLUMNS = (
    "run,exposure,channel,fclass,object,run_kind,run_type,filter,exptime_s,guide,guide_s,"
    "guide_f,guide_x,interrupt,quality,qzelog"
).split(",")
TARGET_COLUMNS = (
    "name,kind,type,pi,ra_deg,dec_deg,iauc,redshift,redshift_err,mwebv,date_c,date_m"
).split(",")


@dataclass(frozen=True, slots=True)
class Star:
    """A target of the small survey."""

    name: str
    kind: str
    type: str = ""


STARS = (Star("GD71", "StdStar"), Star("SNF20061129-003", "SuperNova", "Ia"))


def write_targets(raw: Path, stars: Iterable[Star] = STARS) -> None:
    """Write the survey's target list."""
    raw.mkdir(parents=True, exist_ok=True)
    with (raw / "targets.csv").open("w", newline="") as file:
        rows = csv.DictWriter(file, TARGET_COLUMNS)
        rows.writeheader()
        for star in stars:
            rows.writerow({"name": star.name, "kind": star.kind, "type": star.type, "pi": "snf",
                           "ra_deg": 88.1, "dec_deg": 15.9})  # fmt: skip


def write_night(
    raw: Path,
    night: str,
    stars: Iterable[Star] = STARS,
    *,
    arcs: bool = True,
    channels: str = "BR",
    run_kind: str = "",
) -> Path:
    """Write one night: a run a star, each with a continuum, an object and an arc a channel."""
    folder = raw / night.replace("_", "/")
    folder.mkdir(parents=True, exist_ok=True)
    log = []
    for run, star in enumerate(stars, 1):
        for exposure, fclass in CLASS_OF.items():
            if fclass == 3 and not arcs:
                continue
            for channel in channels:
                write_frame(folder, night, run, exposure, fclass, channel, star.name)
                log.append(
                    {"run": f"{run:03}", "exposure": f"{exposure:03}", "channel": channel,
                     "fclass": f"{fclass:02}", "object": star.name,
                     "run_kind": "StdStar" if star.kind == "StdStar" else run_kind,
                     "run_type": "SPECTRED", "exptime_s": 100, "guide": 1, "guide_s": 0.9,
                     "guide_f": 0.1, "guide_x": 2100, "interrupt": 1, "quality": 1, "qzelog": 1}
                )  # fmt: skip
    with (folder / "obslog.csv").open("w", newline="") as file:
        rows = csv.DictWriter(file, LOG_COLUMNS)
        rows.writeheader()
        rows.writerows(log)
    return folder


def write_frame(
    folder: Path, night: str, run: int, exposure: int, fclass: int, channel: str, name: str,
    salt: str = "",
) -> Path:  # fmt: skip
    """Write one raw frame of 8 x 8 pixels, its header as the camera writes it."""
    stem = f"{night}_{run:03}_{exposure:03}_{fclass:02}_{channel}"
    random = np.random.default_rng(zlib.crc32((stem + salt).encode()))
    noon = Night.parse(night).date.toordinal() + 1721425.0  # Julian date
    hdu = fits.PrimaryHDU(random.integers(3000, 4000, (8, 8)).astype(np.uint16))
    hdu.header.update(
        FILENAME=stem, FCLASS=fclass, CHANNEL=channel, OBJECT=name, EXPTIME=100.0, DARKTIME=101.0,
        IMAGETYP=IMAGE_TYPE[fclass], RUNID=stem[:10], AIRMASS=1.2, PARANG=30.0, RASTER="FULL",
        JD=noon + run / 100 + exposure / 1000,
        PRESSURE=617.0, TEMP=2.0, RA="05:52:27.6", DEC="15:53:13.0", CCDNAMP=2,
    )  # fmt: skip
    path = folder / f"{stem}.fits"
    hdu.writeto(path, overwrite=True)
    return path
