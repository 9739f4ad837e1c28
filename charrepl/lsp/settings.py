"""What an editor's settings say of ghosts: under "charrepl", or in `initializationOptions`."""

from __future__ import annotations

import fnmatch
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from charrepl.errors import CharreplError, did_you_mean
from charrepl.lsp.comments import PROSE, is_comment
from charrepl.settings import model_names
from charrepl.suggestions.request import MOST_LINES
from charrepl.system import user_directories


class Choice(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is chosen for some documents; None where something more general says it."""

    enabled: bool | None = None
    model: str | None = None  # a name or a directory
    assertiveness: Literal["quiet", "normal", "bold"] | None = None
    lines: Annotated[int, msgspec.Meta(ge=1, le=MOST_LINES)] | None = None  # of a ghost, at most


class EditorSettings(Choice, forbid_unknown_fields=True, kw_only=True):
    """What an editor's settings may say.

    languages: on or off, or a choice, by the editor's names of them; also for
        "prose", "comments" and "*", all others.
    paths: the same by a file, a directory with all below it, or a pattern such as `*.fountain`.
    """

    languages: dict[str, bool | Choice] = {}
    paths: dict[str, bool | Choice] = {}


@dataclass(frozen=True, slots=True)
class Effective:
    """What is in force at one place of a document."""

    enabled: bool = True
    model: str = ""  # a name, or an absolute directory; empty for the default
    assertiveness: str = "normal"
    lines: int = 1


def parsed(said: Any) -> EditorSettings:
    """The settings that a client gives; None for none. Raises CharreplError if they are wrong."""
    if said is None:
        return EditorSettings()
    try:
        settings = msgspec.convert(said, EditorSettings)
        for choice in (settings, *settings.languages.values(), *settings.paths.values()):
            if isinstance(choice, Choice) and choice.model:
                choice.model = model_names.absolute(choice.model)
    except msgspec.ValidationError as error:
        raise CharreplError(f"the editor's settings of charrepl: {error}{_hint(said)}") from None
    return settings


def _hint(said: Any) -> str:
    known = EditorSettings.__struct_fields__
    unknown = [name for name in said if name not in known] if isinstance(said, dict) else []
    if not unknown:
        return ""
    return f": {did_you_mean(str(unknown[0]), known) or 'they are ' + ', '.join(sorted(known))}"


def effective(
    settings: EditorSettings, usual: Effective, *, language: str, path: Path | None, before: str
) -> Effective:
    """What is in force at the end of `before` in a document. The nearest choice wins."""
    named = settings.languages
    is_prose = language.lower() in PROSE
    choices: list[bool | Choice | None] = [settings]
    choices.append(named.get(language, named.get("prose" if is_prose else "*", named.get("*"))))
    if "comments" in named and is_comment(language.lower(), before):
        choices.append(named["comments"])
    if path is not None:
        choices += [choice for pattern, choice in settings.paths.items() if _matches(path, pattern)]
    found = usual
    for choice in choices:
        if isinstance(choice, bool):
            choice = Choice(enabled=choice)
        if choice is not None:
            said = {name: getattr(choice, name) for name in Choice.__struct_fields__}
            found = replace(found, **{name: value for name, value in said.items() if value not in (None, "")})
    return found


def _matches(path: Path, pattern: str) -> bool:
    if not any(mark in pattern for mark in "/~"):
        return fnmatch.fnmatch(path.name, pattern)
    whole = os.fspath(user_directories.expanded(pattern)).rstrip("/")
    return path.is_relative_to(whole) or fnmatch.fnmatch(os.fspath(path), whole)
