"""Console examples of the documentation: found, run in order, compared with what they show.

An example is a fenced block of kind ``console``. The line above its fence says what becomes of it::

    <!-- test: NAME -->             it is run; all examples of a document are run in one shell
    <!-- not tested: REASON -->     it is not

A fenced block of any kind below ``<!-- file: PATH -->`` is written to that path before any example
is run.

In the block a line that begins with ``$ `` is a command, which exits with status 0, or with N
where it closes with the comment ``# exit N``. The lines below it are lines of its output, in order;
``...`` stands for any text in a line, and by itself for any lines.
"""

from __future__ import annotations

import re
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

FENCE = re.compile(r"^```console\s*$")
FILE = re.compile(
    r"^<!-- file: ([A-Za-z0-9_./-]+) -->\n```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE
)
MARK = re.compile(r"^<!-- (test|not tested): (\S.*?) -->$")
EXIT = re.compile(r"#\s*exit (\d+)$")


@dataclass(frozen=True, slots=True)
class Command:
    """One command of an example, and what the document says comes of it."""

    line: int
    words: str
    exit_code: int
    shown: tuple[str, ...]


class Wrong(AssertionError):
    """A document that is not as its examples do; says where."""


def commands(document: str) -> list[Command]:
    """Return the commands to run, in the document's order.

    Raises
    ------
    Wrong
        An example says neither that it is tested nor why not, or shows no command.
    """
    lines = document.splitlines()
    found: list[Command] = []
    for start, (above, fence) in enumerate(pairwise(["", *lines]), start=1):
        if not FENCE.match(fence):
            continue
        mark = MARK.match(above)
        if not mark:
            raise Wrong(f"line {start}: the example has no <!-- test: NAME --> above it")
        if mark[1] == "test":
            end = lines.index("```", start)
            found.extend(_commands_of_block(lines[start:end], start + 1))
    return found


def _commands_of_block(block: list[str], first_line: int) -> Iterator[Command]:
    """Split one block at its prompts."""
    starts = [number for number, line in enumerate(block) if line.startswith("$ ")]
    if not starts or starts[0] != 0:
        raise Wrong(f"line {first_line}: an example begins with a command, `$ ...`")
    for start, end in pairwise([*starts, len(block)]):
        words = block[start][2:].strip()
        code = EXIT.search(words)
        shown = tuple(line.rstrip() for line in block[start + 1 : end])
        yield Command(first_line + start, words, int(code[1]) if code else 0, shown)


def check(document: str, folder: Path, environment: Mapping[str, str], timeout: float = 600) -> int:
    """Run a document's examples in a folder; return how many commands ran.

    Raises
    ------
    Wrong
        A command ended otherwise than the document says, or printed something else.
    """
    todo = commands(document)
    for name, text in FILE.findall(document):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    end = f"end-{secrets.token_hex(8)}"
    script = "".join(f"{{ {one.words}\n}} 2>&1\necho {end} $?\n" for one in todo)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    results = re.findall(rf"(.*?){end} (\d+)\n", done.stdout, flags=re.DOTALL)
    for one, (output, code) in zip(todo, results, strict=False):
        told = f"line {one.line}: `{one.words}`"
        if int(code) != one.exit_code:
            raise Wrong(f"{told} ended with {code}, not {one.exit_code}:\n{output}")
        if missing := _first_missing(one.shown, output):
            raise Wrong(f"{told} did not print `{missing}` where it is shown, but:\n{output}")
    if len(results) < len(todo):
        raise Wrong(f"line {todo[len(results)].line}: the shell ended here:\n{done.stderr}")
    return len(todo)


def _first_missing(shown: tuple[str, ...], output: str) -> str:
    """Return the first shown line that the rest of the output does not hold, or nothing."""
    rest = iter(output.splitlines())
    for line in shown:
        if line.strip() in ("", "..."):
            continue
        words = [re.escape(part).replace(r"\ ", r"\s+") for part in _squeezed(line).split("...")]
        pattern = re.compile(".*".join(words) + r"\s*")
        if not any(pattern.fullmatch(real) for real in rest):
            return line
    return ""


def _squeezed(line: str) -> str:
    """Make every run of blanks one: tables may be narrower in a document."""
    return re.sub(r"\s+", " ", line)
