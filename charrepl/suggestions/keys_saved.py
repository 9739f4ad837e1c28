"""How many keys ghosts saved, by day and host: numbers alone, kept for a year. No text is kept."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping

import msgspec

from charrepl.suggestions.state_file import StateFile
from charrepl.system import paths

KEPT_DAYS = 366
WRITE_S = 10.0  # between two times that counts are written


class Counts(msgspec.Struct):
    """Of one host, or of several, on one day or on several."""

    shown: int = 0  # ghosts
    taken: int = 0  # of them, those of which something was taken
    characters: int = 0  # taken
    keys: int = 0  # that took them

    @property
    def saved(self) -> int:
        """How many keys fewer it took."""
        return self.characters - self.keys

    def add(self, other: Counts) -> None:
        """Adds another's."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


ByDay = dict[str, dict[str, Counts]]  # "2026-11-30", then the host


def total(counts: Iterable[Counts]) -> Counts:
    """The sum of several."""
    found = Counts()
    for one in counts:
        found.add(one)
    return found


def by_host(days: ByDay) -> dict[str, Counts]:
    """The sum of all days for each host, the one that saved most first."""
    hosts = {host for day in days.values() for host in day}
    found = {host: total(day[host] for day in days.values() if host in day) for host in sorted(hosts)}
    return dict(sorted(found.items(), key=lambda item: -item[1].saved))


def in_words(saved: Mapping[str, int]) -> str:
    """How many keys were saved, by host, in a few words; empty if none were."""
    if not saved:
        return ""
    hosts = ", ".join(f"{host} {count:,}" for host, count in saved.items())
    return f"{sum(saved.values()):,} ({hosts})"


class KeysSaved:
    """The counts of all programs of a user, and those of this one that are not written yet."""

    def __init__(self) -> None:
        self._file: StateFile[ByDay] = StateFile(paths.data_dir() / "keys-saved.json", ByDay, empty=dict)
        self._new: defaultdict[tuple[str, str], Counts] = defaultdict(Counts)
        self._lock = threading.Lock()  # of `_new`: `write` may run in a thread

    def note(self, host: str, *, shown: int = 0, taken: int = 0, characters: int = 0, keys: int = 0) -> None:
        """Counts something more, in memory; see `Counts`."""
        day = datetime.date.today().isoformat()
        with self._lock:
            self._new[day, host].add(Counts(shown, taken, characters, keys))

    def write(self) -> None:
        """Adds what is new to the file, which may take a moment.

        Raises OSError if it cannot: they stay new.
        """
        with self._lock:
            new, self._new = self._new, defaultdict(Counts)
        if not new:
            return

        def edit(days: ByDay) -> None:
            for (day, host), counts in new.items():
                days.setdefault(day, {}).setdefault(host, Counts()).add(counts)
            for day in sorted(days)[:-KEPT_DAYS]:
                del days[day]

        try:
            self._file.change(edit)
        except OSError:
            with self._lock:
                for which, counts in new.items():
                    self._new[which].add(counts)
            raise

    @contextlib.asynccontextmanager
    async def kept_written(self, gather: Callable[[], None] = lambda: None) -> AsyncIterator[None]:
        """Writes what is new now and then, and in the end. A full disk costs some counts.

        `gather` is called before each, and may note more.
        """

        async def write_now_and_then() -> None:
            while True:
                await asyncio.sleep(WRITE_S)
                gather()
                with contextlib.suppress(OSError):
                    await asyncio.to_thread(self.write)

        writing = asyncio.create_task(write_now_and_then())
        try:
            yield
        finally:
            writing.cancel()
            gather()
            with contextlib.suppress(OSError):
                self.write()

    def saved_by_host(self) -> dict[str, int]:
        """How many keys were saved in all, for each host where any were."""
        return {host: counts.saved for host, counts in by_host(self.read()).items() if counts.saved > 0}

    def read(self) -> ByDay:
        """The counts in the file, the oldest day first."""
        return dict(sorted(self._file.read().items()))
