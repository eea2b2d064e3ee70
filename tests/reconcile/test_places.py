"""Archives here and on another machine: one order, one behaviour, a real sshd."""

from __future__ import annotations

import getpass
import hashlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snfpipe.errors import BadName, Refused, ServiceUnavailable, UsageError
from snfpipe.storage.base import Place, Seen, checked_path, checksum_of
from snfpipe.storage.local import LocalPlace
from snfpipe.storage.opening import open_place
from snfpipe.storage.remote import RemotePlace
from tests.reconcile.conftest import CUBE, FOLDER, fix, flip, problems, scan_twice


@dataclass(frozen=True)
class Sshd:
    """An sshd of our own: its port, and the home of a client that knows it."""

    port: int
    home: Path

    def url(self, folder: Path) -> str:
        return f"sftp://mirror{folder}"


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """An OpenSSH server on loopback with its own configuration, keys and port."""
    server = Path("/usr/sbin/sshd")
    assert server.exists(), "OpenSSH's server is not installed: run `make test` (openssh-server)"
    folder = tmp_path_factory.mktemp("sshd")
    folder.chmod(0o700)
    for name in ("host", "client"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True
        )
    shutil.copy(folder / "client.pub", folder / "authorized")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile {folder}/pid\n"
        f"AuthorizedKeysFile {folder}/authorized\nPasswordAuthentication no\n"
        "KbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\n"
        "PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n"
    )
    home = folder / "home"
    (home / ".ssh").mkdir(parents=True)
    host_key = (folder / "host.pub").read_text()
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
    (home / ".ssh" / "config").write_text(
        f"Host mirror\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n"
        f"  IdentityFile {folder}/client\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it shuts itself in before a login
    process = subprocess.Popen(
        [server, "-D", "-e", "-f", folder / "config"], stderr=(folder / "log").open("w")
    )
    deadline = time.monotonic() + 20
    while "Server listening" not in (folder / "log").read_text():
        assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.05)
    yield Sshd(port, home)
    process.terminate()
    process.wait(20)


