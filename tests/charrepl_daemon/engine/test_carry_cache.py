"""The cache of carries, as a state machine: whatever happens to it, a slot holds what it says."""

from __future__ import annotations

import gc
import itertools
import sys
import threading
import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrepl.errors import CharreplError
from charrepl_daemon.engine.carry_cache import RECENT, SLOT_BYTES, CarryCache
from charrepl_daemon.engine.session_texts import Run, Tokens, common, session_of
from charrepl_daemon.model.carry_store import RESERVED_SLOTS, SCRATCH_SLOT, SPARSE, ZERO_SLOT

PIECE = 8
SMALLEST = RESERVED_SLOTS + 4 * RECENT


class Store:
    """Stands for the device: which text each slot's carry is of, as `Engine` would leave it."""

    def __init__(self, slots: int = SMALLEST) -> None:
        self.cache = CarryCache(slots)
        self.slots = slots - RESERVED_SLOTS
        self.texts: dict[int, tuple[int, ...]] = {ZERO_SLOT: ()}

    def ask(self, key: str, tokens: Sequence[int], typed: int | None = None, most: int | None = None) -> int:
        """Reads a text as the engine does; how many tokens had to be fed."""
        plan = self.cache.plan(key, ids(tokens), typed=typed, most=most)
        assert self.texts[plan.read] == tuple(tokens[: plan.known])
        assert len(plan.writes) == len(tokens) - plan.known or (most and 0 < len(plan.writes) <= most)
        assert ZERO_SLOT not in plan.writes
        for i, slot in enumerate(plan.writes, plan.known + 1):
            self.texts[slot] = tuple(tokens[:i])
        if tokens and plan.writes:
            assert plan.writes[-1] != SCRATCH_SLOT  # what was read is always kept
        self.last = plan
        return len(plan.writes)

    def decode(
        self,
        key: str,
        tokens: list[int],
        ghost: list[int],
        *,
        typed: int | None = None,
        ahead: bool = False,
    ) -> None:
        """Writes a ghost as the engine does, piece by piece, after a text of which so much was typed."""
        typed = len(tokens) if typed is None else typed
        for at in range(0, len(ghost), PIECE):
            piece, before = ghost[at : at + PIECE], tokens + ghost[:at]
            self.ask(key, before, typed)
            end = self.last.writes[-1] if self.last.writes else self.last.read
            slots = self.cache.take_free(len(piece) + 2, {end}, ahead=ahead)
            for i, slot in enumerate(slots[: len(piece)], 1):
                self.texts[slot] = (*before, *piece[:i])
            self.cache.extend(key, ids(before), ids(piece), slots, ahead=ahead)

    def unread(self, key: str, tokens: Sequence[int]) -> int:
        """How many tokens come after the last whose carry is held, found by looking at every slot."""
        held = [self.texts[slot] for slot, run in self.found() if session_of(run).key == key]
        begins = [len(text) for text in held if tuple(tokens[: len(text)]) == text]
        return len(tokens) - max(begins, default=0)

    def found(self) -> list[tuple[int, Run]]:
        """The slots in use, and where each is."""
        return [*self.cache._used.items(), *self.cache._spare.items()]

    def holds(self) -> bool:
        """Whether each slot is free or holds what it says, and none is lost, nor any text held twice."""
        cache, found = self.cache, self.found()
        in_place = all(self.texts[slot] == prefix(run, int(cache._depths[slot])) for slot, run in found)
        at_home = all(slot in run.slots for slot, run in found)
        apart = len({(session_of(run).key, self.texts[slot]) for slot, run in found}) == len(found)
        runs = [run for s in cache._sessions.values() for run in (s, *s.branches)]
        named = sum(np.count_nonzero(run.slots) for run in runs)
        whole = named == len(found) == self.slots - len(cache._free)
        return in_place and at_home and apart and whole and not cache._pinned


def ids(tokens: Sequence[int]) -> Tokens:
    return np.array(tokens, np.int32)


def prefix(run: Run, depth: int) -> tuple[int, ...]:
    """The first `depth` tokens of a text that ends on a path or a branch."""
    before = session_of(run).tokens[: run.at]
    return (*before.tolist(), *run.tokens[: depth - run.at].tolist())


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


@settings(deadline=None, max_examples=150)
@given(edits, st.sampled_from([SMALLEST, 3000]), st.randoms(use_true_random=False))
def test_every_carry_that_is_held_is_found_whatever_was_left_and_come_back_to(edits, slots, rng):
    store, written = Store(slots), [("a", [])]
    for key, cut, typed, ghost, _ in edits:
        before = rng.choice(written)[1] if rng.random() < 0.5 else written[-1][1]
        tokens = before[:cut] + (typed if rng.random() < 0.7 else typed[:2])
        written.append((key, tokens))
        store.ask(key, tokens, most=SPARSE)
        while store.cache.unread(key, ids(tokens)):
            store.ask(key, tokens, most=SPARSE)
        if rng.random() < 0.5:
            store.decode(key, tokens, ghost)
            written.append((key, tokens + ghost))
        assert store.holds()
        for other, text in written[-8:]:
            longer = [*text, rng.randrange(3)]
            assert store.cache.unread(other, ids(longer)) == store.unread(other, longer)


