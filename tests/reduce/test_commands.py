"""The commands: help, and a clear word and exit code for every mistake, never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from snfpipe.reduce import PROGRAMS
from snfpipe.reduce.formats import read_spectrum
from snfpipe.reduce.programs.program import run
from tests.closure.night import Work
from tests.reduce.conftest import ARC, CONTINUUM, STAR

BIN = Path(sys.executable).parent


def call(program: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Call a program."""
    done = subprocess.run(
        [BIN / f"snf_{program}", *map(str, words)], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_has_an_example_and_version_is_what_versions_pin(program: str) -> None:
    told = call(program, "--help")
    assert told.returncode == 0 and f"example:\n  snf_{program} " in told.stdout
    assert call(program, "--version").stdout == f"{program} {PROGRAMS[program]}\n"


def test_a_person_makes_a_spectrum_by_three_calls(star: Work, tmp_path: Path) -> None:
    frames = []
    for name in (STAR, ARC, CONTINUUM):
        frames.append(tmp_path / f"{name}_frame.fits")
        done = call("file_quality", star.folder / f"{name}.fits", "-o", frames[-1])
        assert done.returncode == 0 and json.loads(done.stdout)["quality"] == 1
    cube, spectrum = tmp_path / f"{STAR}_cube.fits", tmp_path / "spectrum.fits"
    assert call("cube_generation", *frames, "-o", cube).returncode == 0
    assert call("extract_star", cube, "-o", spectrum, "--set", "sky_degree=0").returncode == 0
    made, known = read_spectrum(str(spectrum)), read_spectrum(str(star.path(STAR, "spectrum")))
    assert np.allclose(made.data, known.data, rtol=1e-3)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["none.fits", "-o", "out.fits"], 2, "there is no file none.fits"),
        (["RAW"], 2, "give RAW.fits and -o"),
        (["RAW", "-o", "out.fits", "--set", "odd=1"], 2, "option 'odd' is unknown; options: over"),
        (["RAW", "-o", "out.fits", "--set", "odd_even=3"], 2, "not like its default True"),
        (["RAW", "-o", "out.fits", "--set", "odd_even"], 2, "OPTION=VALUE"),
        (["RAW", "-o", "no/such/folder/out.fits"], 3, "no such file"),
        (["empty.fits", "-o", "out.fits"], 3, "empty.fits is damaged or no FITS file"),
        (["text.fits", "-o", "out.fits"], 3, "text.fits is damaged or no FITS file"),
        (["half.fits", "-o", "out.fits"], 3, "half.fits is damaged or no FITS file"),
        (["cards.fits", "-o", "out.fits"], 3, "card SATURATE is 'many', expected a number"),
        (["--worklist", "none.json"], 2, "none.json cannot be read"),
        (["--worklist", "text.fits"], 2, "text.fits is no worklist"),
        (["--worklist", "other.json"], 2, "is for extract_star, not file_quality"),
        (["--worklist", "bare.json"], 2, "one has no input raw"),
        (["--worklist", "later.json"], 2, "later.json is of contract 2, not 1"),
    ],
)
def test_a_mistake_is_named(
    words: list[str], code: int, told: str, star: Work, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    raw = star.folder / f"{STAR}.fits"
    content = raw.read_bytes()
    monkeypatch.chdir(tmp_path)
    files = {
        "empty.fits": b"",
        "text.fits": b"these are no stars\n",
        "half.fits": content[: len(content) // 2],
        "cards.fits": content.replace(
            b"SATURATE=                65535", b"SATURATE= 'many'              "
        ),
        "other.json": b'{"program": "extract_star", "options": {}, "items": []}',
        "later.json": b'{"contract": 2, "program": "file_quality", "options": {}, "items": []}',
        "bare.json": b'{"program": "file_quality", "options": {}, "items": [{"item": "one", '
        b'"inputs": {}, "values": {}, "outputs": {}}]}',
    }  # fmt: skip
    for name, text in files.items():
        Path(name).write_bytes(text)
    ended: str | int | None
    try:
        ended = run("file_quality", [str(raw) if word == "RAW" else word for word in words])
    except SystemExit as end:  # argparse's way
        ended = end.code
    said = capsys.readouterr().err
    assert ended == code, said
    assert told in said and "Traceback" not in said
    assert not Path("out.fits").exists() and not list(Path().glob("*.part"))


def test_frames_in_each_others_places_are_refused(star: Work, tmp_path: Path) -> None:
    frames = [star.path(name, "frame") for name in (ARC, STAR, CONTINUUM)]
    done = call("cube_generation", *frames, "-o", tmp_path / "cube.fits")
    assert done.returncode == 3
    assert "is no arc: FCLASS is 18, not 4" in done.stderr
    done = call("extract_star", frames[0], "-o", tmp_path / "spectrum.fits")
    assert done.returncode == 3 and "is incomplete" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_one_bad_item_does_not_stop_the_others(star: Work, tmp_path: Path) -> None:
    (tmp_path / "bad.fits").write_bytes(b"no")
    paths = {"bad": tmp_path / "bad.fits", "good": star.folder / f"{ARC}.fits"}
    items = [
        {"item": name, "inputs": {"raw": str(path)}, "values": {"models": True},
         "outputs": {"frame": str(tmp_path / f"{name}_frame.fits")}}
        for name, path in paths.items()
    ]  # fmt: skip
    worklist, results = tmp_path / "work.json", tmp_path / "results.jsonl"
    worklist.write_text(json.dumps({"program": "file_quality", "options": {}, "items": items}))
    done = call("file_quality", "--worklist", worklist, "--results", results)
    assert done.returncode == 1
    lines = {line["item"]: line for line in map(json.loads, results.read_text().splitlines())}
    assert not lines["bad"]["ok"] and "bad.fits" in lines["bad"]["reason"]
    assert lines["good"]["ok"] and lines["good"]["outputs"] == ["frame"]
    assert [path.name for path in tmp_path.glob("*_frame.fits")] == ["good_frame.fits"]
