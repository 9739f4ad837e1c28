"""What an editor's settings mean for a document."""

from __future__ import annotations

from pathlib import Path

import pytest

from charrepl.errors import CharreplError
from charrepl.lsp.comments import is_comment
from charrepl.lsp.settings import Effective, effective, parsed

USUAL = Effective(model="usual")


def at(said: object, language: str = "python", path: str | None = None, before: str = "x = 1") -> Effective:
    return effective(parsed(said), USUAL, language=language, path=Path(path) if path else None, before=before)


def test_nothing_said_is_as_usual() -> None:
    assert at(None) == at({}) == at({"model": "", "assertiveness": None}) == USUAL


def test_the_nearest_choice_wins() -> None:
    said = {
        "assertiveness": "quiet",
        "lines": 3,
        "languages": {"*": {"lines": 2}, "python": {"model": "code"}, "prose": False, "comments": False},
        "paths": {"/novel": {"enabled": True, "model": "novel"}, "*.log": False},
    }
    assert at(said) == Effective(True, "code", "quiet", 3)
    assert at(said, "ruby") == Effective(True, "usual", "quiet", 2)
    assert not at(said, "markdown").enabled
    assert at(said, "markdown", "/novel/one/a.md") == Effective(True, "novel", "quiet", 3)
    assert not at(said, path="/x/y.log").enabled
    assert not at(said, before="x = 1  # and").enabled
    assert at(said, before='x = "a # b').enabled
    assert not at({"enabled": False}).enabled
    assert at({"enabled": False, "languages": {"python": True}}).enabled


def test_a_path_may_begin_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    said = {"paths": {"~/novel/*.md": {"model": "novel"}}}
    assert at(said, path="/home/me/novel/a.md").model == "novel"
    assert at(said, path="/home/you/novel/a.md").model == "usual"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"assertivness": "bold"}, "did you mean assertiveness?"),
        ({"nothing": 1}, "they are assertiveness, enabled, languages, lines, model, paths"),
        ({"lines": 0}, "lines"),
        ({"languages": {"python": "no"}}, "languages"),
        ([], "Expected `object`"),
        ("on", "Expected `object`"),
    ],
)
def test_what_is_wrong_is_one_line(said: object, expected: str) -> None:
    with pytest.raises(CharreplError, match="the editor's settings of charrepl") as wrong:
        parsed(said)
    assert expected in str(wrong.value)
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize(
    ("language", "before", "comment"),
    [
        ("python", "# a", True),
        ("python", "x = a#b", False),
        ("c", "int x; /* a\nb", True),
        ("c", "int x; /* a */ y", False),
        ("c", "x; // a\ny", False),
        ("rust", 'let x = "http://a', False),
        ("lua", "-- a", True),
        ("markdown", "# A title", False),
        ("", "# a", False),
    ],
)
def test_comments(language: str, before: str, comment: bool) -> None:
    assert is_comment(language, before) is comment
