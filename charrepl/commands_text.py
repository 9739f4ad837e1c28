"""Commands about the text: samples, undo, files."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from charrepl import documents, pasted_paths
from charrepl.draft import Draft, last_lines, split
from charrepl.errors import CharreplError

if TYPE_CHECKING:
    from charrepl.commands import Desk

SAMPLE_CHARS = 200
MOST_SAMPLE_CHARS = 100_000
# Of a text that was opened: enough to know where it stands.
SHOWN_LINES = 8
# What a text ends with and no newline is typed on in the line, unless it is a file of one line.
MOST_LINE_CHARS = 2000
# Of a line that was taken back.
SHOWN_CHARS = 50


def count(argument: str, *, default: int, most: int, usage: str) -> int:
    """The number that an argument says. Raises CharreplError if it is none from 1 to `most`."""
    if not argument:
        return default
    if not argument.isdecimal() or not 1 <= int(argument[:20]) <= most:
        raise CharreplError(f"{usage} {argument}: expected a whole number from 1 to {most:,}")
    return int(argument)


def sample(argument: str, desk: Desk) -> None:
    """Shows a passage that is not added to the text."""
    desk.page.sample(count(argument, default=SAMPLE_CHARS, most=MOST_SAMPLE_CHARS, usage="/sample"))


def undo(argument: str, desk: Desk) -> None:
    """Takes the last piece of the text back: what was typed of it is in the line again."""
    text = desk.page.undo()
    if text is None:
        raise CharreplError("there is no line or passage of this session to take back")
    first, *others = text.removesuffix("\n").split("\n")
    first = first if len(first) <= SHOWN_CHARS else first[: SHOWN_CHARS - 1] + "…"
    desk.say(f"took back {first}" + (f" and {len(others)} more lines" if others else ""))


def save(argument: str, desk: Desk) -> None:
    """Saves the text, in a file that is not there yet or is its own."""
    _save(argument, desk, over=False)


def save_over(argument: str, desk: Desk) -> None:
    """Saves the text, whatever was in the file."""
    _save(argument, desk, over=True)


def _save(argument: str, desk: Desk, *, over: bool) -> None:
    draft = desk.session.draft
    if argument:
        path = pasted_paths.meant(argument)
    elif draft.file is not None:
        path = Path(draft.file.path)
    else:
        raise CharreplError("/save FILE: say where; later /save alone will do")
    desk.background(_write(path, draft, draft.text, desk, over=over), to_its_end=True)


async def _write(path: Path, draft: Draft, text: str, desk: Desk, *, over: bool) -> None:
    async with desk.saving:  # the one before tells what the file is like
        try:
            draft.file = await asyncio.to_thread(documents.write, path, text, known=draft.file, over=over)
        except CharreplError as error:
            desk.say(str(error))
            return
    draft.saved = text
    if desk.session.draft is draft:
        desk.autosave.saved()
    desk.say(f"saved {len(text):,} characters in {path}")


def open_file(argument: str, desk: Desk) -> None:
    """Goes on with the text of a file; refuses where that would leave an unsaved one."""
    if desk.session.draft.unsaved:
        fix = f"/save FILE first, or /open! {argument or 'FILE'} to leave it"
        raise CharreplError(f"the text so far is not saved: {fix}")
    open_anyway(argument, desk)


def open_anyway(argument: str, desk: Desk) -> None:
    """Goes on with the text of a file; an unsaved one is left to its journal."""
    if not argument:
        raise CharreplError("/open FILE: say which")
    desk.background(_read(pasted_paths.meant(argument), desk))


async def _read(path: Path, desk: Desk) -> None:
    before = desk.session.draft
    at_first = before.text
    try:
        text, file = await asyncio.to_thread(documents.read, path)
    except CharreplError as error:
        desk.say(str(error))
        return
    if desk.session.draft is not before or before.text != at_first or desk.page.writer.passage is not None:
        desk.say("the text has changed meanwhile: /open the file again")
        return
    lines, rest = split(text)
    if len(rest) > MOST_LINE_CHARS:
        lines, rest = lines + rest, ""
    left = desk.autosave.place if before.unsaved else None
    desk.page.open(Draft(lines, saved=lines, file=file), rest)
    if left is not None:
        desk.say(f"the text before is kept in {left}")
    desk.say(opened(lines, f"{path}: {len(lines + rest):,} characters"))


def opened(text: str, what: str) -> str:
    """The end of a text that was opened, and what it is."""
    end = last_lines(text, SHOWN_LINES).removesuffix("\n")
    between = "\n…\n" if len(end) + 1 < len(text) else "\n"
    return f"{what}{between}{end}" if end else what
