"""What all tests share: the services, and the choice of the long tests."""

from __future__ import annotations

import os

import hypothesis
import pytest

pytest_plugins = ["tests.services", "tests.bench", "tests.manual_clock"]

# how long an example takes depends on what else runs on the machine
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the soak tests out unless SNF_SOAK=1 (``make soak``) asks for them."""
    if os.environ.get("SNF_SOAK") == "1":
        return
    long_ones = [item for item in items if item.get_closest_marker("soak")]
    if long_ones:
        config.hook.pytest_deselected(items=long_ones)
        items[:] = [item for item in items if not item.get_closest_marker("soak")]
