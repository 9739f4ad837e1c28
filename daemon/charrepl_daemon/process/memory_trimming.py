"""Returns memory to the system that was needed only for a while: after floods, bursts, and long texts."""

from __future__ import annotations

import asyncio

from charrepl_daemon.process.memory import give_back, resident_bytes

_LOOK_S = 5.0
_GROWN_BYTES = 16 << 20
_MOST_LOOKS = 12  # from one attempt to the next, while memory that has grown stays in use


async def keep_small() -> None:
    """Returns memory now and then, until cancelled.

    Many threads allocate, each from an arena of its own. glibc keeps all memory that is freed in an arena,
    except at the arena's end. What is in use at the first attempt may be free at a later one, and the system
    does not tell: so attempts go on, at longer and longer intervals, until it is as small as it once was.
    """
    least = settled = resident_bytes()
    looks = pause = 1
    while True:
        await asyncio.sleep(_LOOK_S)
        resident = resident_bytes()
        looks -= 1
        if resident > settled + _GROWN_BYTES:  # than it was after the last attempt
            pause = 1
        elif resident <= least + _GROWN_BYTES or looks > 0:
            settled = min(settled, resident)
            least = min(least, resident)
            continue
        await asyncio.to_thread(give_back)
        settled = resident_bytes()
        least = min(least, settled)
        looks, pause = pause, min(2 * pause, _MOST_LOOKS)
