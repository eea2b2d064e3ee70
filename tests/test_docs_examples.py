"""The documentation does what it says: its console examples run, its links lead somewhere."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.console_examples import Wrong, check, commands

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
RUNNABLE = [path for path in DOCUMENTS if "\n<!-- test: " in path.read_text()]
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(("SNF_", "PG"))
} | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "100"}


def name_of(path: Path) -> str:
    """Name a document by its path in the project."""
    return str(path.relative_to(ROOT))


@pytest.mark.slow
@pytest.mark.parametrize("document", RUNNABLE, ids=name_of)
def test_examples_do_what_the_document_shows(document: Path, tmp_path: Path) -> None:
    for name in ("configs", "versions", "lists", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("dodo.py", "Makefile"):
        shutil.copy(ROOT / name, tmp_path)
    assert check(document.read_text(), tmp_path, ENVIRONMENT) > 0


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_example_is_run_or_says_why_not(document: Path) -> None:
    commands(document.read_text())


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_to_files_and_headings_that_exist(document: Path) -> None:
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"(https?|mailto):", target):
            continue
        file, _, heading = target.partition("#")
        linked = (document.parent / file).resolve() if file else document
        assert linked.exists(), f"{target}: no such file"
        assert not heading or heading in headings(linked), f"{target}: no such heading"


def headings(document: Path) -> set[str]:
    """Return the anchors that a page's headings get where Markdown is shown."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


def example(*lines: str) -> str:
    """Write a document with one tested example."""
    return "\n".join(["# Page", "", "<!-- test: one -->", "```console", *lines, "```", "Text."])


def test_a_shell_keeps_its_state_through_a_document(tmp_path: Path) -> None:
    text = example("$ mkdir sub; cd sub", "$ night=06_334") + "\n" + example(
        "$ echo $night; basename $PWD", "06_334", "sub", "$ (exit 3) # exit 3"
    )  # fmt: skip
    assert check(text, tmp_path, ENVIRONMENT) == 4


def test_dots_stand_for_any_text_and_blanks_may_differ(tmp_path: Path) -> None:
    text = example("$ printf 'took 3.2 s\\nmore\\nfile_quality   done  6\\n'", "took ... s", "...",
                   "file_quality done 6")  # fmt: skip
    assert check(text, tmp_path, ENVIRONMENT) == 1


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (["$ false"], "line 5: `false` ended with 1, not 0"),
        (["$ true # exit 1"], "line 5: `true # exit 1` ended with 0, not 1"),
        (["$ echo one", "two"], "did not print `two`"),
        (["$ printf 'b\\na\\n'", "a", "b"], "did not print `b`"),
        (["$ true", "$ exit 0", "$ true"], "line 6: the shell ended here"),
        (["$ echo 'open"], "line 5: the shell ended here"),
        (["output without a command"], "line 5: an example begins with a command"),
    ],
)
def test_an_example_that_does_otherwise_is_wrong(
    lines: list[str], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(Wrong, match=re.escape(complaint)):
        check(example(*lines), tmp_path, ENVIRONMENT)


def test_an_example_without_a_mark_is_wrong() -> None:
    with pytest.raises(Wrong, match="line 3: the example has no"):
        commands("Text.\n\n```console\n$ true\n```\n")
    assert commands("<!-- not tested: needs a cluster -->\n```console\n$ qsub\n```\n") == []
