"""From unit plans to registered products, on both databases, with jobs that really run."""

from __future__ import annotations

import json
from collections.abc import Iterable

from snfpipe.db.models import Job
from snfpipe.jobs.cancel import cancel
from snfpipe.jobs.manifest import Finished
from snfpipe.plans.unit_plan import Verdict
from snfpipe.states import State
from tests.bench import night_of, unit_plan

A, B, C, D = (night_of(number) for number in range(1800, 1804))


def states(finished: Iterable[Finished]) -> dict[str, State]:
    return {job.unit: job.state for job in finished}


def test_units_become_registered_products_and_manifests(bench):
    finished = bench.run([unit_plan(A), unit_plan(B)])
    assert states(finished) == {A: State.DONE, B: State.DONE}
    bench.hold_together()
    assert len(bench.live()) == 2 * 3 * 3
    assert bench.rows("SELECT DISTINCT role FROM file ORDER BY 1") == [("main",), ("plot",)]
    parents = bench.rows("SELECT child, parent FROM process_parent")
    assert len(parents) == 2 * 3 * 3
    spectra = {child for child, parent in parents if "0220000203000" in parent}
    assert len(spectra) == 6
    assert bench.count("SELECT count(*) FROM measurement") == 6
    assert (
        bench.count("SELECT count(*) FROM expected WHERE failure IS NULL AND reason IS NULL") == 12
    )
    manifest = json.loads(bench.job(A).manifest)
    assert manifest["outcome"] == "done"
    assert len(manifest["products"]) == 6
    assert manifest["inputs"][0]["values"] == {"value": 1.0}
    [(host, status, outcome)] = set(bench.rows("SELECT host, exit_status, outcome FROM attempt"))
    assert (bool(host), status, outcome) == (True, 0, "done")


def test_a_manifest_says_nothing_of_time_host_or_attempt(bench):
    bench.run([unit_plan(A)])
    text = bench.job(A).manifest
    [(token, host)] = bench.rows("SELECT token, host FROM attempt")
    assert token not in text
    assert host not in text
    assert str(bench.project.root) not in text


def test_what_is_settled_or_in_hand_is_not_claimed_again(bench):
    first = bench.claim([unit_plan(A), unit_plan(B)])
    assert len(first.claimed) == 2
    assert bench.claim([unit_plan(A), unit_plan(B)]).claimed == ()
    submitter = bench.submitter()
    submitter.add(first.claimed)
    bench.finish(submitter)
    again = bench.claim([unit_plan(A), unit_plan(B, value=2.0)])
    assert [spec.unit for spec in again.claimed] == [B]


def test_unchanged_bytes_keep_row_and_index_and_changed_ones_supersede(bench):
    bench.run([unit_plan(A)])
    before = bench.live()
    rows = bench.rows("SELECT id_process, state FROM process WHERE fclass != 17 ORDER BY 1")
    bench.told(salt="").run([unit_plan(A)])  # another environment, the same bytes
    assert bench.live() == before
    assert bench.rows("SELECT id_process, state FROM process WHERE fclass != 17 ORDER BY 1") == rows
    assert bench.job(A).attempts == 2
    bench.hold_together()
    expected = bench.rows("SELECT id_process FROM expected ORDER BY 1")
    assert expected == [(ident,) for ident, _state in rows]

    bench.told(salt="other").run([unit_plan(A)])
    after = bench.live()
    assert after.keys().isdisjoint(before)
    assert all("_001." in path for path in after)
    assert bench.count("SELECT count(*) FROM process WHERE state = 'superseded'") == 6
    for path in before:
        assert (bench.project.site.archive / path).exists()

    bench.told(salt="third").run([unit_plan(A)])
    assert all("_002." in path for path in bench.live())
    bench.hold_together()


def test_a_failed_attempt_leaves_its_index_to_the_next(bench):
    bench.told(fail=[f"{A}_001_003_B", f"{A}_002_003_B", f"{A}_003_003_B"]).run([unit_plan(A)])
    assert bench.job(A).state == State.FAILED
    bench.run([unit_plan(A)])
    assert all("_000." in path for path in bench.live())


def test_what_a_result_no_longer_has_is_superseded(bench):
    bench.run([unit_plan(A)])
    bench.run([unit_plan(A, [1, 2])])
    assert bench.count("SELECT count(*) FROM process WHERE state = 'superseded'") == 2
    assert len(bench.live()) == 6
    bench.hold_together()


