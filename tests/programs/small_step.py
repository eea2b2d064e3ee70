"""A small program behind a plan, for tests of the machinery: follows the program contract.

Each output's bytes follow from the item's inputs, values and options, so that a change anywhere
upstream shows in the bytes.  The file named by SNF_TEST_BEHAVIOUR (JSON, outside every digest)
tells it to misbehave: ``{"sleep_s": 1, "leave": "nothing"|"half", "fail": ["item"],
"log": FILE, "only": "program"}``; ``log`` gets one line a start, appended.

It is started thousands of times: standard library only, FITS by hand.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

VERSION = "1.0.0"
BLOCK, CARD = 2880, 80  # bytes of a FITS file's blocks and cards
UNPACKERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.decompress, ".bz2": bz2.decompress}


def behaviour(program: str) -> dict[str, Any]:
    path = os.environ.get("SNF_TEST_BEHAVIOUR", "")
    if not path or not Path(path).exists():
        return {}
    told = json.loads(Path(path).read_text())
    return told if told.get("only", program) == program else {}


def data_of(path: str) -> bytes:
    """Return a FITS file's data as they lie in it; what is cut short or is none is refused."""
    content = UNPACKERS.get(Path(path).suffix, bytes)(Path(path).read_bytes())
    if not content.startswith(b"SIMPLE  =") or len(content) % BLOCK:
        raise ValueError(f"{Path(path).name} is no whole FITS file")
    end = next(
        at for at in range(0, len(content), CARD) if content[at : at + CARD].rstrip() == b"END"
    )
    return content[-(-(end + CARD) // BLOCK) * BLOCK :]


def write_fits(path: str, data: bytes, role: str) -> None:
    cards = [
        f"{'SIMPLE':8}= {'T':>20}", f"{'BITPIX':8}= {8:20}", f"{'NAXIS':8}= {1:20}",
        f"{'NAXIS1':8}= {len(data):20}", f"{'ROLE':8}= '{role:8}'", "END",
    ]  # fmt: skip
    header = "".join(f"{card:{CARD}}" for card in cards).encode()
    blocks = (header.ljust(BLOCK, b" "), data.ljust(BLOCK, b"\0"))
    Path(path).write_bytes(b"".join(blocks))


def digest_of(item: dict[str, Any], options: dict[str, Any]) -> str:
    digest = hashlib.sha256()
    for role in sorted(item["inputs"]):
        paths = item["inputs"][role]
        for path in [paths] if isinstance(paths, str) else paths:
            digest.update(data_of(path))  # an unreadable input fails its item
    digest.update(json.dumps([item["values"], options], sort_keys=True).encode())
    return digest.hexdigest()


def make(item: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    content = digest_of(item, options)
    pixels = bytes.fromhex(content)
    for role, name in item["outputs"].items():
        if name.endswith(".fits"):
            write_fits(name, pixels, role)
        else:
            Path(name).write_text(content + role)
    return {"item": item["item"], "ok": True, "reason": "", "outputs": list(item["outputs"]),
            "values": {"mean": sum(pixels) / len(pixels)}, "quality": 1, "flags": []}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--worklist")
    parser.add_argument("--results")
    parser.add_argument("--version", action="store_true")
    arguments = parser.parse_args()
    if arguments.version:
        print(f"{arguments.program} {os.environ.get('SNF_TEST_PROGRAM_VERSION', VERSION)}")
        return 0
    work = json.loads(Path(arguments.worklist).read_text())
    told = behaviour(arguments.program)
    if "log" in told:
        with open(told["log"], "a") as log:
            log.write(f"{arguments.program} {os.getcwd()}\n")
    time.sleep(told.get("sleep_s", 0))
    items = work["items"]
    if told.get("leave") == "nothing":
        return 0
    if told.get("leave") == "half":
        items = items[: len(items) // 2]
    failed = False
    with open(arguments.results, "a") as results:
        for item in items:
            try:
                if item["item"] in told.get("fail", []):
                    raise ValueError("told to fail")
                result = make(item, work["options"])
            except Exception as error:
                failed = True
                result = {"item": item["item"], "ok": False, "reason": str(error), "outputs": [],
                          "values": {}, "quality": 2, "flags": []}  # fmt: skip
            results.write(json.dumps(result) + "\n")
            results.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
