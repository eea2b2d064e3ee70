"""Deleting: what goes, what stays, what is refused, and the way back."""

from __future__ import annotations

import json
import stat
import subprocess

import pytest

from snfpipe.audit.ancestors import audit_ancestors
from snfpipe.audit.findings import Finding
from snfpipe.db.models import Base
from snfpipe.deletion import remove, rows, trash
from snfpipe.deletion.plan import Descendants
from snfpipe.errors import Refused
from tests.deletion.conftest import EXPOSURES, NIGHTS
from tests.deletion.synthetic import Synthetic

CUBES = [f"SNF-0203-SAMPLEc-{night.replace('_', '')}" for night in NIGHTS]
STARS = [f"SNF-0203-SAMPLEe-{night.replace('_', '')}" for night in NIGHTS]


def findings(made: Synthetic) -> list[Finding]:
    with made.database.read() as session:
        return list(audit_ancestors(session, made.project))


def test_a_deleted_job_takes_its_rows_files_manifest_and_attempts_along(made, call):
    assert call("-d", "-j", STARS[0], "--yes") == 0
    assert made.jobs() == sorted([*CUBES, *STARS[1:]])
    assert made.rows("SELECT count(*) FROM process WHERE night = '11_281'") == [(EXPOSURES,)]
    assert not any(STARS[0] in path for path in made.files())
    assert len(made.trash_files()) == EXPOSURES
    made.hold_together()


def test_deleted_and_restored_nothing_has_changed(made, call):
    made.run("UPDATE process SET state = 'superseded' WHERE id_process LIKE '11281001%022%'")
    before, files = made.everything(), made.files()
    assert call("-d", "-j", "SAMPLE?-112*", "--yes") == 0
    assert made.jobs() == []
    assert made.rows("SELECT count(*) FROM measurement") == [(0,)]
    made.hold_together()
    assert call("--restore", "-j", "SAMPLE?-112*") == 0
    assert made.everything() == before
    assert made.files() == files
    assert made.rows("SELECT count(*) FROM deleted_job") == [(0,)]
    assert made.trash_files() == set()


def test_what_descends_is_shown_and_refused(made, call, capsys):
    assert call("-d", "-j", CUBES[0], "--yes") == 3
    told = capsys.readouterr()
    assert f"products of {STARS[0]} descend from these" in told.err
    assert STARS[0] in told.out
    assert len(made.jobs()) == 6
    assert call("-d", "-j", CUBES[0], "--dry-run") == 3


def test_descendants_go_too_on_request(made, call):
    assert call("-d", "-j", CUBES[0], "--with-descendants", "--yes") == 0
    assert made.jobs() == sorted([*CUBES[1:], *STARS[1:]])
    made.hold_together()


def test_descendants_that_are_kept_stand_as_findings_until_the_parent_is_back(made, call):
    assert call("-d", "-j", CUBES[0], "--keep-descendants", "--yes") == 0
    assert [it.object for it in findings(made)] == [
        f"11_281_00{run}_003_4_038_100_02-03_000.fits" for run in (1, 2)
    ]
    assert f"deleted with job {CUBES[0]}" in findings(made)[0].what
    made.hold_together()
    links = "SELECT count(*) FROM process_parent"
    assert made.rows(links) == [(2 * EXPOSURES,)]
    assert call("--restore", "-j", CUBES[0]) == 0
    assert findings(made) == []
    assert made.rows(links) == [(3 * EXPOSURES,)]


def test_a_child_restored_without_its_parent_is_marked_and_healed_by_the_parent(made, call):
    assert call("-d", "-j", CUBES[0], "--with-descendants", "--yes") == 0
    assert call("--restore", "-j", STARS[0]) == 0
    assert len(findings(made)) == EXPOSURES
    assert call("--restore", "-j", CUBES[0]) == 0
    assert findings(made) == []
    assert made.rows("SELECT count(*) FROM process_parent") == [(3 * EXPOSURES,)]


def test_a_parent_made_again_with_the_same_bytes_heals_what_was_kept(made, call):
    from snfpipe.jobs import deleted_parents

    assert call("-d", "-j", CUBES[0], "--keep-descendants", "--yes") == 0
    made.finish(NIGHTS[:1], EXPOSURES, chain=[("cube_generation", 22, 0, "cube")], index=1)
    again = [ident for (ident,) in made.rows(
        "SELECT id_process FROM process WHERE idx = 1")]  # fmt: skip
    made.database.transact(lambda session: deleted_parents.relink(session, again))
    assert findings(made) == []
    assert made.rows("SELECT count(*) FROM process_parent") == [(3 * EXPOSURES,)]
    # and the one that was deleted cannot come back beside it
    assert call("--restore", "-j", CUBES[0]) == 3
    made.hold_together()


