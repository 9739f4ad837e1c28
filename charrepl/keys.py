"""Keys: which key does what, by name. What is done lives in the REPL.

Keys that take the ghost do so only while one is shown, which is only with the cursor at the end
of the text; elsewhere each keeps its usual meaning. Alt-[ and Ctrl-] stay free: the first begins
every cursor key, the second is character search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, FilterOrBool, has_focus, vi_mode
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from charrepl.ghost import next_char, next_line, next_word, whole

if TYPE_CHECKING:
    from charrepl.page import Page
    from charrepl.session import Session

# Alt is Esc and then the key, as terminals send it.
KEYS: dict[str, tuple[tuple[str, ...], ...]] = {
    "take": (("right",), ("end",), ("c-e",), ("c-f",), ("tab",)),
    "take_word": (("escape", "f"), ("escape", "right"), ("c-right",)),
    "take_line": (("s-tab",),),
    "take_character": (("s-right",),),
    "next_alternative": (("c-down",), ("escape", "]")),
    "previous_alternative": (("c-up",),),
    "dismiss": (("escape",),),
    "enter": (("enter",),),
    "write_on": (("escape", "enter"), ("escape", "c-j")),
    "stop_writing": (("escape",), ("c-c",)),
    "complete_command": (("tab",),),
    "interrupt": (("c-c",), ("<sigint>",)),
    "quit": (("c-d",),),
    "suspend": (("c-z",),),
}


class Hands(Protocol):
    """What the keys can do."""

    session: Session
    page: Page

    def ghost_shown(self) -> bool: ...
    def ghost_fits(self) -> bool: ...
    def complete_command(self) -> None: ...
    def interrupt(self) -> None: ...
    def suspend(self) -> None: ...
    def quit(self) -> None: ...


def bindings(hands: Hands, keys: Mapping[str, tuple[tuple[str, ...], ...]] = KEYS) -> KeyBindings:
    """The key bindings of the REPL, over those of prompt_toolkit."""
    bound = KeyBindings()
    session, page = hands.session, hands.page
    typing = has_focus(DEFAULT_BUFFER)
    ghost = typing & Condition(hands.ghost_shown)
    fits = typing & Condition(hands.ghost_fits)

    def bind(name: str, when: FilterOrBool, act: Callable[[], None]) -> None:
        def handler(event: KeyPressEvent) -> None:
            act()

        # The default `save_before` makes each use of such a key one undo step.
        for sequence in keys[name]:
            bound.add(*sequence, filter=when)(handler)

    def taking(part: Callable[[str], str]) -> Callable[[], None]:
        return lambda: page.take(part)

    bind("take", ghost, taking(whole))
    bind("take_word", ghost, taking(next_word))
    bind("take_line", ghost, taking(next_line))
    bind("take_character", ghost, taking(next_char))
    bind("next_alternative", fits, lambda: session.choose(1))
    bind("previous_alternative", fits, lambda: session.choose(-1))
    # vi's Esc leaves insert mode, where alone a ghost is shown.
    bind("dismiss", ghost & ~vi_mode, session.dismiss)
    bind("enter", typing, page.enter)
    bind("write_on", typing, page.write_on)
    bind("complete_command", typing & Condition(lambda: page.command_begun), hands.complete_command)
    bind("interrupt", typing, hands.interrupt)
    bind("quit", typing & Condition(lambda: not page.line), hands.quit)
    bind("suspend", True, hands.suspend)
    # The last one bound is the first one asked.
    bind("stop_writing", Condition(lambda: page.writer.passage is not None), page.writer.stop)
    return bound
