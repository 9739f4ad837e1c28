"""Documents: the files a writer saves a text to and opens one from."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from charrepl import user_dirs
from charrepl.errors import CharreplError, reason

# All of Shakespeare is 5.5 MB; the journal keeps a copy.
MOST_BYTES = 8 << 20


def place(argument: str) -> Path:
    """The file that a person means. Raises CharreplError if it can be none."""
    if "\0" in argument:
        raise CharreplError("a file's name has no NUL character: give another")
    return user_dirs.expanded(argument).absolute()


def read(path: Path) -> str:
    """The text of a file. What is not UTF-8 stays as it is when the text is saved.

    Raises CharreplError if it cannot be read, or is longer than anything that is typed at.
    """
    try:
        # Not to wait for whoever writes to a pipe.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(file, "rb") as reading:  # noqa: PTH123
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise CharreplError(f"{path} is not a file: give a text file")
            data = reading.read(MOST_BYTES + 1)
    except OSError as error:
        raise CharreplError(f"cannot open {path}: {reason(error)}") from None
    if len(data) > MOST_BYTES:
        raise CharreplError(f"{path} is longer than {MOST_BYTES >> 20} MB: open a part of it")
    text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    return text.replace("\r\n", "\n")


def write(path: Path, text: str) -> None:
    """Saves a text, all or nothing. Raises CharreplError if it cannot be saved."""
    path = Path(os.path.realpath(path))  # what a link points to, not the link
    temporary = None
    try:
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o666 & ~_umask()
        file, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
        with open(file, "wb") as writing:  # noqa: PTH123
            writing.write(text.encode("utf-8", "surrogateescape"))
            writing.flush()
            os.fchmod(file, mode)
            os.fsync(file)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise CharreplError(f"cannot save {path}: {reason(error)}; /save another file") from None


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