@given(texts, texts)
def test_what_two_texts_have_in_common_is_what_comparing_them_says(a, b):
    alike = list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))
    assert common(ids(a), ids(b)) == len(alike)


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
    assert store.cache.unread("a", ids(text + ghost + ahead)) == 0
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
    unread, steps = store.cache.unread("a", ids(text)), 0
    while left := store.cache.unread("a", ids(text)):
        assert 0 < store.ask("a", text, most=SPARSE) <= min(SPARSE, left)
        steps += 1
    assert steps <= -(-unread // SPARSE) + 1
    assert store.ask("a", text) == 0
    kept = [slot for slot in store.cache._used if store.texts[slot] == tuple(text[: len(store.texts[slot])])]
    assert len(kept) >= min(len(text), RECENT)


def test_a_text_that_was_left_is_come_back_to_without_reading():
    store, text = Store(2000), [i % 7 for i in range(500)]
    store.ask("a", text)
    for cut in (490, 470, 480, 460):  # each time something else was typed there
        store.ask("a", [*text[:cut], 9, 9, 9])
    assert store.ask("a", text) == 0
    for cut in (490, 470, 480, 460):
        assert store.ask("a", [*text[:cut], 9, 9, 9]) == 0


def test_texts_left_long_ago_are_dropped_one_by_one():
    store, text = Store(2000), [1, 2, 3]
    for n in range(50):
        store.ask("a", [*text, 10 + n, 10 + n])
    assert store.holds()
    assert store.cache.used <= len(text) + 2 * 17
    assert store.ask("a", [*text, 10, 10]) == 2
    assert store.ask("a", [*text, 58, 58]) == 0


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


def test_sessions_that_were_dropped_leave_nothing_to_the_garbage_collector():
    store = Store()
    gc.collect()
    for n in range(400):
        store.ask(f"{n}", [1, 2, 3, 4, n])
        store.ask(f"{n}", [1, 2, 3, 5, n])  # a branch
        if n % 2:
            store.cache.forget(f"{n}")
    assert store.cache.evictions
    assert gc.collect() == 0


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
            plan = cache.plan(row, ids([row] * 2000), held)
            slots = [slot for slot in plan.writes if slot != SCRATCH_SLOT] + cache.take_free(8, held)
            assert not set(slots) & set(taken)
            taken += slots
    assert len(taken) > 2 * RECENT
    used = cache.used
    with pytest.raises(CharreplError):
        cache.plan("one more", ids([7] * 500), held)
    assert cache.used <= used  # what did not fit took nothing


def test_a_session_without_carries_is_dropped():
    store = Store()
    for key in range(50):
        store.ask((str(key), 0), [key % 3] * 100)
    assert store.cache.writers < 10


def test_a_cache_too_small_to_work_is_refused():
    with pytest.raises(ValueError, match="at least"):
        CarryCache(SMALLEST - 1)


def test_writers_are_counted_while_another_thread_adds_and_forgets_them():
    cache = CarryCache(SMALLEST)
    done = threading.Event()

    def write() -> None:
        for n in range(2000):
            cache.plan((f"writer {n}", 0), ids([1, 2]))
            if n % 3 == 0:
                cache.forget((f"writer {n}", 0))
        done.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        writer = threading.Thread(target=write)
        writer.start()
        while not done.is_set():
            assert cache.writers >= 0
        writer.join()
    finally:
        sys.setswitchinterval(interval)
    assert 0 < cache.writers <= 2000


@pytest.mark.parametrize("length", [1, 100, 2000])
def test_what_the_cache_itself_takes_is_bounded_whatever_the_texts(length):
    slots, random = 4000, np.random.default_rng(length)
    tracemalloc.start()
    try:
        cache = CarryCache(slots)
        # As many as there is room for, and then others in their place.
        for n in itertools.count():
            if cache.evictions > 200 or n > 2 * slots:
                break
            tokens = random.integers(1, 60, length).astype(np.int32)
            for end in range(SPARSE, length + SPARSE, SPARSE):
                cache.plan((n, 0), tokens[:end], most=SPARSE)
        assert tracemalloc.get_traced_memory()[0] < slots * SLOT_BYTES
    finally:
        tracemalloc.stop()


def test_passages_leave_room_for_those_who_type_and_make_way_for_one_another():
    cache = CarryCache(RESERVED_SLOTS + 4 * RECENT)
    half = (RESERVED_SLOTS + 4 * RECENT) // 2
    slots = [cache.take_own(n, set()) for n in range(half)]
    assert cache.own(0, set()) == slots[0]  # used just now: another makes way
    assert cache.take_own("new", {slots[1]}) == slots[2]  # and not one that the same step reads
    assert cache.own(2, set()) is None
    assert cache.own(1, set()) == slots[1]
    with pytest.raises(CharreplError, match="cache is full"):
        cache.take_own("newer", set(slots))
    assert len(cache.take_free(RECENT)) == RECENT
    for holder in [*range(half), "new"]:
        cache.give_back_own(holder)
    assert cache.used == RECENT
