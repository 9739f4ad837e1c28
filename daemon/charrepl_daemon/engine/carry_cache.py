"""The carry cache: which slot holds the LSTM's state after which prefix of a writer's text.

Text is the truth and this is a cache: any slot may be evicted at any time. Then a lookup finds a shorter
prefix, which only costs time. It uses no device: slots are numbers.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from charrepl.errors import CharreplError
from charrepl_daemon.engine.session_texts import Branch, Run, Session, Tokens, common, session_of
from charrepl_daemon.model.carry_store import RESERVED_SLOTS, SCRATCH_SLOT, SPARSE, ZERO_SLOT

RECENT = 64  # each of the last characters before the cursor keeps its carry, so that going back is a lookup
SLOT_BYTES = 448  # the most memory that a slot needs here, besides its carry
_SLOTS_A_SESSION = 8  # at least, on average, because a session itself needs as much as a few slots
_FEWEST_SESSIONS = 256  # so many are always allowed: more than take part in one step
OWN_SHARE = 2  # at most one slot in so many may belong to a passage or an alternative
_SPARE_SHARE = 8  # at most one slot in so many may hold what was decoded ahead of any request
_MOST_BRANCHES = 16  # texts of a session to which it may come back


class Plan(NamedTuple):
    """How to get a text's carry: start from slot `read`, feed `tokens[known:]`, write the slots `writes`."""

    read: int
    known: int  # tokens that need not be fed
    writes: list[int]  # a slot for each fed token; SCRATCH_SLOT if its carry is not kept


class CacheFullError(CharreplError):
    """Every slot that could be evicted is in use."""

    def __init__(self) -> None:
        super().__init__(
            "the daemon's cache is full: try again, or start it with more --cache-mb", code="busy"
        )