def test_good_items_are_registered_and_missing_ones_carry_their_reason(bench):
    finished = bench.told(
        fail=[f"{A}_001_003_B"], silent=[f"{B}_002_003_B"], unmade=[f"{C}_003_003_B"]
    ).run([unit_plan(A), unit_plan(B), unit_plan(C)])
    assert states(finished) == dict.fromkeys((A, B, C), State.INCOMPLETE)
    reasons = {job.unit: job.reason for job in finished}
    assert "told to fail" in reasons[A]
    assert "said nothing" in reasons[B]
    assert "left no file" in reasons[C]
    assert f"{A}_001_003" in reasons[A]
    assert len(bench.live()) == 3 * 2 * 3
    failures = bench.rows("SELECT name, failure FROM expected WHERE failure IS NOT NULL")
    assert len(failures) == 6
    assert {name[:14] for name, _reason in failures} == {
        f"{A}_001_003",
        f"{B}_002_003",
        f"{C}_003_003",
    }
    bench.hold_together()


def test_a_program_that_breaks_after_its_work_is_no_success(bench):
    [finished] = bench.told(exit=139).run([unit_plan(A)])
    assert finished.state is State.INCOMPLETE
    assert "SIGSEGV" in finished.reason
    assert len(bench.live()) == 9


def test_a_program_of_another_version_is_refused(bench, monkeypatch):
    step = bench.step
    text = json.dumps({})
    changed = {"SNF_TEST_BEHAVIOUR": text, "SNF_TEST_VERSION": "1.1.0"}
    from dataclasses import replace

    bench = replace(
        bench, project=replace(bench.project, steps=(replace(step, environment=changed),))
    )
    [finished] = bench.run([unit_plan(A)])
    assert finished.state is State.FAILED
    assert "program 1.1.0" in finished.reason
    assert "program 1.0.0" in finished.reason
    assert bench.live() == {}


def test_verdicts_settle_without_a_job(bench):
    none = Verdict(State.NOTHING_TO_DO, "no exposures")
    refusal = Verdict(State.FAILED, "no arc in night")
    finished = bench.run([unit_plan(A, [], verdict=none), unit_plan(B, [], verdict=refusal)])
    assert states(finished) == {A: State.NOTHING_TO_DO, B: State.FAILED}
    assert bench.rows("SELECT engine, outcome, reason FROM attempt") == [
        ("none", "failed", "no arc in night")
    ]
    assert (bench.job(A).attempts, bench.job(B).attempts) == (0, 1)
    bench.hold_together()
    bench.run([unit_plan(A)])
    assert bench.job(A).state == State.DONE
    bench.run([unit_plan(A, [], verdict=refusal)])
    assert bench.live() == {}, "products of older inputs are not selected any more"


def test_flags_are_inherited_and_quality_is_kept(bench):
    with bench.database.write() as session:
        from sqlalchemy import text

        from snfpipe import flags

        session.execute(
            text("UPDATE process SET quality_s = :flags WHERE fclass = 17 AND night = :night"),
            {"flags": flags.encode(["ARTIFICIAL_ARC"]), "night": A},
        )
    bench.told(flags=["ES_PRIOR_SEEING"], quality=2).run([unit_plan(A)])
    rows = bench.rows("SELECT DISTINCT quality, quality_s FROM process WHERE fclass != 17")
    assert rows == [(2, flags.encode(["ARTIFICIAL_ARC", "ES_PRIOR_SEEING"]))]


def test_an_unknown_flag_fails_its_job_by_name_and_no_other(bench):
    odd = bench.told(flags=["NO_SUCH_FLAG"])
    planned = odd.claim([unit_plan(A)])
    good = bench.claim([unit_plan(B)])
    submitter = bench.submitter()
    submitter.add([*planned.claimed, *good.claimed])
    finished = {job.unit: job for job in bench.finish(submitter)}
    assert finished[A].state is State.FAILED
    assert "NO_SUCH_FLAG" in finished[A].reason
    assert finished[B].state is State.DONE
    bench.hold_together()


def test_cancel_ends_what_runs_and_what_waits(bench):
    slow = bench.told(sleep_s=60)
    planned = slow.claim([unit_plan(A)])
    submitter = slow.submitter()
    submitter.add(planned.claimed)
    submitter.send()
    slow.claim([unit_plan(B)])
    names = {bench.job(unit).name for unit in (A, B)}
    assert (
        len(cancel(slow.project, slow.database, slow.engine, Job.name.in_(names), "somebody")) == 2
    )
    bench.finish(submitter)
    assert {bench.job(unit).state for unit in (A, B)} == {State.CANCELLED}
    assert "somebody" in bench.job(A).reason
    bench.hold_together()
    bench.run([unit_plan(A)])
    assert bench.job(A).state == State.DONE
