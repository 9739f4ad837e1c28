"""Writers that type, edit, paste, accept and leave, each a thread with a client of its own."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

from charrepl.client import Client
from charrepl.errors import CharreplError
from charrepl.wire import context_window, protocol
from tests.soak.checking import Asked, Checker

LINES = """\
ROMEO:
But soft, what light through yonder window breaks?
It is the east, and Juliet is the sun.

KETTLE:
The kettle sings, the kitchen fills with steam; naïve is he who counts the cups, 漢字 or no.

JULIET:
What's in a name? That which we call a rose by any other name would smell as sweet.
"""
LONGEST = 5000
MOST_S = 120.0  # for an answer, through all the deaths that it may take
_LOST = ("unavailable", "stopping")  # what a request may end with when its daemon does


class Writer(threading.Thread):
    """Writes until `leave` is set."""

    def __init__(
        self,
        name: str,
        rng: random.Random,
        models: list[str],
        checker: Checker,
        doing: Callable[[], str],
        ended: Callable[[], int],
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._rng = rng
        self._models = models
        self._checker = checker
        self._doing = doing  # what is done to the daemon
        self._ended = ended  # how many daemons were ended so far
        self._ended_before = 0  # the last answer
        self._made = time.monotonic()
        self._text = ""
        self._last = ""  # the ghost that can be accepted
        self._client: Client | None = None
        self.leave = threading.Event()
        self.answered = 0
        self.left = 0
        self.lost = 0
        self.waits: list[tuple[float, str]] = []  # for an answer, in seconds, and what was asked when
        self.waits_after: list[tuple[float, int]] = []  # the first since a daemon was ended; times lost
        self.problems: list[str] = []

    def run(self) -> None:
        """Edits and asks, edits and asks."""
        try:
            while not self.leave.is_set():
                self._edit()
                self._ask()
                if self._rng.random() < 0.02:
                    self._close()
        except Exception as error:  # a writer that has failed is what this is to find
            self.problems.append(f"{self.name}: {type(error).__name__}: {error}")
        finally:
            self._close()

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _edit(self) -> None:
        rng, text = self._rng, self._text
        kind, place = rng.random(), rng.randrange(len(text) + 1)
        start = rng.randrange(len(LINES))
        if kind < 0.55:
            text += LINES[start : start + rng.randrange(1, 4)]
        elif kind < 0.70:
            text += self._last
        elif kind < 0.80:
            text = text[: max(0, len(text) - rng.randrange(1, 80))]
        elif kind < 0.86:
            text = text[:place] + rng.choice(["word", " ", "\n", "🙂"]) + text[place:]
        elif kind < 0.90:
            text = text[:place] + text[place + rng.randrange(1, 30) :]
        elif kind < 0.94:
            text += (LINES * 20)[start : start + rng.randrange(20, 3000)]
        elif kind < 0.98:
            text = text[: rng.randrange(len(text) + 1)]
        else:
            text = ""
        self._text = text[:LONGEST]

    def _request(self) -> protocol.Complete:
        rng = self._rng
        text, offset = context_window.windowed(self._text)
        return protocol.Complete(
            seq=0,
            session=self.name,
            text=text,
            offset=offset,
            model=rng.choices(self._models, [20, 1])[0],
            max_chars=rng.randrange(1, 49),
            stop=rng.choice(["none", "line", "sentence"]),
            min_confidence=rng.choice([0.0, 0.0, 0.02, 0.3]),
            alternatives=rng.choice([1, 1, 1, 1, 3]),
        )

    def _ask(self) -> None:
        request = self._request()
        if self._rng.random() < 0.15:  # the next key comes before the answer, or the writer dies
            self._begin(request)
            self._edit()
            request = self._request()
        began, lost, during = time.monotonic(), 0, self._doing()
        while True:
            try:
                ghosts = self._answer(request)
                break
            except CharreplError as error:
                if error.code not in _LOST:
                    raise
                self.lost += 1
                lost += 1
                self._close()
                if time.monotonic() > began + MOST_S:
                    raise
        wait = time.monotonic() - began
        # Whoever asks while there is no daemon loses nothing, and waits for the next one too.
        before, self._ended_before = self._ended_before, self._ended()
        if lost or self._ended_before != before:
            self.waits_after.append((wait, lost))
        else:
            what = f"{len(self._text):,} characters, {request.alternatives} alternatives, {request.model}"
            at = f"{(began - self._made) / 60:.1f} min"
            self.waits.append((wait, f"at {at}: {what}; {during}, then {self._doing()}"))
        self.answered += 1
        self._last = ghosts[0][0]
        self._checker.put(Asked(self._text, request, ghosts))

    def _begin(self, request: protocol.Complete) -> None:
        """Asks, reads at most one piece, and leaves the rest."""
        try:
            next(self._connected().stream(request))
        except CharreplError as error:
            if error.code not in _LOST:
                raise
            self._close()
        self.left += 1
        if self._rng.random() < 0.3:
            self._close()

    def _answer(self, request: protocol.Complete) -> list[tuple[str, list[float]]]:
        pieces: dict[int, Any] = {}
        for reply in self._connected().stream(request):
            if not isinstance(reply, protocol.Ghost):
                raise RuntimeError(f"answered with {reply}")
            before = pieces.get(reply.alternative)
            if before is not None and not reply.text.startswith(before.text):
                raise RuntimeError("a piece does not extend the one before")
            pieces[reply.alternative] = reply
        return [
            (pieces[i].text, pieces[i].log_probs) if i in pieces else ("", [])
            for i in range(request.alternatives)
        ]

    def _connected(self) -> Client:
        if self._client is None:
            self._client = Client()
        return self._client