class CarryCache:
    """Which slot holds the carry of which text. The least recently used is evicted first.

    Slots are `RESERVED_SLOTS` to `slots - 1`. A session is any hashable key. Sessions never see each other's
    carries.
    """

    def __init__(self, slots: int) -> None:
        least = RESERVED_SLOTS + 4 * RECENT
        if slots < least:
            raise ValueError(f"{slots} slots: at least {least} are needed")
        self._free = list(range(slots - 1, RESERVED_SLOTS - 1, -1))
        self._used: OrderedDict[int, Run] = OrderedDict()  # by last use, oldest first
        self._spare: OrderedDict[int, Run] = OrderedDict()  # decoded ahead, not asked for: evicted first
        self._depths = np.zeros(slots, np.int32)  # how many tokens the carry in each slot has read
        self._most_spare = slots // _SPARE_SHARE
        self._pinned: set[int] = set()
        self._owned: OrderedDict[Hashable, int] = OrderedDict()  # the slots of `take_own`, by last use
        self._sessions: dict[Hashable, Session] = {}  # the least recently used first
        self._most_sessions = max(_FEWEST_SESSIONS, slots // _SLOTS_A_SESSION)
        self.hits = 0  # tokens whose carry was found
        self.misses = 0  # tokens that had to be fed
        self.evictions = 0

    @property
    def used(self) -> int:
        """Slots that hold a carry."""
        return len(self._used) + len(self._spare) + len(self._pinned)

    @property
    def writers(self) -> int:
        """How many writers have a carry. Keys must be pairs of a writer and a window. Any thread may ask."""
        keys = list(self._sessions)  # copied in one step, because the device's thread may change it
        return len({key[0] for key in keys if isinstance(key, tuple)})

    def unread(self, key: Hashable, tokens: Tokens) -> int:
        """How many of `tokens` must be fed to get their carry. Changes nothing."""
        session = self._sessions.get(key)
        return session.unread(tokens) if session else len(tokens)

    def plan(
        self,
        key: Hashable,
        tokens: Tokens,
        held: set[int] | None = None,
        *,
        most: int | None = None,
        typed: int | None = None,
    ) -> Plan:
        """The cheapest way to the carry after `tokens`, from the longest prefix in the cache.

        With `most` (at least SPARSE), the plan feeds at most so many tokens, up to a place whose carry is
        kept. The slots to write are reserved immediately. The caller must feed the tokens, or call `forget`.
        The first `typed` of the tokens, by default all, are the writer's; the rest is a ghost. `held` are
        slots that other rows of the same step read or write. This plan's slots are added to it. Raises
        CacheFullError, and reserves nothing, if there are not enough other slots.
        """
        held = set() if held is None else held
        session = self._sessions.get(key) or Session(key)
        self._lead(session, 0, tokens)
        typed = len(tokens) if typed is None else typed
        known = session.deepest(len(tokens))
        read = int(session.slots[known - 1]) if known else ZERO_SLOT
        if known:
            self._touch(read)
        self._settle(session, len(tokens), typed)
        # Further back than RECENT, only one carry in SPARSE is kept, counted from the start.
        keep_all = max(0, typed - RECENT)
        self._thin(session, keep_all)
        end = len(tokens) if most is None else min(len(tokens), known + most)
        while end < len(tokens) and end <= keep_all and end % SPARSE:
            end -= 1
        writes: list[int] = []
        held.add(read)  # must survive the evictions that make room for the next carries
        try:
            for depth in range(known + 1, end + 1):
                slot = SCRATCH_SLOT
                if depth > keep_all or depth % SPARSE == 0:
                    slot = self._vacate(held)
                    self._own(session, depth, slot)
                held.add(slot)
                writes.append(slot)
        except CacheFullError:
            for slot in writes:
                if slot != SCRATCH_SLOT:
                    self._release(slot)
            raise
        self._sessions.pop(key, None)
        self._sessions[key] = session  # as the last used. It may also have been dropped to make room
        if len(self._sessions) > self._most_sessions:
            self.forget(next(iter(self._sessions)))
        self.hits += known
        self.misses += end - known
        return Plan(read, known, writes)

    def extend(
        self, key: Hashable, before: Tokens, chosen: Tokens, slots: Sequence[int], *, ahead: bool = False
    ) -> None:
        """Records that `slots` hold the carries of `before` and each of the tokens `chosen` after it.

        The slots come from `take_free`. Slots that are not needed are given back. What was decoded `ahead` of
        any request is evicted first.
        """
        session = self._sessions.get(key)
        # The session may have been forgotten during decoding.
        if session is not None and common(session.tokens, before) == len(before):
            self._lead(session, len(before), chosen)
            for depth, slot in zip(itertools.count(len(before) + 1), slots[: len(chosen)], strict=False):
                if not session.slots[depth - 1]:
                    self._pinned.remove(slot)
                    self._own(session, depth, slot, ahead=ahead)
        self.give_back(slots)

    def _lead(self, session: Session, at: int, tokens: Tokens) -> None:
        """Makes the path continue after its first `at` tokens with `tokens`. Does nothing if it does already.

        Where they differ, the writer's old text becomes a branch, and an old ghost is freed.
        """
        same = at + common(session.tokens[at:], tokens)
        if same == at + len(tokens):
            return
        tokens = tokens[same - at :]
        if same < len(session.tokens):
            self._part(session, same)
        session.grow(tokens)
        for branch in [branch for branch in session.branches if branch.at == same]:
            self._rejoin(branch, common(branch.tokens, tokens))

    def _part(self, session: Session, at: int) -> None:
        """Cuts the path off after `at` tokens. The writer's text after that becomes a branch."""
        self._free_ghost(session, max(at, session.typed))
        end = session.deepest(len(session.tokens))
        left = Branch(session, at, end)
        session.cut(at)
        if end > at:
            self._move(left.kept(at, end), left)
            session.branches.append(left)
            if len(session.branches) > _MOST_BRANCHES:
                self._free_all(session.branches[0])

    def _rejoin(self, branch: Branch, count: int) -> None:
        """Gives the path the slots of a branch's first `count` tokens, which are on the path now."""
        session, end = branch.session, branch.at + count
        self._move(branch.kept(branch.at, end), session)
        session.slots[branch.at : end] = branch.slots[:count]
        branch.advance(count)
        if not branch.slots.any():
            session.branches.remove(branch)

    def _move(self, slots: list[int], run: Run) -> None:
        for slot in slots:
            (self._spare if slot in self._spare else self._used)[slot] = run

    def _settle(self, session: Session, length: int, typed: int) -> None:
        """Frees a ghost that does not follow a text of that length. Its typed part counts as text."""
        if length < session.typed:
            self._free_ghost(session, session.typed)
        for slot in session.kept(session.typed, typed):
            self._touch(slot)
        session.typed = max(session.typed, typed)

    def _free_ghost(self, session: Session, begin: int) -> None:
        for slot in session.kept(begin, len(session.tokens)):
            self._release(slot)
        session.cut(begin)

    def _thin(self, session: Session, end: int) -> None:
        for slot in session.kept(session.thinned, end):
            if self._depths[slot] % SPARSE:
                self._release(slot)
        session.thinned = end

    def take_free(self, count: int, held: set[int] | None = None, *, ahead: bool = False) -> list[int]:
        """Slots for carries that belong to no text yet. Evicts others for them, but not `held`.

        For what is decoded `ahead`, other carries are evicted until its share is used up, then those decoded
        ahead. Raises CacheFullError, and takes nothing, if there are not enough other slots.
        """
        slots: list[int] = []
        try:
            for _ in range(count):
                slot = self._vacate(held or set(), ahead=ahead)
                self._pinned.add(slot)
                slots.append(slot)
        except CacheFullError:
            self.give_back(slots)
            raise
        return slots

    def own(self, holder: Hashable, held: set[int]) -> int | None:
        """The slot that belongs to a passage or an alternative; None if another has taken it."""
        slot = self._owned.get(holder)
        if slot is not None:
            self._owned.move_to_end(holder)
            held.add(slot)
        return slot

    def take_own(self, holder: Hashable, held: set[int]) -> int:
        """A slot for a passage or an alternative, which keeps it between steps.

        They have at most half of all slots (`OWN_SHARE`): the others are for writers who only type. When they
        have half, the least recently used loses its slot. Raises CacheFullError if all of them are `held`.
        """
        if len(self._owned) < len(self._depths) // OWN_SHARE:
            slot = self.take_free(1, held)[0]
        else:
            oldest = next((other for other, slot in self._owned.items() if slot not in held), None)
            if oldest is None:
                raise CacheFullError
            self.evictions += 1
            slot = self._owned.pop(oldest)
        self._owned[holder] = slot
        held.add(slot)
        return slot

    def give_back_own(self, holder: Hashable) -> None:
        """Gives back the slot that belongs to a passage or an alternative, if it has one."""
        slot = self._owned.pop(holder, None)
        if slot is not None:
            self.give_back([slot])

    def give_back(self, slots: Sequence[int]) -> None:
        """Gives back those slots of `take_free` that no text got."""
        for slot in slots:
            if slot in self._pinned:
                self._pinned.remove(slot)
                self._free.append(slot)

    def forget(self, key: Hashable) -> None:
        """Drops all of a session's carries."""
        session = self._sessions.pop(key, None)
        if session is not None:
            for run in (session, *session.branches):
                self._free_all(run)

    def clear(self) -> None:
        """Drops every carry, for example because the store was lost."""
        for key in list(self._sessions):
            self.forget(key)
        for holder in list(self._owned):
            self.give_back_own(holder)

    def _touch(self, slot: int) -> None:
        """Makes a carry the most recently used."""
        if slot in self._spare:
            self._used[slot] = self._spare.pop(slot)
        self._used.move_to_end(slot)

    def _own(self, run: Run, depth: int, slot: int, *, ahead: bool = False) -> None:
        run.slots[depth - run.at - 1] = slot
        session_of(run).held += 1
        self._depths[slot] = depth
        (self._spare if ahead else self._used)[slot] = run

    def _vacate(self, held: set[int], *, ahead: bool = False) -> int:
        if not self._free:
            first, then = self._spare, self._used
            if ahead and len(self._spare) < self._most_spare:
                first, then = then, first
            oldest = next((slot for slot in itertools.chain(first, then) if slot not in held), None)
            if oldest is None:
                raise CacheFullError
            self.evictions += 1
            session = self._release(oldest)
            if not session.held and self._sessions.get(session.key) is session:
                del self._sessions[session.key]
        return self._free.pop()

    def _free_all(self, run: Run) -> None:
        for slot in run.kept(run.at, run.at + len(run.tokens)):
            self._release(slot)

    def _release(self, slot: int) -> Session:
        """Frees a slot. Returns the session it belonged to. A branch without slots is forgotten."""
        run = (self._spare if slot in self._spare else self._used).pop(slot)
        session = session_of(run)
        run.slots[self._depths[slot] - run.at - 1] = ZERO_SLOT
        session.held -= 1
        self._free.append(slot)
        if isinstance(run, Branch) and not run.slots.any():
            session.branches.remove(run)
        return session
