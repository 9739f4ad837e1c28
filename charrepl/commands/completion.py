"""Completes a command on Tab: names of commands, models, settings and files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from charrepl.errors import CharreplError
from charrepl.files import pasted_paths
from charrepl.settings.settings import CHOICES, kinds
from charrepl.system import user_directories


def wants_models(line: str) -> bool:
    """Whether the names of the models are needed to complete a command."""
    return line.startswith(("/model ", "/voice ", "/set model "))


def completed(line: str, *, commands: Iterable[str], models: Iterable[str]) -> tuple[str, list[str]]:
    """The command `line`, completed as far as that is clear, and the candidates if it is not."""
    name, gap, argument = line.partition(" ")
    if not gap:
        return _extended("", line, [f"/{command} " for command in commands])
    before = name + gap + argument[: len(argument) - len(argument.lstrip())]
    argument = argument.lstrip()
    match name:
        case "/model" | "/voice":
            return _extended(before, argument, models)
        case "/set":
            key, gap, value = argument.partition(" ")
            if not gap:
                return _extended(before, key, [f"{known} " for known in kinds()])
            values = models if key == "model" else CHOICES.get(key, ())
            return _extended(before + key + gap, value, values)
        case "/open" | "/open!" | "/save" | "/save!":
            found = files(argument)
            if not any(path.startswith(argument) for path in found):
                with contextlib.suppress(CharreplError):
                    argument = pasted_paths.begun(argument)
                    found = files(argument)
            return _extended(before, argument, found)
        case "/help":
            return _extended(before, argument, ["keys"])
        case _:
            return line, []


def files(begun: str) -> list[str]:
    """The paths that begin with `begun`. Directories end in a slash."""
    folder, _, start = begun.rpartition("/")
    directory = Path(f"{folder}/" if "/" in begun else ".")
    try:
        with os.scandir(user_directories.expanded(directory)) as entries:
            found = [
                entry.name + ("/" if entry.is_dir() else "")
                for entry in entries
                if start.startswith(".") or not entry.name.startswith(".")
            ]
    except (OSError, ValueError):
        return []
    prefix = f"{folder}/" if "/" in begun else ""
    return [prefix + name for name in sorted(found)]


def _extended(before: str, begun: str, known: Iterable[str]) -> tuple[str, list[str]]:
    fitting = [name for name in known if name.startswith(begun)]
    if not fitting:
        return before + begun, []
    common = os.path.commonprefix(fitting)  # noqa: RUF071  (by characters, as we want here)
    several = [name.strip() for name in fitting] if len(fitting) > 1 else []
    return before + common, several
