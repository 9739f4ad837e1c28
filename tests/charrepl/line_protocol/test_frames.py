"""Streams in any pieces come to the same frames."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from charrepl.line_protocol import frames


def split(pieces: list[bytes]) -> list[bytes | None]:
    async def main() -> list[bytes | None]:
        rest = iter([*pieces, b""])

        async def read() -> bytes:
            return next(rest)

        return [frame async for frame in frames.split(read)]

    return asyncio.run(main())


@given(st.lists(st.lists(st.sampled_from(b"\0\x01ab"), min_size=1).map(bytes)))
def test_frames_are_what_ends_with_nul_in_whatever_pieces_it_comes(pieces: list[bytes]) -> None:
    assert split(pieces) == b"".join(pieces).split(b"\0")[:-1]


def test_a_frame_that_is_too_long_is_none_and_the_next_is_itself() -> None:
    most = frames.MOST_BYTES
    fits, too_long = b"x" * most, b"x" * (most + 1)
    assert split([fits, b"\0" + too_long, b"\0ab\0", too_long + b"\0", b"c\0"]) == [
        fits,
        None,
        b"ab",
        None,
        b"c",
    ]
