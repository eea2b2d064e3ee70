"""Installing a version: its programs from the project's own history, in a folder of their own.

``.versions/SNF-02-03/`` in the project's folder is a virtual environment, which cannot be moved:
so it is made in place, and the file ``installed.json`` in it is written last.  Without that file
nothing is installed, whatever else is there, and the next install begins afresh.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from snfpipe.config.versions import Version
from snfpipe.errors import Place, Refused, printable
from snfpipe.killpoint import killpoint
from snfpipe.wholefile import text_of, write_whole

FOLDER = ".versions"
_MARK = "installed.json"
_LOCK = Path("requirements") / "run.lock"
#: They would make Python look for packages elsewhere.
_MISLEADING = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")

Tell = Callable[[str], None]


def folder_of(root: Path, label: str) -> Path:
    """Return the folder of a version's programs, whether or not it is there."""
    return root / FOLDER / label


def is_installed(root: Path, version: Version) -> bool:
    """Tell whether the programs of a version's commit are there, and a Python that runs them."""
    folder = folder_of(root, version.label)
    marked = text_of(folder / _MARK)
    return marked == _mark(version) and (folder / "bin" / "python").exists()


def _mark(version: Version) -> str:
    """Return what the mark of an installed version says."""
    return json.dumps({"version": version.label, "commit": version.commit}) + "\n"


def install_version(root: Path, version: Version, tell: Tell, *, dry_run: bool = False) -> None:
    """Make the environment of a version; where it is there already, do nothing.

    Parameters
    ----------
    root : Path
        The project's folder, with the project's history.
    version : Version
        Which version.
    tell : callable
        Given a line before each part that takes a while, and at the end.
    dry_run : bool
        Only tell.

    Raises
    ------
    Refused
        The version names no commit, the history lacks it, another process installs it, or a part
        of the work fails.  The same again begins afresh.
    """
    label, folder = version.label, folder_of(root, version.label)
    if not version.commit:
        raise Refused(
            f"{label} names no commit of its programs: it runs those of this tree",
            hint=f"nothing is to be installed; if they are to stay, add commit = ... to "
            f"{printable(version.path)}",
        )
    if is_installed(root, version):
        tell(f"{label} is installed already, in {printable(folder)}")
        return
    _check_history(root, version)
    if dry_run:
        tell(f"would install {label} from commit {version.commit[:12]} into {printable(folder)}")
        return
    with _alone(root, label) as held:
        if not is_installed(root, version):  # by the one who was waited for
            _install(root, version, tell, held)
    tell(f"installed {label} in {printable(folder)}")


def _check_history(root: Path, version: Version) -> None:
    """Refuse where the project's history does not hold the version's commit."""
    git = ["git", "-C", str(root)]
    if _run([*git, "cat-file", "-e", f"{version.commit}^{{commit}}"])[0] == 0:
        return
    status, said = _run([*git, "rev-parse", "--is-shallow-repository"])
    if status != 0:
        cause, step = f"{printable(root)} has no history ({said})", "work in a clone of the project"
    elif said == "true":
        cause, step = "this clone is shallow", "git fetch --unshallow"
    else:
        cause, step = "this clone lacks it", "git fetch origin, from where the project is kept"
    raise Refused(
        f"commit {version.commit[:12]} of {version.label} is not at hand: {cause}",
        hint=f"{step}; then `snf_version --install {version.label}`",
        place=Place(printable(version.path), field="commit"),
    )


@contextmanager
def _alone(root: Path, label: str) -> Iterator[int]:
    """Keep others from installing the same meanwhile; programs that are started keep it, too.

    So whoever comes after one who was killed does not meet the pip that he left.
    """
    (root / FOLDER).mkdir(exist_ok=True)
    handle = os.open(root / FOLDER / f"{label}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield handle
    except BlockingIOError as error:
        raise Refused(
            f"{label} is being installed by another process",
            hint=f"wait for it; then `snf_version --install {label}` says whether it is there",
        ) from error
    finally:
        os.close(handle)


def _install(root: Path, version: Version, tell: Tell, held: int) -> None:
    """Make the environment part by part, the mark last."""
    label, folder = version.label, folder_of(root, version.label)
    source, python = folder / "source", str(folder / "bin" / "python")
    archive = str(folder / "source.tar")
    git = ["git", "-C", str(root), "archive", f"--prefix={source.name}/", "--output", archive]
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-compile"]
    (folder / _MARK).unlink(missing_ok=True)
    parts: dict[str, Sequence[Sequence[str]]] = {
        "an environment for its programs": [[sys.executable, "-m", "venv", "--clear", str(folder)]],
        f"its sources, commit {version.commit[:12]}": [
            [*git, version.commit],
            ["tar", "--extract", "--file", archive, "--directory", str(folder)],
        ],
        f"the packages of its {_LOCK} (some minutes, where none are cached)": [
            [*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(source / _LOCK)]
        ],
        "its programs": [[*pip, "--no-deps", "--no-build-isolation", str(source)]],
    }
    for number, (what, commands) in enumerate(parts.items(), 1):
        tell(f"{label}: {number} of {len(parts)}: {what}")
        for command in commands:
            status, said = _run(command, held)
            if status != 0:
                raise Refused(
                    f"{label} could not be installed; {what}: {command[0]} ended with {status}"
                    + (f": {said}" if said else ""),
                    hint=f"remove the cause; `snf_version --install {label}` begins afresh",
                )
        killpoint(f"install:{number}")
    os.remove(archive)
    write_whole(folder / _MARK, _mark(version), sync=True, point="install:before-mark")


def _run(command: Sequence[str], held: int | None = None) -> tuple[int, str]:
    """Run a program; return its exit status and the last line that says something."""
    environment = {name: text for name, text in os.environ.items() if name not in _MISLEADING}
    try:
        done = subprocess.run(
            command,
            env={**environment, "PYTHONNOUSERSITE": "1", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            pass_fds=() if held is None else (held,),
            check=False,
        )
    except OSError as error:
        return 127, f"{command[0]}: {error.strerror}"
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("ERROR", "fatal", "error"))]
    return done.returncode, printable((errors or lines or [""])[-1][:300])
