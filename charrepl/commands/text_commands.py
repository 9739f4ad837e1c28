"""Commands about the text: samples, undo, files."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from charrepl.errors import CharreplError
from charrepl.files import documents, pasted_paths
from charrepl.writing.draft import Draft, last_lines, split

if TYPE_CHECKING:
    from charrepl.commands.command_host import CommandHost

SAMPLE_CHARS = 200
MOST_SAMPLE_CHARS = 100_000
# Lines that are shown of an opened text: enough to see where it ends.
SHOWN_LINES = 8
# If a text's last line has no newline and no more than this, it becomes the line being typed, except in a
# file of one line.
MOST_LINE_CHARS = 2000
# Characters that are shown of a line that was taken back.
SHOWN_CHARS = 50


def count(argument: str, *, default: int, most: int, usage: str) -> int:
    """The number in an argument. Raises CharreplError if it is not a whole number from 1 to `most`."""
    if not argument:
        return default
    if not argument.isdecimal() or not 1 <= int(argument[:20]) <= most:
        raise CharreplError(f"{usage} {argument}: expected a whole number from 1 to {most:,}")
    return int(argument)


def sample(argument: str, host: CommandHost) -> None:
    """Shows a passage that is not added to the text."""
    host.page.sample(count(argument, default=SAMPLE_CHARS, most=MOST_SAMPLE_CHARS, usage="/sample"))


def undo(argument: str, host: CommandHost) -> None:
    """Takes the last piece of the text back. What you typed of it is in the line again."""
    text = host.page.undo()
    if text is None:
        raise CharreplError("there is no line or passage of this session to take back")
    first, *others = text.removesuffix("\n").split("\n")
    first = first if len(first) <= SHOWN_CHARS else first[: SHOWN_CHARS - 1] + "…"
    host.say(f"took back {first}" + (f" and {len(others)} more lines" if others else ""))


def save(argument: str, host: CommandHost) -> None:
    """Saves the text in a new file, or in the file that it came from."""
    _save(argument, host, over=False)


def save_over(argument: str, host: CommandHost) -> None:
    """Saves the text, even over another file."""
    _save(argument, host, over=True)


def _save(argument: str, host: CommandHost, *, over: bool) -> None:
    draft = host.session.draft
    if argument:
        path = pasted_paths.meant(argument)
    elif draft.file is not None:
        path = Path(draft.file.path)
    else:
        raise CharreplError("/save FILE: say where; after that, /save is enough")
    host.background(_write(path, draft, draft.text, host, over=over), to_its_end=True)


async def _write(path: Path, draft: Draft, text: str, host: CommandHost, *, over: bool) -> None:
    async with host.saving:  # the save before this one says what the file is like now
        try:
            draft.file = await asyncio.to_thread(documents.write, path, text, known=draft.file, over=over)
        except CharreplError as error:
            host.say(str(error))
            return
    draft.saved = text
    if host.session.draft is draft:
        host.autosave.saved()
    host.say(f"saved {len(text):,} characters in {path}")


def open_file(argument: str, host: CommandHost) -> None:
    """Continues a file's text. Refuses if the text so far is not saved."""
    if host.session.draft.unsaved:
        fix = f"/save FILE first, or /open! {argument or 'FILE'} to leave it"
        raise CharreplError(f"the text so far is not saved: {fix}")
    open_anyway(argument, host)


def open_anyway(argument: str, host: CommandHost) -> None:
    """Continues a file's text. An unsaved text stays in its journal."""
    if not argument:
        raise CharreplError("/open FILE: say which")
    host.background(_read(pasted_paths.meant(argument), host))


async def _read(path: Path, host: CommandHost) -> None:
    before = host.session.draft
    at_first = before.text
    try:
        text, file = await asyncio.to_thread(documents.read, path)
    except CharreplError as error:
        host.say(str(error))
        return
    if host.session.draft is not before or before.text != at_first or host.page.is_written_on:
        host.say("the text has changed meanwhile: /open the file again")
        return
    lines, rest = split(text)
    if len(rest) > MOST_LINE_CHARS:
        lines, rest = lines + rest, ""
    left = host.autosave.place if before.unsaved else None
    host.page.open(Draft(lines, saved=lines, file=file), rest)
    if left is not None:
        host.say(f"the previous text is kept in {left}")
    host.say(opened(lines, f"{path}: {len(lines + rest):,} characters"))


def opened(text: str, what: str) -> str:
    """The end of an opened text, and a line that says what it is."""
    end = last_lines(text, SHOWN_LINES).removesuffix("\n")
    between = "\n…\n" if len(end) + 1 < len(text) else "\n"
    return f"{what}{between}{end}" if end else what
