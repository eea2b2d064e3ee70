"""Personal productions lie apart: in names, selection, freshness and audit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snfpipe.config.project import Project as Configured
from snfpipe.config.project import load_project
from snfpipe.db.session import open_database
from snfpipe.plans.selection import select
from tests.e2e.project import Project
from tests.launch.conftest import LIST, NIGHTS, call, finish, ordered

STEPS = (("z", ()), ("c", ("-j", "SNF-0013-MINEz")), ("e", ("-j", "SNF-0013-MINEc")))


def produce(project: Project, *options: str, reads: str = "SNF-0013-", **named: Any) -> None:
    """Make a production of one's own, other options and all, by batch_jobs."""
    for mode, given in STEPS:
        words = [word.replace("SNF-0013-", reads) for word in given]
        call(project, "-s", "-p", "MINE", "-m", mode, *options, "-a", " ".join(words),
                    LIST)  # fmt: skip
        states = finish(ordered(project, *words, mode=mode, prefix="MINE", **named))
        assert states == dict.fromkeys(NIGHTS, "done")


def selected(project: Project, configured: Configured) -> set[str]:
    """Return the files that the last step of a production reads now."""
    database = open_database(load_project(project.root).site.database_url, project.root)
    step = configured.steps[-1]
    with database.read() as session:
        plans = select(session, step, NIGHTS)
    database.close()
    return {given.path for plan in plans.values() for given in plan.inputs}


def test_a_production_id_keeps_personal_products_apart(produced):
    main = produced.products()
    reads = selected(produced, load_project(produced.root))
    attempts = produced.attempts()
    produce(produced, "--outver", "13", outver=13)
    names = {name for (name,) in produced.query("SELECT name FROM job WHERE name LIKE '%-0013-%'")}
    assert names == {f"SNF-0013-MINE{m}-{n.replace('_', '')}" for m in "zce" for n in NIGHTS}
    own = {path for path in produced.products() if path not in main}
    assert own == {path.replace("02-03", "00-13") for path in main}
    assert all(path.startswith("Prod/00-13/06/33") for path in own)

    # selection: each reads its own
    assert selected(produced, load_project(produced.root)) == reads
    mine = ordered(produced, *STEPS[2][1], mode="e", prefix="MINE", outver=13)
    assert selected(produced, mine) == {path.replace("02-03", "00-13") for path in reads}
    # freshness: nothing of the main production has become outdated, and doit makes no attempt
    assert "6 up to date" in produced.doit()
    assert produced.attempts() == attempts
    # audit: the one production is clean beside the other
    produced.run("snf", "audit")
    # and what is marked bad in one is not so in the other
    produced.query("UPDATE process SET quality = 2 WHERE version = 13")
    assert "6 up to date" in produced.doit()


def test_a_meta_prefix_keeps_productions_of_one_version_apart(produced):
    main = produced.products()
    produce(produced, "--meta_prefix", "NICO-", meta_prefix="NICO-", reads="NICO-0203-")
    both = produced.products()
    assert main.items() <= both.items()
    own = set(both) - set(main)
    assert own == {path.replace("_02-03_000", "_02-03_001") for path in main}
    assert "6 up to date" in produced.doit()
    produced.run("snf", "audit", "--verify")


@pytest.mark.parametrize("first", ["ONE", "TWO"])
def test_productions_in_hand_at_the_same_time_never_want_the_same_name(produced, first):
    """Both are claimed before either is finished; whichever finishes first, nothing collides."""

    def submit(prefix: str, upto: int) -> Configured:
        words = ("-j", "SNF-0203-SAMPLEc", "--truncateR", f"5100,{upto}")
        call(produced, "-s", "-p", prefix, "-m", "e", "-a", " ".join(words), LIST)
        return ordered(produced, *words, mode="e", prefix=prefix)

    both = {prefix: submit(prefix, 9000) for prefix in ("ONE", "TWO")}
    expected = "SELECT id_process FROM expected JOIN job ON job.id = job_id WHERE state = 'queued'"
    promised = [ident for (ident,) in produced.query(expected)]
    assert promised
    assert len(set(promised)) == len(promised)
    produced.wait_for_jobs()
    assert set(finish(both.pop(first)).values()) == {"done"}
    (last,) = both.values()
    assert set(finish(last).values()) == {"done"}
    for prefix in ("ONE", "TWO"):  # an index is never given again, whoever came last
        assert set(finish(submit(prefix, 8000)).values()) == {"done"}


