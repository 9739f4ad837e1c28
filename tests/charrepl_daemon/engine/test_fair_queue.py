"""Who is next: everybody once, and then again, however much one of them asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl_daemon.engine.fair_queue import FairQueue, RoundRobin

ITEMS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=30)


@given(ITEMS)
def test_nobody_waits_for_more_than_one_item_of_each_other(items):
    queue: FairQueue[tuple[str, int]] = FairQueue()
    for item in items:
        queue.put(item[0], item)
    taken = [queue.take() for _ in range(len(queue))]
    assert len(queue) == 0
    for who in "abc":
        assert [item for item in taken if item[0] == who] == [item for item in items if item[0] == who]
        places = [n for n, item in enumerate(taken) if item[0] == who]
        for nth, place in enumerate(places):
            before = [item[0] for item in taken[:place]]
            assert all(before.count(other) <= nth + 1 for other in "abc")


def test_what_is_not_wanted_any_more_is_dropped_and_the_others_of_its_asker_stay():
    queue: FairQueue[int] = FairQueue()
    for n in range(6):
        queue.put(n % 2, n)
    queue.keep(0, lambda n: n == 2)
    queue.keep(1, lambda n: False)
    queue.keep(2, lambda n: False)
    assert [queue.take() for _ in range(len(queue))] == [2]
    with pytest.raises(KeyError):
        queue.take()


def test_who_was_served_longest_ago_comes_first_and_who_has_nothing_yet_before_those_who_have():
    turns = RoundRobin()
    items = [("a", n) for n in range(9)] + [("b", 0), ("c", 0)]

    def order(later=lambda item: False):
        return [item[0] + str(item[1]) for item in turns.order(items, lambda item: item[0], later)]

    assert order()[:4] == ["a0", "b0", "c0", "a1"]
    turns.served(["a", "b"])
    assert order()[:4] == ["c0", "a0", "b0", "a1"]
    turns.served(["c"])
    assert order(lambda item: item in items[:4])[:4] == ["a4", "b0", "c0", "a5"]
