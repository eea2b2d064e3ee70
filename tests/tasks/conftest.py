"""Small projects for the driver's tests; those of the end-to-end tests, made once."""

from __future__ import annotations

from tests.e2e.conftest import finished, finished_once, project

__all__ = ["finished", "finished_once", "project"]
