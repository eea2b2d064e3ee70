"""Chance that depends on names only, so that every file can be made alone."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(*parts: object) -> np.random.Generator:
    """Return the generator of a thing named by `parts`: survey seed, night, run, ...

    The same names give the same numbers, in any order of making and on any machine.
    """
    name = "/".join(str(part) for part in parts)
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.default_rng(np.random.SeedSequence(int.from_bytes(digest, "big")))
