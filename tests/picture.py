"""The picture in the README, filmed anew: `make picture`.

`charrepl` runs in a real terminal, with its daemon and the model that comes with it, in places of
their own. What is typed follows the ghosts: of several ways to begin a line, the one with the best ghost.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path

from charrepl.client import Client
from tests.charrepl.prompt import CHARREPL, CTRL_DOWN, CTRL_UP
from tests.charrepl.screen import Screen
from tests.film import Frame, row, svg

PICTURE = Path(__file__).parents[1] / "docs" / "session.svg"
MOST_BYTES = 500_000
COLUMNS, ROWS = 80, 16
SURE = 0.6  # the joint probability of a ghost that is shown whatever is made of it
QUIET_S = 0.4  # without a byte: then what a key led to is on the screen
SPEAKERS = ("ROMEO:", "JULIET:")
LINES = (
    "What is the matter, noble cousin?",
    "Good morrow to your majesty.",
    "I do beseech your grace to pardon me.",
    "My gracious sovereign, I am content.",
    "I pray you, tell me what you think.",
    "Farewell, my gentle cousin.",
    "Thou art a villain and a traitor.",
    "By my troth, I know not what to say.",
    "The king himself is come to speak with thee.",
    "I thank you, gentle servant.",
    "Speak, what news with you, my lord?",
    "If it please your majesty, I will.",
    "This is the gentleman I told you of.",
    "Come hither, captain; wherefore art thou here?",
)


class Camera:
    """Films what comes of keys."""

    def __init__(self, screen: Screen, *, columns: int = COLUMNS, rows: int = ROWS) -> None:
        self.frames: list[Frame] = []
        self._screen = screen
        self._columns, self._rows = columns, rows
        self._pace = cycle((0.09, 0.13, 0.07, 0.11, 0.16, 0.08))  # seconds, as people type

    def hold(self, caption: str, seconds: float) -> None:
        """Waits for the screen to come to rest, and takes it for some seconds of film."""
        self._written, self._since = -1, time.monotonic()
        self._screen.wait_for(self._rests)
        cells = [[self._screen.cell(y, x) for x in range(self._columns)] for y in range(self._rows)]
        rows = tuple(row(line) for line in cells)
        self.frames.append(Frame(rows, self._screen.cursor, caption, seconds))

    def _rests(self, screen: Screen) -> bool:
        """Whether nothing was written for long enough."""
        if len(screen.written) != self._written:
            self._written, self._since = len(screen.written), time.monotonic()
        return time.monotonic() - self._since > QUIET_S

    def type(self, text: str, caption: str) -> None:
        """Types text a character at a time."""
        for char in text:
            self._screen.type(char)
            self.hold(caption, next(self._pace))

    def press(self, key: str, caption: str, seconds: float) -> None:
        """Presses a key, and shows what came of it."""
        self._screen.type(key)
        self.hold(caption, seconds)


def best_opening(client: Client, text: str, *, but: set[str]) -> str:
    """How to begin a line after `text` for the longest ghost that is sure, early in the line."""
    best, most = "", 0.0
    for line in LINES:
        for length in range(6, len(line) - 2):
            found = client.complete(text + line[:length], min_confidence=SURE)
            value = len(found.text.rstrip()) - length / 10
            if line[:5] not in but and value > most:
                best, most = line[:length], value
    if not best:
        raise SystemExit("the model has no ghost for any of these lines: give it others")
    but.add(best[:5])
    return best


def act(camera: Camera, screen: Screen, client: Client) -> None:
    """The session: a ghost typed through and taken, one by words, another one, and the heat map."""
    camera.hold("charrepl finishes your lines, in the style of what it has read", 1.5)
    text, used = "", set[str]()
    for number, speaker in enumerate(SPEAKERS):
        camera.type(speaker, "you type; what is grey is not typed yet")
        camera.press("\r", "you type; what is grey is not typed yet", 0.5)
        opening = best_opening(client, text + speaker + "\n", but=used)
        camera.type(opening, "you type; what is grey is not typed yet")
        screen.wait_for(lambda screen: screen.ghost)
        camera.hold("a ghost: what the model would write", 1.4)
        ghost = screen.ghost.partition("\n")[0].removesuffix("↵")
        if number == 0:
            camera.type(ghost[: min(3, len(ghost) // 2)], "typing on in it trims it")
            camera.hold("typing on in it trims it", 0.8)
            camera.press("\t", "Tab takes the rest", 1.6)
        else:
            camera.press(CTRL_DOWN, "Ctrl-Down: another one", 1.5)
            camera.press(CTRL_UP, "Ctrl-Up: the one before", 0.9)
            camera.press("\x1bf", "Alt-F takes a word", 1.2)
            camera.press("\t", "Tab takes the rest", 1.2)
        camera.press("\r", "Enter adds the line to the text", 0.8)
        text = "".join(f"{line[2:]}\n" for line in screen.lines if line.startswith("> "))
    camera.type("/heat 4", "/heat: how surprising was what you wrote?")
    camera.press("\r", "/heat: the more surprising, the more it stands out", 3.5)
    opening = best_opening(client, text, but=used)
    camera.type(opening, "and so on: it runs on your machine, and sends nothing anywhere")
    screen.wait_for(lambda screen: screen.ghost)
    camera.hold("and so on: it runs on your machine, and sends nothing anywhere", 3.5)


def main() -> None:
    """Films, and writes the picture."""
    with tempfile.TemporaryDirectory(prefix="cr-") as place:
        os.environ.update(
            CHARREPL_DATA_DIR=f"{place}/data",
            CHARREPL_CONFIG_DIR=f"{place}/config",
            CHARREPL_RUNTIME_DIR=f"{place}/run",
            CHARREPL_COLORS="true",
            TERM="xterm-256color",
        )
        daemon = [sys.executable, "-m", "charrepl_daemon"]
        subprocess.run([*daemon, "start"], check=True)
        try:
            with Screen(CHARREPL, env=os.environ, columns=COLUMNS, rows=ROWS) as screen:
                screen.wait_for("shakespeare · ")
                camera = Camera(screen)
                with Client() as client:
                    act(camera, screen, client)
        finally:
            subprocess.run([*daemon, "stop"], check=True)
    says = "A line is typed in a terminal; the rest of it stands there in grey and is taken with Tab"
    picture = svg(camera.frames, columns=COLUMNS, rows=ROWS, title="charrepl", says=says)
    if len(picture.encode()) > MOST_BYTES:
        raise SystemExit(f"the picture has {len(picture.encode()):,} bytes: film less")
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture, encoding="utf-8")
    seconds = sum(frame.seconds for frame in camera.frames)
    print(f"{PICTURE}: {len(camera.frames)} frames, {seconds:.0f} s, {len(picture.encode()):,} bytes")


if __name__ == "__main__":
    main()
