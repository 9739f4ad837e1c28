"""What a command may use. It is the same for both kinds of prompt."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Protocol

from prompt_toolkit.formatted_text import StyleAndTextTuples

from charrepl.settings.settings import Settings
from charrepl.writing.autosave import Autosave
from charrepl.writing.draft import Draft
from charrepl.writing.session import Session


class Text(Protocol):
    """The text being written: the line at the prompt, and the text before it."""

    @property
    def is_written_on(self) -> bool:
        """Whether the model is writing a passage."""

    def sample(self, characters: int) -> None:
        """Lets the model write a passage that is shown but not added to the text."""

    def undo(self) -> str | None:
        """Takes back what was added last, and returns it; None if there is nothing."""

    def open(self, draft: Draft, line: str) -> None:
        """Continues another text. `line` is the unfinished line at its end."""


class CommandHost(Protocol):
    """The session in which a command runs, and what the command can do there."""

    session: Session
    autosave: Autosave
    plain: bool  # whether there are lines only
    saving: asyncio.Lock  # held while a file is written

    @property
    def page(self) -> Text: ...
    def say(self, text: str) -> None: ...
    def show(self, fragments: StyleAndTextTuples) -> None: ...
    def columns(self) -> int: ...
    def apply(self, settings: Settings) -> None: ...
    def background(self, work: Coroutine[None, None, None], *, to_its_end: bool = False) -> None: ...
    def quit(self) -> None: ...
