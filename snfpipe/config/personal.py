"""Personal productions: whose production id is whose, and which ids nobody may have.

A production id (*outver*) stands in for the version's number in names of jobs and products and in
the archive's path, so that what one person makes lies apart from everything else.
"""

from __future__ import annotations

from pathlib import Path

from snfpipe.config.textfile import Where
from snfpipe.config.tomlfile import read_toml
from snfpipe.config.versions import list_versions, load_version
from snfpipe.errors import ConfigError, NotFound

IDS = Path("configs") / "production_ids.toml"


def people(root: Path) -> dict[int, str]:
    """Return production id -> whose it is, from ``configs/production_ids.toml``."""
    content = read_toml(root, root / IDS, "production_ids")
    return {int(ident): person for ident, person in content["ids"].items()}


def check_outver(root: Path, outver: int, asked_by: Where | None = None) -> str:
    """Return whose a production id is, or refuse it.

    Raises
    ------
    ConfigError
        It is the number of a version: products of the two could not be told apart.
    NotFound
        It is nobody's.
    """
    for version in (load_version(root, label) for label in list_versions(root)):
        if version.number == outver:
            what = "released version" if version.released else "version"
            raise ConfigError(
                f"production id {outver} is the number of {what} {version.label}",
                hint=f"take an id of {IDS}, or leave it out to work as {version.label}",
                place=asked_by and asked_by(),
            )
    known = people(root)
    if outver not in known:
        shown = ", ".join(f"{ident} ({person})" for ident, person in sorted(known.items()))
        raise NotFound(
            f"production id {outver} is nobody's",
            hint=f"add it to {IDS}; there are: {shown or 'none'}",
            place=asked_by and asked_by(),
        )
    return known[outver]
