"""Tries XLA_FLAGS in a separate process, because XLA ends the process if there is a mistake in it.

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
)  # XLA's log: a letter for the severity, the time, the place
# Added at the end, so that it wins. Fast math would ignore the rules for values that are not numbers.
OURS = "--xla_cpu_enable_fast_math=false"


def settle() -> None:
    """Returns if XLA can read XLA_FLAGS. Changes them so that they do not change our numbers.

    Raises CharreplError if it cannot.
    """
    flags = os.environ.get("XLA_FLAGS", "").strip()
    if not flags or flags.endswith(OURS):
        return
    why = _complaint()
    if why:
        raise CharreplError(f"XLA cannot read XLA_FLAGS={flags} ({why}): correct it, or unset it")
    if flags.startswith("-"):  # otherwise it is the name of a file of flags
        os.environ["XLA_FLAGS"] = f"{flags} {OURS}"


def _complaint() -> str:
    """XLA's error about its flags; empty if it can read them."""
    try:
        done = subprocess.run(
            interpreter.command("charrepl_train.devices.xla_flags"),
            env=interpreter.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:  # perhaps the file of flags is a pipe
        return f"it was not done after {_TIMEOUT_S} s"
    if not done.returncode:
        return ""
    said = _MISTAKE.search(done.stderr)
    lines = done.stderr.splitlines() or [b"it says nothing"]
    # In a Python traceback, the error is the last line.
    text = said[1] if said else lines[-1 if lines[0].startswith(b"Traceback") else 0]
    return text.decode(errors="replace")[:200]


def read() -> None:
    """Makes XLA read its flags."""
    from jaxlib import xla_client

    xla_client.make_cpu_client()


if __name__ == "__main__":
    read()
