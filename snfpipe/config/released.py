"""What a released version runs, kept when it is first used: whether its file still says the same.

Comments, notes, the commit of its programs and the order of keys are no part of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from snfpipe.config.plan_file import load_plan
from snfpipe.config.versions import Program, Version, list_versions, load_version
from snfpipe.errors import SnfError, printable, shown


class Kept(NamedTuple):
    """What the database keeps: how a plan was run when its version was first used for it."""

    label: str
    plan: str
    digest: str
    content: str


@dataclass(frozen=True, slots=True)
class Edited:
    """A version whose file says something else than it did."""

    label: str
    plan: str
    path: Path
    differences: tuple[str, ...]

    @property
    def what(self) -> str:
        """What was found, in words."""
        return (
            f"{self.label} was edited since it was first used for {self.plan}: "
            f"{'; '.join(self.differences)}"
        )

    @property
    def next_step(self) -> str:
        """What to do about it."""
        return f"undo that in {printable(self.path)}, and put it into a new version file"


def what_runs(version: Version, program: Program) -> Kept:
    """Return how a plan is run by a version.

    Parameters
    ----------
    version : Version
        The version.
    program : Program
        What it runs for the plan.
    """
    content = {
        "number": version.number,
        "environment": dict(version.environment),
        "program": {
            "name": program.name,
            "version": program.version,
            "calibration": program.calibration,
            "commands": [list(command) for command in program.commands],
        },
        "options": dict(version.options.get(program.plan, {})),
    }
    text = json.dumps(content, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Kept(version.label, program.plan, digest, text)


def edited(root: Path, version: Version, kept: Kept, program: Program | None) -> Edited | None:
    """Tell how a version differs from what is kept of it; None where it runs the same.

    Parameters
    ----------
    root : Path
        The project's folder: an option that a version gives the value that the plan has anyway
        makes no difference.
    version : Version
        The version as its file states it now.
    kept : Kept
        What the database keeps.
    program : Program or None
        What it runs for the plan now, if anything.
    """
    if program is None:
        return Edited(
            version.label, kept.plan, version.path, ("it has no program for it any more",)
        )
    now = what_runs(version, program)
    if now.digest == kept.digest:
        return None
    options = load_plan(root, kept.plan).options
    before, after = (_flat(text, options) for text in (kept.content, now.content))
    differences = tuple(
        f"{name} was {_told(before, name)}, is {_told(after, name)}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )
    return Edited(version.label, kept.plan, version.path, differences) if differences else None


def edited_versions(root: Path, kept: Iterable[Kept]) -> Iterator[Edited]:
    """Yield the versions that were edited since they were first used.

    Those without a file here are another project's, which shares the database.
    """
    known = list_versions(root)
    for it in kept:
        if it.label not in known:
            continue
        try:
            version = load_version(root, it.label)
            found = edited(root, version, it, version.programs.get(it.plan))
        except SnfError as error:
            path = root / "versions" / f"{it.label}.toml"
            found = Edited(it.label, it.plan, path, (f"it cannot be read: {error.message}",))
        if found:
            yield found


def _flat(text: str, options: Mapping[str, Any]) -> dict[str, str]:
    """Return ``program.version`` -> value as JSON, the plan's own options filled in."""
    content = json.loads(text)
    content["options"] = {**options, **content["options"]}
    return {
        name if key is None else f"{name}.{key}": json.dumps(value)
        for name, part in content.items()
        for key, value in (part.items() if isinstance(part, dict) else [(None, part)])
    }


def _told(content: Mapping[str, str], name: str) -> str:
    """Return a value as a message tells it."""
    return shown(content[name]).strip("'") if name in content else "absent"