@pytest.fixture
def at_home(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> Sshd:
    """The client's home is that of the test."""
    monkeypatch.setenv("HOME", str(sshd.home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return sshd


@pytest.fixture(params=["folder", "sftp"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty archive of each kind."""
    (tmp_path / "archive").mkdir()
    if request.param == "folder":
        return open_place(str(tmp_path / "archive"))
    return open_place(request.getfixturevalue("at_home").url(tmp_path / "archive"))


def put(place: Place, path: str, content: bytes, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(content)
    with source.open("rb") as file:
        place.bring(file, path, f".quarantine/new/{path}", hashlib.sha256(content).hexdigest())


# --- one behaviour -------------------------------------------------------------------------


def test_files_come_in_the_order_of_their_paths_and_the_house_is_left_out(place, tmp_path):
    paths = ["a-b/x", "a.x", "a/b-c/d", "a/b/c", "a/b.c", "a0", "Z", "ä/ö"]
    for path in paths:
        put(place, path, path.encode(), tmp_path)
    put(place, ".incoming/token/x", b"x", tmp_path)
    expected = sorted(paths, key=str.encode)
    assert list(place.walk()) == [(path, len(path.encode())) for path in expected]
    assert list(place.walk(".incoming")) == [(".incoming/token/x", 1)]
    assert list(place.walk(".nothing")) == []


def test_a_file_is_looked_at_read_and_moved_and_never_overwrites(place, tmp_path):
    put(place, "a/b", b"one", tmp_path)
    put(place, "c", b"two", tmp_path)
    assert place.look("a/nothing") is None
    assert place.look("no/where") is None
    assert place.look("a/b").size == 3
    assert checksum_of(place, "a/b") == hashlib.sha256(b"one").hexdigest()
    with pytest.raises(Refused):
        place.move("a/b", "c")
    before = place.look("a/b")
    place.move("a/b", "deep/er/b")
    place.move("a/b", "deep/er/b")  # again, after a kill
    assert place.look("deep/er/b").size == before.size
    assert place.look("a/b") is None
    assert checksum_of(place, "c") == hashlib.sha256(b"two").hexdigest()


def test_what_is_brought_with_other_bytes_than_promised_never_appears(place, tmp_path):
    (tmp_path / "source").write_bytes(b"bad")
    with (tmp_path / "source").open("rb") as file, pytest.raises(Refused):
        place.bring(file, "a/b", ".quarantine/new/b", "0" * 64)
    assert list(place.walk()) == []


@settings(max_examples=40, deadline=None)
@given(
    st.sets(
        st.lists(st.text("aB-./_0é", min_size=1, max_size=3), min_size=1, max_size=3).map("/".join)
    )
)
def test_any_tree_is_walked_in_the_order_of_its_bytes(tmp_path_factory, paths):
    root = tmp_path_factory.mktemp("tree")
    made = set()
    for path in paths:
        if any(part in ("", ".", "..") for part in path.split("/")) or path.startswith("."):
            continue
        try:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).touch()
        except OSError:
            continue  # a file is where a folder should be
        if (root / path).is_file():
            made.add(path)
    assert [path for path, _size in LocalPlace(root).walk()] == sorted(made, key=str.encode)
    shutil.rmtree(root)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a//b", "", "a/./b", "a\0b"])
def test_a_path_that_leads_out_is_refused(path):
    with pytest.raises(BadName):
        checked_path(path)


def test_a_link_is_seen_as_such_and_not_followed(tmp_path):
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "link").symlink_to("/etc/passwd")
    place = LocalPlace(tmp_path / "archive")
    assert list(place.walk()) == [("link", -1)]
    seen = place.look("link")
    assert isinstance(seen, Seen)
    assert seen.size == -1


def test_what_fsspec_reaches_otherwise_can_be_looked_at_and_not_be_repaired():
    import fsspec

    system = fsspec.filesystem("memory")
    for path in ("a-b/x", "a/b", ".incoming/x"):
        system.pipe_file(f"/mirror/{path}", path.encode())
    place = open_place("memory://mirror")
    assert list(place.walk()) == [("a-b/x", 5), ("a/b", 3)]
    assert checksum_of(place, "a/b") == hashlib.sha256(b"a/b").hexdigest()
    with pytest.raises(Refused, match="copied, not moved"):
        place.move("a/b", "c")


# --- another machine -----------------------------------------------------------------------


def test_a_host_whose_key_is_not_known_is_not_trusted(at_home, tmp_path):
    known = at_home.home / ".ssh" / "known_hosts"
    text = known.read_text()
    known.write_text("")
    try:
        with pytest.raises(ServiceUnavailable, match="cannot be reached"):
            open_place(at_home.url(tmp_path))
    finally:
        known.write_text(text)
    assert isinstance(open_place(at_home.url(tmp_path)), RemotePlace)


def test_wrong_places_are_told_with_the_next_step(at_home, tmp_path):
    with pytest.raises(UsageError, match="there is no folder"):
        open_place(at_home.url(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="there is no folder"):
        open_place(str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="password"):
        open_place("sftp://me:hunter2@host/archive")
    with pytest.raises(UsageError):
        open_place("gopher://host/archive")
    with pytest.raises(ServiceUnavailable):
        open_place("sftp://127.0.0.1:1/archive")


def test_two_archives_are_compared_over_sftp(case, at_home, tmp_path):
    mirror = tmp_path / "mirror"
    shutil.copytree(case.archive, mirror)
    words = ("srb_cleanup", "--compare", at_home.url(mirror), "--verify", "--findings", "--csv")
    home = {"HOME": str(at_home.home)}
    assert case.driven.run(*words, **home).stdout.count("\n") == 1
    flip(mirror / FOLDER / CUBE)
    (mirror / FOLDER / CUBE.replace("06_334_001", "06_334_002")).unlink()
    (mirror / "more").write_bytes(b"x")
    told = case.driven.run(*words, exit_code=1, **home).stdout
    assert told.count("\n") == 4
    assert f"wrong,{CUBE}" in told
    assert "only in the first" in told
    assert "only in the second" in told


def test_an_archive_behind_sftp_is_reconciled_and_repaired(case, at_home, tmp_path):
    mirror = tmp_path / "mirror"
    shutil.copytree(case.archive, mirror)
    flip(mirror / FOLDER / CUBE)
    (mirror / FOLDER / "strange.fits").write_bytes(b"x")
    where = ("--archive", at_home.url(mirror))
    home = {"HOME": str(at_home.home)}
    look = ("srb_cleanup", *where, "--verify", "--min-age", "0", "--copy", str(case.archive))
    case.driven.run(*look, exit_code=1, **home)
    case.driven.run(*look, "--plan", "far.plan", exit_code=1, **home)
    case.driven.run("srb_cleanup", *where, "--apply", "far.plan", **home)
    case.driven.run(*look, **home)
    assert (mirror / FOLDER / CUBE).read_bytes() == (case.archive / FOLDER / CUBE).read_bytes()
    case.driven.run("srb_cleanup", *where, "--undo", "far.plan.journal", **home)
    assert (mirror / FOLDER / "strange.fits").read_bytes() == b"x"
    case.driven.run(*look, exit_code=1, **home)


def test_good_bytes_come_from_another_machine(case, at_home, tmp_path):
    mirror = tmp_path / "mirror"
    shutil.copytree(case.archive, mirror)
    good = (case.archive / FOLDER / CUBE).read_bytes()
    (case.archive / FOLDER / CUBE).unlink()
    found = scan_twice(case, copies=(open_place(at_home.url(mirror)),))
    assert problems(found) == {CUBE: "missing"}
    assert [result.outcome for result in fix(case, found.plan)] == ["done"]
    assert (case.archive / FOLDER / CUBE).read_bytes() == good
