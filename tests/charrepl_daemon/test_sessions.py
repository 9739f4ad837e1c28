"""The cache of carries, as a state machine: whatever happens to it, a slot holds what it says."""

from __future__ import annotations

import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrepl.errors import CharreplError
from charrepl_daemon.sessions import (
    RECENT,
    RESERVED_SLOTS,
    SCRATCH_SLOT,
    SPARSE,
    ZERO_SLOT,
    CarryCache,
    Node,
)

PIECE = 8
SMALLEST = RESERVED_SLOTS + 4 * RECENT


class Store:
    """Stands for the device: which text each slot's carry is of, as `Engine` would leave it."""

    def __init__(self, slots: int = SMALLEST) -> None:
        self.cache = CarryCache(slots)
        self.slots = slots - RESERVED_SLOTS
        self.texts: dict[int, tuple[int, ...]] = {ZERO_SLOT: ()}

    def ask(self, key: str, tokens: list[int], typed: int | None = None) -> int:
        """Reads a text as the engine does; how many tokens had to be fed."""
        plan = self.cache.plan(key, tokens, typed=typed)
        assert self.texts[plan.read] == tuple(tokens[: plan.known])
        assert len(plan.writes) == len(tokens) - plan.known
        assert ZERO_SLOT not in plan.writes
        for i, slot in enumerate(plan.writes, plan.known + 1):
            self.texts[slot] = tuple(tokens[:i])
        if tokens and plan.writes:
            assert plan.writes[-1] != SCRATCH_SLOT  # the text itself is always kept
        self.last = plan
        return len(plan.writes)

    def decode(
        self, key: str, tokens: list[int], ghost: list[int], *, typed: int | None = None, ahead: bool = False
    ) -> None:
        """Writes a ghost as the engine does, piece by piece, after a text of which so much was typed."""
        typed = len(tokens) if typed is None else typed
        for at in range(0, len(ghost), PIECE):
            piece, before = ghost[at : at + PIECE], tokens + ghost[:at]
            self.ask(key, before, typed)
            slots = self.cache.take_free(len(piece) + 2, {self.last.node.slot}, ahead=ahead)
            for i, slot in enumerate(slots[: len(piece)], 1):
                self.texts[slot] = (*before, *piece[:i])
            self.cache.extend(key, self.last.node, piece, slots, ahead=ahead)

    def holds(self) -> bool:
        """Whether each slot is free or holds what it says, and none is lost."""
        cache = self.cache
        found = [*cache._used.items(), *cache._spare.items()]
        in_place = all(node.slot == slot and self.texts[slot] == prefix(node) for slot, node in found)
        return in_place and not cache._pinned and len(found) + len(cache._free) == self.slots


def prefix(node: Node) -> tuple[int, ...]:
    """The text of a node."""
    return (*prefix(node.parent), node.token) if node.parent else ()


texts = st.lists(st.integers(0, 2), max_size=90)
# Who writes, how much of the text before is kept, what is typed, its ghost, and what follows that.
edits = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 150), texts, texts, texts),
    min_size=1,
    max_size=25,
)


@settings(deadline=None, max_examples=150)
@given(edits)
def test_a_slot_always_holds_the_carry_of_the_text_it_is_found_by(edits):
    store, current = Store(), {}
    for key, cut, typed, ghost, ahead in edits:
        tokens = current.get(key, [])[:cut] + typed
        current[key] = tokens + ghost  # some of which may be taken
        store.ask(key, tokens)
        store.decode(key, tokens, ghost)
        store.decode(key, tokens + ghost, ahead, typed=len(tokens), ahead=True)
        assert store.holds()


@settings(deadline=None, max_examples=50)
@given(edits)
def test_forgetting_every_session_frees_every_slot(edits):
    store = Store()
    for key, _, typed, ghost, ahead in edits:
        store.ask(key, typed)
        store.decode(key, typed, ghost)
        store.decode(key, typed + ghost, ahead, typed=len(typed), ahead=True)
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


def test_a_ghost_taken_in_part_keeps_what_was_decoded_behind_that_part():
    store, text, ghost, ahead = Store(), [1, 2, 3], list(range(20)), list(range(30, 50))
    store.ask("a", text)
    store.decode("a", text, ghost)
    store.decode("a", text + ghost, ahead, typed=len(text), ahead=True)
    assert store.ask("a", text + ghost[:7]) == 0
    assert store.cache.unread("a", text + ghost + ahead) == 0
    store.ask("a", [*text, *ghost[:7], 99])
    assert store.cache.used == len(text) + 7 + 1


def test_another_ghost_after_the_same_text_takes_the_place_of_the_one_before():
    store, text = Store(), [1, 2, 3]
    store.ask("a", text)
    for start in range(10):  # as sampled ones with other seeds are
        store.decode("a", text, [start, *range(40)])
    assert store.cache.used == len(text) + 41


def test_a_long_ghost_costs_no_carry_before_the_cursor():
    store, text = Store(1000), [i % 7 for i in range(300)]
    store.ask("a", text)
    store.decode("a", text, [9] * 48)
    for back in range(1, RECENT):
        assert store.ask("a", text[:-back]) == 0


def test_what_was_decoded_ahead_is_the_first_to_make_way():
    store, texts_ = Store(), {key: [ord(key)] * 60 for key in "abc"}
    for key, text in texts_.items():
        store.ask(key, text)
    store.decode("b", texts_["b"], list(range(16)), ahead=True)
    for n in range(SMALLEST - RESERVED_SLOTS - 3 * 60):  # as many as fit once that has gone
        store.ask(f"new {n}", [1])
    assert all(store.ask(key, text) == 0 for key, text in texts_.items())


def test_what_is_decoded_ahead_takes_its_share_and_no_more():
    store = Store()
    for key in range(100):  # a cache full of texts
        store.ask(str(key), [key] * 60)
    store.decode("99", [99] * 60, list(range(200)), ahead=True)
    assert 0 < len(store.cache._spare) <= store.slots // 8 + PIECE
    assert store.ask("98", [98] * 60) == 0


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
    kept = [node for node in store.cache._used.values() if prefix(node) == tuple(text[: node.depth])]
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
