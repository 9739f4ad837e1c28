"""A small JSON file in the data directory that several programs read and change."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from charrepl.files.file_lock import try_lock

T = TypeVar("T")

# A process that holds the lock longer is suspended. Going on without it costs one count at most.
_LOCK_S = 1.0


class StateFile(Generic[T]):
    """A file that holds a `kind`, or `kind()` where there is none or it is damaged."""

    def __init__(self, path: Path, kind: type[T], *, empty: Callable[[], T]) -> None:
        self.path = path
        self._decoder = msgspec.json.Decoder(kind)
        self._empty = empty
        self._seen: tuple[int, int, int] | None = None
        self._known = empty()

    def read(self) -> T:
        """What the file says. It is read again only when it has changed."""
        try:
            found = self.path.stat()
        except OSError:
            self._seen = None
            return self._empty()
        stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
        if stamp != self._seen:
            self._known, self._seen = self._parsed(), stamp
        return self._known

    def _parsed(self) -> T:
        try:
            return self._decoder.decode(self.path.read_bytes())
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._empty()

    def change(self, edit: Callable[[T], None]) -> None:
        """Lets `edit` change what the file says. Others see it as before or as after.

        Raises OSError if it cannot be written.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            value = self._parsed()
            edit(value)
            descriptor, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}-")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(msgspec.json.encode(value))
                Path(name).replace(self.path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        lock = os.open(
            self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            deadline = time.monotonic() + _LOCK_S
            while not try_lock(lock) and time.monotonic() < deadline:
                time.sleep(0.01)  # its holder is another process: there is no event to wait for
            yield
        finally:
            os.close(lock)
