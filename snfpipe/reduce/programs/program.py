"""The command behind every program: reads a worklist, works item by item, writes results.

Numeric libraries are loaded after their threads are set to one, and only when there is work.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import math
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from snfpipe.reduce import PROGRAMS

#: Program -> the module that holds its ``reducer``.
_MODULES = {
    "file_quality": "snfpipe.reduce.detector.file_quality",
    "cube_generation": "snfpipe.reduce.spectra.cube_generation",
    "extract_star": "snfpipe.reduce.point_source.extract_star",
}

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
        One is unknown, or its value is not of the kind of its default.
    """
    known: dict[str, Any] = {entry.name: entry.default for entry in fields(kind)}  # type: ignore[arg-type]  # a dataclass
    for name, value in given.items():
        if name not in known:
            raise BadOption(f"option {name[:40]!r} is unknown; options: {', '.join(known)}")
        if not _alike(value, known[name]):
            raise BadOption(f"option {name}: {value!r} is not like its default {known[name]!r}")
    return kind(**given)


def _alike(value: Any, default: Any) -> bool:
    """Tell whether a value may stand in a default's place."""
    if default is None:
        return value is None or _is_number(value)
    if isinstance(default, bool) or not isinstance(default, int | float | tuple):
        return isinstance(value, type(default))
    if isinstance(default, tuple):
        right = isinstance(value, list | tuple) and len(value) == len(default)
        return right and all(map(_is_number, value))
    return _is_number(value) and (isinstance(default, float) or isinstance(value, int))


def _is_number(value: Any) -> bool:
    """Tell whether a value is a number and finite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def run(program: str, words: Sequence[str] | None = None) -> int:
    """Be the command of a program.

    Returns
    -------
    int
        0 where every item was made; 1 where some of a worklist failed; 2 for wrong usage; 3 where
        the one thing that a person asked for failed.
    """
    told = _parse(program, words)
    if told.version:
        print(f"{program} {PROGRAMS[program]}")
        return 0
    for name in _THREADS:
        os.environ[name] = "1"
    try:
        options, items = _read_work(program, told)
        module = importlib.import_module(_MODULES[program])
        reducer: Callable[[Work], Result] = module.reducer(options)
    except BadOption as error:
        return _usage(program, str(error))
    failed = 0
    results = Path(told.results) if told.results else None
    for work in items:
        line = _one(reducer, work)
        failed += not line["ok"]
        try:
            _report(line, results)
        except OSError as error:
            print(f"ERROR {told.results} cannot be written: {error.strerror}", file=sys.stderr)
            return 3
    return 0 if not failed else 1 if told.worklist else 3


def _one(reducer: Callable[[Work], Result], work: Work) -> dict[str, Any]:
    """Do one item; whatever happens, the others go on."""
    from snfpipe.reduce.errors import BadInput

    try:
        with warnings.catch_warnings():
            # a damaged file is told of once, by the reason
            warnings.simplefilter("ignore")
            result, reason = reducer(work), ""
    except BadInput as error:
        result, reason = Result(quality=2), str(error)
    except OSError as error:
        place = f"{Path(error.filename).name}: " if error.filename else ""
        result, reason = Result(quality=2), place + (error.strerror or str(error)).lower()
    except Exception as error:
        # nobody's mistake but ours: the log shows where
        traceback.print_exc()
        result, reason = Result(quality=2), f"{type(error).__name__}: {error}"
    if reason:
        for name in work.outputs.values():
            _remove(name)
            _remove(f"{name}.part")
    values = {name: float(f"{value:.6g}") for name, value in result.values.items()}
    return {
        "item": work.item,
        "ok": not reason,
        "reason": reason[:400],
        "outputs": result.outputs,
        "values": {name: value for name, value in values.items() if math.isfinite(value)},
        "quality": result.quality,
        "flags": result.flags,
    }


def _remove(name: str) -> None:
    """Remove a file that may be there, as far as that is possible."""
    with contextlib.suppress(OSError):
        Path(name).unlink()


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


def _read_work(program: str, told: argparse.Namespace) -> tuple[dict[str, Any], list[Work]]:
    """Return options and items: of the worklist, or of the files named on the command line.

    Raises
    ------
    BadOption
        The worklist is none, or a file that is named does not exist.
    """
    roles, main = _ROLES[program]
    if not told.worklist:
        for name in told.inputs:
            if not Path(name).is_file():
                raise BadOption(f"there is no file {name}")
        given = dict(zip(roles, told.inputs, strict=True))
        return _settings(told.set), [Work(Path(told.output).name, given, {}, {main: told.output})]
    try:
        content = json.loads(Path(told.worklist).read_text(encoding="utf-8"))
        contract = content.get("contract", 1)
        if contract != 1:
            raise BadOption(f"worklist {told.worklist} is of contract {contract!r}, not 1")
        if content["program"] != program:
            raise BadOption(f"worklist {told.worklist} is for {content['program']}, not {program}")
        items = [Work(**entry) for entry in content["items"]]
        for work in items:
            absent = [role for role in roles if role not in work.inputs]
            if absent:
                raise BadOption(f"worklist {told.worklist}: {work.item} has no input {absent[0]}")
        return dict(content["options"]), items
    except OSError as error:
        raise BadOption(f"worklist {told.worklist} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        told_why = f"{type(error).__name__}: {error}"
        raise BadOption(f"{told.worklist} is no worklist ({told_why})") from error


def _settings(words: Sequence[str]) -> dict[str, Any]:
    """Return the options of a command line; what is no JSON is text."""
    settings = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return settings


def _parse(program: str, words: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    roles, main = _ROLES[program]
    shown = " ".join(f"{role.upper()}.fits" for role in roles)
    parser = argparse.ArgumentParser(
        prog=f"snf_{program}",
        description=f"Make a {main} from: {', '.join(roles)}.",
        epilog=f"example:\n  snf_{program} {shown} -o {main.upper()}.fits\n"
        f"  snf_{program} --worklist worklist.json --results results.jsonl\n\n"
        "options of the plans, formats and exit codes: docs/reduction.md",
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
    if told.worklist and (told.inputs or told.output or told.set):
        parser.error("--worklist names inputs, outputs and options itself")
    return told


def _usage(program: str, message: str) -> int:
    """Say what is wrong with a call."""
    print(f"ERROR {message}\n  next: snf_{program} --help", file=sys.stderr)
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
