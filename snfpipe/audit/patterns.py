"""Patterns of errors, kept in ``configs/errors.toml``: what a line means, what to do about it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from snfpipe.config.project import Project
from snfpipe.config.tomlfile import read_toml
from snfpipe.errors import ConfigError, Place

PATTERNS = Path("configs") / "errors.toml"

#: Where a text stands: in the database, in the job's output, in the engine's.
REASON, OUT, ERR, ENGINE = "reason", "out", "err", "engine"

#: What tries failed jobs again: of the configured production, and of another.
_RETRY, _LAUNCH_AGAIN = "`snf retry`", "`batch_jobs ... -s --retry`"

_REASONS_SHOWN = 4
_LONGEST = 2_000  # characters of a line that are looked at

# What differs between two units with the same problem: files, ids of nights and poses, numbers.
_PARTICULARS = re.compile(
    r"\S*[0-9]{2}_[0-9]{3}(_[0-9A-Z]+)*\S*|/\S+|\b[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?\b"
)


@dataclass(frozen=True, slots=True)
class Pattern:
    """One kind of problem."""

    key: str
    tools: tuple[str, ...]
    where: tuple[str, ...]
    severity: str
    regex: re.Pattern[str]
    group: str
    meaning: str
    action: str

    def next_step(self, *, configured: bool) -> str:
        """Return the action, for a job of the configured production or of another."""
        return self.action if configured else self.action.replace(_RETRY, _LAUNCH_AGAIN)


def load_patterns(project: Project) -> tuple[Pattern, ...]:
    """Read the patterns, those of a tool before those of all.

    Raises
    ------
    ConfigError
        The file, a key of it, or a regular expression in it is wrong.
    """
    path = project.root / PATTERNS
    found = []
    for number, entry in enumerate(read_toml(project.root, path, "errors")["patterns"]):
        try:
            regex = re.compile(entry["regex"])
        except re.error as error:
            raise ConfigError(
                f"this is no regular expression: {error}",
                hint="Python's `re` module says how they are written",
                place=Place(str(path), field=f"patterns.{number} ({entry['key']}).regex"),
            ) from error
        told = (entry[name] for name in ("group", "meaning", "action"))
        tools, where = tuple(entry.get("tools", ())), tuple(entry["where"])
        found.append(Pattern(entry["key"], tools, where, entry["severity"], regex, *told))
    return tuple(sorted(found, key=lambda pattern: not pattern.tools))


def match(patterns: Sequence[Pattern], where: str, tool: str, text: str) -> Pattern | None:
    """Return the first pattern that knows a text of a tool (a plan), or None."""
    text = text[:_LONGEST]
    for pattern in patterns:
        asked = where in pattern.where and (not pattern.tools or tool in pattern.tools)
        if asked and pattern.regex.search(text):
            return pattern
    return None


def gist(text: str) -> str:
    """Return a reason without what is particular to one unit, to put the same ones together."""
    return _PARTICULARS.sub("*", text.partition("; ")[0])[:120].strip()


def told(reasons: Counter[str]) -> str:
    """Return the commonest reasons, each with its count."""
    shown = reasons.most_common(_REASONS_SHOWN)
    rest = reasons.total() - sum(count for _, count in shown)
    parts = [f"{why} ({count})" for why, count in shown]
    return "; ".join([*parts, *([f"other reasons ({rest})"] if rest else [])])
