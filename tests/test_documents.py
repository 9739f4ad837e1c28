"""The documents are true of the tree: what they name is there, their links lead somewhere, they are short."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
SOURCES = [
    path
    for room in ("charrepl", "daemon", "train", "tests")
    for path in sorted((ROOT / room).rglob("*.py"))
    if path != Path(__file__)
]

A_USERS_OWN = {"click.py", "random.py"}  # in the directory that somebody runs us in

every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


@cache
def tree() -> frozenset[str]:
    """Every file of the project, and every folder with a slash behind it, as a path from the top."""
    rooms = ("charrepl", "daemon", "train", "tests", "docs", ".ci", ".github")
    below = [path for room in rooms for path in (ROOT / room).rglob("*") if "__pycache__" not in path.parts]
    paths = [*ROOT.iterdir(), *below]
    return frozenset(f"/{path.relative_to(ROOT)}{'/' if path.is_dir() else ''}" for path in paths)


@cache
def names_of_tests() -> frozenset[str]:
    """The name of every test."""
    found = re.compile(r"^ *(?:async )?def (test_\w+)", re.MULTILINE)
    return frozenset(
        name for path in (ROOT / "tests").rglob("test_*.py") for name in found.findall(path.read_text())
    )


def is_there(path: str) -> bool:
    """Whether a file or folder is called so, by its path or by the end of it."""
    return any(known.endswith(f"/{path}") for known in tree())


def missing(text: str) -> list[str]:
    """What a text names in backticks, of our files, folders, tests and targets of make, that is not there."""
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)

    def is_missing(name: str) -> bool:
        if re.fullmatch(r"[\w.-][\w./-]*(\.py|\.md|/)", name):
            return not is_there(name)
        if re.fullmatch(r"test_\w+", name):
            return name not in names_of_tests()
        made = re.fullmatch(r"make ([\w-]+)( .*)?", name)
        return made is not None and made[1] not in targets

    return [name for name in re.findall(r"`([^`\n]+)`", text) if is_missing(name)]


def anchors(markdown: str) -> set[str]:
    """What a link may have behind its #: the headings, as GitHub names them."""
    text = re.sub(r"^```.*?^```$", "", markdown, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leads_nowhere(start: Path, target: str) -> bool:
    """Whether a relative link in a file has no file, or no heading, at its end."""
    file, _, anchor = target.partition("#")
    end = (start.parent / file).resolve() if file else start
    return not end.exists() or (anchor != "" and anchor not in anchors(end.read_text(encoding="utf-8")))


@every_document
def test_what_a_document_names_is_there(path: Path) -> None:
    assert missing(path.read_text(encoding="utf-8")) == []


@every_document
def test_a_link_leads_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    ours = [target for target in targets if not re.match(r"https?://|mailto:", target)]
    assert [target for target in ours if leads_nowhere(path, target)] == []


def test_a_missing_file_a_missing_test_and_a_missing_heading_are_seen() -> None:
    assert missing("`charrepl/gone.py`, `gone/`, `test_gone`, `make gone`") == [
        "charrepl/gone.py",
        "gone/",
        "test_gone",
        "make gone",
    ]
    assert leads_nowhere(ROOT / "README.md", "ARCHITECTURE.md#gone")
    assert leads_nowhere(ROOT / "README.md", "gone.md")


def test_what_comments_point_at_is_there() -> None:
    lost = {}
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        pointed = re.findall(r"\b(?:docs/[\w/-]+|ARCHITECTURE|README|CONTRIBUTING)\.md(?:#[\w-]+)?", text)
        named = [name for name in re.findall(r"`([\w/]+\.py)`", text) if not is_there(name)]
        named = [name for name in named if name not in A_USERS_OWN]
        if bad := [*named, *(target for target in pointed if leads_nowhere(ROOT / "README.md", target))]:
            lost[str(path.relative_to(ROOT))] = bad
    assert lost == {}


def test_every_folder_is_on_the_map() -> None:
    map_ = (ROOT / "ARCHITECTURE.md").read_text()
    packages = ("charrepl", "daemon/charrepl_daemon", "train/charrepl_train")
    folders = [path.parent for package in packages for path in (ROOT / package).glob("*/__init__.py")]
    assert [f for f in folders if f"`{f.relative_to(ROOT)}/`" not in map_] == []


def test_the_first_documents_stay_short() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_bytes()) <= 15_000
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
