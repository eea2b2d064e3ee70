"""The command behind every program: reads a worklist, works item by item, writes results.

Numeric libraries are loaded after their threads are set to one, and only when there is work.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from snfpipe.reduce import PROGRAMS

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

#: Program -> its input roles and main output role, for the form a person calls.
_ROLES = {
    "file_quality": (("raw",), "frame"),
    "cube_generation": (("object", "arc", "continuum"), "cube"),
    "extract_star": (("cube",), "spectrum"),
}

T = TypeVar("T")


@dataclass(slots=True)
class Result:
    """What became of an item: outputs left, measurements, quality (1 good, 2 bad), flags."""

    outputs: list[str] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)
    quality: int = 1
    flags: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Work:
    """One item: input paths by role, values, output names by role."""

    item: str
    inputs: Mapping[str, Any]
    values: Mapping[str, Any]
    outputs: Mapping[str, str]


class BadOption(Exception):
    """An option that a program does not know, or a value that it cannot take."""


def make_options(kind: type[T], given: Mapping[str, Any]) -> T:
    """Return a program's options.

    Raises
    ------
    BadOption
        One is unknown.
    """
    known = [entry.name for entry in fields(kind)]  # type: ignore[arg-type]  # a dataclass
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise BadOption(f"unknown option {unknown[0]!r}; options: {', '.join(known)}")
    return kind(**given)


def run(program: str, words: Sequence[str] | None = None) -> int:
    """Be the command of a program.

    Returns
    -------
    int
        0 where every item was made, 1 where some failed, 2 for wrong usage.
    """
    told = _parse(program, words)
    if told.version:
        print(f"{program} {PROGRAMS[program]}")
        return 0
    for name in _THREADS:
        os.environ[name] = "1"
    try:
        work = _read_work(program, told)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return _usage(f"the worklist cannot be read: {error}")
    module = importlib.import_module(f"snfpipe.reduce.{program}")
    try:
        reducer: Callable[[Work], Result] = module.reducer(work["options"])
    except BadOption as error:
        return _usage(str(error))
    failed = 0
    results = Path(told.results) if told.results else None
    for entry in work["items"]:
        line = _one(reducer, Work(**entry))
        failed += not line["ok"]
        _report(line, results)
    return int(failed > 0)


def _one(reducer: Callable[[Work], Result], work: Work) -> dict[str, Any]:
    """Do one item; whatever happens, the others go on."""
    from snfpipe.reduce.frames import BadInput

    try:
        result, reason = reducer(work), ""
    except BadInput as error:
        result, reason = Result(quality=2), str(error)
    except OSError as error:
        told = "no space left on device" if error.errno == 28 else str(error)
        result, reason = Result(quality=2), told
    except (ArithmeticError, ValueError, IndexError, KeyError) as error:
        result, reason = Result(quality=2), f"{type(error).__name__}: {error}"
    if reason:
        for name in work.outputs.values():
            Path(name).unlink(missing_ok=True)
            Path(f"{name}.part").unlink(missing_ok=True)
    return {
        "item": work.item,
        "ok": not reason,
        "reason": reason[:400],
        "outputs": result.outputs,
        "values": {name: float(f"{value:.6g}") for name, value in result.values.items()},
        "quality": result.quality,
        "flags": result.flags,
    }


def _report(line: Mapping[str, Any], results: Path | None) -> None:
    """Append an item's line to the results; tell a person what failed."""
    text = json.dumps(line, sort_keys=True)
    if results is None:
        print(text)
    else:
        with results.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
    if not line["ok"]:
        print(f"ERROR {line['item']}: {line['reason']}", file=sys.stderr)


def _read_work(program: str, told: argparse.Namespace) -> dict[str, Any]:
    """Return the worklist, or one made from the files named on the command line."""
    if told.worklist:
        content: dict[str, Any] = json.loads(Path(told.worklist).read_text(encoding="utf-8"))
        if content["program"] != program:
            raise ValueError(f"it is for {content['program']}")
        return content
    roles, main = _ROLES[program]
    settings = dict(word.split("=", 1) for word in told.set)
    item = {
        "item": Path(told.output).name,
        "inputs": dict(zip(roles, told.inputs, strict=True)),
        "values": {},
        "outputs": {main: told.output},
    }
    return {"options": {key: json.loads(value) for key, value in settings.items()}, "items": [item]}


def _parse(program: str, words: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    roles, main = _ROLES[program]
    shown = " ".join(f"{role.upper()}.fits" for role in roles)
    parser = argparse.ArgumentParser(
        prog=f"snf_{program}",
        description=f"Make a {main} from: {', '.join(roles)}.",
        epilog=f"example:\n  snf_{program} {shown} -o {main.upper()}.fits\n"
        f"  snf_{program} --worklist worklist.json --results results.jsonl",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("inputs", nargs="*", metavar="FILE", help=shown)
    parser.add_argument("-o", "--output", help="the file to write")
    parser.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE",
                        help="an option of the plan, its value as JSON")  # fmt: skip
    parser.add_argument("--worklist", metavar="FILE", help="items to work on, JSON")
    parser.add_argument("--results", metavar="FILE", help="where to append a line an item, JSON")
    parser.add_argument("--version", action="store_true", help="print name and version")
    told = parser.parse_args(words)
    if not told.version and not told.worklist:
        if len(told.inputs) != len(roles) or not told.output:
            parser.error(f"give {shown} and -o, or --worklist")
        if any("=" not in word for word in told.set):
            parser.error("--set takes OPTION=VALUE")
    return told


def _usage(message: str) -> int:
    """Say what is wrong with a call."""
    print(f"ERROR {message}", file=sys.stderr)
    return 2


def file_quality_main() -> int:
    """Be ``snf_file_quality``."""
    return run("file_quality")


def cube_generation_main() -> int:
    """Be ``snf_cube_generation``."""
    return run("cube_generation")


def extract_star_main() -> int:
    """Be ``snf_extract_star``."""
    return run("extract_star")
