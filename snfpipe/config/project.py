"""The configured production: ``configs/production.toml`` and what it names, checked and resolved.

A project is the folder that holds ``configs/production.toml``.  That file is the switch: code
version, production, site.  Everything relative is relative to the project's folder.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from snfpipe.config.personal import check_outver
from snfpipe.config.site import Site, load_site
from snfpipe.config.step import Step
from snfpipe.config.steps import SWITCH, read_switch, resolve_steps
from snfpipe.config.tomlfile import Key, named_file, read_toml
from snfpipe.config.versions import Version, load_version
from snfpipe.errors import NotFound, shown


@dataclass(frozen=True)
class Project:
    """The configured production of one version at one site."""

    root: Path
    version: Version
    production_key: str
    title: str
    meta_prefix: str
    outver: int | None
    site: Site
    steps: tuple[Step, ...]

    @property
    def number(self) -> int:
        """The version number that products carry."""
        return self.version.number if self.outver is None else self.outver

    def step(self, key: str) -> Step:
        """Return the step called `key`.

        Raises
        ------
        NotFound
            Lists the steps there are.
        """
        for step in self.steps:
            if step.key == key:
                return step
        known = ", ".join(step.key for step in self.steps)
        raise NotFound(
            f"production {self.production_key} has no step {shown(key)}", hint=f"steps: {known}"
        )


def find_root(start: Path | None = None) -> Path:
    """Return the project's folder: `start`, SNF_PROJECT, or the nearest one from here up.

    Raises
    ------
    NotFound
        None of them holds ``configs/production.toml``.
    """
    named = start or (Path(os.environ["SNF_PROJECT"]) if "SNF_PROJECT" in os.environ else None)
    places = [named] if named else [Path.cwd(), *Path.cwd().parents]
    for folder in places:
        if (folder / SWITCH).is_file():
            return folder.absolute()
    raise NotFound(
        f"no {SWITCH} in {places[0]}" + ("" if named else " or any folder above it"),
        hint="go to the project's folder, or name it by --project or SNF_PROJECT",
    )


def load_project(root: Path | None = None) -> Project:
    """Read, check and resolve the configured production.

    Raises
    ------
    ConfigError, NotFound, BadName
        Something in a configuration, version or list file; names file, line and key.
    """
    root = find_root(root)
    switch, at = read_switch(root), Key(root / SWITCH)
    version = load_version(root, switch["version"], asked_by=at / "version")
    site = load_site(root, switch["site"], version, at / "site")
    key = switch["production"]
    path = named_file(root, "productions", key, at / "production")
    content = read_toml(root, path, "production")
    if "outver" in content:
        check_outver(root, content["outver"], Key(path) / "outver")
    return Project(
        root=root,
        version=version,
        production_key=key,
        title=content["title"],
        meta_prefix=content["meta_prefix"],
        outver=content.get("outver"),
        site=site,
        steps=resolve_steps(root, path, content, version),
    )
