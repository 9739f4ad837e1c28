"""What was needed for a while goes back to the system."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from charrepl_daemon.process import memory_trimming

MB = 1 << 20


@pytest.mark.parametrize(
    ("sizes", "trims"),
    [
        ([100, 110, 116], 0),  # little more than at the start
        ([100, 117, 100, 110], 1),
        ([100, 150, 140, 150, 157], 2),  # what stays is not given back in vain again
        ([100, 60, 77], 1),  # it is counted from the least there was
    ],
)
def test_memory_is_given_back_once_it_has_grown_much(monkeypatch, sizes, trims) -> None:
    left = iter(sizes)
    given_back = []

    def resident() -> int:
        size = next(left, None)
        if size is None:
            raise asyncio.CancelledError
        return size * MB

    monkeypatch.setattr(memory_trimming, "_LOOK_S", 0)
    monkeypatch.setattr(memory_trimming, "resident_bytes", resident)
    monkeypatch.setattr(memory_trimming, "give_back", lambda: given_back.append(True))
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(memory_trimming.keep_small())
    assert len(given_back) == trims
