"""Carries by text: for each writer a tree of prefixes, some with the slot that holds their carry.

Text is the truth and this is a cache: any slot may be evicted at any time, and a lookup then finds
a shorter prefix, which costs time and nothing else. Plain Python, no device: slots are numbers.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from charrepl.errors import CharreplError

ZERO_SLOT = 0  # the carry before any text; never written
SCRATCH_SLOT = 1  # takes the writes that nobody keeps
RESERVED_SLOTS = 2
RECENT = 64  # characters before the cursor that keep a carry each, so that going back is a lookup
SPARSE = 32  # further back, one carry in so many: what a jump recomputes at most
_SPARE_SHARE = 8  # one slot in so many may hold what was decoded before anybody asked for it


class Node:
    """A prefix: the tokens on the way from the root. `slot` is 0 where its carry is not kept."""

    __slots__ = ("children", "depth", "parent", "session", "slot", "token")

    def __init__(self, session: Session, parent: Node | None = None, token: int = -1) -> None:
        self.session = session
        self.parent = parent
        self.token = token
        self.depth: int = parent.depth + 1 if parent else 0
        self.children: dict[int, Node] = {}
        self.slot = ZERO_SLOT

    @property
    def on_path(self) -> bool:
        """Whether the text last asked for runs through here."""
        path = self.session.path
        return self.depth <= len(path) and path[self.depth - 1] is self


class Plan(NamedTuple):
    """How to get to a text's carry: start from slot `read`, feed `tokens[known:]`, write slots."""

    read: int
    known: int  # tokens that need not be fed
    writes: list[int]  # a slot for each fed token, SCRATCH_SLOT where the carry is not kept
    node: Node  # where that leads, the whole text or part of it; its slot is the last written, or `read`


class CacheFullError(CharreplError):
    """Every slot is in use by the step that is being planned."""

    def __init__(self) -> None:
        super().__init__(
            "the daemon's cache is full: try again, or start it with more --cache-mb", code="busy"
        )


class Session:
    """One writer's texts as a tree, and the path of the one last asked for."""

    __slots__ = ("ghost", "key", "path", "root", "slots", "tokens")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.slots = 0  # that its nodes hold; a session without any is dropped
        self.root = Node(self)
        self.tokens: list[int] = []
        self.path: list[Node] = []  # path[i] is the node after tokens[: i + 1]
        # What was decoded after the writer's own text, each the child of the one before it; some of it may
        # lie on the path.
        self.ghost: list[Node] = []


