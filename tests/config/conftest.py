"""A project of its own for each test: the project's own configuration in a folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.switch import use_version

ROOT = Path(__file__).parents[2]
Edit = Callable[..., None]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the project's configuration, versions and lists."""
    monkeypatch.delenv("SNF_PROJECT", raising=False)
    monkeypatch.delenv("SNF_DATABASE_URL", raising=False)
    for name in ("configs", "versions", "lists"):
        shutil.copytree(ROOT / name, tmp_path / name)
    use_version(tmp_path)
    return tmp_path


@pytest.fixture
def edit(root: Path) -> Edit:
    """Give what replaces a text that a file must hold."""

    def replace(file: str, old: str, new: str) -> None:
        path = root / file
        text = path.read_text()
        assert old in text, f"{file} holds no {old!r}"
        path.write_text(text.replace(old, new, 1))

    return replace
