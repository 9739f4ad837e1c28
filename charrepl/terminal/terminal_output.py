"""Output to the terminal: only what changes, because the line may be slow.

For each frame, prompt_toolkit hides the cursor, turns wrapping off and resets attributes. That is 37 bytes
for one character typed through a ghost. Here, each of these is sent only where something depends on it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

from prompt_toolkit.data_structures import Size
from prompt_toolkit.output import ColorDepth, Output
from prompt_toolkit.output.defaults import create_output
from prompt_toolkit.output.flush_stdout import flush_stdout
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.utils import get_bell_environment_variable, get_term_environment_variable

from charrepl.terminal import terminal_width

WRAP, NO_WRAP = "\x1b[?7h", "\x1b[?7l"
# With its attributes.
SAVE_CURSOR, RESTORE_CURSOR = "\x1b7", "\x1b8"
SHOW_CURSOR, HIDE_CURSOR = "\x1b[?12l\x1b[?25h", "\x1b[?25l"

_ATTRIBUTES = re.compile(r"\x1b\[[\d;]*m")
_MOVE = re.compile(r"\x1b\[\d*[ABCD]|[\b\r]")


def terminal_output() -> Output:
    """The output to standard output."""
    if not sys.stdout.isatty():
        return create_output()
    return MinimalOutput.from_pty(
        sys.stdout,
        term=get_term_environment_variable(),
        default_color_depth=ColorDepth.from_env(),
        enable_bell=get_bell_environment_variable(),
    )


class SentState:
    """Attributes and wrapping as they were last sent to a terminal. Touches no terminal."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forgets what was sent: other programs may have drawn since."""
        self._attributes = self._wrapping = ""

    def news(self, frame: Sequence[str]) -> str:
        """What has to be sent of a frame. Each item of `frame` is a text or an escape sequence.

        Attributes and wrapping are sent before what is drawn with them, and at the end as they are to stay.
        The cursor is not hidden in a frame that only moves it, or moves it only by drawing.
        """
        moves = [_MOVE.fullmatch(item) is not None for item in frame]
        draws = [not move and not _is_setting(item) for item, move in zip(frame, moves, strict=True)]
        still = not (any(moves) or any("\n" in item for item in frame)) or not any(draws)
        hides = not (still and HIDE_CURSOR in frame and SHOW_CURSOR in frame)
        attributes, wrapping = self._attributes, self._wrapping
        sent: list[str] = []
        for item, drawn in zip([*frame, ""], [*draws, True], strict=True):
            if _ATTRIBUTES.fullmatch(item):
                attributes = item
            elif item in (WRAP, NO_WRAP):
                wrapping = item
            elif hides or item not in (HIDE_CURSOR, SHOW_CURSOR):
                if drawn:
                    sent += [wrapping] if wrapping != self._wrapping else []
                    sent += [attributes] if attributes != self._attributes else []
                    self._attributes, self._wrapping = attributes, wrapping
                sent.append(item)
        return "".join(sent)


def _is_setting(item: str) -> bool:
    return item in (WRAP, NO_WRAP, HIDE_CURSOR, SHOW_CURSOR) or _ATTRIBUTES.fullmatch(item) is not None


def _in_its_columns(cluster: str) -> str:
    """Draws a cluster so that the cursor is then behind its expected width, with nothing drawn after that."""
    columns = terminal_width.width(cluster)
    move = f"\x1b[{columns}C" if columns else ""
    # If the terminal draws it wider, the excess is erased, without colour.
    return f"{SAVE_CURSOR}{cluster}{RESTORE_CURSOR}{move}{SAVE_CURSOR}\x1b[m\x1b[K{RESTORE_CURSOR}"


class MinimalOutput(Vt100_Output):
    """Sends a terminal only what is new. What is written between two flushes is a frame."""

    def __init__(
        self,
        stdout: TextIO,
        get_size: Callable[[], Size],
        term: str | None = None,
        default_color_depth: ColorDepth | None = None,
        enable_bell: bool = True,
    ) -> None:
        # No requests for the cursor's position: we do not need to know where the prompt is on the screen,
        # and a slow terminal's answer would arrive in the text.
        super().__init__(stdout, get_size, term, default_color_depth, enable_bell, enable_cpr=False)
        self._frame: list[str] = []
        self._told = SentState()

    def write_raw(self, data: str) -> None:
        self._frame.append(data)

    def write(self, data: str) -> None:
        text = data.replace("\x1b", "?")
        self._frame.append(_in_its_columns(text) if terminal_width.doubtful(text) else text)

    def enable_bracketed_paste(self) -> None:
        self._told.forget()  # drawing begins again, after other programs have drawn
        super().enable_bracketed_paste()

    def erase_down(self) -> None:
        # This is always at the beginning of a line. tmux saves in its history, with the ghost, what is
        # erased from the screen's first cell on. So we never erase from there.
        self.write_raw("\x1b[K\x1b[C\x1b[J\x1b[D")

    def discard(self) -> None:
        """Drops what was written of a frame that was not completed."""
        self._frame.clear()

    def flush(self) -> None:
        frame, self._frame = self._frame, []
        news = self._told.news(frame)
        if news:
            flush_stdout(self.stdout, news)