class CarryCache:
    """Which slot holds the carry of which text; the least recently used make way.

    Slots are `RESERVED_SLOTS` to `slots - 1`. A session is any hashable key; sessions never see
    each other's carries.
    """

    def __init__(self, slots: int) -> None:
        least = RESERVED_SLOTS + 4 * RECENT
        if slots < least:
            raise ValueError(f"{slots} slots: at least {least} are needed")
        self._free = list(range(slots - 1, RESERVED_SLOTS - 1, -1))
        self._used: OrderedDict[int, Node] = OrderedDict()  # by last use, oldest first
        self._spare: OrderedDict[int, Node] = OrderedDict()  # decoded ahead and not asked for: first to go
        self._most_spare = slots // _SPARE_SHARE
        self._pinned: set[int] = set()
        self._sessions: OrderedDict[Hashable, Session] = OrderedDict()
        self.hits = 0  # tokens whose carry was found
        self.misses = 0  # tokens that had to be fed
        self.evictions = 0

    @property
    def used(self) -> int:
        """Slots that hold a carry."""
        return len(self._used) + len(self._spare) + len(self._pinned)

    @property
    def sessions(self) -> int:
        """Sessions with any carry."""
        return len(self._sessions)

    @property
    def writers(self) -> int:
        """Writers with any carry, where keys are pairs of a writer and a window; any thread may ask."""
        keys = list(self._sessions)  # copied at once: the device's thread adds to it meanwhile
        return len({key[0] for key in keys if isinstance(key, tuple)})

    def unread(self, key: Hashable, tokens: Sequence[int]) -> int:
        """How many of `tokens` would have to be fed now. Changes nothing."""
        session = self._sessions.get(key)
        node, known = session.root if session else None, 0
        for depth, token in enumerate(tokens, 1):
            node = node.children.get(token) if node else None
            if node is None:
                break
            known = depth if node.slot else known
        return len(tokens) - known

    def plan(
        self,
        key: Hashable,
        tokens: Sequence[int],
        held: set[int] | None = None,
        *,
        most: int | None = None,
        typed: int | None = None,
    ) -> Plan:
        """The cheapest way to the carry after `tokens`, from the longest prefix still held.

        With `most`, at least SPARSE, a way of no more than so many tokens: to the last carry before
        there that is kept. The slots to write are taken at once; the caller feeds the tokens, or calls
        `forget`. The first `typed` of the tokens, all by default, are the writer's; the rest is a ghost.
        `held` are slots that other rows of the same step read or write; this plan's are added.
        Raises CacheFullError, nothing taken, if there are not enough others.
        """
        held = set() if held is None else held
        session = self._sessions.get(key) or Session(key)
        path = self._walk(session, tokens)
        known = len(path)
        while known and not path[known - 1].slot:
            known -= 1
        read = path[known - 1].slot if known else ZERO_SLOT
        if known:
            self._touch(path[known - 1])
        typed = len(tokens) if typed is None else typed
        self._settle_ghost(session, typed)
        # Further back than RECENT only one in SPARSE is kept, from the start.
        keep_all = typed - RECENT
        self._thin(path[: max(0, keep_all)])
        end = len(path) if most is None else min(len(path), known + most)
        while end < len(path) and end <= keep_all and end % SPARSE:
            end -= 1
        writes = []
        held.add(read)  # must survive the evictions that make room for what follows it
        try:
            for node in path[known:end]:
                wanted = node.depth > keep_all or node.depth % SPARSE == 0
                slot = self._take(node, held) if wanted else SCRATCH_SLOT
                held.add(slot)
                writes.append(slot)
        except CacheFullError:
            for node in path[known : known + len(writes)]:
                if node.slot:
                    self._release(node)
            raise
        self._sessions[key] = session  # again, if making room dropped it
        self._sessions.move_to_end(key)
        self.hits += known
        self.misses += end - known
        return Plan(read, known, writes, path[end - 1] if end else session.root)

    def _walk(self, session: Session, tokens: Sequence[int]) -> list[Node]:
        """The nodes along `tokens`, made where missing."""
        # Most requests differ from the last one at the end only: walk from where they part.
        same = 0
        for a, b in zip(session.tokens, tokens, strict=False):
            if a != b:
                break
            same += 1
        path = session.path[:same]
        node = path[-1] if path else session.root
        for token in tokens[same:]:
            after = node.children.get(token)
            if after is None:
                after = node.children[token] = Node(session, node, token)
            path.append(after)
            node = after
        left = session.path[-1] if len(session.path) > same else None
        session.tokens, session.path = list(tokens), path
        if left is not None:
            self._prune(left)
        return path

    def _settle_ghost(self, session: Session, typed: int) -> None:
        """Frees what was decoded after another text; what has been typed of it is a text's like any other."""
        path, ghost = session.path, session.ghost
        end = path[-1] if path else session.root
        after = [node for node in ghost if node.depth > end.depth]
        if after and after[0].parent is not end:
            after = []
        session.ghost = path[typed:] + after
        kept = set(after)
        for node in reversed(ghost):
            if not node.slot or node in kept:
                continue
            if not node.on_path:
                self._release(node)
            elif node.depth <= typed:
                self._touch(node)

    def _thin(self, path: list[Node]) -> None:
        for node in path:
            if node.slot and node.depth % SPARSE:
                self._release(node)

    def extend(
        self,
        key: Hashable,
        node: Node,
        tokens: Sequence[int],
        slots: Sequence[int],
        *,
        ahead: bool = False,
    ) -> Node:
        """Records that `slots` hold the carries of `node`'s text and each of `tokens` after it.

        The slots come from `take_free`; those that are not needed go back. What was decoded `ahead` of
        any request is the first to make way. Returns the last node.
        """
        session = node.session
        if self._sessions.get(key) is not session:  # forgotten while it was decoding
            self.give_back(slots)
            return node
        for token, slot in zip(tokens, slots, strict=False):
            after = node.children.get(token)
            if after is None:
                after = node.children[token] = Node(session, node, token)
            if not after.slot:
                self._pinned.remove(slot)
                self._own(after, slot, ahead=ahead)
            self._add_to_ghost(after)
            node = after
        self.give_back(slots)
        return node

    def _add_to_ghost(self, node: Node) -> None:
        """Makes a node part of its session's ghost, in place of what was decoded there before."""
        ghost = node.session.ghost
        place = node.depth - ghost[0].depth if ghost else 0
        if 0 <= place < len(ghost) and ghost[place] is node:
            return
        before = ghost[place - 1] if 0 < place <= len(ghost) else None
        left = ghost[place:] if before is node.parent else list(ghost)
        del ghost[len(ghost) - len(left) :]
        ghost.append(node)
        for other in reversed(left):
            if other.slot and not other.on_path:
                self._release(other)

    def take_free(self, count: int, held: set[int] | None = None, *, ahead: bool = False) -> list[int]:
        """Slots for carries that belong to no text yet; evicts others, save `held`, for them.

        For what is decoded `ahead` others make way up to its share of all, and then its like.
        Raises CacheFullError, nothing taken, if there are not enough others.
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

    def give_back(self, slots: Sequence[int]) -> None:
        """Returns slots of `take_free` that no text came to own."""
        for slot in slots:
            if slot in self._pinned:
                self._pinned.remove(slot)
                self._free.append(slot)

    def forget(self, key: Hashable) -> None:
        """Drops all of a session's carries."""
        session = self._sessions.pop(key, None)
        stack = list(session.root.children.values()) if session else []
        while stack:
            node = stack.pop()
            stack.extend(node.children.values())
            if node.slot:
                self._free_slot(node)

    def clear(self) -> None:
        """Drops every carry, as when the store itself was lost."""
        for key in list(self._sessions):
            self.forget(key)

    def _take(self, node: Node, held: set[int]) -> int:
        if node.slot:
            self._touch(node)
            return node.slot
        slot = self._vacate(held)
        self._own(node, slot)
        return slot

    def _touch(self, node: Node) -> None:
        """Makes a carry the most recently used."""
        self._spare.pop(node.slot, None)
        self._used[node.slot] = node
        self._used.move_to_end(node.slot)

    def _own(self, node: Node, slot: int, *, ahead: bool = False) -> None:
        node.slot = slot
        node.session.slots += 1
        (self._spare if ahead else self._used)[slot] = node

    def _vacate(self, held: set[int], *, ahead: bool = False) -> int:
        if not self._free:
            first, then = self._spare, self._used
            if ahead and len(self._spare) < self._most_spare:
                first, then = then, first
            oldest = next((slot for slot in itertools.chain(first, then) if slot not in held), None)
            if oldest is None:
                raise CacheFullError
            self.evictions += 1
            node = self._spare[oldest] if oldest in self._spare else self._used[oldest]
            self._release(node)
            if not node.session.slots and self._sessions.get(node.session.key) is node.session:
                del self._sessions[node.session.key]
        return self._free.pop()

    def _free_slot(self, node: Node) -> None:
        del (self._spare if node.slot in self._spare else self._used)[node.slot]
        node.session.slots -= 1
        self._free.append(node.slot)
        node.slot = ZERO_SLOT

    def _release(self, node: Node) -> None:
        self._free_slot(node)
        self._prune(node)

    def _prune(self, node: Node) -> None:
        """Removes a branch end that holds nothing, up to where it would still be used."""
        while node.parent is not None and not (node.slot or node.children or node.on_path):
            node.parent.children.pop(node.token, None)
            node = node.parent
