"""A journal: a session's text on the disk, as the changes that made it. It is only appended to.

Each line is a JSON object. A line that a crash or a full disk cut short is skipped. After a failure, the
next record contains everything again. Each session has a file of its own and locks it while it lives, so
that sessions cannot touch one another's files.

    {"all": [opened, [[typed, written], ...]], "line": "...", "file": ..., "saved": ...}   everything
    {"add": [typed, written], "line": "..."}                    a piece was added; then the line was this
    {"undo": 1, "line": "..."}                                  the last piece was taken back; then the line
    {"edit": [kept, kept_at_the_end, "inserted"]}               the line being typed was changed
    {"file": [path, digest, line end, mark], "saved": n}        the first n characters are in a file
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from pathlib import Path
from typing import Any, NamedTuple

from charrepl.errors import CharreplError
from charrepl.files.documents import Document
from charrepl.files.file_lock import try_lock
from charrepl.system import paths
from charrepl.writing.draft import Draft, Piece

KEPT = 20  # sessions; older ones are removed unless they are open

_NAME = re.compile(r"\d{8}-\d{6}-\d+-[0-9a-f]{6}\.jsonl")

Record = dict[str, Any]


class State(NamedTuple):
    """What a journal contains: the text, and the line being typed."""

    draft: Draft
    line: str = ""


def everything(state: State) -> Record:
    """The record of a complete state."""
    draft = state.draft
    pieces = [list(piece) for piece in draft.pieces]
    return {"all": [draft.opened, pieces], "line": state.line, **filed(draft)}


def filed(draft: Draft) -> Record:
    """The record of the file in which a draft is saved; empty for none."""
    if draft.file is None:
        return {}
    saved = len(draft.saved) if draft.text.startswith(draft.saved) else 0
    return {"file": list(draft.file), "saved": saved}


def edited(before: str, after: str) -> Record:
    """The record of a change of the line, as short as the change is."""
    most = min(len(before), len(after))
    head = _largest(most, lambda n: before[:n] == after[:n])
    tail = _largest(most - head, lambda n: before[len(before) - n :] == after[len(after) - n :])
    return {"edit": [head, tail, after[head : len(after) - tail]]}


def _largest(most: int, holds: Any) -> int:
    """The largest number up to `most` for which a condition holds, if it holds for every smaller number."""
    low = 0
    while low < most:
        middle = (low + most + 1) // 2
        low, most = (middle, most) if holds(middle) else (low, middle - 1)
    return low


def replay(data: bytes) -> State:
    """The state that a journal's records lead to."""
    draft, line = Draft(), ""
    for source in data.split(b"\n"):
        try:
            record = json.loads(source) if source else {}
            if "all" in record:
                opened, pieces = record["all"]
                draft, line = Draft(opened, [Piece(*piece) for piece in pieces]), record["line"]
            elif "add" in record:
                draft.add(Piece(*record["add"]))
                line = record.get("line", "")
            elif "undo" in record:
                draft.undo()
                line = record.get("line", "")
            elif "edit" in record:
                head, tail, inserted = record["edit"]
                line = line[:head] + inserted + line[len(line) - tail :]
            if "file" in record:
                draft.file = Document(*record["file"])
                draft.saved = draft.text[: record["saved"]]
        except (ValueError, TypeError, KeyError):
            continue  # cut short
    return State(draft, line)


class Journal:
    """An open journal. Every method may raise OSError."""

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self._file = file

    @classmethod
    def create(cls, directory: Path) -> Journal:
        """A new journal. Removes old ones beyond `KEPT`. Raises CharreplError if others could read them."""
        paths.private_dir(directory)
        _prune(directory)
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{os.urandom(3).hex()}.jsonl"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        file = os.open(directory / name, flags, 0o600)
        try_lock(file)
        return cls(directory / name, file)

    def append(self, record: Record, *, sync: bool) -> None:
        """Adds a record. With `sync`, returns only when it would survive a power failure."""
        data = json.dumps(record).encode() + b"\n"
        while data:
            data = data[os.write(self._file, data) :]
        if sync:
            os.fsync(self._file)

    def mend(self) -> None:
        """Ends a line that was cut short, so that it is skipped."""
        os.write(self._file, b"\n")

    def close(self, *, remove: bool = False) -> None:
        """Closes the file. Use `remove` if nothing in it is worth keeping."""
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(self._file)


class Reopened(NamedTuple):
    """A journal to continue, what it contains, and whether a newer one is open elsewhere."""

    journal: Journal
    state: State
    newer_in_use: bool


def reopen(directory: Path) -> Reopened:
    """The newest journal that is not empty and not open elsewhere.

    Raises CharreplError if there is none, or if other users could read the journals.
    """
    paths.check_private(directory)
    in_use = False
    for path in _newest_first(directory):
        try:
            file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        if not try_lock(file):
            os.close(file)
            in_use = True
            continue
        with open(file, "rb", closefd=False) as reading:
            data = reading.read()
        state = replay(data)
        if (state.draft.text or state.line) and os.fstat(file).st_nlink:  # not just removed
            journal = Journal(path, file)
            if not data.endswith(b"\n"):
                journal.mend()
            return Reopened(journal, state, in_use)
        os.close(file)
    what = "the only text is open in another charrepl" if in_use else "there is no text to continue"
    raise CharreplError(f"{what}: start one with charrepl")


def _newest_first(directory: Path) -> list[Path]:
    """The journals in a directory. Files with other names are not journals."""
    found = []
    with contextlib.suppress(OSError):
        for path in directory.iterdir():
            with contextlib.suppress(OSError):
                if _NAME.fullmatch(path.name):
                    found.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(found, reverse=True)]


def _prune(directory: Path) -> None:
    for path in _newest_first(directory)[KEPT - 1 :]:
        with contextlib.suppress(OSError):
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                if try_lock(file):
                    path.unlink()
            finally:
                os.close(file)
