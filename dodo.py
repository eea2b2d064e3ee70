"""What `doit` does here: every unit of the production that configs/production.toml names.

A task a step, a subtask a unit (`doit extract_star:06_334`): the subtask is the job. Its action
returns when the unit is finished; its target is the unit's manifest, its file dependencies are
the manifests it may read. docs/doit.md says more; `snf status` and `snf why` explain.
"""

from pathlib import Path

from snfpipe.tasks.driver import Driver

driver = Driver.open(Path(__file__).parent)

DOIT_CONFIG = {
    "minversion": "0.36.0",
    "continue": True,  # a unit that fails holds up none that can do without it
    "par_type": "thread",  # a thread only waits: jobs are processes, or run on a farm
    **driver.config(),
}


def task_production():
    """Ingest new raw frames, then the units of every step."""
    yield from driver.tasks()


def task_audit():
    """Hold the production against what is expected of it: `doit audit`, or one of its subtasks."""
    yield from driver.audits()
