"""The JobSpec: all that a job needs to know, as one JSON file; no job opens the database.

Standard library only: it is read on the worker.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from snfpipe.worker.document import document

FORMAT = 1

_ATTEMPTS = ".attempts"  # ends the folder of all attempts at a job

#: Exit status of a script that found its unit taken by another.
SUPERSEDED = 75


@dataclass(frozen=True, slots=True)
class Product:
    """One product a job promises: its main file and the auxiliary ones."""

    id_process: str
    name: str
    item: str
    role: str
    fclass: int
    xfclass: int
    parents: tuple[str, ...]
    auxiliary: dict[str, str]
    target_id: int | None = None
    flags: tuple[str, ...] = ()
    optional: bool = False

    @property
    def files(self) -> dict[str, str]:
        """Output role -> file name, the main file first."""
        return {self.role: self.name, **self.auxiliary}


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One attempt at one job.

    ``items`` is what the program works on, paths included; ``selection`` and ``identity`` are what
    the manifest repeats.  ``keep`` leaves the products in the work folder, too; ``stays_in`` names
    the folder that gets the products of a job that nothing is registered of.  What a job with
    ``validates`` made is validated when it is registered, where nothing is missing.
    """

    job: str
    production: str
    plan: str
    unit: str
    unit_kind: str
    version: str
    token: str
    number: int
    folder: str
    archive: str
    environment: dict[str, str]
    limits: dict[str, int]
    commands: tuple[tuple[str, ...], ...]
    options: dict[str, Any]
    items: tuple[dict[str, Any], ...]
    products: tuple[Product, ...]
    selection: tuple[dict[str, Any], ...]
    identity: dict[str, Any]
    keep: bool = False
    stays_in: str = ""
    validates: bool = False
    _text: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def incoming(self) -> Path:
        """Where the job leaves its products."""
        if self.stays_in:
            return Path(self.stays_in)
        return Path(self.archive) / ".incoming" / self.token

    def worklist(self) -> list[dict[str, Any]]:
        """Return the items as the program gets them: with a name for each file it is to leave."""
        outputs: dict[str, dict[str, str]] = {item["item"]: {} for item in self.items}
        for product in self.products:
            outputs[product.item].update(product.files)
        return [{**item, "outputs": outputs[item["item"]]} for item in self.items]

    def to_json(self) -> str:
        """Return the file's text: a line a field, and a line each of its items and products."""
        if not self._text:  # made once: the database has it, and the attempt's folder
            content: dict[str, Any] = {name: getattr(self, name) for name in _FIELDS}
            content["products"] = [
                {name: getattr(it, name) for name in _PRODUCT_FIELDS} for it in self.products
            ]
            self._text.append(document({**content, "format": FORMAT}))
        return self._text[0]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        ValueError
            The text is no spec, or one of another format.
        """
        content = json.loads(text)
        if content.pop("format", None) != FORMAT:
            raise ValueError(f"no job spec of format {FORMAT}")
        content["products"] = tuple(
            Product(**{**entry, **{key: tuple(entry.get(key, ())) for key in ("parents", "flags")}})
            for entry in content["products"]
        )
        if "command" in content:  # of an attempt that was planned before steps had several
            content["commands"] = [content.pop("command")]
        content["commands"] = tuple(map(tuple, content["commands"]))
        for key in ("items", "selection"):
            content[key] = tuple(content[key])
        return cls(**content)


_FIELDS = [it.name for it in fields(JobSpec) if it.init]
_PRODUCT_FIELDS = [it.name for it in fields(Product)]


class _Inside:
    """A file or folder of an attempt: its name, in which ``{job}`` stands for the job's."""

    def __init__(self, name: str, text: str) -> None:
        self._name, self.__doc__ = name, text

    def __get__(self, folder: AttemptFolder, _owner: type) -> Path:
        """Return its path."""
        return folder.path / self._name.format(job=folder.job)


@dataclass(frozen=True, slots=True)
class AttemptFolder:
    """The files of one attempt, ``<job folder>/<job>.attempts/001-<token>/<job>.*``."""

    path: Path
    job: str

    @classmethod
    def of(cls, spec: JobSpec) -> Self:
        """Return the folder a spec names."""
        return cls(Path(spec.folder), spec.job)

    @classmethod
    def at(cls, path: Path) -> Self:
        """Return the folder at `path`, named after the job its parent is named after."""
        return cls(path, path.parent.name.removesuffix(_ATTEMPTS))

    @classmethod
    def numbered(cls, job_folder: Path, job: str, number: int, token: str) -> Self:
        """Return the folder of a job's attempt."""
        return cls(job_folder / f"{job}{_ATTEMPTS}" / f"{number:03}-{token}", job)

    @classmethod
    def all_of(cls, job_folder: Path, job: str = "*") -> list[Self]:
        """Return the attempts at a job that are there, the first one first; or at all jobs."""
        found = job_folder.glob(f"{job}{_ATTEMPTS}/[0-9][0-9][0-9]-*")
        return [cls.at(path) for path in sorted(found)]

    @property
    def number(self) -> int:
        """The attempt's number."""
        return int(self.path.name.partition("-")[0])

    @property
    def token(self) -> str:
        """The attempt's token."""
        return self.path.name.partition("-")[2]

    spec = _Inside("{job}.json", "The JobSpec.")
    script = _Inside("{job}.sh", "The job script.")
    out = _Inside("{job}.out", "The job's own output.")
    err = _Inside("{job}.err", "The job's own errors.")
    engine_out = _Inside("engine.out", "What the engine and the wrapper have to say.")
    engine_err = _Inside("engine.err", "Why the engine or the wrapper could not start the job.")
    ledger = _Inside("{job}.ledger", "What the job did.")
    pid = _Inside("pid", "The wrapper's ``process id:start time``.")
    usage = _Inside(
        "usage", "CPU time used and allowed, and start of the running job [s], as its wrapper says."
    )
    taken = _Inside(
        "taken", "Created once: by the script that takes the unit, or by whoever gives it up."
    )
    work = _Inside("work", "Where the steps work.")
    worklist = _Inside("worklist.json", "What the program is to do.")
    results = _Inside("results.jsonl", "What the program says it did.")

    @property
    def job_folder(self) -> Path:
        """The folder of the job, which all its attempts share."""
        return self.path.parent.parent

    def load(self) -> JobSpec:
        """Read the spec."""
        return JobSpec.from_json(self.spec.read_text(encoding="utf-8"))
