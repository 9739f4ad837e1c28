"""The prompt, drawn by hand before the libraries for drawing are imported.

Their import takes longer than a person needs to begin to type. So the prompt is drawn first. The terminal
does not echo keys that arrive during the import: they wait until the REPL reads them.
"""

from __future__ import annotations

import contextlib
import os
import sys
import termios
from collections.abc import Callable, Iterator, Mapping

PROMPT = "> "
INDENT = " " * len(PROMPT)  # of the rows after the first


def is_dumb(environ: Mapping[str, str]) -> bool:
    """Whether the terminal understands no escape sequences, or does not say what it is."""
    return environ.get("TERM", "dumb") in ("", "dumb", "unknown")


def is_plain(plain: str, environ: Mapping[str, str]) -> bool:
    """Whether the setting asks for the prompt in lines (`--plain`)."""
    return plain == "always" or (plain == "auto" and is_dumb(environ))


@contextlib.contextmanager
def drawn_early(*, plain: bool = False) -> Iterator[Callable[[], None]]:
    """Draws the prompt at the cursor. It stays until the yielded function is called, or the block ends.

    The function restores the terminal's mode, so that an application can take over and draw over the prompt.
    With `plain` nothing can be drawn over: keys wait without an echo, and there is no prompt yet.
    Does nothing unless standard input and output are a terminal that understands escape sequences.
    """
    terminal = _terminal(plain=plain)
    if terminal is None:
        yield lambda: None
        return
    before = termios.tcgetattr(terminal)
    quiet = termios.tcgetattr(terminal)
    # Enter stays a carriage return, as it is for the application. Ctrl-C still interrupts.
    quiet[0] &= ~(termios.ICRNL | termios.ISTRIP)
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    drawn = True
    write: Callable[[str], None] = (lambda text: None) if plain else _write

    def give_back() -> None:
        nonlocal drawn
        if drawn:
            drawn = False
            write("\r")
            with contextlib.suppress(termios.error):  # the terminal has gone
                termios.tcsetattr(terminal, termios.TCSANOW, before)

    termios.tcsetattr(terminal, termios.TCSANOW, quiet)
    try:
        write(f"\x1b[0;1m{PROMPT}\x1b[0m")
        yield give_back
    finally:
        if drawn:  # nothing has drawn over it
            give_back()
            write("\x1b[K")


def _terminal(*, plain: bool) -> int | None:
    """The file descriptor of standard input, if a prompt can be drawn."""
    if is_dumb(os.environ) and not plain:
        return None
    streams = (sys.stdin, sys.stdout)
    if not all(stream and stream.isatty() for stream in streams):
        return None
    return sys.stdin.fileno()


def _write(text: str) -> None:
    with contextlib.suppress(OSError):
        sys.stdout.write(text)
        sys.stdout.flush()
