"""What the project declares is what it imports, fixes and explains."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODULE_OF = {"psycopg2-binary": "psycopg2"}
LOADED_BY_NAME = {"psycopg2"}  # SQLAlchemy loads it for a postgresql:// URL


def declared(*extras: str) -> set[str]:
    """Return the distributions that the project and some of its extras name."""
    lines = [*PROJECT["dependencies"]]
    for extra in extras:
        lines.extend(PROJECT["optional-dependencies"][extra])
    return {re.split(r"[^\w-]", line, maxsplit=1)[0] for line in lines}


def locked(name: str) -> dict[str, str]:
    """Return distribution -> version of a lock file."""
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    return dict(re.findall(r"^([\w-]+)==(\S+) \\$", text, flags=re.MULTILINE))


def test_imports_and_declared_packages_are_the_same() -> None:
    graph = grimp.build_graph("snfpipe", include_external_packages=True)
    outside = {name for name in graph.modules if graph.is_module_squashed(name)}
    imported = outside - set(sys.stdlib_module_names)
    modules = {MODULE_OF.get(name, name) for name in declared("reduce")}
    assert imported - modules == set(), "imported, but not declared in pyproject.toml"
    assert modules - imported - LOADED_BY_NAME == set(), "declared, but never imported"


def test_locks_hold_what_is_declared() -> None:
    run, test = locked("run"), locked("test")
    assert declared("reduce") <= run.keys()
    assert declared("reduce", "test") <= test.keys()
    assert run.items() <= test.items()


def test_locks_name_no_place_but_the_callers_index() -> None:
    for lock in (ROOT / "requirements").glob("*.lock"):
        lines = [line for line in lock.read_text().splitlines() if not line.startswith("#")]
        named = [line for line in lines if "://" in line or line.startswith("-")]
        assert named == [], lock.name


def test_every_dependency_has_its_reason() -> None:
    page = (ROOT / "docs" / "development.md").read_text()
    table = page.partition("| package | why this one |")[2]
    rows = re.findall(r"^\| ([\w, -]+) \| .+ \|$", table, flags=re.MULTILINE)
    explained = {name.strip() for row in rows for name in row.split(",")}
    assert explained == declared("reduce", "test") | {"flit-core"}
