"""Taking turns: a connection that asks without end waits for its own requests, and nobody else does.

Pure data: who asks is any hashable key. Used by one thread each, or under its user's lock.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")

_REMEMBERED = 4096  # who were served


class FairQueue(Generic[T]):
    """A queue of which everybody who is in it has the next turn once, and then again."""

    def __init__(self) -> None:
        self._queues: OrderedDict[Hashable, deque[T]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, who: Hashable, item: T) -> None:
        """Puts an item behind the others of the same asker."""
        self._queues.setdefault(who, deque()).append(item)
        self._count += 1

    def take(self) -> T:
        """The oldest item of whoever has waited longest for a turn. Raises KeyError if there is none."""
        who, queue = self._queues.popitem(last=False)
        item = queue.popleft()
        self._count -= 1
        if queue:
            self._queues[who] = queue
        return item

    def keep(self, who: Hashable, wanted: Callable[[T], bool]) -> None:
        """Drops what is not wanted any more of an asker's items."""
        queue = self._queues.get(who)
        if queue is None:
            return
        kept = deque(item for item in queue if wanted(item))
        self._count -= len(queue) - len(kept)
        if kept:
            self._queues[who] = kept
        else:
            del self._queues[who]


class RoundRobin:
    """In which order those who wait are to be served, from who was served when."""

    def __init__(self) -> None:
        self._served: OrderedDict[Hashable, int] = OrderedDict()
        self._count = 0

    def order(
        self, items: Iterable[T], who: Callable[[T], Hashable], later: Callable[[T], bool] = lambda _: False
    ) -> list[T]:
        """The first item of everybody, then everybody's second, and so on.

        Of the first ones, those that may come `later` come last; otherwise whoever was served longest ago
        is first. What belongs to one asker stays in its order, those that may come later behind the others.
        """
        counts: Counter[Hashable] = Counter()
        places: list[tuple[int, bool, int, int]] = []
        items = sorted(items, key=later)
        for n, item in enumerate(items):
            asker = who(item)
            places.append((counts[asker], later(item), self._served.get(asker, 0), n))
            counts[asker] += 1
        return [items[place[-1]] for place in sorted(places)]

    def served(self, askers: Iterable[Hashable]) -> None:
        """Takes note of who has had a turn."""
        for asker in askers:
            self._count += 1
            self._served[asker] = self._count
            self._served.move_to_end(asker)
        while len(self._served) > _REMEMBERED:
            self._served.popitem(last=False)
