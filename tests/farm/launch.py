"""A submitter in a process of its own, to be killed: claims and submits units, and no more.

``python -m tests.farm.launch ROOT URL CELL TRIAL COUNT``; CELL is the cell's environment as JSON.
It says on its output how far it is.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from snfpipe.errors import ServiceUnavailable
from snfpipe.jobs.submit import Submitter
from snfpipe.plans.unit_plan import UnitPlan
from tests.bench import Bench, night_of, unit_plan
from tests.farm.place import make_farm

PROGRAM = """\
#!/bin/sh
[ "$1" = --version ] && { echo "program 1.0.0"; exit; }
sleep ${SNF_TEST_SLEEP:-0}
echo "$SNF_JOB" >> "$SNF_TEST_WITNESS"
"""


def make_trial(
    root: Path, url: str, cell: dict[str, str], trial: str, count: int, sleep_s: float = 0.0
) -> tuple[Bench, list[UnitPlan]]:
    """Return a farm whose jobs do no more than add a line to a trial's file, and its units."""
    farm = make_farm(root, url, cell, nights=count)
    program = root / "witness.sh"
    if not program.exists():
        program.write_text(PROGRAM)
        program.chmod(0o755)
    step = replace(
        farm.step,
        program=replace(farm.step.program, commands=((str(program),),)),
        environment={"SNF_TEST_WITNESS": str(root / trial), "SNF_TEST_SLEEP": f"{sleep_s:g}"},
    )
    farm = replace(farm, project=replace(farm.project, steps=(step,)))
    nights = [night_of(number) for number in range(1800, 1800 + count)]
    return farm, [replace(unit_plan(night), expected=()) for night in nights]


def submit(submitter: Submitter, patience_s: float = 60.0) -> None:
    """Send what waits, however long a service is away."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            submitter.send()
        except ServiceUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


def main() -> None:
    root, url, cell, trial, count = sys.argv[1:]
    farm, plans = make_trial(Path(root), url, json.loads(cell), trial, int(count))
    submitter = farm.submitter()
    print("ready", flush=True)
    claimed = farm.claim(plans).claimed
    print("claimed", flush=True)
    submitter.add(claimed)
    print("written", flush=True)
    submit(submitter)
    print("acknowledged", flush=True)


if __name__ == "__main__":
    main()
