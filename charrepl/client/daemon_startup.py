"""Finding a running daemon, and starting one if there is none."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
from pathlib import Path

from charrepl import resource_shortage
from charrepl.errors import CharreplError, DaemonUnavailableError, reason
from charrepl.system import interpreter

_START_TIMEOUT_S = 180.0


def checked(endpoint: str) -> str:
    """`endpoint`, if it is an address that ZeroMQ can connect to. Raises CharreplError if not."""
    found = re.fullmatch(r"ipc:///.+|tcp://(?:[^/:\s]+|\[[^/\s]+\]):(\d{1,5})", endpoint, re.ASCII)
    if found is None or int(found[1] or 0) > 65_535:
        raise CharreplError(f"{endpoint!r} is not an endpoint: give ipc:///PATH or tcp://HOST:PORT")
    return endpoint


def is_listening(endpoint: str) -> bool:
    """Whether something accepts connections at an ipc endpoint. For other endpoints, always true.

    A plain connect answers immediately. ZeroMQ would wait for a daemon to appear.
    """
    if not endpoint.startswith("ipc://"):
        return True
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(endpoint.removeprefix("ipc://"))
        except (BlockingIOError, TimeoutError):
            return True  # its queue of waiting connections is full
        except OSError:
            return False
    return True


def _command(*, replace_older: bool) -> list[str]:
    verb = ["restart", "--if-older"] if replace_older else ["start"]
    return interpreter.command("charrepl_daemon", *verb, "--automatic")


def _failure(error_output: bytes, *, replace_older: bool) -> DaemonUnavailableError:
    lines = error_output.decode(errors="surrogateescape").strip().splitlines()
    if lines and replace_older:
        return DaemonUnavailableError(lines[-1].removeprefix("Error: "))
    said = lines[-1].removeprefix("Error: ") if lines else "it said nothing: see charrepl-daemon logs"
    return DaemonUnavailableError(f"the daemon did not start: {said}")


def _no_process(error: OSError) -> DaemonUnavailableError:
    if short := resource_shortage.cause(error):
        return DaemonUnavailableError(f"the daemon did not start: {short}")
    return DaemonUnavailableError(
        f"the daemon did not start: cannot run {sys.executable} ({reason(error)}); "
        "if Python has moved, install charrepl again"
    )


def start(*, replace_older: bool = False) -> None:
    """Starts a daemon and waits until it is ready. It is no error if one runs already.

    With `replace_older`, a daemon with an older protocol is stopped first, unless somebody is typing.
    Raises DaemonUnavailableError, with the daemon's own reason, if it does not get ready.
    """
    try:
        done = subprocess.run(
            _command(replace_older=replace_older),
            env=interpreter.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_START_TIMEOUT_S,
            check=False,
        )
    except OSError as error:
        raise _no_process(error) from None
    except subprocess.TimeoutExpired:
        raise DaemonUnavailableError(_timed_out()) from None
    if done.returncode:
        raise _failure(done.stderr, replace_older=replace_older)


async def start_async(*, replace_older: bool = False) -> None:
    """As `start`, but does not block the event loop."""
    try:
        process = await asyncio.create_subprocess_exec(
            *_command(replace_older=replace_older),
            env=interpreter.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C meant for the prompt must not reach it
        )
    except OSError as error:
        raise _no_process(error) from None
    try:
        async with asyncio.timeout(_START_TIMEOUT_S):
            _, error_output = await process.communicate()
    except TimeoutError:
        raise DaemonUnavailableError(_timed_out()) from None
    if process.returncode:
        raise _failure(error_output, replace_older=replace_older)


def _timed_out() -> str:
    return f"the daemon was not ready after {_START_TIMEOUT_S:.0f} s: see charrepl-daemon logs"


def left_in_order(endpoint: str) -> bool:
    """Whether the daemon at an ipc endpoint removed its socket when it ended. A killed daemon cannot."""
    path = endpoint.removeprefix("ipc://")
    return path != endpoint and not Path(path).exists()
