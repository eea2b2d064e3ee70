"""Sites: ``configs/sites/<name>.toml`` says where jobs run and where things lie."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snfpipe.config.textfile import Where
from snfpipe.config.tomlfile import named_file, read_toml
from snfpipe.config.versions import Version


@dataclass(frozen=True, slots=True)
class Site:
    """Where jobs run and where things lie."""

    name: str
    engine: str
    slots: int
    poll_s: float
    grace_s: float
    database_url: str
    raw: Path
    archive: Path
    jobs: Path
    settings: Mapping[str, Any]
    trash_days: float = 30


def load_site(root: Path, name: str, version: Version, asked_by: Where) -> Site:
    """Read ``configs/sites/<name>.toml``.

    Raises
    ------
    NotFound, ConfigError
        There is no such file, or it is not as it should be.
    """
    content = read_toml(root, named_file(root, "sites", name, asked_by), "site")
    return Site(
        name=name,
        engine=content["engine"],
        slots=content["slots"] or len(os.sched_getaffinity(0)),
        poll_s=content["poll_s"],
        grace_s=content["grace_s"],
        database_url=os.environ.get("SNF_DATABASE_URL") or content["database"],
        raw=root / content["raw"],
        archive=root / content["archive"],
        jobs=root / content["jobs"] / version.label,
        settings=content.get("settings", {}),
        trash_days=content.get("trash_days", 30),
    )
