"""``snf_version``: list the code versions, switch between them, put one into a shell."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path

import click

from snfpipe.cli.render import print_json, print_table
from snfpipe.config.project import find_root, load_project
from snfpipe.config.steps import SWITCH, read_switch
from snfpipe.config.versions import check_label, list_versions, load_version
from snfpipe.wholefile import aside


@click.command()
@click.argument("label", required=False)
@click.option("--shell", is_flag=True, help="Print what puts the version into a shell.")
@click.option("--install", is_flag=True, help="Install the programs of LABEL; no switch.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (docs/schemas/version.json).")
def version(label: str | None, shell: bool, install: bool, dry_run: bool, as_json: bool) -> None:
    """List the code versions, or switch the configured production to LABEL, or install LABEL.

    The programs of a version that are no longer those of the tree are installed from the project's
    history into .versions/LABEL, with the packages of its lock file.

    \b
    Example:
      snf_version
      snf_version SNF-02-02
      snf_version --install SNF-02-02
      eval "$(snf_version --shell)"
    """
    if sum(map(bool, (label, shell, as_json))) > 1 or ((dry_run or install) and not label):
        raise click.UsageError(
            "give one of: nothing, LABEL (with -n or without), --install LABEL (the same), "
            "--shell, --json"
        )
    root = find_root()
    if label and install:
        from snfpipe.jobs.install import install_version

        install_version(root, load_version(root, label), click.echo, dry_run=dry_run)
    elif label:
        _switch(root, label, dry_run)
    elif shell:
        _print_shell(root)
    else:
        _print_list(root, as_json)


def _switch(root: Path, label: str, dry_run: bool) -> None:
    """Set the version in the switch, keeping its comments."""
    import tomlkit

    check_label(root, label)
    old = read_switch(root)["version"]
    if not dry_run:
        load_version(root, label)
        path = (root / SWITCH).resolve()
        content = tomlkit.parse(path.read_text(encoding="utf-8"))
        content["version"] = label
        with aside(path) as new:
            new.write_text(tomlkit.dumps(content), encoding="utf-8")
            new.chmod(path.stat().st_mode & 0o777)
    click.echo(f"{'would switch' if dry_run else 'switched'} {SWITCH} from {old} to {label}")


def _print_shell(root: Path) -> None:
    """Print exports, every value quoted; what another version put there before is taken out."""
    project = load_project(root)
    variables = {
        **project.version.environment,
        "SNF_VERSION": project.version.label,
        "SNF_VERSION_LITE": project.version.lite,
        "SNF_TASKS": str(root),
        "SNF_PROJECT": str(root),
        "JOBDIR": str(project.site.jobs),
    }
    click.echo("unset ${SNF_VARIABLES-}")
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    click.echo(f"export SNF_VARIABLES={shlex.quote(' '.join(project.version.environment))}")
    click.echo('SNF_OLD_PS1="${SNF_OLD_PS1-${PS1-}}"')
    click.echo(f'PS1={shlex.quote(f"[{project.version.label}] ")}"$SNF_OLD_PS1"')


def _print_list(root: Path, as_json: bool) -> None:
    """Print all versions, the configured one marked."""
    from snfpipe.jobs.install import is_installed

    current = read_switch(root)["version"]
    versions = [load_version(root, label) for label in list_versions(root)]
    edited = _edited(root)
    if as_json:
        print_json(
            [
                {
                    "label": found.label,
                    "number": found.number,
                    "released": found.released,
                    "current": found.label == current,
                    "edited": edited.get(found.label, []),
                    "installed": bool(found.commit) and is_installed(root, found),
                    "notes": found.notes,
                }
                for found in versions
            ]
        )
        return
    print_table(
        ("", "version", "number", "", "notes"),
        [
            (
                "*" if found.label == current else "",
                found.label,
                found.lite,
                "released" if found.released else "unpinned",
                found.notes,
            )
            for found in versions
        ],
    )
    for label, words in edited.items():
        click.echo(f"\n{label} was edited since it was released: {'; '.join(words)}")


def _edited(root: Path) -> dict[str, list[str]]:
    """Return label -> how a version was edited since it was first used, as far as that is known.

    A list of versions needs no database: nothing is known where none answers.
    """
    from snfpipe.config.released import Kept, edited_versions
    from snfpipe.db.quick import quick_look

    found: dict[str, list[str]] = {}
    with suppress(Exception):  # each driver has its own
        site = load_project(root).site
        with quick_look(site.database_url, root) as ask:
            rows = ask(
                "SELECT label, plan, digest, content FROM version_digest ORDER BY label, plan"
            )
        for it in edited_versions(root, [Kept(*row) for row in rows]):
            found.setdefault(it.label, []).extend(it.differences)
    return {label: list(dict.fromkeys(words)) for label, words in found.items()}
