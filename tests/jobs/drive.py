"""A driver in a process of its own, to be killed: ``python -m tests.jobs.drive ROOT URL UNITS``.

Does what every driver does: recover, adopt, claim, submit, look, until nothing is active.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tests.bench import make_bench, unit_plan


def main() -> None:
    root, url, *units = sys.argv[1:]
    bench = make_bench(Path(root), url)
    bench = bench.told(**json.loads(os.environ.get("SNF_TEST_TOLD", "{}")))
    submitter, harvester = bench.submitter(), bench.harvester()
    print("ready", flush=True)
    harvester.recover()
    submitter.adopt()
    submitter.add(bench.claim([unit_plan(unit) for unit in units]).claimed)
    bench.finish(submitter)
    bench.restore()


if __name__ == "__main__":
    main()