def test_an_index_is_not_reused_after_a_deletion(made, call):
    before = made.rows("SELECT base, last FROM product_index ORDER BY base")
    assert call("-d", "-j", STARS[0], "--yes") == 0
    assert made.rows("SELECT base, last FROM product_index ORDER BY base") == before
    assert call("--purge", "--older-than", "0", "--yes") == 0
    assert made.rows("SELECT base, last FROM product_index ORDER BY base") == before


def test_a_job_that_reads_the_products_just_now_is_refused_whatever_is_said(made, call, capsys):
    made.run("UPDATE job SET state = 'running' WHERE name = :name", name=STARS[0])
    made.run("DELETE FROM process_parent WHERE child LIKE '11281%'")
    for words in ((), ("--keep-descendants",), ("--with-descendants",)):
        assert call("-d", "-j", CUBES[0], "--yes", *words) == 3
        assert STARS[0] in capsys.readouterr().err
    assert len(made.jobs()) == 6


def test_a_lost_job_that_read_the_products_is_a_descendant_by_its_spec(made, call, capsys):
    made.run("UPDATE job SET state = 'lost' WHERE name = :name", name=STARS[0])
    made.run("DELETE FROM process_parent WHERE child LIKE '11281%'")
    assert call("-d", "-j", CUBES[0], "--yes") == 3
    assert "not registered yet" in capsys.readouterr().out
    assert call("-d", "-j", CUBES[0], "--with-descendants", "--yes") == 0
    made.hold_together()


def test_a_job_in_hand_is_not_deleted(made, call, capsys):
    made.run("UPDATE job SET state = 'queued' WHERE name = :name", name=STARS[0])
    assert call("-d", "-j", STARS[0], "--yes") == 3
    assert "manage_jobs -k" in capsys.readouterr().err


def test_validated_jobs_go_by_force_only(made, call, capsys):
    assert call("-s", "2", "-j", STARS[0]) == 0
    assert call("-d", "-j", CUBES[0], "--with-descendants", "--yes") == 3
    assert "--force" in capsys.readouterr().err
    assert call("-d", "-j", CUBES[0], "--with-descendants", "--yes", "--force") == 0


def test_nothing_goes_unconfirmed(made_sqlite, call, capsys):
    assert call("-d", "-j", STARS[0]) == 2
    told = capsys.readouterr()
    assert "--yes" in told.err
    assert f"in all 1 jobs, {3 + 6 * EXPOSURES - 1} rows" not in told.err
    assert "2 processes, 2 files" in told.out
    assert len(made_sqlite.jobs()) == 6


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE process SET quality = 2 WHERE id_process LIKE '11281001%038%'",
        "UPDATE file SET checksum = 'x' WHERE id_process LIKE '11281001%038%'",
        "UPDATE job SET state = 'incomplete' WHERE name LIKE '%e-11281'",
        "UPDATE expected SET failure = 'x' WHERE id_process LIKE '11281001%038%'",
        "DELETE FROM process_parent WHERE child LIKE '11281001%'",
    ],
)
def test_what_changed_since_it_was_shown_is_not_deleted(made_sqlite, change):
    plan = remove.plan_deletion(made_sqlite.database, [STARS[0]])
    made_sqlite.run(change)
    before = made_sqlite.everything()
    with pytest.raises(Refused, match="not what was shown"):
        remove.delete(made_sqlite.project, made_sqlite.database, plan, "me")
    assert made_sqlite.everything() == before


def test_a_new_descendant_is_seen_before_anything_goes(made):
    plan = remove.plan_deletion(made.database, [STARS[0]])
    made.run("INSERT INTO process_parent SELECT min(id_process), (SELECT min(id_process) FROM "
             "process WHERE id_process LIKE '11281001%038%') FROM process WHERE "
             "id_process LIKE '11289001%038%'")  # fmt: skip
    with pytest.raises(Refused, match="not what was shown"):
        remove.delete(made.project, made.database, plan, "me")
    again = remove.plan_deletion(made.database, [STARS[0]])
    assert [it.job for it in again.descends] == [STARS[1]]
    assert again.refusals


def test_descendants_are_found_over_any_number_of_steps(made):
    made.run("INSERT INTO process_parent SELECT min(id_process), (SELECT min(id_process) FROM "
             "process WHERE id_process LIKE '11281001%038%') FROM process WHERE "
             "id_process LIKE '11289001%038%'")  # fmt: skip
    plan = remove.plan_deletion(made.database, [CUBES[0]], Descendants.DELETE)
    assert [it.job for it in plan.goes] == [CUBES[0], STARS[0], STARS[1]]
    assert [it.descends for it in plan.goes] == [False, True, True]
    assert remove.delete(made.project, made.database, plan, "me") == []
    made.hold_together()


