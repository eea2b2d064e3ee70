"""The arguments of a plan, as operators type them: options, and the productions to read from.

``--truncateR 5100,9700 -j SNF-0203-CUBESc``: an option is called as in ``configs/plans``, whatever
its capitals, hyphens and underscores; its value is of the kind that the plan's own is.  Words are
data: they are compared and converted, nothing else.
"""

from __future__ import annotations

import difflib
import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from snfpipe.config.plan_file import PlanFile
from snfpipe.errors import BadName, UsageError, shown
from snfpipe.names import check_production

_READ_FROM = ("-j", "--job", "--jobs")


@dataclass(frozen=True, slots=True)
class PlanArguments:
    """What a plan's arguments say.

    ``inputs`` is role -> productions, the best first; ``rest`` are the words that are no options;
    ``notes`` say which words have no effect.
    """

    options: dict[str, Any]
    inputs: dict[str, tuple[str, ...]]
    rest: tuple[str, ...]
    notes: tuple[str, ...]


def split(text: str) -> list[str]:
    """Split arguments that were given as one text, as a shell would, and do nothing else of it.

    Raises
    ------
    UsageError
        A quotation that does not end.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(
            f"the arguments {shown(text)} cannot be split: {error}", hint="close every quotation"
        ) from error


def parse(plan: PlanFile, words: Sequence[str]) -> PlanArguments:
    """Read the arguments of a plan.

    Raises
    ------
    UsageError
        An option that the plan does not have, or a value of another kind than its own.
    BadName
        ``-j`` with what is no production's name.
    """
    names = {_plain(name): name for name in plan.options}
    options: dict[str, Any] = {}
    inputs: dict[str, list[str]] = {}
    rest: list[str] = []
    notes: list[str] = []
    stream = iter(words)
    for word in stream:
        name, equals, value = word.partition("=")
        key = _plain(name) if name.startswith("--") else ""
        if word == "--":
            rest += stream
        elif not word.startswith("-") or word == "-":
            rest.append(word)
        elif word in plan.words:
            notes.append(f"{word} has no effect: {plan.words[word]}")
        elif name in _READ_FROM:
            for role, production in _inputs(plan, value if equals else _next(stream, word)):
                inputs.setdefault(role, []).append(production)
        elif key.startswith("no") and type(plan.options.get(names.get(key[2:], ""))) is bool:
            options[names[key[2:]]] = False
        elif key not in names:
            raise _unknown(plan, word)
        elif not equals and type(plan.options[names[key]]) is bool:
            options[names[key]] = True
        else:
            text = value if equals else _next(stream, word)
            options[names[key]] = _value(name, plan.options[names[key]], text)
    return PlanArguments(
        options,
        {role: tuple(dict.fromkeys(found)) for role, found in inputs.items()},
        tuple(rest),
        tuple(notes),
    )


def _plain(name: str) -> str:
    """Return an option's name without capitals, hyphens and underscores."""
    return name.lower().replace("-", "").replace("_", "")


def _next(stream: Iterator[str], word: str) -> str:
    """Return the word after an option that needs a value."""
    value = next(stream, None)
    if value is None:
        raise UsageError(f"{shown(word)} is the last word and needs a value", hint="add it")
    return value


def _inputs(plan: PlanFile, text: str) -> Iterator[tuple[str, str]]:
    """Yield role and production of ``PRODUCTION[,PRODUCTION...]`` or ``ROLE=PRODUCTION``."""
    for part in text.split(","):
        role, equals, name = part.rpartition("=")
        sources = tuple(plan.spec.sources)
        if not equals and len(sources) == 1:
            role = sources[0]
        if role not in sources:
            kinds = ", ".join(f"{known}=PRODUCTION" for known in sources)
            raise UsageError(
                f"plan {plan.name} does not read from {shown(part)}",
                hint=f"write -j {kinds}" if kinds else "it reads raw frames only: leave out -j",
            )
        try:
            yield role, check_production(name)
        except BadName as error:
            raise UsageError(
                f"-j {shown(name)} is no production's name", hint=error.hint
            ) from error


def _unknown(plan: PlanFile, word: str) -> UsageError:
    """Say which options there are."""
    known = [f"--{name.replace('_', '-')}" for name in plan.options]
    close = difflib.get_close_matches(word.partition("=")[0], known, 1)
    meant = f"did you mean {close[0]}? " if close else ""
    return UsageError(
        f"plan {plan.name} has no option {shown(word)}",
        hint=f"{meant}its options: {', '.join([*known, *plan.words, '-j'])}",
    )


def _value(name: str, usual: Any, text: str) -> Any:
    """Return a value of the kind that the plan's own is."""
    try:
        return _converted(usual, text)
    except ValueError as error:
        example = ",".join(map(str, usual)) if isinstance(usual, list) else str(usual)
        raise UsageError(
            f"found {shown(name)} {shown(text)}", hint=f"expected a value like {example}"
        ) from error


def _converted(usual: Any, text: str) -> Any:
    """Convert a text to the type of `usual`."""
    if isinstance(usual, list):
        parts = text.split(",")
        if usual and len(parts) != len(usual):
            raise ValueError(f"expected {len(usual)} values")
        return [_converted(usual[min(n, len(usual) - 1)], part) if usual else part
                for n, part in enumerate(parts)]  # fmt: skip
    if isinstance(usual, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError("expected true or false")
        return text.lower() == "true"
    if isinstance(usual, int):
        return int(text)
    if isinstance(usual, float):
        value = float(text)
        if not math.isfinite(value):
            raise ValueError("expected a finite number")
        return value
    if not text.isprintable():
        raise ValueError("expected printable characters")
    return text
