"""Keys: what each action of `keymap.py` does at the prompt, and when. How it is done lives in the REPL.

Keys that take the ghost do so only while one is shown, which is only with the cursor at the end
of the text; elsewhere each keeps its usual meaning. Alt-[ and Ctrl-] stay free: the first begins
every cursor key, the second is character search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, FilterOrBool, has_focus, is_searching, vi_mode
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.key_binding.bindings import search
from prompt_toolkit.key_binding.bindings.named_commands import get_by_name

from charrepl import keymap
from charrepl.ghost import next_char, next_line, next_word, whole

if TYPE_CHECKING:
    from charrepl.page import Page
    from charrepl.session import Session


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


def bindings(hands: Hands, given: Mapping[str, keymap.Keys]) -> KeyBindings:
    """The key bindings of the REPL, over those of prompt_toolkit; `given` as `Settings.keys` has them."""
    keys = keymap.effective(given)
    bound = _editing(keys)
    session, page = hands.session, hands.page
    typing = has_focus(DEFAULT_BUFFER)
    ghost = typing & Condition(hands.ghost_shown)
    fits = typing & Condition(hands.ghost_fits)

    def bind(name: str, when: FilterOrBool, act: Callable[[], None]) -> None:
        def handler(event: KeyPressEvent) -> None:
            act()

        # The default `save_before` makes each use of such a key one undo step.
        for key in keys[name]:
            bound.add(*keymap.sequence(key), filter=when)(handler)

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
    bound.add("<sigint>", filter=typing)(lambda event: hands.interrupt())
    bind("quit", typing & Condition(lambda: not page.line), hands.quit)
    bind("suspend", True, hands.suspend)
    # The last one bound is the first one asked.
    bind("stop_writing", Condition(lambda: page.writer.passage is not None), page.writer.stop)
    return bound


def _editing(keys: Mapping[str, keymap.Keys]) -> KeyBindings:
    """The bindings of the line editor's own actions, which has their usual keys by itself.

    Those that are theirs no more do nothing.
    """
    bound = KeyBindings()
    typing = has_focus(DEFAULT_BUFFER)
    taken = {key for own in keys.values() for key in own}
    for action in keymap.ACTIONS:
        for key in action.keys if action.editor else ():
            if key not in taken:
                bound.add(*keymap.sequence(key), filter=typing)(lambda event: None)
    for name, own in keys.items():
        usual, editor = keymap.editor(name)
        for key in own if editor else ():
            if key not in usual:
                _bind_editing(bound, keymap.sequence(key), editor)
    return bound


def _bind_editing(bound: KeyBindings, sequence: tuple[str, ...], editor: str) -> None:
    typing = has_focus(DEFAULT_BUFFER)
    if editor == "reverse-search-history":
        # The command of that name leaves the search line hidden.
        bound.add(*sequence, filter=typing)(search.start_reverse_incremental_search)
        bound.add(*sequence, filter=is_searching)(search.reverse_incremental_search)
    else:
        bound.add(*sequence, filter=typing)(get_by_name(editor))
