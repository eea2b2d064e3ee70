"""Observing logs and target lists: what is good is used, what is not is named by line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snfpipe.ingest.logs import Log, read_obslog, read_targets


def log_of(folder: Path, *lines: str) -> Log:
    path = folder / "obslog.csv"
    path.write_text("\n".join(lines) + "\n")
    return read_obslog(path)


def told(log: Log) -> list[str]:
    """Return what was wrong with a table, a line each."""
    return [f"{place}: {what}" for place, what in log.problems]


def test_a_log_is_read_by_frame_whatever_the_order_of_its_columns(tmp_path: Path) -> None:
    log = log_of(
        tmp_path,
        "channel,exposure,run,weather,run_kind,guide,filter,quality",
        "B,003,001,fine,FollowUp,1,mf,1",
        "R, 003 ,001,fine,,,,",
    )
    assert log.problems == []
    assert log.rows == {
        (1, 3, 4): {"run": 1, "exposure": 3, "channel": 4, "run_kind": "FollowUp", "guide": 1,
                    "filter": "mf", "quality": 1},
        (1, 3, 2): {"run": 1, "exposure": 3, "channel": 2},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("exptime_s", "-1"), ("exptime_s", "nan"), ("exptime_s", "inf"), ("exptime_s", "long"),
        ("guide", "1.5"), ("guide", "99999999999"), ("quality", "good"), ("guide_s", "1e300"),
        ("filter", "x" * 21), ("filter", "a\x1bb"), ("run_kind", "a b"), ("run_type", "'; --"),
    ],
)  # fmt: skip
def test_a_bad_value_is_left_out_and_named(tmp_path: Path, column: str, value: str) -> None:
    log = log_of(tmp_path, f"run,exposure,channel,object,{column}", f"1,3,B,GD71,{value}")
    assert log.rows == {(1, 3, 4): {"run": 1, "exposure": 3, "channel": 4, "object": "GD71"}}
    (warning,) = told(log)
    assert f"obslog.csv:2: {column} " in warning and warning.isprintable()


@pytest.mark.parametrize("line", ["x,3,B", "1,,B", "1,3,G", "1,3,", "1", "1,3,4"])
def test_a_bad_key_loses_its_line_only(tmp_path: Path, line: str) -> None:
    log = log_of(tmp_path, "run,exposure,channel", line, "1,4,B")
    assert list(log.rows) == [(1, 4, 4)]
    assert told(log) and all("obslog.csv:2: " in text for text in told(log))


def test_a_log_without_a_key_column_or_without_a_file_is_told(tmp_path: Path) -> None:
    assert "no column channel" in told(log_of(tmp_path, "run,exposure", "1,3"))[0]
    (tmp_path / "obslog.csv").unlink()
    assert "obslog.csv: is missing" in told(read_obslog(tmp_path / "obslog.csv"))[0]
    (tmp_path / "obslog.csv").symlink_to("obslog.csv")
    assert "obslog.csv" in told(read_obslog(tmp_path / "obslog.csv"))[0]


@pytest.mark.parametrize(
    ("column", "value"),
    [("ra_deg", "361"), ("dec_deg", "-91"), ("type", "x" * 21), ("redshift", "nan"),
     ("pi", "x" * 41), ("kind", "Super Nova"), ("mwebv", "low")],
)  # fmt: skip
def test_a_bad_value_of_a_target_is_left_out(tmp_path: Path, column: str, value: str) -> None:
    path = tmp_path / "targets.csv"
    path.write_text(f"name,iauc,{column}\nGD71,WD,{value}\n../x,,\n")
    log = read_targets(path)
    assert log.rows == {"GD71": {"name": "GD71", "iauc": "WD"}}
    assert [place.split(":")[1] for place, _what in log.problems] == ["2", "3"]


ROW = {"run": 1, "exposure": 3, "channel": 4, "object": "GD71", "exptime_s": 1200.5}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_log_is_the_same_however_a_spreadsheet_saves_it(
    tmp_path: Path, encoding: str, separator: str, end: str
) -> None:
    decimal = '"1200,5"' if separator == "," else "1200,5"
    lines = [["Run", " Exposure", "CHANNEL ", "object", "Exptime S"],
             ["001", "3.0", "b", " GD71 ", decimal], ["", "", "", "", ""]]  # fmt: skip
    text = end.join(separator.join(line) for line in lines)
    mark = b"\xff\xfe" if encoding == "utf-16-le" else b""
    (tmp_path / "obslog.csv").write_bytes(mark + text.encode(encoding))
    log = read_obslog(tmp_path / "obslog.csv")
    assert (log.rows, log.problems) == ({(1, 3, 4): ROW}, [])


def test_of_lines_that_disagree_only_what_they_agree_on_is_taken(tmp_path: Path) -> None:
    log = log_of(
        tmp_path, "run,exposure,channel,object,guide,quality",
        "1,3,B,GD71,1,", "1,3,B,GD71,2,1", "1,3,B,GD71,1,1",
    )  # fmt: skip
    row = {"run": 1, "exposure": 3, "channel": 4, "object": "GD71", "quality": 1}
    assert log.rows == {(1, 3, 4): row}
    assert [text.partition("obslog.csv:")[2] for text in told(log)] == [
        "3: says again what line 2 says, but not of guide: left out",
        "4: says again what line 2 says",
    ]


def test_a_name_of_the_list_may_have_blanks(tmp_path: Path) -> None:
    (tmp_path / "targets.csv").write_text("name,kind\nHZ 44,StdStar\n")
    log = read_targets(tmp_path / "targets.csv")
    assert (list(log.rows), log.problems) == (["HZ44"], [])


def test_known_words_are_read_in_any_case_and_unknown_ones_are_told(tmp_path: Path) -> None:
    log = log_of(tmp_path, "run,exposure,channel,run_kind,run_type", "1,3,B,stdstar,Spectred",
                 "1,4,B,Elsewhere,SPECTRD")  # fmt: skip
    assert log.rows[1, 3, 4]["run_kind"] == "StdStar"
    assert log.rows[1, 3, 4]["run_type"] == "SPECTRED"
    (text,) = told(log)
    assert "obslog.csv:3: run_type 'SPECTRD' is none of ACQREF, " in text


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_give_rows_or_warnings(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "obslog.csv"
    path.write_bytes(b"run,exposure,channel,object,exptime_s,guide\n" + content)
    log = read_obslog(path)
    assert all(text.isprintable() for text in told(log))
