"""A raw folder that tests fill frame by frame, and a project around it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from astropy.io import fits

from snfpipe.config.project import Project, load_project
from snfpipe.db.models import Base
from snfpipe.db.session import Database, open_database
from snfpipe.ingest.refresh import refresh
from snfpipe.ingest.report import NightReport
from snfpipe.names import Night, RawName

ROOT = Path(__file__).parents[2]
JD = 2454069.75  # 2006-11-30T06:00:00
Row = dict[str, Any]


def moment_of(night: str) -> dict[str, Any]:
    """Return the cards of time at 6 h UTC of a night."""
    jd = JD + (Night.parse(night).date - Night.parse("06_334").date).days
    moment = (datetime(2000, 1, 1, 12) + timedelta(jd - 2451545.0)).isoformat()
    return {"JD": jd, "DATE_OBS": moment, "MJD_OBS": jd - 2400000.5}


def cards(name: RawName, **other: Any) -> fits.Header:
    """Return a clean header of a frame, with other values for some cards (None: without it)."""
    exptime_s = 300.0 if name.fclass == 17 else 1.0
    values = {
        "FILENAME": str(name), "FCLASS": name.fclass, "CHANNEL": name.channel, "OBJECT": "GD71",
        "EXPTIME": exptime_s, "DARKTIME": exptime_s + 2, "AIRMASS": 1.2, "PARANG": 30.0, "JD": JD,
        "DATE-OBS": (datetime(2000, 1, 1, 12) + timedelta(JD - 2451545.0)).isoformat(),
        "MJD-OBS": JD - 2400000.5, "PRESSURE": 617.0, "TEMP": 3.5, "HUMIDITY": 20.0,
        "RASTER": "FULL", "BIASSEC1": "[33:40,1:8]", "DATASEC1": "[1:16,1:8]",
    }  # fmt: skip
    header = fits.Header()
    for card, value in {**values, **other}.items():
        if value is not None:
            header[card] = value
    return header


def write_frame(folder: Path, name: str, level: int = 1000, **other: Any) -> Path:
    """Write a small raw frame of one image."""
    header = cards(RawName.parse(name), **{key.replace("_", "-"): v for key, v in other.items()})
    pixels = np.full((8, 40), level, dtype=np.int16)
    path = folder / name
    fits.PrimaryHDU(pixels, header).writeto(path, overwrite=True)
    return path


class Survey:
    """A project with a raw folder, a database and what an ingest says."""

    def __init__(self, root: Path, database_url: str) -> None:
        self.root = root
        self.project: Project = load_project(root)
        self.raw = self.project.site.raw
        self.night = self.raw / "06/334"
        self.night.mkdir(parents=True)
        self.database: Database = open_database(database_url, create=True)

    def ingest(self, *nights: str, dry_run: bool = False) -> list[NightReport]:
        """Take in what is new."""
        wanted = [Night.parse(night) for night in nights]
        return list(refresh(self.project, self.database, wanted, dry_run=dry_run))

    def ingest_one(self) -> NightReport:
        """Take in what is new in the one night that has anything."""
        (report,) = (report for report in self.ingest() if report.night)
        return report

    def rows(self, table: str) -> list[Row]:
        """Return all rows of a table, in order of their keys."""
        columns = Base.metadata.tables[table]
        query = sa.select(columns).order_by(*columns.primary_key)
        with self.database.read() as session:
            return [dict(row) for row in session.execute(query).mappings()]

    def everything(self) -> dict[str, list[Row]]:
        """Return all rows of all tables."""
        return {table: self.rows(table) for table in Base.metadata.tables}

    def table(self, name: str, *lines: str) -> None:
        """Write a table into the raw folder (or a night's)."""
        (self.raw / name).write_text("\n".join(lines) + "\n")

    def frames(self) -> None:
        """Write a continuum, an object and an arc of one run, with log and target list."""
        for number, fclass, channel in (
            (1, 7, "B"), (1, 7, "R"), (3, 17, "B"), (3, 17, "R"), (4, 3, "B"), (4, 3, "R"),
        ):  # fmt: skip
            write_frame(self.night, f"06_334_001_{number:03}_{fclass:02}_{channel}.fits")
        self.table("targets.csv", "name,kind,ra_deg,dec_deg,mwebv", "GD71,StdStar,88.1,15.9,0.0")
        self.table(
            "06/334/obslog.csv",
            "run,exposure,channel,fclass,object,run_kind,run_type,quality,qzelog,guide",
            *(
                f"001,{number:03},{channel},{fclass:02},GD71,StdStar,SPECTRED,1,1,1"
                for number, fclass in ((1, 7), (3, 17), (4, 3))
                for channel in "BR"
            ),
        )


@pytest.fixture
def survey(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Survey]:
    """An empty survey on either database."""
    root = tmp_path / "project"
    for name in ("configs", "versions", "lists"):
        shutil.copytree(ROOT / name, root / name)
    monkeypatch.setenv("SNF_DATABASE_URL", database_url)
    made = Survey(root, database_url)
    yield made
    made.database.close()
