"""What `charrepl shell` prints: where things are on this machine, then the script of a shell."""

from __future__ import annotations

import shlex
from pathlib import Path

from charrepl.system import interpreter, paths

# Each with the key that asks for a ghost, as the shell's own command for keys calls it; zsh needs none.
KEYS = {"zsh": "", "bash": r"\e;", "fish": r"\e;"}


def script(shell: str, *, model: str, assertiveness: str, key: str = "") -> str:
    """The script of one of the shells in KEYS.

    model: as `model_names.absolute` has it, or empty for the default; key: another than the usual one.
    Raises CharreplError if there is no place for the daemon's socket.
    """
    settings = {"host": shell, "model": model, "assertiveness": assertiveness}
    lists = {
        "_charrepl_socket": [str(paths.line_socket())],
        "_charrepl_settings": [f"{name}={value}" for name, value in settings.items() if value],
        "_charrepl_key": [key or KEYS[shell]],
        # With this Python, whichever Python a shell finds first, and whatever its directory is.
        "_charrepl_start": interpreter.command("charrepl_daemon", "start", "--automatic"),
        # In fish it starts at each key.
        "_charrepl_pipe": interpreter.command(
            "charrepl", "pipe", *(("--within", "1s") if shell == "fish" else ())
        ),
    }
    assign = _assign_in_fish if shell == "fish" else _assign
    body = (Path(__file__).parent / f"charrepl.{shell}").read_text(encoding="utf-8")
    return "".join(assign(name, words) for name, words in lists.items()) + body


def _assign(name: str, words: list[str]) -> str:
    return f"{name}=({shlex.join(words)})\n"


def _assign_in_fish(name: str, words: list[str]) -> str:
    quoted = ["'" + word.replace("\\", r"\\").replace("'", r"\'") + "'" for word in words]
    return f"set -g {name} {' '.join(quoted)}\n"
