"""Files that another program has made non-blocking, for all that share them: ssh, node.

A write that finds no room then fails, and what was to be written is lost: unless one waits and tries again.
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
    """Writes all of it, however long that takes. Raises OSError if it cannot be written."""
    left = memoryview(data).cast("B")
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            wait(descriptor, select.POLLOUT)


def wait(descriptor: int, for_what: int) -> None:
    """Returns once a descriptor may be read or written, or a second later."""
    poll = select.poll()
    poll.register(descriptor, for_what)
    with contextlib.suppress(OSError):
        poll.poll(1000)


class Writer(io.RawIOBase):
    """A descriptor as a file to write to: all is written, and what fails has the file's name in its error.

    Unless it `fails`, what cannot be written is dropped.
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
    """A stream to `raw` that is as another one is, or by the line if so asked."""
    unbuffered = getattr(stream, "write_through", False)  # as by python -u
    return io.TextIOWrapper(
        raw if unbuffered else io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=by_line or bool(stream.line_buffering),
        write_through=unbuffered,
    )
