"""What was needed for a while goes back to the system."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import subprocess
import sys

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


# In a process of its own, whose memory nothing else fills meanwhile.
GROWS = """if True:
    import asyncio, threading
    from charrepl_daemon.process import memory_trimming
    from charrepl_daemon.process.memory import resident_bytes

    kept = []

    def use():
        blocks = [bytes(1000) for _ in range(60_000)]
        kept.append(blocks[-1])  # at the arena's end, so that glibc by itself gives nothing back

    async def main():
        before = resident_bytes()
        trimming = asyncio.create_task(memory_trimming.keep_small())
        await asyncio.sleep(0)
        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        print(resident_bytes() - before > 40 << 20)
        while resident_bytes() > before + (20 << 20):
            await asyncio.sleep(0.01)
        trimming.cancel()

    memory_trimming._LOOK_S = 0.01
    asyncio.run(main())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what was freed")
def test_the_system_has_the_memory_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", GROWS], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
