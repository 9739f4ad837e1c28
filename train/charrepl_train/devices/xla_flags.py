"""What XLA makes of XLA_FLAGS, found out in a process of its own: a mistake in it ends the process.

python -m charrepl_train.devices.xla_flags    reads the flags as XLA does
"""

from __future__ import annotations

import os
import re
import subprocess

from charrepl.errors import CharreplError
from charrepl.system import interpreter

_TIMEOUT_S = 60
_MISTAKE = re.compile(
    rb"^[EF]\d.*?\] (.*)", re.MULTILINE
)  # XLA's log: a letter for how grave it is, when, where
# What it ends with, so that it counts: it gives up on the rules for what is not a number.
_OURS = "--xla_cpu_enable_fast_math=false"


def settle() -> None:
    """Returns if XLA can read XLA_FLAGS, which from then on leave our numbers as they are.

    Raises CharreplError if it cannot.
    """
    flags = os.environ.get("XLA_FLAGS", "").strip()
    if not flags or flags.endswith(_OURS):
        return
    why = _complaint()
    if why:
        raise CharreplError(f"XLA cannot read XLA_FLAGS={flags} ({why}): correct it, or unset it")
    if flags.startswith("-"):  # and is not the name of a file of them
        os.environ["XLA_FLAGS"] = f"{flags} {_OURS}"


def _complaint() -> str:
    """What XLA says of its flags as it ends; empty if it can read them."""
    try:
        done = subprocess.run(
            interpreter.command("charrepl_train.devices.xla_flags"),
            env=interpreter.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:  # a pipe, perhaps, in the place of a file of flags
        return f"it was not done after {_TIMEOUT_S} s"
    if not done.returncode:
        return ""
    said = _MISTAKE.search(done.stderr)
    lines = done.stderr.splitlines() or [b"it says nothing"]
    # Python's own way to say it ends with what it was.
    text = said[1] if said else lines[-1 if lines[0].startswith(b"Traceback") else 0]
    return text.decode(errors="replace")[:200]


def read() -> None:
    """Has XLA read its flags."""
    from jaxlib import xla_client

    xla_client.make_cpu_client()


if __name__ == "__main__":
    read()