def test_a_file_that_is_missing_already_is_told_and_does_not_stop_it(made_sqlite, call, capsys):
    gone = next(made_sqlite.project.site.archive.rglob("11_281_001*_038_*.fits"))
    gone.unlink()
    assert call("-d", "-j", STARS[0], "--yes") == 0
    assert gone.name in capsys.readouterr().err
    assert call("--restore", "-j", STARS[0]) == 0
    assert gone.name in capsys.readouterr().err


def test_a_batch_is_written_read_and_run_later(made_sqlite, call, tmp_path, capsys):
    assert call("-db", "-j", STARS[0], "-o", str(tmp_path / "later")) == 0
    [script] = (tmp_path / "later").glob("*.sh")
    [plan] = (tmp_path / "later").glob("*.json")
    assert script.stat().st_mode & stat.S_IXUSR
    assert json.loads(plan.read_text())["totals"]["jobs"] == 1
    assert len(made_sqlite.jobs()) == 6
    done = subprocess.run([script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert STARS[0] not in made_sqlite.jobs()
    made_sqlite.hold_together()
    done = subprocess.run([script], capture_output=True, text=True, check=False)
    assert (done.returncode, "1 such jobs are in the trash" in done.stdout) == (0, True)
    # what was made anew meanwhile is not what the plan lists
    made_sqlite.finish(NIGHTS[:1], EXPOSURES, chain=[("extract_star", 38, 100, "x")], index=1)
    done = subprocess.run([script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert STARS[0] in made_sqlite.jobs()


def test_a_plan_that_is_out_of_date_does_nothing(made_sqlite, call, tmp_path, capsys):
    assert call("-d", "-b", "-j", STARS[0], "-o", str(tmp_path)) == 0
    [plan] = tmp_path.glob("delete-*.json")
    made_sqlite.run("UPDATE process SET quality = 2 WHERE id_process LIKE '11281001%038%'")
    assert call("-d", "--plan", str(plan), "--yes") == 2
    assert "nothing was deleted" in capsys.readouterr().err
    assert len(made_sqlite.jobs()) == 6
    plan.write_text('{"format": 7}')
    assert call("-d", "--plan", str(plan), "--yes") == 2


def test_a_job_deleted_twice_comes_back_as_it_was_last(made, call):
    assert call("-d", "-j", STARS[0], "--yes") == 0
    made.finish(NIGHTS[:1], EXPOSURES, chain=[("extract_star", 38, 100, "spectrum")], index=1)
    assert call("--restore", "-j", STARS[0]) == 3
    assert call("-d", "-j", STARS[0], "--yes") == 0
    assert call("--restore", "-j", STARS[0]) == 0
    assert made.rows("SELECT DISTINCT idx FROM process WHERE id_process LIKE '11281%038%'") == [
        (1,)
    ]
    made.hold_together()


def test_a_restore_puts_no_file_over_another(made_sqlite, call, capsys):
    assert call("-d", "-j", STARS[0], "--yes") == 0
    names = sorted(made_sqlite.trash_files())
    place = made_sqlite.project.site.archive / "Prod" / "02-03" / "11" / "281"
    place.mkdir(parents=True, exist_ok=True)
    (place / names[-1]).write_text("somebody else's")
    assert call("--restore", "-j", STARS[0]) == 3
    assert "another file stands" in capsys.readouterr().out
    assert (place / names[-1]).read_text() == "somebody else's"
    assert sorted(made_sqlite.trash_files()) == names
    (place / names[-1]).unlink()
    assert call("--restore", "-j", STARS[0]) == 0
    made_sqlite.hold_together()


def test_the_trash_is_listed_kept_for_its_days_and_purged_for_ever(made, call, capsys):
    assert call("-d", "-j", STARS[0], "--yes") == 0
    capsys.readouterr()
    assert call("--trash") == 0
    assert STARS[0] in capsys.readouterr().out
    assert call("--purge", "--yes") == 0  # nothing is old enough
    assert len(made.trash_files()) == EXPOSURES
    assert call("--purge", "--older-than", "0") == 2  # nobody to ask
    assert call("--purge", "--older-than", "0", "--dry-run") == 0
    assert call("--purge", "--older-than", "0", "--yes") == 0
    assert made.trash_files() == set()
    assert made.rows("SELECT count(*) FROM deleted_job") == [(0,)]
    assert list((made.project.site.archive / ".trash").iterdir()) == []
    assert call("--restore", "-j", STARS[0]) == 2
    made.hold_together()


def test_every_table_that_refers_to_jobs_or_processes_is_deleted_from():
    refer = {
        table.name
        for table in Base.metadata.tables.values()
        for key in table.foreign_keys
        if key.column.table.name in ("job", "process")
    }
    known = {model.__tablename__ for model in (*rows.OF_JOB, *rows.OF_PROCESS)}
    assert refer == known


def test_the_words_of_states_in_the_journal_are_all_finished(made_sqlite):
    assert trash.finish(made_sqlite.project, made_sqlite.database) == []
