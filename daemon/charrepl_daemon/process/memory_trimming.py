"""Returns memory to the system that was needed only for a while: after floods, bursts, and long texts."""

from __future__ import annotations

import asyncio

from charrepl_daemon.process.memory import give_back, resident_bytes

_LOOK_S = 5.0
_GROWN_BYTES = 16 << 20  # growth since memory was last returned


async def keep_small() -> None:
    """Returns memory now and then, until cancelled.

    Many threads allocate, each from an arena of its own. glibc keeps all memory that is freed in an arena,
    except at the arena's end.
    """
    settled = resident_bytes()
    while True:
        await asyncio.sleep(_LOOK_S)
        resident = resident_bytes()
        if resident > settled + _GROWN_BYTES:
            await asyncio.to_thread(give_back)
            settled = resident_bytes()
        else:
            settled = min(settled, resident)
