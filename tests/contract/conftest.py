"""The engines under test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.places import Place

ENGINES = [
    "local",
    pytest.param("grid_engine", marks=pytest.mark.services),
    pytest.param("slurm", marks=pytest.mark.services),
    pytest.param("slurm_by_file", marks=[pytest.mark.services, pytest.mark.soak]),
]


def make_place(request: pytest.FixtureRequest, engine: str, root: Path) -> Place:
    """Return a place of an engine; the service behind it is started once a test run."""
    if engine == "local":
        return Place(engine, root, grace_s=0, pause_s=0.02)
    service = request.getfixturevalue(engine)
    return Place(service.name, root, settings={"environment": service.environment})


@pytest.fixture(params=ENGINES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    made = make_place(request, request.param, tmp_path)
    engine = made.make()
    yield made
    engine.cancel(list(engine.snapshot()))
    made.wait_until_empty(engine)
