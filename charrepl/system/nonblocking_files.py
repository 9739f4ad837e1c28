"""Files that another program, such as ssh or node, has made non-blocking for all who share them.

A write to a full pipe then fails instead of waiting, and the data is lost. So we wait and try again.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

    from _typeshed import ReadableBuffer as Buffer


def write_all(descriptor: int, data: Buffer) -> None:
    """Writes all data, however long that takes. Raises OSError if it cannot be written."""
    left = memoryview(data).cast("B")
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            wait(descriptor, select.POLLOUT)


def wait(descriptor: int, for_what: int) -> None:
    """Returns when a descriptor can be read or written, but after a second at most."""
    poll = select.poll()
    poll.register(descriptor, for_what)
    with contextlib.suppress(OSError):
        poll.poll(1000)


class Writer(io.RawIOBase):
    """A descriptor as a file to write to. Everything is written, and errors contain the file's name.

    Without `fails`, data that cannot be written is dropped.
    """

    def __init__(self, descriptor: int, name: str, *, fails: bool = True, closes: bool = False) -> None:
        self.name = name
        self._fails = fails
        self._descriptor = descriptor
        self._closes = closes

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: Buffer, /) -> int:
        try:
            write_all(self._descriptor, data)
        except OSError as error:
            if self._fails:
                raise OSError(error.errno, error.strerror, self.name) from None
        return memoryview(data).nbytes

    def close(self) -> None:
        if self._closes and not self.closed:
            os.close(self._descriptor)
        super().close()


def patient(stream: TextIO, raw: Writer, *, by_line: bool = False) -> io.TextIOWrapper:
    """A stream to `raw` with the properties of another stream, or with line buffering if asked for."""
    unbuffered = getattr(stream, "write_through", False)  # as with python -u
    return io.TextIOWrapper(
        raw if unbuffered else io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=by_line or bool(stream.line_buffering),
        write_through=unbuffered,
    )
