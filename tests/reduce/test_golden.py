"""A product's bytes do not change unless its program's version does."""

from __future__ import annotations

import json

import pytest

from snfpipe.reduce import PROGRAMS
from tests.closure.night import Work
from tests.reduce import golden


def test_products_change_only_with_their_programs_version(star: Work) -> None:
    kept, now = json.loads(golden.FILE.read_text()), golden.measure(star)
    again = "; then: python -m tests.reduce.golden"
    assert kept["inputs"] == now["inputs"], f"the simulator makes other frames{again}"
    # elsewhere last digits may differ: there the numbers have to agree
    exact = kept["machine"] == now["machine"]
    for program, made in now["programs"].items():
        before = kept["programs"][program]
        assert before["version"] == PROGRAMS[program], f"{program} has a new version{again}"
        for role, product in made["products"].items():
            changed = f"{program} makes another {role}: raise its version in snfpipe/reduce{again}"
            old = before["products"][role]
            if exact:
                assert product["sha256"] == old["sha256"], changed
            assert product["numbers"] == pytest.approx(old["numbers"], rel=1e-6), changed
