"""Documents: the files that a writer saves and opens."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import NamedTuple

from charrepl.errors import CharreplError, reason
from charrepl.files import saving

# All of Shakespeare is 5.5 MB; the journal keeps a copy.
MOST_BYTES = 8 << 20


class Document(NamedTuple):
    """A file as it was when it was last opened or saved."""

    path: str
    digest: str  # SHA-256 of its bytes
    line_end: str = "\n"
    mark: bool = False  # whether it begins with a byte order mark

    def data(self, text: str) -> bytes:
        """The bytes of a text in this file's format."""
        lines = text if self.line_end == "\n" else text.replace("\n", self.line_end)
        return ("\ufeff" * self.mark + lines).encode("utf-8", "surrogateescape")


def read(path: Path) -> tuple[str, Document]:
    """The text of a file, with Unix line ends, and the file's format.

    Raises CharreplError if it cannot be read as text, or is too long.
    """
    from charrepl.files.text_files import Source, decoded  # many sessions open nothing

    try:
        # Non-blocking, so that a pipe does not make us wait for its writer.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise CharreplError(f"{path} is not a file: give a text file")
            with open(file, "rb", closefd=False) as reading:
                data = reading.read(MOST_BYTES + 1)
        finally:
            os.close(file)
    except OSError as error:
        raise CharreplError(f"cannot open {path}: {reason(error)}") from None
    if len(data) > MOST_BYTES:
        raise CharreplError(f"{path} is longer than {MOST_BYTES >> 20} MB: open a part of it")
    text = "".join(decoded([data], Source(path), whole=True))
    return text, Document(str(path), _digest(data), _line_end(data), data.startswith(b"\xef\xbb\xbf"))


def _line_end(data: bytes) -> str:
    """How the lines of a file end. If they differ, how all will end from now on."""
    both, line_feeds, returns = data.count(b"\r\n"), data.count(b"\n"), data.count(b"\r")
    if both and both == line_feeds == returns:
        return "\r\n"
    return "\r" if returns and not line_feeds else "\n"


def write(path: Path, text: str, *, known: Document | None = None, over: bool = False) -> Document:
    """Saves a text in a new file, or in `known`, the writer's own. Returns what the file is like now.

    With `over`, it replaces any file, even a protected one. Raises CharreplError if the text cannot be saved,
    or if that would change or destroy a file that the writer does not mean. That file then stays as it was.
    """
    own = known is not None and Path(known.path) == path
    document = known if known is not None and own else Document(str(path), "")
    data = document.data(text)
    try:
        found = saving.look(path)
        if found is None:
            saving.create(path, data)
        else:
            if not over:
                _refuse(path, found, known if own else None, _digest(data))
            saving.overwrite(path, found, data, force=over)
    except FileExistsError:
        raise CharreplError(_THERE.format(path)) from None
    except OSError as error:
        raise CharreplError(f"cannot save {path}: {reason(error)}; /save another file") from None
    return document._replace(digest=_digest(data))


_THERE = "{0} exists already: /save! {0} overwrites it"


def _refuse(path: Path, found: os.stat_result, known: Document | None, new: str) -> None:
    """Raises CharreplError if a file is not the writer's own to write over, as far as we know."""
    if known is None:
        raise CharreplError(_THERE.format(path))
    if saving.is_protected(found):
        raise CharreplError(
            f"{path} is protected (mode {stat.S_IMODE(found.st_mode):04o}): /save! writes to it anyway"
        )
    with path.open("rb") as file:
        now = hashlib.file_digest(file, "sha256").hexdigest()
    if now not in (known.digest, new):
        raise CharreplError(
            f"{path} has changed since it was opened or saved here: /save! overwrites it, "
            "/save FILE keeps both"
        )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
