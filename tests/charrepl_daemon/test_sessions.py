"""The cache of carries, as a state machine: whatever happens to it, a slot holds what it says."""

from __future__ import annotations

import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrepl.errors import CharreplError
from charrepl_daemon.sessions import RECENT, RESERVED_SLOTS, SCRATCH_SLOT, SPARSE, ZERO_SLOT, CarryCache

SMALLEST = RESERVED_SLOTS + 4 * RECENT


class Store:
    """Stands for the device: which text each slot's carry is of, as `Engine` would leave it."""

    def __init__(self, slots: int = SMALLEST) -> None:
        self.cache = CarryCache(slots)
        self.texts: dict[int, tuple[int, ...]] = {ZERO_SLOT: ()}

    def ask(self, key: str, tokens: list[int]) -> int:
        """Reads a text as the engine does; how many tokens had to be fed."""
        plan = self.cache.plan(key, tokens)
        assert self.texts[plan.read] == tuple(tokens[: plan.known])
        assert len(plan.writes) == len(tokens) - plan.known
        assert ZERO_SLOT not in plan.writes
        for i, slot in enumerate(plan.writes, plan.known + 1):
            self.texts[slot] = tuple(tokens[:i])
        if tokens and plan.writes:
            assert plan.writes[-1] != SCRATCH_SLOT  # the text itself is always kept
        self.last = plan
        return len(plan.writes)

    def decode(self, key: str, tokens: list[int], ghost: list[int], spare: int = 2) -> None:
        """Writes a ghost after the text last asked for, some of its slots unused."""
        slots = self.cache.take_free(len(ghost) + spare, {self.last.read})
        for i, slot in enumerate(slots[: len(ghost)], 1):
            self.texts[slot] = (*tokens, *ghost[:i])
        self.cache.extend(key, self.last.node, ghost, slots)


texts = st.lists(st.integers(0, 2), max_size=90)
edits = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 90), texts, texts), min_size=1, max_size=25
)


@settings(deadline=None, max_examples=150)
@given(edits)
def test_a_slot_always_holds_the_carry_of_the_text_it_is_found_by(edits):
    store, current = Store(), {}
    for key, cut, typed, ghost in edits:
        tokens = current.get(key, [])[:cut] + typed
        current[key] = tokens
        store.ask(key, tokens)
        store.decode(key, tokens, ghost)
        cache = store.cache
        assert cache.used + len(cache._free) == SMALLEST - RESERVED_SLOTS
        assert all(node.slot == slot for slot, node in cache._used.items())
        assert not cache._pinned


@settings(deadline=None, max_examples=50)
@given(edits)
def test_forgetting_every_session_frees_every_slot(edits):
    store = Store()
    for key, _, typed, ghost in edits:
        store.ask(key, typed)
        store.decode(key, typed, ghost)
    store.cache.clear()
    assert store.cache.used == 0
    assert len(store.cache._free) == SMALLEST - RESERVED_SLOTS


def test_typing_on_feeds_one_character():
    store, text = Store(), []
    for i in range(300):
        text.append(i % 7)
        assert store.ask("a", text) == 1


def test_going_back_over_recent_characters_is_a_lookup():
    store = Store(1000)
    text = [i % 7 for i in range(500)]
    store.ask("a", text)
    for back in range(1, RECENT):
        assert store.ask("a", text[:-back]) == 0


@pytest.mark.parametrize("place", [0, 1, 31, 32, 33, 500, 1200, 2000])
def test_a_jump_within_the_window_feeds_at_most_the_sparse_distance(place):
    store = Store(1000)
    text = [i % 7 for i in range(2047)]
    store.ask("a", text)
    assert store.ask("a", text[:place]) < SPARSE


def test_an_accepted_ghost_needs_nothing_fed():
    store, text, ghost = Store(), [1, 2, 3], [4, 5, 6]
    store.ask("a", text)
    store.decode("a", text, ghost)
    assert store.ask("a", text + ghost) == 0


def test_a_ghost_that_was_not_taken_gives_its_slots_back():
    store, text = Store(), [1, 2, 3]
    store.ask("a", text)
    store.decode("a", text, [4] * 40)
    store.ask("a", [*text, 9])
    assert store.cache.used == 4


@settings(deadline=None, max_examples=60)
@given(texts, st.lists(st.integers(0, 2), max_size=300))
def test_a_way_cut_in_pieces_arrives_where_the_whole_one_does(before, text):
    store = Store(2000)
    store.ask("a", before)
    unread, steps = store.cache.unread("a", text), 0
    while left := store.cache.unread("a", text):
        plan = store.cache.plan("a", text, most=SPARSE)
        assert 0 < len(plan.writes) <= SPARSE
        assert plan.known + left == len(text)
        for i, slot in enumerate(plan.writes, plan.known + 1):
            store.texts[slot] = tuple(text[:i])
        assert plan.node.slot == plan.writes[-1] != SCRATCH_SLOT
        steps += 1
    assert steps <= -(-unread // SPARSE) + 1
    assert store.ask("a", text) == 0
    kept = [
        slot for slot, node in store.cache._used.items() if store.texts[slot] == tuple(text[: node.depth])
    ]
    assert len(kept) >= min(len(text), RECENT)


def test_sessions_do_not_see_each_others_carries():
    store = Store()
    store.ask("a", [1, 2, 3])
    assert store.ask("b", [1, 2, 3]) == 3


def test_the_least_recently_used_session_makes_way():
    store = Store()
    for key in "abcdefghi":
        store.ask(key, list(range(60)))
    assert store.cache.evictions > 0
    assert store.ask("i", list(range(60))) == 0
    assert store.ask("a", list(range(60))) > 0


def test_carries_are_thinned_as_the_text_grows():
    store, text = Store(2000), []
    for i in range(1500):
        text.append(i % 5)
        store.ask("a", text)
    assert store.cache.used <= RECENT + 1500 // SPARSE + 1


def test_rows_of_one_step_never_share_a_slot():
    cache, held, taken = CarryCache(SMALLEST), set(), []
    with pytest.raises(CharreplError, match="cache is full"):
        for row in range(9):
            plan = cache.plan(row, [row] * 2000, held)
            slots = [slot for slot in plan.writes if slot != SCRATCH_SLOT] + cache.take_free(8, held)
            assert not set(slots) & set(taken)
            taken += slots
    assert len(taken) > 2 * RECENT
    used = cache.used
    with pytest.raises(CharreplError):
        cache.plan("one more", [7] * 500, held)
    assert cache.used <= used  # what did not fit took nothing


def test_a_session_without_carries_is_dropped():
    store = Store()
    for key in range(50):
        store.ask(str(key), [key % 3] * 100)
    assert store.cache.sessions < 10


def test_a_cache_too_small_to_work_is_refused():
    with pytest.raises(ValueError, match="at least"):
        CarryCache(SMALLEST - 1)


def test_writers_are_counted_while_another_thread_adds_and_forgets_them():
    cache = CarryCache(SMALLEST)
    done = threading.Event()

    def write() -> None:
        for n in range(2000):
            cache.plan((f"writer {n}", 0), [1, 2])
            if n % 3 == 0:
                cache.forget((f"writer {n}", 0))
        done.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        writing = threading.Thread(target=write)
        writing.start()
        while not done.is_set():
            assert cache.writers >= 0
        writing.join()
    finally:
        sys.setswitchinterval(interval)
    assert 0 < cache.writers <= 2000
