"""Reading the project's TOML files: syntax, schema, and errors that name file, line and key.

The schemas stand in ``configs/schemas``.  That a file fits its schema is remembered by an empty
file with the digest of both, so that the schema library is loaded only for what is new.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snfpipe.config.textfile import Where, read_text
from snfpipe.errors import ConfigError, NotFound, Place, did_you_mean, printable, shown


def read_toml(root: Path, path: Path, schema: str) -> dict[str, Any]:
    """Return the content of a TOML file that fits ``configs/schemas/<schema>.json``.

    Raises
    ------
    NotFound
        The file or its schema is not there.
    ConfigError
        It is no TOML, or does not fit; names the file, the line and the key.
    """
    text = read_text(path)
    rules = read_text(root / "configs" / "schemas" / f"{schema}.json")
    content = _parse(path, text)
    digest = hashlib.sha256(f"{text}\0{rules}".encode()).hexdigest()
    passed = root / "work" / ".cache" / "fits" / digest
    if not passed.exists():
        _check_values(content, path, text)
        _check(content, json.loads(rules), path, text)
        with suppress(OSError):  # a folder that cannot be written costs a check each time
            passed.parent.mkdir(parents=True, exist_ok=True)
            passed.touch()
    return content


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a file that was read; called, it finds the place where it stands."""

    path: Path
    keys: tuple[str, ...] = ()

    def __truediv__(self, key: str | int) -> Key:
        """Return a key below this one."""
        return Key(self.path, (*self.keys, str(key)))

    def __call__(self) -> Place:
        """Return file, line and key."""
        return _place(self.path, read_text(self.path), self.keys)


def _parse(path: Path, text: str) -> dict[str, Any]:
    """Parse TOML, or show the line that is none."""
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ConfigError(
            "this is no TOML: nested too deeply",
            hint="fix the file",
            place=Place(printable(path)),
        ) from error
    except ValueError as error:  # tomllib's own, and a number of too many digits
        match = re.search(r"line (\d+)", str(error))
        line = int(match[1]) if match else None
        found = f" in {_shown(text.splitlines()[line - 1])}" if line else ""
        raise ConfigError(
            f"this is no TOML: {error}{found}",
            hint="fix the line; a key is given once, a text stands in quotes",
            place=Place(printable(path), line=line),
        ) from error


def _check_values(content: Any, path: Path, text: str, *keys: str) -> None:
    """Refuse what TOML can hold and neither a name, a shell nor JSON should."""
    if isinstance(content, dict | list):
        parts = content.items() if isinstance(content, dict) else enumerate(content)
        for key, value in parts:
            _check_values(str(key), path, text, *keys, str(key))
            _check_values(value, path, text, *keys, str(key))
        return
    if isinstance(content, str):
        good, expected = content.isprintable(), "a text of printable characters, on one line"
    elif isinstance(content, float):
        good, expected = math.isfinite(content), "a finite number"
    else:
        good, expected = isinstance(content, bool | int), "a text, a number, true or false"
    if not good:
        raise ConfigError(
            f"found {_shown(content)}", hint=f"expected {expected}", place=_place(path, text, keys)
        )


def _place(path: Path, text: str, keys: Sequence[str]) -> Place:
    """Return the place of a key in a text."""
    field = ".".join(map(printable, keys))
    return Place(printable(path), line=_find_line(text, keys), field=field or None)


def _check(content: dict[str, Any], rules: dict[str, Any], path: Path, text: str) -> None:
    """Hold `content` against a schema; report the deepest, most telling error."""
    import jsonschema

    errors = list(jsonschema.Draft202012Validator(rules).iter_errors(content))
    if not errors:
        return
    # a misspelt key is also missing under its right name: tell of the misspelling
    unknown_keys = [error for error in errors if error.validator == "additionalProperties"]
    error = jsonschema.exceptions.best_match(unknown_keys or errors)
    keys = [str(part) for part in error.absolute_path]
    message, hint = _explain(error)
    unknown = re.search(r"'([^']+)' (?:was|were) unexpected", error.message)
    if unknown:
        keys.append(unknown[1])
    raise ConfigError(message, hint=hint, place=_place(path, text, keys))


def _explain(error: Any) -> tuple[str, str]:
    """Return what was found and what was expected."""
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        extra = next(key for key in error.instance if key not in known)
        hint = f"{did_you_mean(extra, known)}known keys: {', '.join(known)}"
        return f"unknown key {shown(extra)}", hint
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        expected = error.schema["properties"][missing].get("description", "a value")
        return f"{missing} is missing", f"add {missing} = {expected}"
    expected = error.schema.get("description") or f"{error.validator} {error.validator_value}"
    return f"found {_shown(error.instance)}", f"expected {expected}"


def _shown(value: object) -> str:
    """Return a value as a message may hold it; a password of a URL is left out."""
    return shown(re.sub(r"://[^\s'\"]*@", "://***@", str(value)))


def _find_line(text: str, keys: Sequence[str]) -> int | None:
    """Return the line of the innermost key that can be found, walking down from the outermost."""
    lines = [line.partition("#")[0] for line in text.split("\n")]
    found, start = None, 0
    for key in keys:
        if key.isdigit():
            # the n-th of an array of tables; an item of a plain array stands with its key
            heads = [i for i in range(start, len(lines)) if lines[i] == lines[start]]
            if lines[start].startswith("[[") and int(key) < len(heads):
                start = heads[int(key)]
                found = start + 1
            continue
        pattern = re.compile(rf'(?:^|[\[.{{,\s])"?{re.escape(key)}"?\s*[\]=.]')
        for i in range(start, len(lines)):
            if pattern.search(lines[i]):
                start, found = i, i + 1
                break
    return found


def named_file(root: Path, folder: str, name: str, asked_by: Where | None) -> Path:
    """Return ``configs/<folder>/<name>.toml``.

    Raises
    ------
    NotFound
        Lists the names there are.
    """
    known = sorted(path.stem for path in (root / "configs" / folder).glob("*.toml"))
    if name not in known:
        raise NotFound(
            f"there is no {folder[:-1]} {shown(name)}",
            hint=f"{folder} that exist: {', '.join(known) or 'none'}",
            place=asked_by and asked_by(),
        )
    return root / "configs" / folder / f"{name}.toml"
