"""Faults of raw frames, logs and folders, each put into a good night of its own.

What each costs, and what `snf ingest`, `doit` and the audits say of it, stands in docs/ingest.md;
a new fault is a row there and an entry here.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from tests.ingest.conftest import moment_of, write_frame

STARS = {1: ("GD71", "StdStar"), 2: ("SNF20061129-003", "SuperNova")}
CLASSES = {1: 7, 3: 17, 4: 3}
TYPES = {7: ("FLAT", "COMPARISON"), 17: ("OBJECT", "OBJECT"), 3: ("ARC", "COMPARISON")}
COLUMNS = ("run", "exposure", "channel", "fclass", "object", "run_kind", "run_type", "exptime_s",
           "guide", "guide_s", "guide_f", "guide_x", "interrupt", "quality", "qzelog")  # fmt: skip
TARGETS = "name,kind,ra_deg,dec_deg\nGD71,StdStar,88.1,15.9\nSNF20061129-003,SuperNova,31.2,12.4\n"
CARD = 80


@dataclass(frozen=True)
class RawNight:
    """A night's folder: two runs of a continuum, an object and an arc, in B and R."""

    raw: Path
    night: str

    @property
    def folder(self) -> Path:
        return self.raw / self.night.replace("_", "/")

    @property
    def log(self) -> Path:
        return self.folder / "obslog.csv"

    def name(self, run: int = 1, exposure: int = 3, channel: str = "B") -> str:
        return f"{self.night}_{run:03}_{exposure:03}_{CLASSES[exposure]:02}_{channel}.fits"

    def frame(self, run: int = 1, exposure: int = 3, channel: str = "B") -> Path:
        return self.folder / self.name(run, exposure, channel)

    def rewrite(self, **cards: Any) -> None:
        """Write the victim anew, with other values of some cards."""
        self.write(self.name(), **cards)

    def write(self, name: str, **cards: Any) -> None:
        run, fclass = int(name[7:10]), int(name[15:17])
        observed, image = TYPES[fclass]
        known = {
            **moment_of(self.night), "OBJECT": STARS[run][0], "RUNID": name[:10], "EXPTIME": 300.0,
            "EVTID": int(name[11:14]), "OBSTYPE": observed, "IMAGETYP": image, "RASTER": None,
        }  # fmt: skip
        write_frame(self.folder, name, level=sum(name.encode()), **{**known, **cards})

    def make(self) -> None:
        """Write the good night."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for run in STARS:
            for exposure in CLASSES:
                for channel in "BR":
                    self.write(self.name(run, exposure, channel))
        self.write_log(self.lines())

    def lines(self) -> list[dict[str, Any]]:
        return [
            {"run": f"{run:03}", "exposure": f"{exposure:03}", "channel": channel,
             "fclass": f"{CLASSES[exposure]:02}", "object": STARS[run][0],
             "run_kind": "StdStar" if run == 1 else "FollowUp", "run_type": "SPECTRED",
             "exptime_s": 300.0, "guide": 1, "guide_s": 0.9, "guide_f": 0.1, "guide_x": 2100,
             "interrupt": 1, "quality": 1, "qzelog": 1}
            for run in STARS for exposure in CLASSES for channel in "BR"
        ]  # fmt: skip

    def write_log(self, lines: Iterable[dict[str, Any]]) -> None:
        with self.log.open("w", newline="") as file:
            rows = csv.DictWriter(file, COLUMNS)
            rows.writeheader()
            rows.writerows(lines)

    def change_lines(self, where: Callable[[dict[str, Any]], bool], **values: Any) -> None:
        """Change some lines of the log."""
        self.write_log({**line, **values} if where(line) else line for line in self.lines())

    def put_card(self, keyword: str, image: str, path: Path | None = None) -> None:
        """Put other bytes in place of a card of the victim."""
        path = path or self.frame()
        content = path.read_bytes()
        at = content.index(f"{keyword:8}=".encode())
        path.write_bytes(content[:at] + image.encode().ljust(CARD) + content[at + CARD :])

    def text_of_log(self, change: Callable[[str], str], encoding: str = "utf-8") -> None:
        """Rewrite the log as a text."""
        self.log.write_bytes(change(self.log.read_text()).encode(encoding))


def first_run(line: dict[str, Any]) -> bool:
    return str(line["run"]) == "001"


def victim(line: dict[str, Any]) -> bool:
    return (line["run"], line["exposure"], line["channel"]) == ("001", "003", "B")


def value(keyword: str, text: str) -> Callable[[RawNight], object]:
    """Let a card of the victim have a value, as text in place of its bytes."""
    return lambda night: night.put_card(keyword, f"{keyword:8}= {text:>20}")


def other(**cards: Any) -> Callable[[RawNight], object]:
    """Let some cards of the victim have other values (None: without it)."""
    return lambda night: night.rewrite(**cards)


def log_line(
    where: Callable[[dict[str, Any]], bool], **values: Any
) -> Callable[[RawNight], object]:
    """Let some lines of the log say something else."""
    return lambda night: night.change_lines(where, **values)


def summed(night: RawNight) -> None:
    with fits.open(night.frame()) as hdus:
        hdus.writeto(night.frame(), overwrite=True, checksum=True)


def wrong_checksum(night: RawNight) -> None:
    summed(night)
    night.put_card("HUMIDITY", "HUMIDITY=                 21.0")


def wrong_datasum(night: RawNight) -> None:
    summed(night)
    content = bytearray(night.frame().read_bytes())
    content[2880 * (len(content) // 2880 - 1) + 11] ^= 4
    night.frame().write_bytes(content)


def twice(night: RawNight) -> None:
    night.put_card("HUMIDITY", "EXPTIME =                 20.0")


def every_frame(**cards: Any) -> Callable[[RawNight], object]:
    """Let all frames of a night have the same fault."""

    def inject(night: RawNight) -> None:
        for path in sorted(night.folder.glob("*.fits")):
            night.write(path.name, **cards)

    return inject


def foreign(night: RawNight) -> None:
    name = night.name().replace(night.night, "05_001")
    night.frame().rename(night.folder / name)
    night.write_log(line for line in night.lines() if not victim(line))


def packed(suffix: str, pack: Callable[[bytes], bytes]) -> Callable[[RawNight], object]:
    """Compress the victim."""

    def inject(night: RawNight) -> None:
        path = night.frame()
        path.with_name(path.name + suffix).write_bytes(pack(path.read_bytes()))
        path.unlink()

    return inject


def tiled(night: RawNight) -> None:
    path = night.frame()
    with fits.open(path) as hdus:
        image = fits.CompImageHDU(hdus[0].data.astype(np.int16), hdus[0].header)
        image.writeto(path.with_name(path.name + ".fz"))
    path.unlink()


def half_packed(night: RawNight) -> None:
    packed(".gz", lambda content: gzip.compress(content)[:-200])(night)


def both(night: RawNight) -> None:
    path = night.frame()
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))


def rename(change: Callable[[str], str]) -> Callable[[RawNight], object]:
    """Call the victim otherwise."""
    return lambda night: night.frame().rename(night.folder / change(night.name()))


def subfolder(night: RawNight) -> None:
    (night.folder / "more").mkdir()
    night.frame().rename(night.folder / "more" / night.name())


def stray(night: RawNight) -> None:
    (night.folder / "notes.txt").write_text("clouds after midnight\n")


def short(night: RawNight) -> None:
    night.frame().write_bytes(night.frame().read_bytes()[:-2880])


def not_fits(night: RawNight) -> None:
    night.frame().write_bytes(b"\0" * 5760)


def without_line(night: RawNight) -> None:
    night.write_log(line for line in night.lines() if not victim(line))


def extra_line(night: RawNight) -> None:
    night.write_log([*night.lines(), {**night.lines()[-1], "run": "003"}])


def doubled(**values: Any) -> Callable[[RawNight], object]:
    """Let the victim have a second line."""

    def inject(night: RawNight) -> None:
        (line,) = filter(victim, night.lines())
        night.write_log([*night.lines(), {**line, **values}])

    return inject


def text(change: Callable[[str], str], encoding: str = "utf-8") -> Callable[[RawNight], object]:
    """Save the log otherwise."""
    return lambda night: night.text_of_log(change, encoding)


def spreadsheet_names(log: str) -> str:
    head, _, rest = log.partition("\n")
    return head.replace("_", " ").title().replace(",", " , ") + "\n" + rest


# --- after the night was ingested --------------------------------------------------------------


def delete(night: RawNight) -> None:
    night.frame().unlink()


def change_unseen(night: RawNight) -> None:
    """Change a pixel, and neither size nor time."""
    state = night.frame().stat()
    content = bytearray(night.frame().read_bytes())
    content[-2880] ^= 1
    night.frame().write_bytes(content)
    os.utime(night.frame(), ns=(state.st_atime_ns, state.st_mtime_ns))


#: Fault, as its row is called -> what does it to a night before it is ingested.
FAULTS: dict[str, Callable[[RawNight], object]] = {
    "none": lambda night: None,
    # header cards
    "AIRMASS = NaN": value("AIRMASS", "NaN"),
    "AIRMASS = 1,2": value("AIRMASS", "1,2"),
    "AIRMASS = 'None'": other(AIRMASS="None"),
    "AIRMASS = 1E500": value("AIRMASS", "1E500"),
    "AIRMASS missing": other(AIRMASS=None),
    "EXPTIME = 1200,0": value("EXPTIME", "1200,0"),
    "EXPTIME twice, 300 and 20": twice,
    "EXPTIME missing": other(EXPTIME=None),
    "JD missing": other(JD=None, MJD_OBS=None),
    "JD missing, and all other times": other(JD=None, MJD_OBS=None, DATE_OBS=None),
    "JD of no time": other(JD=0.0),
    "MJD_OBS for MJD-OBS": lambda night: night.put_card(
        "MJD-OBS", f"MJD_OBS = {moment_of(night.night)['MJD_OBS']:20}"
    ),
    "OBJECT without its second quote": lambda night: night.put_card("OBJECT", "OBJECT  = 'GD71"),
    "OBJECT = 'None'": other(OBJECT="None"),
    "OBJECT missing": other(OBJECT=None),
    "CHANNEL missing": other(CHANNEL=None),
    "RAIN = NaN, which nobody reads": lambda night: night.put_card(
        "HUMIDITY", "RAIN    =                  NaN"
    ),
    "PRESSURE = 9999999": other(PRESSURE=9999999),
    "BIASSEC1 outside the image": other(BIASSEC1="[5000:5031,1:8]"),
    "NAXIS1 = NaN": value("NAXIS1", "NaN"),
    "a wrong CHECKSUM, a right DATASUM": wrong_checksum,
    "a wrong DATASUM": wrong_datasum,
    # identity
    "a name of another night": foreign,
    "JD of another night": other(JD=2454000.25, MJD_OBS=None, DATE_OBS=None),
    "DATE-OBS of another night": other(DATE_OBS="2005-03-01T06:00:00"),
    "RUNID of another run": lambda night: night.rewrite(RUNID=f"{night.night}_002"),
    "RUNID wrong in all frames": every_frame(RUNID="04_001_001"),
    "EVTID of another exposure": other(EVTID=4),
    "CHANNEL of another channel": other(CHANNEL="R"),
    "FCLASS of another class": other(FCLASS=3),
    "FILENAME of another frame": lambda night: night.rewrite(FILENAME=night.name(2)),
    "a lamp's IMAGETYP": other(IMAGETYP="COMPARISON"),
    "a lamp that was on": other(LPSARCR=1),
    "OBJECT of another target": other(OBJECT="GD153"),
    "OBJECT = 'gd 71'": other(OBJECT="gd 71"),
    "the log's object = gd-71": log_line(first_run, object="gd-71"),
    "the log's class is another": log_line(victim, fclass="03"),
    "the log has two targets in a run": log_line(victim, object="SNF20061129-003"),
    # absence: the log
    "a log with a byte-order mark": text(lambda log: "\ufeff" + log),
    "a log with semicolons and decimal commas": text(
        lambda log: log.replace(",", ";").replace(".", ",")
    ),
    "a log in UTF-16 with tabulators": text(lambda log: log.replace(",", "\t"), "utf-16"),
    "a log with 'sep=;'": text(lambda log: "sep=;\n" + log.replace(",", ";")),
    "a log with blanks and capitals in its columns": text(spreadsheet_names),
    "no log": lambda night: night.log.unlink(),
    "a log without a column": text(lambda log: log.replace("channel", "arm", 1)),
    "a frame without a line": without_line,
    "a line without a frame": extra_line,
    "a line twice": doubled(),
    "a line twice, which disagree": doubled(quality=0),
    "a line that cannot be used": log_line(victim, exposure="three"),
    "a misspelt target, in one line": log_line(victim, object="GD17"),
    "a misspelt target": log_line(first_run, object="GD7l"),
    "a target that is not listed": log_line(first_run, object="Feige110"),
    "a misspelt run_type": log_line(first_run, run_type="SPECTRD"),
    "no run_type": log_line(first_run, run_type=""),
    # absence: files
    "a frame packed as .gz": packed(".gz", gzip.compress),
    "a frame packed as .bz2": packed(".bz2", bz2.compress),
    "a frame packed as .fz": tiled,
    "a frame packed and cut short": half_packed,
    "a frame that is there twice, packed": both,
    "a frame called .FITS": rename(lambda name: name.replace(".fits", ".FITS")),
    "a frame of a channel in lower case": rename(lambda name: name.replace("_B.", "_b.")),
    "a frame in a subfolder": subfolder,
    "a file that is no frame": stray,
    "an empty frame": lambda night: night.frame().write_bytes(b""),
    "a frame cut short": short,
    "a frame that is no FITS file": not_fits,
}

#: Fault -> what does it to a night that was ingested, and whose time and size nobody looks at.
LATER: dict[str, Callable[[RawNight], object]] = {
    "a frame deleted": delete,
    "a frame changed, not its size and time": change_unseen,
}


def add_folder(name: str) -> Callable[[RawNight], object]:
    """Put the frames of a night into another folder as well."""

    def inject(night: RawNight) -> None:
        folder = night.raw / name
        folder.mkdir(parents=True)
        (folder / night.name()).write_bytes(night.frame().read_bytes())

    return inject


def listed(change: Callable[[str], str], encoding: str = "utf-8") -> Callable[[RawNight], object]:
    """Save targets.csv otherwise."""
    return lambda night: (night.raw / "targets.csv").write_bytes(change(TARGETS).encode(encoding))


#: Fault around the nights -> what does it.
AROUND: dict[str, Callable[[RawNight], object]] = {
    "a folder of no night": add_folder("09/366"),
    "a folder of another shape": add_folder("2006/334"),
    "a file beside the nights": lambda night: (night.raw / "readme").write_text("x"),
    "targets.csv with mark, semicolons, capitals": listed(
        lambda table: table.replace(",", ";").replace("name", "Name"), "utf-8-sig"
    ),
    "no targets.csv": lambda night: (night.raw / "targets.csv").unlink(),
    "a target that targets.csv lacks": listed(lambda table: table.replace("GD71", "GD153")),
    "a target of no kind": listed(lambda table: table.replace("StdStar", "")),
    "a target of a misspelt kind": listed(lambda table: table.replace("StdStar", "Standard")),
    "a target twice, of two kinds": listed(lambda table: table + "GD71,SuperNova,88.1,15.9\n"),
}
