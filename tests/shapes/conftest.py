"""The production of all shapes, run once; and the package as this process sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from snfpipe.declarations import registry
from tests.shapes.project import PACKAGE, Project, make_observed


@dataclass(frozen=True)
class Produced:
    """The production, and how often its units were tried when doit had run once and twice."""

    project: Project
    said: str
    once: dict[str, int]
    twice: dict[str, int]


@pytest.fixture(scope="session")
def produced(tmp_path_factory: pytest.TempPathFactory) -> Produced:
    """Everything, made; not to be changed."""
    project = make_observed(tmp_path_factory.mktemp("shapes") / "project")
    said = project.doit()
    once = project.attempts_by_unit()
    project.doit()
    return Produced(project, said, once, project.attempts_by_unit())


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install the package for this process, so that commands can be called in it."""
    monkeypatch.syspath_prepend(PACKAGE)
    monkeypatch.delenv("SNF_DATABASE_URL", raising=False)
    _forget()
    yield PACKAGE
    _forget()


def _forget() -> None:
    registry._entries.cache_clear()
    registry.plan_spec.cache_clear()
