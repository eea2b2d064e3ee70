"""The end of a job: what was left, hashed and brought to the archive's incoming area.

A product counts as made when the program's results (or a ``record_processing``) say so and its
file is there and whole.  What is missing is named with its reason.  Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snfpipe.grouping import grouped
from snfpipe.storage import archive
from snfpipe.worker.ledger import Record, json_lines
from snfpipe.worker.spec import JobSpec, Product

_FITS_BLOCK = 2880


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of one item."""

    ok: bool
    reason: str = ""
    outputs: frozenset[str] = frozenset()
    values: dict[str, Any] = field(default_factory=dict)
    quality: int = 1
    flags: tuple[str, ...] = ()


def read_results(path: Path, *, together: bool = False) -> dict[str, Said]:
    """Return what a results file says, item by item.

    The last line of an item counts; with `together`, lines of several commands that worked on it
    in a row add up, as long as none of them failed.  A line that cannot be read says nothing: a
    program that was killed may have torn it.
    """
    said: dict[str, Said] = {}
    with suppress(FileNotFoundError):
        for entry in json_lines(path):
            with suppress(ValueError, TypeError, KeyError, AttributeError):
                item, new = str(entry["item"]), _said(entry)
                said[item] = _both(said[item], new) if together and item in said else new
    return said


def _both(before: Said, now: Said) -> Said:
    """Return what two commands say of one item that they worked on in a row."""
    if not (before.ok and now.ok):
        return now if before.ok else before
    return Said(
        ok=True,
        outputs=before.outputs | now.outputs,
        values={**before.values, **now.values},
        quality=max(before.quality, now.quality),
        flags=tuple(dict.fromkeys((*before.flags, *now.flags))),
    )


def _said(entry: dict[str, Any]) -> Said:
    """Check one line of results."""
    quality = int(entry.get("quality", 1))
    if quality not in (1, 2):
        return Said(False, f"its program gave it quality {quality}; 1 is good, 2 is bad")
    return Said(
        ok=bool(entry["ok"]),
        reason=str(entry.get("reason") or ""),
        outputs=frozenset(map(str, entry.get("outputs") or ())),
        values={str(name): _plain(value) for name, value in (entry.get("values") or {}).items()},
        quality=quality,
        flags=tuple(map(str, entry.get("flags") or ())),
    )


def _plain(value: Any) -> Any:
    """Return a value that JSON and databases can hold: no NaN, no infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def account(
    spec: JobSpec, work: Path, records: Iterable[Record], into: Path | None
) -> list[Record]:
    """Look at every promised product and bring what is there to `into`.

    Parameters
    ----------
    spec : JobSpec
        What was promised.
    work : Path
        Where the steps worked, with the program's ``results.jsonl``.
    records : iterable of Record
        The ledger so far.
    into : Path or None
        The attempt's incoming folder; None to look without bringing.

    Returns
    -------
    list of Record
        ``product`` records (a file each), ``pose`` records (what was measured), and last an
        ``accounted`` record: name -> reason of what is missing.

    Raises
    ------
    OSError
        A file could not be read or written; nothing of the attempt counts then.
    """
    said = read_results(work / "results.jsonl", together=len(spec.commands) > 1)
    recorded, qualities = _recorded(records)
    found: list[Record] = []
    missing: dict[str, str] = {}
    if into is not None:
        into.mkdir(parents=True, exist_ok=True)
    for product in spec.products:
        word = said.get(product.item)
        if product.optional and word is not None and word.ok and product.role not in word.outputs:
            continue
        reason = _why_missing(product, word, work, recorded)
        if reason:
            missing[product.name] = reason
            continue
        override = qualities.get(product.name, {})
        quality = override.get("quality", word.quality if word else 1)
        flags = sorted({*(word.flags if word else ()), *override.get("flags", ())})
        for role, name in product.files.items():
            if not (work / name).is_file():
                continue  # an auxiliary file may be left out
            checksum, size = _bring(work / name, into, name, keep=spec.keep)
            found.append(
                {
                    "kind": "product",
                    "id_process": product.id_process,
                    "name": name,
                    "role": "main" if name == product.name else role,
                    "item": product.item,
                    "checksum": checksum,
                    "size": size,
                    "quality": quality,
                    "flags": flags,
                }
            )
    if into is not None:
        archive.sync([into])
    measured = [
        {"kind": "pose", "item": item, "quality": word.quality, "values": word.values}
        for item, word in said.items()
        if word.ok and word.values
    ]
    return [*found, *measured, {"kind": "accounted", "missing": missing}]


def _recorded(records: Iterable[Record]) -> tuple[set[str], dict[str, dict[str, Any]]]:
    """Return the files that record_processing named, and what record_quality said of files."""
    of_kind = grouped((record["kind"], record) for record in records)
    outputs = {entry["name"] for it in of_kind.get("processing", ()) for entry in it["outputs"]}
    qualities = {
        name: {"quality": it["quality"], "flags": it["flags"]}
        for it in of_kind.get("quality", ())
        for name in it["names"]
    }
    return outputs, qualities


def _why_missing(product: Product, word: Said | None, work: Path, recorded: set[str]) -> str:
    """Return why a product does not count as made; empty if it does."""
    if product.name not in recorded:
        if word is None:
            return "its program said nothing of it"
        if not word.ok:
            return word.reason or "its program gave no reason"
        if product.role not in word.outputs:
            return "its program left it out without a reason"
    path = work / product.name
    if not path.is_file():
        return "its program said it was made, but left no file"
    return _why_broken(path)


def _why_broken(path: Path) -> str:
    """Return what is wrong with a file at first sight; empty if nothing is."""
    size = path.stat().st_size
    if size == 0:
        return "its file is empty"
    if path.suffix == ".fits":
        with path.open("rb") as file:
            if file.read(9) != b"SIMPLE  =":
                return "its file is no FITS file"
        if size % _FITS_BLOCK:
            return f"its FITS file is cut short ({size} bytes are no multiple of {_FITS_BLOCK})"
    return ""


def _bring(source: Path, into: Path | None, name: str, *, keep: bool) -> tuple[str, int]:
    """Return checksum and size of a file, brought to `into` if there is such a place."""
    if into is None:
        return archive.sha256_of(source), source.stat().st_size
    checksum, size = archive.receive(source, into, name)
    if not keep:
        source.unlink()  # the copy is the product now
    return checksum, size
