"""A project in a temporary folder, driven as a user drives it: by commands."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.switch import use_version

SOURCE = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SMALL_STEP = SOURCE / "tests" / "programs" / "small_step.py"


@dataclass(frozen=True, slots=True)
class Project:
    """The folder, and the database URL where it is not the default."""

    root: Path
    url: str = ""

    # --- making -----------------------------------------------------------------------------

    @classmethod
    def make(
        cls, root: Path, nights: Sequence[str], url: str = "", programs: str = "small"
    ) -> Project:
        """Copy the project's own files; with small programs, real pixels stay out of it."""
        root.mkdir(parents=True, exist_ok=True)
        for name in ("configs", "versions", "lists"):
            shutil.copytree(SOURCE / name, root / name)
        use_version(root)
        shutil.copy(SOURCE / "dodo.py", root)
        project = cls(root, url)
        project.set_nights(nights)
        if programs == "small":
            for version in sorted((root / "versions").glob("*.toml")):
                project.use_small_programs(version)
            project.write_behaviour()
        return project

    def set_nights(self, nights: Sequence[str]) -> None:
        """Write the list of nights the production reads."""
        (self.root / "lists" / "sample_nights.list").write_text("\n".join(nights) + "\n")

    def use_small_programs(self, version: Path) -> None:
        """Put the tests' small program behind every plan of a version file."""
        import tomlkit

        content = tomlkit.parse(version.read_text())
        for plan, program in content["programs"].items():
            program["name"] = plan
            program["version"] = "1.0.0"
            program["command"] = [sys.executable, str(SMALL_STEP), plan]
            program.pop("calibration", None)
        content["released"] = False  # tests pin others
        content["environment"]["SNF_TEST_BEHAVIOUR"] = str(self.root / "behaviour.json")
        version.write_text(tomlkit.dumps(content))

    def write_behaviour(self, **told: Any) -> None:
        """Tell the small programs how to misbehave; nothing told, they behave."""
        (self.root / "behaviour.json").write_text(json.dumps(told))

    # --- driving ----------------------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SNF_", "PG"))}
        if self.url:
            kept["SNF_DATABASE_URL"] = self.url
        return kept | {"PATH": f"{BIN}:{os.environ['PATH']}", "COLUMNS": "200"}

    def run(
        self, *words: str, exit_code: int | None = 0, timeout: float = 600, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the project; hold its exit code."""
        done = subprocess.run(
            words,
            cwd=self.root,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if exit_code is not None:
            told = f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
            assert done.returncode == exit_code, told
        assert "Traceback" not in done.stderr + done.stdout, done.stderr + done.stdout
        return done

    def start(
        self, *words: str, log: str = "started.log", **environment: str
    ) -> subprocess.Popen[str]:
        """Start a command in a process group of its own; its output goes to a file."""
        with (self.root / log).open("a") as file:
            return subprocess.Popen(
                words,
                cwd=self.root,
                env=self.environment | environment,
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                text=True,
                process_group=0,
                preexec_fn=_hear_interrupts,
            )

    def release(self, label: str) -> None:
        """Let a version that tests may edit be a released one, as it is outside of tests."""
        path = self.root / "versions" / f"{label}.toml"
        path.write_text(path.read_text().replace("released = false", "released = true"))

    def doit(
        self, *words: str, exit_code: int | None = 0, timeout: float = 600, **environment: str
    ) -> str:
        """Run doit and return what it printed."""
        done = self.run("doit", *words, exit_code=exit_code, timeout=timeout, **environment)
        return done.stdout + done.stderr

    def arrive(self) -> dict[str, Any]:
        """Take in the raw nights."""
        done = self.run("snf", "ingest", "--json", exit_code=None)
        assert done.returncode in (0, 1), done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    # --- looking ----------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Return ``snf status --json``."""
        told = self.run("snf", "status", "--json", exit_code=None).stdout
        status: dict[str, Any] = json.loads(told)
        return status

    def attempts(self) -> int:
        """Return the total number of attempts."""
        return int(self.status()["attempts"])

    def query(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Ask the project's database."""
        engine = sa.create_engine(self.database_url)
        try:
            with engine.begin() as connection:
                result = connection.execute(sa.text(statement), parameters)
                return [tuple(row) for row in result] if result.returns_rows else []
        finally:
            engine.dispose()

    @property
    def database_url(self) -> str:
        """Where the project's database is."""
        if self.url:
            return self.url.replace("postgresql://", "postgresql+psycopg2://")
        site = tomllib.loads((self.root / "configs" / "sites" / "local.toml").read_text())
        url = str(site.get("database", "sqlite:///work/snfpipe.db"))
        return url.replace("sqlite:///", f"sqlite:///{self.root}/")

    def attempts_of(self) -> dict[str, int]:
        """Return ``production letter:unit`` -> number of attempts, for every job."""
        rows = self.query(
            "SELECT production.plan, production.version, job.unit, job.attempts "
            "FROM job JOIN production ON production.id = job.production_id"
        )
        return {f"{version}/{plan}:{unit}": count for plan, version, unit, count in rows}

    def products(self) -> dict[str, str]:
        """Return live product file -> checksum, as the database has them."""
        rows = self.query(
            "SELECT file.path, file.checksum FROM file JOIN process USING (id_process) "
            "WHERE file.area = 'archive' AND process.state = 'live'"
        )
        return {path: checksum for path, checksum in rows}

    def change_option(self, plan: str, name: str, value: Any) -> None:
        """Change a plan's option in configs/plans."""
        import tomlkit

        path = self.root / "configs" / "plans" / f"{plan}.toml"
        content = tomlkit.parse(path.read_text())
        content["options"][name] = value
        path.write_text(tomlkit.dumps(content))

    def running_wrappers(self) -> list[int]:
        """Return the process ids of this project's jobs that run now."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if b"snfpipe.worker.wrapper" in command and str(self.root).encode() in command:
                found.append(int(folder.name))
        return found

    def wait_for_jobs(self, timeout: float = 60) -> None:
        """Wait until no job of this project runs."""
        deadline = time.monotonic() + timeout
        while self.running_wrappers():
            assert time.monotonic() < deadline, "jobs still run"
            time.sleep(0.1)


def _hear_interrupts() -> None:
    """Let SIGINT interrupt: a shell that runs the tests in the background has it ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a driver as a power cut would; its jobs have sessions of their own."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
