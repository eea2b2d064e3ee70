"""The program behind every plan of this survey: standard library only, FITS by hand.

A product holds, as JSON, what it was made from: by role the name of each file and the digest of
its data, a list where the program got a list.  So a test reads in a product what was selected
for it, and a change anywhere upstream changes the bytes.  A role whose value is false is left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

VERSION = "1.0"
BLOCK, CARD = 2880, 80  # bytes of a FITS file's blocks and cards


def contents(path: Path) -> bytes:
    """Return the bytes of a whole file; a FITS file that is cut short is refused."""
    content = path.read_bytes()
    if path.suffix == ".fits" and (not content.startswith(b"SIMPLE  =") or len(content) % BLOCK):
        raise ValueError(f"{path.name} is no whole FITS file")
    return content


def read(path: Path) -> dict[str, str]:
    """Return what a product says of a file that it was made from."""
    return {"name": path.name, "sha256": hashlib.sha256(contents(path)).hexdigest()}


def fits(text: bytes) -> bytes:
    """Return a FITS file whose data are a text."""
    cards = [
        f"{'SIMPLE':8}= {'T':>20}", f"{'BITPIX':8}= {8:20}", f"{'NAXIS':8}= {1:20}",
        f"{'NAXIS1':8}= {len(text):20}", "END",
    ]  # fmt: skip
    header = "".join(f"{card:{CARD}}" for card in cards).encode()
    return b"".join(
        part.ljust(-(-len(part) // BLOCK) * BLOCK, fill)
        for part, fill in ((header, b" "), (text, b"\0"))
    )


def make(item: dict[str, Any], options: dict[str, Any], roles: list[str]) -> dict[str, Any]:
    """Make the outputs of one item."""
    made_from = {
        role: [read(Path(it)) for it in given] if isinstance(given, list) else read(Path(given))
        for role, given in item["inputs"].items()
    }
    values = item["values"]
    outputs = [
        role
        for role in item["outputs"]
        if values.get(role) is not False and (not roles or role in roles)
    ]
    for role in outputs:
        told = {"role": role, "from": made_from, "values": values, "options": options}
        text = json.dumps(told, sort_keys=True).encode()
        path = Path(item["outputs"][role])
        path.write_bytes(fits(text) if path.suffix == ".fits" else text)
    files = sum(len(it) if isinstance(it, list) else 1 for it in item["inputs"].values())
    numbers = {name: it for name, it in values.items() if type(it) is float}
    return {"item": item["item"], "ok": True, "outputs": outputs,
            "values": {"files": files, **numbers}}  # fmt: skip


def main() -> int:
    """Work through the worklist."""
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--roles", nargs="*", default=[])
    parser.add_argument("--worklist", type=Path)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--version", action="store_true")
    arguments = parser.parse_args()
    if arguments.version:
        print(arguments.program, VERSION)
        return 0
    work = json.loads(arguments.worklist.read_text())
    failed = False
    with arguments.results.open("a") as results:
        for item in work["items"]:
            try:
                result = make(item, work["options"], arguments.roles)
            except (OSError, ValueError) as error:
                failed = True
                result = {"item": item["item"], "ok": False, "reason": str(error)}
            results.write(json.dumps(result) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
