"""What commands print with --json is what docs/schemas promises."""

from __future__ import annotations

import pytest

from snfpipe.cli.osiris import update_sge_job
from snfpipe.cli.plan import plan
from snfpipe.cli.snf_qsub import snf_qsub
from tests.e2e.project import Project
from tests.launch.conftest import LIST, call, holds_schema


@pytest.fixture
def logs(produced: Project) -> list[str]:
    """The logs of a job that has ended and that nobody has finished."""
    call(produced, "-s", "-p", "OTHER", "-m", "z", "06_334")
    produced.wait_for_jobs()
    [script] = produced.root.glob("work/jobs/*/PFQ/06/334/SNF-0203-OTHERz-06334.sh")
    return [str(script.with_suffix(end)) for end in (".out", ".err")]


def test_what_is_printed_as_json_holds_its_schema(produced, logs):
    for mode in ("file_quality", "cube_generation", "extract_star"):
        done = call(produced, mode, "--json", LIST, command=plan)
        assert holds_schema("plan", done.out)["plan"] == mode

    (produced.root / "hello.sh").write_text("echo hello\n")
    for option, key in (("-n", "would_run"), ("--json", "engine_id")):
        done = call(produced, option, "--json", "hello.sh", command=snf_qsub)
        assert holds_schema("snf_qsub", done.out)[key]

    for options, dry_run in ((("-n",), True), ((), False)):
        done = call(produced, *options, "--json", *logs, command=update_sge_job)
        told = holds_schema("update_sge_job", done.out)
        assert (told["new"], told["dry_run"]) == ("done", dry_run)
