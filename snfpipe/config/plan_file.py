"""What a site says of a plan: ``configs/plans/<plan>.toml``, its options and resources.

A plan that comes with another package may bring the file beside its module; one in
``configs/plans`` goes over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snfpipe.config.textfile import Where
from snfpipe.config.tomlfile import Key, read_toml
from snfpipe.declarations.registry import module_file, plan_names, plan_spec
from snfpipe.declarations.spec import PlanSpec
from snfpipe.errors import ConfigError, NotFound, shown


@dataclass(frozen=True, slots=True)
class Resources:
    """What a job of a plan may use."""

    cpu_s: int
    memory_mb: int
    wall_s: int


@dataclass(frozen=True, slots=True)
class PlanFile:
    """A plan's declaration, with the options and resources that a site gives it.

    ``words`` are those of old command lines that have no effect any more, and why.
    """

    spec: PlanSpec
    options: Mapping[str, Any]
    words: Mapping[str, str]
    resources: Mapping[str, int]
    path: Path

    @property
    def name(self) -> str:
        """The plan's name."""
        return self.spec.name

    def check_options(self, given: Mapping[str, Any], at: Key) -> None:
        """Refuse options that the plan does not have, or values of another kind than its own."""
        for key, value in given.items():
            if key not in self.options:
                raise ConfigError(
                    f"plan {self.name} has no option {shown(key)}",
                    hint=f"its options: {', '.join(self.options) or 'none'}",
                    place=(at / key)(),
                )
            usual = self.options[key]
            if type(value) is not type(usual) and not (type(usual) is float and type(value) is int):
                raise ConfigError(
                    f"found {shown(value)}",
                    hint=f"expected a value like {usual!r}, which {self.path.name} has",
                    place=(at / key)(),
                )


def load_plan(root: Path, name: str, asked_by: Where | None = None) -> PlanFile:
    """Return an installed plan with what its file says.

    Raises
    ------
    NotFound
        No such plan is installed, or it has no file.
    ConfigError
        The file is not as it should be.
    """
    if name not in plan_names():
        raise NotFound(
            f"there is no plan {shown(name)}",
            hint=f"plans that are installed: {', '.join(plan_names()) or 'none'}",
            place=asked_by and asked_by(),
        )
    spec = plan_spec(name)
    own = root / "configs" / "plans" / f"{name}.toml"
    path = own if own.exists() else Path(module_file(name)).with_suffix(".toml")
    if not path.exists():
        raise NotFound(
            f"plan {name} has no file of options and resources",
            hint=f"write {own}, as docs/adding_a_plan.md says",
            place=asked_by and asked_by(),
        )
    content = read_toml(root, path, "plan")
    return PlanFile(
        spec, content.get("options", {}), content.get("words", {}), content["resources"], path
    )


def list_plans(root: Path) -> list[PlanFile]:
    """Return all installed plans, by name."""
    return [load_plan(root, name) for name in plan_names()]
