"""What osiris and anubis take as a time."""

from __future__ import annotations

import sys

import pytest

from snfpipe.cli.main import run_command
from snfpipe.cli.osiris import anubis, osiris


@pytest.mark.parametrize("command", [osiris, anubis])
@pytest.mark.parametrize("option", ["--for", "--heartbeat"])
@pytest.mark.parametrize("seconds", ["nan", "inf", "-inf", "0", "1e300"])
def test_a_number_of_seconds_that_no_clock_can_have_is_refused(
    command, option, seconds, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "argv", ["osiris", "--submit", "-n", option, seconds])
    assert run_command(command, "osiris") == 2
    told = capsys.readouterr().err
    assert option in told
    assert "next: osiris --help" in told
