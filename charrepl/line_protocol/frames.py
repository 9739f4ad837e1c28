"""Frames: bytes up to a NUL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

END = b"\0"
SETTING = b"\x01"  # SOH, before each setting
ERROR = b"\x15"  # NAK, before what is wrong
MOST_BYTES = 1 << 17  # of a frame; the model reads far less


async def split(read: Callable[[], Awaitable[bytes]]) -> AsyncIterator[bytes | None]:
    """The frames of a stream, without their ends; None in the place of one that is too long.

    read: the next bytes, empty at the end. What comes after the last NUL is no frame.
    """
    begun = bytearray()
    too_long = False
    while data := await read():
        *ended, rest = data.split(END)
        for piece in ended:
            too_long |= len(begun) + len(piece) > MOST_BYTES
            yield None if too_long else bytes(begun + piece)
            begun.clear()
            too_long = False
        too_long |= len(begun) + len(rest) > MOST_BYTES
        if too_long:
            begun.clear()
        else:
            begun += rest
