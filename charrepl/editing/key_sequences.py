"""Key sequences: combines keys from the terminal into the sequences that have an action."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from prompt_toolkit.keys import KEY_ALIASES, Keys

from charrepl.settings.keymap import sequence


class KeyStroke(NamedTuple):
    """One key as prompt_toolkit reads it."""

    key: str
    data: str  # what the terminal sent


def stroke(key: Keys | str, data: str) -> KeyStroke:
    """A stroke from the name of its key."""
    return KeyStroke(key.value if isinstance(key, Keys) else key, data)


class KeySequences:
    """Calls `act` with the meaning of a key sequence, and `other` with a key that has no meaning here.

    The longest sequence counts. While a longer one is possible, keys wait for the next key or for `flush`.
    Alt and a character count as one key. Without a meaning, that key is ignored.
    """

    def __init__(
        self,
        meanings: Mapping[str, tuple[str, ...]],
        *,
        act: Callable[[tuple[str, ...]], None],
        other: Callable[[KeyStroke], None],
    ) -> None:
        """`meanings` maps keys, as `keymap` writes them, to actions."""
        self._meanings: dict[tuple[str, ...], tuple[str, ...]] = {}
        for key, actions in meanings.items():
            self._meanings[tuple(KEY_ALIASES.get(part, part) for part in sequence(key))] = actions
        self._act = act
        self._other = other
        self._waiting: list[KeyStroke] = []
        self._literal: Callable[[KeyStroke], None] | None = None

    def feed(self, strokes: Iterable[KeyStroke]) -> None:
        """Takes in keys."""
        for one in strokes:
            self._waiting.append(one)
            self._go_on(more=True)

    def flush(self) -> None:
        """No more is coming for now."""
        self._go_on(more=False)

    def next_to(self, take: Callable[[KeyStroke], None]) -> None:
        """Gives the next key to `take`, whatever its meaning."""
        self._literal = take

    def _go_on(self, *, more: bool) -> None:
        while self._waiting:
            if self._literal is not None:
                take, self._literal = self._literal, None
                take(self._waiting.pop(0))
                continue
            keys = tuple(one.key for one in self._waiting)
            alt = keys[0] == Keys.Escape
            begun = any(known[: len(keys)] == keys and known != keys for known in self._meanings)
            if more and (begun or (alt and len(keys) == 1)):
                return
            length = next((n for n in range(len(keys), 0, -1) if keys[:n] in self._meanings), 0)
            if alt and length < 2 and len(keys) > 1 and len(keys[1]) == 1:
                del self._waiting[:2]
                continue
            first = self._waiting[0]
            del self._waiting[: max(1, length)]
            if length:
                self._act(self._meanings[keys[:length]])
            else:
                self._other(first)
