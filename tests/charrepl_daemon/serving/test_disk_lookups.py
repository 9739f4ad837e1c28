"""Requests that wait for the disk: each is answered once, whenever it comes and however long a read takes."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from charrepl.errors import CharreplError
from charrepl.wire import protocol
from charrepl_daemon.serving.disk_lookups import Lookups, PendingRequest
from charrepl_daemon.sockets.network_guests import Peer

PEER = Peer(b"one")


class SlowCatalogue:
    """Finds a model called `n` after n turns of the event loop, and none that is called `no` n."""

    async def find(self, model: str) -> Path:
        for _ in range(int(model.removeprefix("no"))):
            await asyncio.sleep(0)
        if model.startswith("no"):
            raise CharreplError("no such model", code="no_model")
        return Path(model)


async def replies_to(steps: list[tuple[int, str, str]]) -> Counter[int]:
    """How many final replies each request gets; a step is turns to wait, a session and a model."""
    answered: Counter[int] = Counter()

    def guard(_peer, seq, work) -> None:
        try:
            work()
        except CharreplError:
            answered[seq()] += 1

    lookups = Lookups(
        SlowCatalogue(),
        data_dir=Path("data"),
        is_plain=lambda _peer, _request: True,
        check=lambda _peer, _request: None,
        guard=guard,
        go_on=lambda _peer, asked, _directory, _models: answered.update([asked.request.seq]),
        send=lambda _peer, reply: answered.update([reply.seq]),
    )
    for seq, (turns, session, model) in enumerate(steps):
        for _ in range(turns):
            await asyncio.sleep(0)
        request = protocol.Complete(seq=seq, session=session, text="a", model=model)
        lookups.begin(PEER, PendingRequest(request, None))
    async with asyncio.timeout(10):
        while lookups.waits(PEER):
            await asyncio.sleep(0)
    return answered


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from("st"), st.sampled_from(["0", "1", "3", "no0", "no2"])),
        max_size=12,
    )
)
@example([(0, "s", "0"), (1, "s", "3"), (0, "s", "3"), (2, "s", "0")])
def test_each_request_is_answered_once(steps):
    assert asyncio.run(replies_to(steps)) == dict.fromkeys(range(len(steps)), 1)
