"""A survey with nothing to do: `doit` here beside a bare doit with the same graph.

1,700 nights and 1,300 targets, 6 steps over nights and 6 over targets, 15 nights a target: 18,000
units that are all finished.  Ours reads configuration, lists and database, looks at manifests,
asks for new frames and says that nothing is to be done; the bare doit has the same tasks with the
same targets and file dependencies written out, and doit's fastest stock backend.  Both run in
turns, with their imports, in one folder.  Ours also looks at the 78,000 raw frames on disk for
new and changed ones, as it does at every start.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa

from benchmarks._survey import night, target
from benchmarks._turns import Turns, end
from snfpipe import clock
from snfpipe.config.project import load_project
from snfpipe.db import models, store
from snfpipe.db.session import open_database
from snfpipe.jobs.manifest import manifest_text, sha256
from snfpipe.jobs.planning import ensure_production
from snfpipe.names import RawName
from snfpipe.plans.selection import select
from snfpipe.plans.unit_plan import digest, selection
from snfpipe.states import State
from snfpipe.units.graph import build_graph
from snfpipe.units.job_rows import read_rows

NIGHTS, TARGETS, NIGHTS_A_TARGET = 1_700, 1_300, 15
TURNS = 7
LIMIT = 1.0
SOURCE = Path(__file__).parents[1]
DOIT = Path(sys.executable).with_name("doit")

PRODUCTION = """\
title = "A survey with nothing to do"
meta_prefix = "SNF-"
"""
STEP = """
[[steps]]
key = "{key}"
plan = "{plan}"
unit = "{unit}"
prefix = "{prefix}"
list = "lists/survey_{unit}s.list"
validate = "none"
inputs = {inputs}
"""
BARE = """\
import json
from pathlib import Path

DOIT_CONFIG = {"backend": "json", "dep_file": "work/bare.json"}


def nothing():
    pass


def task_survey():
    for basename, name, target, file_dep in json.loads(Path("graph.json").read_text()):
        yield {"basename": basename, "name": name, "actions": [nothing], "targets": [target],
               "file_dep": file_dep, "uptodate": [True]}
