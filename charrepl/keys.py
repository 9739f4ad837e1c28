"""Keys: which key does what. What is done lives in the REPL.

Keys that take the ghost do so only while one is shown, which is only with the cursor at the end
of the text; elsewhere each keeps its usual meaning. Alt-[ and Ctrl-] stay free: the first begins
every cursor key, the second is character search.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, FilterOrBool, has_focus, vi_mode
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from charrepl.ghost import next_char, next_line, next_word, whole

# Alt is Esc and then the key, as terminals send it.
TAKE_KEYS: tuple[tuple[Callable[[str], str], tuple[tuple[str, ...], ...]], ...] = (
    (whole, (("right",), ("end",), ("c-e",), ("c-f",), ("tab",))),
    (next_word, (("escape", "f"), ("escape", "right"), ("c-right",))),
    (next_line, (("s-tab",),)),
    (next_char, (("s-right",),)),
)


class Hands(Protocol):
    """What the keys can do."""

    def ghost_shown(self) -> bool: ...
    def line_empty(self) -> bool: ...
    def take(self, part: Callable[[str], str]) -> None: ...
    def dismiss(self) -> None: ...
    def enter(self) -> None: ...
    def interrupt(self) -> None: ...
    def suspend(self) -> None: ...
    def quit(self) -> None: ...


def bindings(hands: Hands) -> KeyBindings:
    """The key bindings of the REPL, over those of prompt_toolkit."""
    keys = KeyBindings()
    typing = has_focus(DEFAULT_BUFFER)
    ghost = typing & Condition(hands.ghost_shown)

    def bind(sequence: tuple[str, ...], when: FilterOrBool, act: Callable[[], None]) -> None:
        def handler(event: KeyPressEvent) -> None:
            act()

        # The default `save_before` makes each use of such a key one undo step.
        keys.add(*sequence, filter=when)(handler)

    def taking(part: Callable[[str], str]) -> Callable[[], None]:
        return lambda: hands.take(part)

    for part, sequences in TAKE_KEYS:
        for sequence in sequences:
            bind(sequence, ghost, taking(part))
    # vi's Esc leaves insert mode, where alone a ghost is shown.
    bind(("escape",), ghost & ~vi_mode, hands.dismiss)
    bind(("enter",), typing, hands.enter)
    bind(("c-c",), typing, hands.interrupt)
    bind(("<sigint>",), True, hands.interrupt)
    bind(("c-d",), typing & Condition(hands.line_empty), hands.quit)
    bind(("c-z",), True, hands.suspend)
    return keys
