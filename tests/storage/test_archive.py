"""Files of the archive set aside and brought back."""

from __future__ import annotations

import pytest

from snfpipe.errors import Refused
from snfpipe.storage import archive

PATHS = ["Prod/02-03/06/334/a.fits", "Prod/02-03/06/335/b.fits"]


@pytest.fixture
def place(tmp_path):
    for path in PATHS:
        file = tmp_path / "archive" / path
        file.parent.mkdir(parents=True)
        file.write_text(path)
    return tmp_path / "archive"


def test_files_go_and_come_back_however_often_they_are_moved(place):
    aside = place / archive.TRASH / "one"
    for _turn in range(2):
        assert archive.move_to_trash(place, aside, PATHS) == []
        assert not any((place / path).exists() for path in PATHS)
    for _turn in range(2):
        assert archive.restore(place, aside, PATHS) == []
        assert [(place / path).read_text() for path in PATHS] == PATHS
    assert not any((aside / path).exists() for path in PATHS)


def test_a_file_that_is_nowhere_is_told(place):
    (place / PATHS[0]).unlink()
    assert archive.move_to_trash(place, place / archive.TRASH / "one", PATHS) == PATHS[:1]
    assert archive.restore(place, place / archive.TRASH / "one", PATHS) == PATHS[:1]


def test_bringing_back_overwrites_nothing(place):
    aside = place / archive.TRASH / "one"
    archive.move_to_trash(place, aside, PATHS)
    (place / PATHS[0]).write_text("another")
    with pytest.raises(Refused, match="another file stands"):
        archive.restore(place, aside, PATHS)
    assert (place / PATHS[0]).read_text() == "another"
    assert (aside / PATHS[0]).read_text() == PATHS[0]


@pytest.mark.parametrize(
    "path", ["../x", "/etc/x", "Prod/../../x", "Prod//x", "", ".trash/x", "Prod/./x", "a\0b"]
)
def test_a_path_that_leads_out_of_the_archive_moves_nothing(place, path):
    with pytest.raises(Refused):
        archive.move_to_trash(place, place / archive.TRASH / "one", [PATHS[0], path])
    assert (place / PATHS[0]).exists()


def test_a_folder_that_is_a_link_out_of_the_archive_moves_nothing(place, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.fits").write_text("not ours")
    (place / "Prod" / "out").symlink_to(outside)
    with pytest.raises(Refused, match="leads out"):
        archive.move_to_trash(place, place / archive.TRASH / "one", [PATHS[0], "Prod/out/x.fits"])
    assert (outside / "x.fits").exists()
    assert (place / PATHS[0]).exists()