"""


def make_configuration(root: Path) -> None:
    """Write a production of twelve steps over the plans there are."""
    for name in ("configs", "versions"):
        shutil.copytree(SOURCE / name, root / name)
    shutil.copy(SOURCE / "dodo.py", root)
    steps = []
    for prefix in ("SURVEYA", "SURVEYB"):
        tag = prefix[-1].lower()
        steps += [
            (f"quality_{tag}", "file_quality", "night", prefix, "{}"),
            (f"cubes_{tag}", "cube_generation", "night", prefix, f'{{frames = ["quality_{tag}"]}}'),
            (f"stars_{tag}", "extract_star", "night", prefix, f'{{cubes = ["cubes_{tag}"]}}'),
        ]
    for tag in "abcdef":
        cubes = "cubes_a" if tag < "d" else "cubes_b"
        prefix = f"TARGETS{tag.upper()}"
        steps.append((f"targets_{tag}", "extract_star", "target", prefix, f'{{cubes=["{cubes}"]}}'))
    text = PRODUCTION + "".join(
        STEP.format(key=key, plan=plan, unit=unit, prefix=prefix, inputs=inputs)
        for key, plan, unit, prefix, inputs in steps
    )
    (root / "configs" / "productions" / "survey.toml").write_text(text)
    (root / "configs" / "production.toml").write_text(
        'version = "SNF-02-03"\nproduction = "survey"\nsite = "local"\n'
    )
    lists = root / "lists"
    lists.mkdir()
    (lists / "survey_nights.list").write_text("".join(f"{night(n)}\n" for n in range(NIGHTS)))
    (lists / "survey_targets.list").write_text("".join(f"{target(n)}\n" for n in range(TARGETS)))


def observe(root: Path) -> None:
    """Fill the database with what was observed: every target in 15 nights, B and R."""
    project = load_project(root)
    database = open_database(project.site.database_url, root, create=True)
    runs: dict[int, int] = dict.fromkeys(range(NIGHTS), 0)
    rows: dict[type[models.Base], list[dict[str, object]]] = {
        model: []
        for model in (models.Target, models.Run, models.Exposure, models.Pose, models.Process,
                      models.File)
    }  # fmt: skip
    for number in range(TARGETS):
        rows[models.Target].append(
            {"id": number + 1, "id_target": f"T{number:08}", "name": target(number),
             "kind": "SuperNova", "type": "Ia"}
        )  # fmt: skip
        for visit in range(NIGHTS_A_TARGET):
            n = (number * 7 + visit * 113) % NIGHTS
            runs[n] += 1
            name = night(n)
            id_run = int(f"{name.replace('_', '')}{runs[n]:03}")
            rows[models.Run].append(
                {"id_run": id_run, "night": name, "run": runs[n], "target_id": number + 1,
                 "kind": "FollowUp", "type": "SPECTRED", "jd": 2453000.0 + n}
            )  # fmt: skip
            for exposure, fclass in ((3, 17), (4, 3)):
                id_exposure = int(f"{id_run}{exposure:03}")
                rows[models.Exposure].append(
                    {"id_exposure": id_exposure, "id_run": id_run, "night": name,
                     "exposure": exposure, "jd": 2453000.0 + n, "exptime_s": 1000.0}
                )  # fmt: skip
                for channel, mask in (("B", 4), ("R", 2)):
                    raw = RawName.parse(
                        f"{name}_{runs[n]:03}_{exposure:03}_{fclass:02}_{channel}.fits"
                    )
                    id_pose = int(f"{id_exposure}{mask}")
                    rows[models.Pose].append(
                        {"id_pose": id_pose, "id_exposure": id_exposure, "night": name,
                         "channel": mask, "efftime_s": 1000.0, "airmass": 1.2}
                    )  # fmt: skip
                    rows[models.Process].append(
                        {"id_process": raw.id_process, "fclass": fclass, "xfclass": 0,
                         "channel": mask, "version": 0, "idx": 0, "night": name, "id_run": id_run,
                         "id_exposure": id_exposure, "id_pose": id_pose, "target_id": number + 1}
                    )  # fmt: skip
                    frame = project.site.raw / raw.path
                    frame.parent.mkdir(parents=True, exist_ok=True)
                    frame.touch()
                    rows[models.File].append(
                        {"name": str(raw), "area": "raw", "path": raw.path, "size": 0,
                         "mtime_ns": frame.stat().st_mtime_ns, "checksum": f"{id_pose:064x}",
                         "id_process": raw.id_process, "night": name}
                    )  # fmt: skip
    with database.write() as session:
        for model, content in rows.items():
            store.insert(session, model, content)
        session.execute(sa.text("ANALYZE"))
    database.close()


def finish(root: Path) -> list[list[object]]:
    """Give every unit a finished job with the digest that is selected now; return the graph."""
    project = load_project(root)
    database = open_database(project.site.database_url, root)
    with database.write() as session:
        for step in project.steps:
            production_id = ensure_production(session, project, step)
            jobs = []
            moment = clock.utc_now()
            for unit, plan in select(session, step, step.units).items():
                text = manifest_text(step.production, unit, State.DONE, "", selection(plan),
                                     step.identity, ())  # fmt: skip
                folder = project.site.jobs / step.job_folder(unit)
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{step.job_name(unit)}.manifest").write_text(text)
                jobs.append(
                    {"production_id": production_id, "unit": unit, "unit_kind": step.kind.name,
                     "name": step.job_name(unit), "folder": step.job_folder(unit),
                     "state": str(State.DONE), "reason": "", "attempts": 1,
                     "inputs_digest": digest(step, plan), "manifest": text,
                     "manifest_sha": sha256(text), "created": moment, "updated": moment}
                )  # fmt: skip
            store.insert(session, models.Job, jobs)
    database.close()
    graph = build_graph(project, read_rows(project))
    return [
        [u.step.key, u.unit, u.manifest, [graph[above].manifest for above in u.upstream]]
        for u in graph.values()
    ]


def timed(root: Path, *words: str) -> tuple[float, str]:
    """Run a command; return its wall time [s] and what it printed."""
    dropped = ("SNF_", "PYTHONDONTWRITEBYTECODE")  # compiling at every start is not measured here
    environment = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    started = time.perf_counter()
    done = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True)
    elapsed_s = time.perf_counter() - started
    assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return elapsed_s, done.stdout


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="snf-noop-") as folder:
        root = Path(folder)
        make_configuration(root)
        observe(root)
        graph = finish(root)
        assert len(graph) == 6 * NIGHTS + 6 * TARGETS
        (root / "graph.json").write_text(json.dumps(graph))
        (root / "bare.py").write_text(BARE)
        first_s, told = timed(root, str(DOIT))
        assert f"{len(graph)} up to date" in told, told
        print(f"after losing every cache: {first_s:.2f} s")
        timed(root, str(DOIT), "reset-dep", "-f", "bare.py")
        turns = Turns()
        for _turn in range(TURNS):
            bare_s = timed(root, str(DOIT), "-f", "bare.py")[0]
            elapsed_s, told = timed(root, str(DOIT))
            assert f"{len(graph)} up to date" in told, told
            turns.add(elapsed_s, bare_s)
    return end("noop", turns, LIMIT)


if __name__ == "__main__":
    sys.exit(main())
