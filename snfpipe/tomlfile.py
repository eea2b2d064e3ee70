"""Reading the project's TOML files: syntax, schema, and errors that name file, line and key.

The schemas stand in ``configs/schemas``.  A file that passed its schema is remembered by the
digest of both, so that the schema library is loaded only for what is new.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any

from snfpipe.errors import ConfigError, NotFound, Place, shown


def read_toml(root: Path, path: Path, schema: str) -> dict[str, Any]:
    """Return the content of a TOML file that fits ``configs/schemas/<schema>.json``.

    Raises
    ------
    NotFound
        The file or its schema is not there.
    ConfigError
        It is no TOML, or does not fit; names the file, the line and the key.
    """
    text = _read(path)
    rules = _read(root / "configs" / "schemas" / f"{schema}.json")
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"this is no TOML: {error}", hint="mend the line", place=_syntax_place(path, error)
        ) from error
    seen = _Seen(root / "work" / ".cache" / "checked")
    digest = hashlib.sha256(f"{text}\0{rules}".encode()).hexdigest()
    if digest not in seen:
        _check(content, json.loads(rules), path, text)
        seen.add(digest)
    return content


def _read(path: Path) -> str:
    """Return a text file, or say that it is missing."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}", hint="make it, or name another") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"it cannot be read: {error}", hint="it should be UTF-8 text", place=Place(str(path))
        ) from error


def _syntax_place(path: Path, error: tomllib.TOMLDecodeError) -> Place:
    """Return the place a TOML error tells of in its text."""
    match = re.search(r"line (\d+)", str(error))
    return Place(str(path), line=int(match[1]) if match else None)


class _Seen:
    """Digests of what has passed, one a line; losing it costs a check."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.digests = set(path.read_text().split())
        except OSError:
            self.digests = set()

    def __contains__(self, digest: str) -> bool:
        return digest in self.digests

    def add(self, digest: str) -> None:
        """Remember one more; a folder that cannot be written is no trouble."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            os.write(handle, f"{digest}\n".encode())
            os.close(handle)
        except OSError:
            return


def _check(content: dict[str, Any], rules: dict[str, Any], path: Path, text: str) -> None:
    """Hold `content` against a schema; report the deepest, most telling error."""
    import jsonschema

    validator = jsonschema.Draft202012Validator(rules)
    error = jsonschema.exceptions.best_match(validator.iter_errors(content))
    if error is None:
        return
    keys = [str(part) for part in error.absolute_path]
    message, hint = _explain(error)
    unknown = re.search(r"'([^']+)' (?:was|were) unexpected", error.message)
    line = _find_line(text, [*keys, unknown[1]] if unknown else keys)
    raise ConfigError(
        message, hint=hint, place=Place(str(path), line=line, field=".".join(keys) or None)
    )


def _explain(error: Any) -> tuple[str, str]:
    """Return what was found and what was expected."""
    if error.validator == "additionalProperties":
        import difflib

        known = list(error.schema.get("properties", {}))
        extra = [key for key in error.instance if key not in known]
        close = difflib.get_close_matches(extra[0], known, 1) if extra else []
        meant = f"did you mean {close[0]}? " if close else ""
        return f"unknown key {shown(extra[0])}", f"{meant}known keys: {', '.join(known)}"
    if error.validator == "required":
        return error.message, "add it"
    expected = error.schema.get("description") or f"{error.validator} {error.validator_value}"
    return f"found {shown(error.instance)}", f"expected {expected}"


def _find_line(text: str, keys: list[str]) -> int | None:
    """Return the line of the innermost key that can be found, walking down from the outermost."""
    found = None
    lines = text.split("\n")
    start = 0
    for key in keys:
        if key.isdigit():  # the n-th of an array of tables
            heads = [i for i, line in enumerate(lines) if i >= start and line.startswith("[[")]
            if int(key) < len(heads):
                start = heads[int(key)]
                found = start + 1
            continue
        pattern = re.compile(rf'(?:^|[\[.{{,\s])"?{re.escape(key)}"?\s*[\]=.]')
        for i in range(start, len(lines)):
            if pattern.search(lines[i]):
                start, found = i, i + 1
                break
    return found
