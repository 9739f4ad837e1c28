"""The unit files that make the daemon, and the HTTP server for editors, systemd user services."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from charrepl.errors import CharreplError, reason
from charrepl.system import interpreter, user_directories

NAME = "charrepl-daemon.service"
SERVE = "charrepl-serve.service"
_MARK = "# Written by charrepl-daemon install-service."
# Variables that decide where files are, what is imported, and which device and precision are used.
_KEPT = re.compile(
    r"(CHARREPL|CUDA|GLIBC|HIP|HSA|JAX|LIBTPU|NCCL|NVIDIA|OMP|ROCM|ROCR|TF|TPU|XLA)_\w+"
    r"|HOME|LD_LIBRARY_PATH|PYTHON(HOME|NOUSERSITE|PATH|USERBASE|UTF8)|XDG_(\w+_HOME|RUNTIME_DIR)"
)

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "%": "%%", "\n": r"\n", "\t": r"\t"})

# Restrictions that a user's systemd can set without privileges. Not MemoryDenyWriteExecute, because XLA
# writes programs and runs them. No system call filter, because GPU drivers make calls of their own.
_UNIT = """\
{mark}
# Run that again to change it; settings of your own go where systemctl --user edit {name} puts them.
[Unit]
Description=charrepl: {description}
{order}StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
{run}Restart=on-failure
RestartSec=1
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

    It runs this interpreter, with the directories and devices of this environment.
    """
    stop = _line(interpreter.command("charrepl_daemon", "stop"))
    start = _line(interpreter.command("charrepl_daemon", "start", "--foreground", *arguments))
    return _written(
        NAME,
        "keeps character models warm, for ghost text as you type",
        run="Type=notify\n"
        "# A daemon that a prompt started by itself is stopped first.\n"
        f"ExecStartPre=-{stop}\nExecStart={start}\nTimeoutStartSec=180\n",
    )


def serve_unit(port: int) -> str:
    """The text of a unit that runs `charrepl serve` at a port of this machine, as a client of the daemon."""
    serve = _line(interpreter.command("charrepl", "serve", "--port", str(port)))
    return _written(
        SERVE,
        "ghosts for editors, over HTTP on this machine",
        order=f"Wants={NAME}\nAfter={NAME}\n",
        run=f"Type=exec\nExecStart={serve}\n",
    )


def _written(name: str, description: str, *, run: str, order: str = "") -> str:
    kept = [
        f"Environment={_quoted(f'{name}={value}')}\n"
        for name, value in sorted(interpreter.environment().items())
        if value and _KEPT.fullmatch(name)
    ]
    return _UNIT.format(
        mark=_MARK,
        name=name,
        description=description,
        order=order,
        run=run,
        environment="".join(kept),
    )


def _line(command: list[str]) -> str:
    return " ".join(map(_argument, command))


def _argument(word: str) -> str:
    """A word of a command line. systemd replaces variables in it, but not in Environment."""
    return _quoted(word.replace("$", "$$"))


def _quoted(word: str) -> str:
    """A word as systemd reads it: with quotes, escapes and `%` specifiers."""
    escaped = word.translate(_ESCAPES)
    if any(ord(char) < 0x20 or char == "\x7f" or "\ud800" <= char <= "\udfff" for char in escaped):
        raise CharreplError(
            f"{word!r} cannot be in a unit file: choose a value in UTF-8, without control characters"
        )
    return f'"{escaped}"' if not word or set(word) & set(" '\"\\;#\n\t") else escaped


def file(name: str = NAME) -> Path:
    """Where systemd looks for a user's own unit."""
    return user_directories.base("config") / "systemd" / "user" / name


def install(text: str, name: str = NAME, *, force: bool) -> Path:
    """Writes a unit. Returns where.

    Raises CharreplError if there is no systemd here, if we did not write the existing file and `force` is not
    set, or if it cannot be written.
    """
    if sys.platform != "linux" or shutil.which("systemctl") is None:
        raise CharreplError(
            "there is no systemd here to run a service: run charrepl-daemon start where your session begins, "
            "or see --print"
        )
    path = file(name)
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


def control(verb: str, name: str) -> None:
    """Makes systemd `stop` or `restart` a unit of the user, or else of the machine. Waits for it.

    Raises CharreplError if systemd cannot do it.
    """
    said = ""
    for manager in (["systemctl", "--user"], ["systemctl"]):
        try:
            done = subprocess.run([*manager, verb, name], capture_output=True, text=True, check=False)
        except OSError as error:
            said = reason(error)
            break
        if not done.returncode:
            return
        said = said or " ".join(done.stderr.split())
    raise CharreplError(
        f"a service manager runs the daemon, as {name}, and could not {verb} it ({said}): {verb} it there"
    )


def _ours(path: Path) -> bool:
    return not path.is_symlink() and path.read_bytes().startswith(_MARK.encode())
