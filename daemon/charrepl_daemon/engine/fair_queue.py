"""Taking turns: if a connection sends very many requests, only that connection waits for them.

Pure data: an asker is any hashable key. Each object is used by one thread, or under its user's lock.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")

_REMEMBERED = 4096  # askers that were served


class FairQueue(Generic[T]):
    """A queue in which all askers take turns."""

    def __init__(self) -> None:
        self._queues: OrderedDict[Hashable, deque[T]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, who: Hashable, item: T) -> None:
        """Adds an item after the same asker's other items."""
        self._queues.setdefault(who, deque()).append(item)
        self._count += 1

    def take(self) -> T:
        """Takes the oldest item of the asker who has waited longest for a turn. Raises KeyError if empty."""
        who, queue = self._queues.popitem(last=False)
        item = queue.popleft()
        self._count -= 1
        if queue:
            self._queues[who] = queue
        return item

    def keep(self, who: Hashable, wanted: Callable[[T], bool]) -> None:
        """Drops those of an asker's items that are not wanted any more."""
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
    """The order in which to serve items, by when their askers were last served."""

    def __init__(self) -> None:
        self._served: OrderedDict[Hashable, int] = OrderedDict()
        self._count = 0

    def order(
        self, items: Iterable[T], who: Callable[[T], Hashable], later: Callable[[T], bool] = lambda _: False
    ) -> list[T]:
        """The first item of every asker, then every asker's second item, and so on.

        Among the first items, those that may come `later` are last. Apart from that, the asker who was served
        longest ago is first. An asker's own items keep their order, but those that may come later are last.
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
        """Records that these askers had a turn."""
        for asker in askers:
            self._count += 1
            self._served[asker] = self._count
            self._served.move_to_end(asker)
        while len(self._served) > _REMEMBERED:
            self._served.popitem(last=False)
