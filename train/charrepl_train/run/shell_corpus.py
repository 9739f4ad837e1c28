"""Makes a corpus of shells' histories, and keeps it with the model, as histories go on growing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from charrepl.errors import CharreplError
from charrepl.settings.model_names import SHELL_HISTORY
from charrepl.shell_history import LEAST_COMMANDS, history_files
from charrepl.shell_history.secret_rules import without_secrets


def kept(directory: Path) -> Path:
    """Where a model's directory has the commands that it learns from, a text for each history."""
    return directory / SHELL_HISTORY


def write(histories: Sequence[Path], into: Path) -> str:
    """Writes the commands of histories, but for secrets, to a directory; what to tell of it, in one line.

    histories: files; all in their usual places if there are none.
    Raises CharreplError if one cannot be read, or there are too few commands.
    """
    histories = list(histories) or history_files.usual_places(os.environ, Path.home())
    if not histories:
        raise CharreplError(
            "no shell has left a history in the usual places: name its file, "
            "such as charrepl-train --shell-history ~/.zsh_history"
        )
    texts, count, left_out = [], 0, Counter[str]()
    for history in histories:
        commands, secrets = without_secrets(history_files.read(history))
        texts.append("".join(f"{command.text}\n" for command in commands))
        count += len(commands)
        left_out += secrets
    if count < LEAST_COMMANDS:
        raise CharreplError(
            f"there are {count} commands, too few to learn from: come back when there are {LEAST_COMMANDS}"
        )
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in into.iterdir():
        old.unlink()
    for number, (history, text) in enumerate(zip(histories, texts, strict=True), 1):
        if text:
            file = into / f"{number:03}-{history.name.lstrip('.')}.txt"
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as opened:
                opened.write(text)
    told = ", ".join(f"{secrets:,} {rule}" for rule, secrets in left_out.most_common())
    of = f" of {len(histories):,} histories" if len(histories) > 1 else ""
    return f"Read {count:,} commands{of}." + (f" Left out what may be secret: {told}." if told else "")
