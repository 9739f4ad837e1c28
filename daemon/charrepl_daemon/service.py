"""The unit file that makes the daemon a systemd service of its user's."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from charrepl import interpreter
from charrepl.errors import CharreplError, reason

NAME = "charrepl-daemon.service"
_MARK = "# Written by charrepl-daemon install-service."
_KEPT = ("CHARREPL_DATA_DIR", "CHARREPL_CONFIG_DIR", "CHARREPL_RUNTIME_DIR")

# What a user's own systemd may restrict without privileges. Not MemoryDenyWriteExecute: XLA writes
# programs and runs them; nor a system call filter: drivers of GPUs make calls of their own.
_UNIT = """\
{mark}
# Run that again to change it; settings of your own go where systemctl --user edit {name} puts them.
[Unit]
Description=charrepl: keeps character models warm, for ghost text as you type
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
Type=notify
# A daemon that a prompt started by itself makes way.
ExecStartPre=-{stop}
ExecStart={start}
Restart=on-failure
RestartSec=1
TimeoutStartSec=180
TimeoutStopSec=15
{environment}UMask=0077
# A core dump would hold what was typed.
LimitCORE=0
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native

[Install]
WantedBy=default.target
"""


def unit(arguments: list[str]) -> str:
    """The text of a unit that runs the daemon with these arguments of `start`.

    It runs this interpreter, and keeps to the places that this environment overrides.
    """
    stop = interpreter.command("charrepl_daemon", "stop")
    start = interpreter.command("charrepl_daemon", "start", "--foreground", *arguments)
    kept = [
        f"Environment={_quoted(f'{name}={os.environ[name]}')}\n" for name in _KEPT if os.environ.get(name)
    ]
    return _UNIT.format(
        mark=_MARK,
        name=NAME,
        stop=" ".join(map(_argument, stop)),
        start=" ".join(map(_argument, start)),
        environment="".join(kept),
    )


def _argument(word: str) -> str:
    """A word of a command line: systemd replaces variables in it, unlike in Environment."""
    return _quoted(word.replace("$", "$$"))


def _quoted(word: str) -> str:
    """A word as systemd reads it back: quotes, escapes and `%` specifiers."""
    if any(ord(char) < 0x20 or ord(char) == 0x7F for char in word):
        raise CharreplError(f"{word!r} cannot stand in a unit file: use a path without control characters")
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{word}"' if not word or set(word) & set(" '\"\\;#") else word


def file() -> Path:
    """Where systemd looks for a user's own units."""
    config = os.environ.get("XDG_CONFIG_HOME", "")
    place = Path(config) if config.startswith("/") else Path.home() / ".config"
    return place / "systemd" / "user" / NAME


def install(text: str, *, force: bool) -> Path:
    """Writes the unit; returns where.

    Raises CharreplError if there is no systemd here, if the file is another's and `force` is not
    set, or if it cannot be written.
    """
    if sys.platform != "linux" or shutil.which("systemctl") is None:
        raise CharreplError(
            "there is no systemd here to run a service: run charrepl-daemon start where your session begins, "
            "or see --print"
        )
    path = file()
    try:
        if not force and (path.is_symlink() or path.exists()) and not _ours(path):
            raise CharreplError(f"{path} was not written by this command: --force replaces it")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise CharreplError(f"cannot write {path}: {reason(error)}") from None
    return path


def _ours(path: Path) -> bool:
    return not path.is_symlink() and path.read_bytes().startswith(_MARK.encode())
