"""A production on a farm: real schedulers and PostgreSQL make what one machine and SQLite make."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomlkit

from tests.e2e.conftest import NIGHTS, make_project
from tests.e2e.project import Project


def move_to_farm(project: Project, engine: str, environment: dict[str, str], slots: int) -> None:
    """Let the project's jobs run on a scheduler."""
    sites = project.root / "configs" / "sites"
    site = tomlkit.parse((sites / f"{engine}.toml").read_text())
    site.update(slots=slots, poll_s=0.5, grace_s=20)
    site["settings"] = {"environment": environment}
    (sites / "farm.toml").write_text(tomlkit.dumps(site))
    switch = project.root / "configs" / "production.toml"
    content = tomlkit.parse(switch.read_text())
    content["site"] = "farm"
    switch.write_text(tomlkit.dumps(content))


@pytest.mark.services
@pytest.mark.parametrize(("engine", "nights"), [("grid_engine", NIGHTS), ("slurm", NIGHTS[:1])])
def test_a_farm_with_postgresql_makes_the_same_bytes_as_one_machine_with_sqlite(
    request, engine, nights, finished_once, postgresql, tmp_path
):
    service = request.getfixturevalue(engine)
    farm = make_project(tmp_path / "project", nights, postgresql.new_database())
    move_to_farm(farm, engine, service.environment, slots=4)
    farm.doit()
    here = finished_once.products()
    there = farm.products()
    assert there == {path: it for path, it in here.items() if Path(path).name[:6] in nights}
    assert len({Path(path).name[:6] for path in there}) == len(nights)
    attempts = farm.attempts()
    assert attempts == 3 * len(nights)
    assert {name for (name,) in farm.query("SELECT engine FROM attempt")} == {engine}
    arrays = list((farm.root / "work" / "jobs" / f".{engine}" / "arrays").iterdir())
    assert 0 < len(arrays) <= attempts
    farm.doit()
    assert farm.attempts() == attempts