def test_a_production_file_may_have_a_production_id(project):
    path = project.root / "configs" / "productions" / "sample.toml"
    path.write_text(path.read_text().replace("\n[[steps]]", "outver = 13\n\n[[steps]]", 1))
    project.doit()
    assert {path[:10] for path in project.products()} == {"Prod/00-13"}
    project.run("snf", "audit")
    told = call(project, "-s", "-p", "SAMPLE", "-m", "e", LIST).out
    assert "SNF-0013-SAMPLEe" in told and "2 left alone (done)" in told

    # one production is not mixed of two versions
    project.run("snf_version", "HEAD")
    done = call(project, "-s", "-p", "SAMPLE", "-m", "z", LIST)
    assert done.code == 3
    assert "SNF-0013-SAMPLEz was begun by SNF-02-03" in done.err
    assert "begun by SNF-02-03" in project.doit(exit_code=None)


@pytest.mark.parametrize(
    ("outver", "said"),
    [("203", "number of released version SNF-02-03"), ("201", "SNF-02-01"), ("77", "nobody's")],
)
def test_ids_of_versions_and_of_nobody_are_refused_in_a_production_file(project, outver, said):
    project.release("SNF-02-03")
    path = project.root / "configs" / "productions" / "sample.toml"
    path.write_text(path.read_text().replace("\n[[steps]]", f"outver = {outver}\n\n[[steps]]", 1))
    told = call(project, "-p", "P", "-m", "z", LIST).err
    assert said in told
    assert "sample.toml:4: outver" in told


def test_a_released_version_takes_its_number_back_from_nobody(project):
    """A version that is added later is seen at once."""
    project.release("SNF-02-03")
    text = (project.root / "versions" / "SNF-02-03.toml").read_text()
    text = text.replace("SNF-02-03", "SNF-00-13").replace("number = 203", "number = 13")
    (project.root / "versions" / "SNF-00-13.toml").write_text(text)
    done = call(project, "-p", "P", "-m", "z", "--outver", "13", LIST)
    assert done.code == 2
    assert "number of released version SNF-00-13" in done.err


@pytest.fixture
def place(produced: Project) -> Project:
    """A folder to try things out in."""
    folder = produced.root / "try"
    folder.mkdir()
    return Project(folder)


def trial(prefix: str, upto: int, *nights: str) -> tuple[str, ...]:
    """Return the words of a trial; `upto` makes other products of the same names."""
    words = f"-j SNF-0203-SAMPLEc --truncateR 5100,{upto}"
    return ("-L", "-s", "-p", prefix, "-m", "e", "-a", words, *(nights or NIGHTS))


def left(place: Project, index: str = "???") -> dict[str, bytes]:
    """Return the products of an index in the folder of trials, or of all, and what they hold."""
    found = {path.name: path.read_bytes() for path in place.root.glob(f"*_02-03_{index}.*")}
    assert index == "???" or found, f"nothing of index {index}"
    return found


def test_a_trial_leaves_the_products_of_another_in_the_same_folder_alone(produced, place):
    assert call(place, *trial("A", 9000)).code == 0
    produced.wait_for_jobs()
    first = left(place)
    assert first == left(place, "000")
    assert call(place, *trial("C", 8000)).code == 0
    produced.wait_for_jobs()
    second = left(place, "001")
    assert left(place) == first | second
    assert {name.replace("_001.", "_000.") for name in second} == first.keys()
    assert all(second[name.replace("_000.", "_001.")] != content
               for name, content in first.items() if "_2_" in name)  # fmt: skip

    # the lowest index that is free: one file in the way of a night is enough, and only of that
    for path in place.root.glob("*_02-03_000.*"):
        if path.name != min(first):
            path.unlink()
    assert call(place, *trial("A", 7000)).code == 0
    produced.wait_for_jobs()
    assert {name[:6] for name in left(place, "002")} == {NIGHTS[0]}
    assert left(place, "000").keys() == {
        name for name in first if not name.startswith(NIGHTS[0]) or name == min(first)
    }
    assert left(place, "000")[min(first)] == first[min(first)]


def test_trials_that_are_on_their_way_together_leave_products_of_different_names(produced, place):
    produced.write_behaviour(sleep_s=20)  # longer than it takes to submit the other
    both = [place.start("batch_jobs", *trial(prefix, upto, NIGHTS[0]), log=f"{prefix}.log")
            for prefix, upto in (("LOC", 9000), ("OTHER", 8000))]  # fmt: skip
    logs = [place.root / "LOC.log", place.root / "OTHER.log"]
    assert [it.wait(60) for it in both] == [0, 0], [path.read_text() for path in logs]
    assert all("1 handed to the engine" in path.read_text() for path in logs)
    produced.wait_for_jobs()
    assert left(place) == left(place, "000") | left(place, "001")
    assert len(left(place, "000")) == len(left(place, "001"))


def test_a_trial_in_a_folder_where_every_index_is_taken_is_refused(produced, place):
    for index in range(1000):
        Path(place.root, f"06_334_001_003_2_038_100_02-03_{index:03}.fits").touch()
    done = call(place, *trial("A", 9000))
    assert done.code == 3
    assert "SNF-0203-Ae-06334 has no name left for its products in" in done.err
    assert "next:" in done.err
    assert not list(place.root.glob("*.attempts"))
