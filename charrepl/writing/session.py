"""A writing session: the draft, its ghost, and the requests behind it. It touches no terminal.

A key changes only memory. Conversation with the daemon happens in separate tasks. At most one request for a
ghost is in progress: a newer text replaces it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING

from charrepl.errors import CharreplError, DaemonUnavailableError, defect
from charrepl.ghost.acceptance_counts import Tally
from charrepl.ghost.display_policy import (
    ASSERTIVENESS,
    MIN_CONFIDENCE,
    PAUSED,
    PAUSED_CONFIDENCE,
    Policy,
    cuts,
)
from charrepl.ghost.state import Ghost
from charrepl.settings import model_names
from charrepl.settings.settings import Settings
from charrepl.text import graphemes
from charrepl.writing.daemon_link import DaemonLink
from charrepl.writing.draft import Draft, Piece, whole_line
from charrepl.writing.surprise import Surprise

if TYPE_CHECKING:
    from charrepl.wire import protocol
    from charrepl.wire.protocol import Reply

# Replies slower than this are mentioned in the toolbar.
SLOW_S = 1.0
# After a busy daemon refused a request, how long we wait before we ask once more.
BUSY_S = 0.5
# After a line was added, how long we wait before we ask for its surprise, so that ghosts come first.
READING_S = 0.3
ALTERNATIVES = 4
# If you press no key for so long and see no ghost, you are shown an unsure one, except with `quiet`.
PAUSE_S = 1.0


class Session:
    """The text the model sees: the draft, and the line up to the cursor."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.link = DaemonLink(model=settings.model)
        self.link.changed = lambda: self.changed()
        self.link.regained = self.ask_again
        self.link.noticed = self.announce
        self.draft = Draft()
        self.ghost = Ghost()
        self.tally = Tally()
        self.surprise = Surprise(self.link)
        self.off = ""  # why ghosts are off, in one line; empty while they are on
        self.about_to_ask: Callable[[], None] = lambda: None  # called before each request for a ghost
        self.shown_when_asked = False  # whether ghosts are shown only when asked for
        self.notice = ""  # one line for the toolbar, until the text changes
        self.announcement = ""  # one line beside the greeting
        self.untouched = True  # until something is typed
        self.changed: Callable[[], None] = lambda: None  # called when there is something new to draw
        self._seed = int.from_bytes(os.urandom(4))
        self._request: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._force = False
        self._line = ""  # up to the cursor
        self._pausing: asyncio.TimerHandle | None = None
        self._unanswered_since: float | None = None
        self._asked_again: str | None = None  # the text that found the daemon busy
        self._counted: tuple[tuple[int, int], bool] | None = None  # the last counted ghost, if it was taken

    # What the keys do

    def line_changed(self, before_cursor: str | None) -> None:
        """Sets the line up to the cursor; None where no ghost belongs."""
        self._line = before_cursor or ""
        self._become(self.ghost.moved(None if before_cursor is None else self.draft.tail + before_cursor))
        if self._pausing is not None:
            self._pausing.cancel()
        if self._line.strip() and self.settings.assertiveness != "quiet" and not self.shown_when_asked:
            self._pausing = asyncio.get_running_loop().call_later(PAUSE_S, self._paused)

    def commit(self, line: str) -> Piece:
        """Adds a line to the draft, and returns the piece that it becomes."""
        piece = Piece(whole_line(line))
        self.add(piece)
        return piece

    def add(self, piece: Piece) -> None:
        """Adds a piece to the draft."""
        self.draft.add(piece)
        self._run(self._read_behind())

    def reopen(self, draft: Draft) -> None:
        """Continues another draft."""
        self.draft = draft
        self.surprise.forget()
        self.ghost = self.ghost.forget()

    def take(self, part: Callable[[str], str]) -> str:
        """Counts the part of the ghost that a key accepts. Returns it, to be inserted at the cursor."""
        piece = part(self.ghost.shown)
        which = self.ghost.part
        if piece and which is not None:
            self.tally.keys += 1
            self.tally.accepted += len(piece)
            if self._counted == (which, False):
                self._counted = (which, True)
                self.tally.taken += 1
        return piece

    def count_shown(self) -> None:
        """Counts the ghost as shown, but only once."""
        which = self.ghost.part
        if which is not None and (self._counted is None or self._counted[0] != which):
            self._counted = (which, False)
            self.tally.shown += 1

    def dismiss(self) -> None:
        """Hides the ghost."""
        self._become(self.ghost.dismiss())

    def choose(self, by: int) -> None:
        """Shows the next alternative, or an earlier one. The first time, asks the daemon for them."""
        if self.off:
            self.tell(self.off)
            return
        before = self.ghost.seq
        self._become(self.ghost.choose(by, count=ALTERNATIVES))
        if self.ghost.seq != before:
            self._ask(self._follow_choice(self.ghost.text or "", self.ghost.seq))
        self.changed()

    def apply(self, settings: Settings) -> None:
        """Changes the settings. Earlier answers no longer count."""
        if settings.model != self.settings.model:
            self.link.model = model_names.absolute(settings.model)
            self.surprise.forget()
        self.settings = settings
        self._become(self.ghost.forget())

    def switch(self, off: str) -> None:
        """Shows no ghosts from now on and says why, or shows them again if `off` is empty."""
        if off != self.off:
            self.off = off
            self._become(self.ghost.forget())
            self.changed()

    @property
    def prepared(self) -> bool:
        """Whether a ghost could be there at once."""
        return self.link.prepared and not self.off

    @property
    def condition(self) -> str:
        """Why there are no ghosts, or the daemon's state in a few words."""
        return self.off or self.link.condition

    @property
    def waiting_s(self) -> float:
        """How long the oldest question to the daemon has been without an answer."""
        if self._unanswered_since is None:
            return 0.0
        return asyncio.get_running_loop().time() - self._unanswered_since

    async def settled(self) -> None:
        """Returns when the daemon has answered the request for the text, if there is one."""
        while self._scheduled:
            await asyncio.sleep(0)
        while self._request is not None and not self._request.done():
            await asyncio.wait([self._request])

    def tell(self, notice: str) -> None:
        """Puts one line in the toolbar until the text changes."""
        self.notice = notice
        self.changed()

    def announce(self, notice: str) -> None:
        """Shows one line beside the greeting, or in the toolbar if something was typed already."""
        if self.untouched:
            self.announcement = notice
            self.changed()
        else:
            self.tell(notice)

    # What takes longer

    async def connect(self, endpoint: str | None) -> None:
        """Keeps a connection to the daemon until cancelled."""
        try:
            await self.link.keep(endpoint)
        except CharreplError as error:
            self.tell(str(error))

    def close(self) -> None:
        """Ends the requests in progress."""
        for task in (self._request, self._pausing, *self._background):
            if task is not None:
                task.cancel()

    def write(self, typed: str, *, most: int, kept: bool) -> AsyncIterator[str]:
        """Pieces of what the model writes after the draft and a line.

        Raises CharreplError if the daemon answers with an error.
        """
        from charrepl.writing import continuation

        return continuation.write(
            self.link,
            self.draft.tail + typed,
            self.draft.base,
            most=most,
            temperature=self.settings.temperature,
            seed=int.from_bytes(os.urandom(4)),  # different each time
            part="" if kept else "-sample",  # a passage that is only shown does not replace ghosts
        )

    async def next_characters(self) -> list[tuple[str, float]]:
        """The likeliest characters after the draft, and the log-probability of each in nats.

        Raises CharreplError if the daemon answers with an error.
        """
        from charrepl.wire import protocol

        found: dict[int, tuple[str, float]] = {}
        # In the ghosts' session, for which the text was read already. A key typed meanwhile replaces it.
        for _ in range(3):
            async for reply in self.link.complete(
                self.draft.tail,
                self.draft.base,
                max_chars=1,
                stop="none",
                alternatives=8,
                adapt=self.settings.adapt,
            ):
                if isinstance(reply, protocol.Ghost) and reply.text and reply.log_probs:
                    found[reply.alternative] = (reply.text[0], reply.log_probs[0])
            if found:
                break
        self.ask_again()  # for the ghost it may have replaced
        return [found[rank] for rank in sorted(found)]

    async def _read_behind(self) -> None:
        """Measures the surprise of what was added, after the requests for ghosts."""
        await asyncio.sleep(READING_S)
        try:
            await self.surprise.read(self.draft)
        except CharreplError:
            return  # then a number is missing in the toolbar
        self.changed()

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # Requests for ghosts

    def ask_again(self) -> None:
        """Asks for the text's ghost, even if that was asked for already."""
        # The text is the truth: after a reconnection, asking for it again is enough.
        self._force = True
        self._schedule()

    def _schedule(self) -> None:
        """Decides at the end of this turn of the loop whether to ask, so that a paste is one request."""
        if not self._scheduled and self.link.connection is not None:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._ask_if_wanted)

    def _ask_if_wanted(self) -> None:
        self._scheduled = False
        if self.ghost.text is None or not (self._force or self.ghost.wanted):
            return
        self.about_to_ask()
        if self.off:
            return
        if not self.link.ready:
            self.link.wake()
            return
        self._force = False
        self.ghost = self.ghost.ask()
        policy = ASSERTIVENESS[self.settings.assertiveness]
        self._ask(self._follow(self.ghost.text or "", self.ghost.seq, policy, MIN_CONFIDENCE))

    def _paused(self) -> None:
        """Asks for a less likely ghost: you are not typing, so it cannot distract you."""
        ghost = self.ghost
        if (
            ghost.text is None
            or ghost.shown
            or ghost.dismissed
            or ghost.waiting
            or self.off
            or not self.link.ready
        ):
            return
        self.ghost = ghost.ask()
        self._ask(self._follow(ghost.text, self.ghost.seq, PAUSED, PAUSED_CONFIDENCE))

    def _ask(self, follow: Coroutine[None, None, None]) -> None:
        if self._request is not None:
            self._request.cancel()
        self._request = asyncio.get_running_loop().create_task(follow)

    async def _follow(self, text: str, seq: int, policy: Policy, min_confidence: float) -> None:
        from charrepl.wire import protocol

        def take(reply: Reply) -> None:
            if isinstance(reply, protocol.Ghost) and reply.alternative == 0:
                ghost, log_probs = _seen(reply)
                parts = cuts(ghost, log_probs, policy, final=reply.final)
                self._become(self.ghost.answered(seq, ghost, log_probs, cuts=parts, final=reply.final))

        settings = self.settings
        replies = self.link.complete(
            text,
            self.draft.base,
            min_confidence=min_confidence,
            temperature=settings.temperature,
            seed=self._seed,
            adapt=settings.adapt,
        )
        await self._listen(replies, take, text, seq)

    async def _follow_choice(self, text: str, seq: int) -> None:
        from charrepl.wire import protocol

        def take(reply: Reply) -> None:
            if isinstance(reply, protocol.Ghost):
                ghost, log_probs = _seen(reply)
                self._become(self.ghost.offered(seq, reply.alternative, ghost, log_probs, final=reply.final))
                self.changed()  # perhaps not the ghost, but how many alternatives there are

        adapt = self.settings.adapt
        replies = self.link.complete(text, self.draft.base, alternatives=ALTERNATIVES, adapt=adapt)
        await self._listen(replies, take, text, seq)

    async def _listen(
        self, replies: AsyncIterator[Reply], take: Callable[[Reply], None], text: str, seq: int
    ) -> None:
        """Receives and times the replies. Any failure costs only this ghost, and the toolbar says so."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        if self._unanswered_since is None:
            self._unanswered_since = started
        late = loop.call_later(SLOW_S, self.changed)
        first = True
        try:
            async for reply in replies:
                if first:
                    first = False
                    self._unanswered_since = self._asked_again = None
                    self.tally.latencies_ms.append((loop.time() - started) * 1000)
                    late.cancel()
                take(reply)
        except DaemonUnavailableError:
            # The toolbar says so. When there is a daemon again, we ask again.
            self._unanswered_since = None
        except CharreplError as error:
            self._unanswered_since = None
            if error.code == "busy" and self._asked_again != text:
                self._asked_again = text
                self._run(self._ask_when_less_busy(text))
            else:
                self.tell(str(error))
        except Exception as error:  # a defect may cost a ghost, but not the text being written
            self.tell(f"no ghost: {defect(error)}")
        finally:
            late.cancel()
            self.ghost = self.ghost.failed(seq)  # without effect after a final reply

    async def _ask_when_less_busy(self, text: str) -> None:
        await asyncio.sleep(BUSY_S)
        if self.ghost.text == text and not self.ghost.waiting:
            self.ask_again()

    def _become(self, ghost: Ghost) -> None:
        before, self.ghost = self.ghost, ghost
        if not self.shown_when_asked:
            self.count_shown()
        if ghost.shown != before.shown:
            self.changed()
        self._schedule()


def _seen(reply: protocol.Ghost) -> tuple[str, tuple[float, ...]]:
    """The part of a ghost that can be shown, and its log-probabilities. It ends between grapheme clusters."""
    text = reply.text if reply.final else graphemes.finished(reply.text)
    return text, tuple(reply.log_probs[: len(text)])
