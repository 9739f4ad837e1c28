"""Keys: what each action of `keymap.py` does at the prompt, and when. The REPL implements the actions.

A key that takes the ghost does so only while a ghost is shown, with the cursor at the end of the text.
Otherwise it has its usual meaning. Alt-[ and Ctrl-] stay free: the first begins every cursor key, the
second is character search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Protocol

from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import (
    Condition,
    FilterOrBool,
    emacs_insert_mode,
    emacs_mode,
    has_focus,
    is_searching,
    to_filter,
    vi_insert_mode,
    vi_mode,
)
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.key_binding.bindings import search
from prompt_toolkit.key_binding.bindings.basic import in_quoted_insert
from prompt_toolkit.key_binding.bindings.named_commands import get_by_name
from prompt_toolkit.key_binding.key_bindings import Binding, KeyBindingsBase
from prompt_toolkit.keys import Keys

from charrepl.editing.grapheme_keys import INSTEAD
from charrepl.ghost.state import next_char, next_line, next_word, whole
from charrepl.settings import keymap

if TYPE_CHECKING:
    from charrepl.repl.page import Page
    from charrepl.writing.session import Session

QUOTED_INSERT = "Ctrl-V"
_TAKING = ("take", "take_word", "take_line", "take_character")

# prompt_toolkit's bindings that we leave out, by module and function.
REMOVED = frozenset(
    {
        # They end what prompt_toolkit regards as the input, and so lose the line.
        *(("named_commands", name) for name in ("accept_line", "insert_comment", "operate_and_get_next")),
        # We have none of its completions.
        *(("named_commands", name) for name in ("menu_complete", "menu_complete_backward")),
        *(("emacs", name) for name in ("_complete", "_insert_all_completions")),
        *(("vi", f"_complete_{what}") for what in ("next", "prev", "line", "filename")),
        *(("vi", name) for name in ("_accept_completion", "_cancel_completion")),
        # Ctrl-C and a character: Ctrl-C would have to wait for the character.
        *(("emacs", name) for name in ("_indent", "_unindent")),
        # We have our own.
        *(("basic", name) for name in ("_insert_ctrl_z", "_insert_text", "_paste")),
        # We ask terminals neither for the mouse nor for the cursor's position.
        *(("mouse", name) for name in ("_", "_mouse", "_scroll_up", "_scroll_down")),
        ("cpr", "_"),
    }
)
insert_mode = emacs_insert_mode | vi_insert_mode


class KeyActions(Protocol):
    """What the keys can do."""

    session: Session
    page: Page

    def ghost_shown(self) -> bool: ...
    def ghost_fits(self) -> bool: ...
    def complete_command(self) -> None: ...
    def interrupt(self) -> None: ...
    def suspend(self) -> None: ...
    def quit(self) -> None: ...


def bindings(hands: KeyActions, given: Mapping[str, keymap.Keys]) -> KeyBindings:
    """The REPL's key bindings, which override prompt_toolkit's. `given` has the form of `Settings.keys`."""
    keys = keymap.effective(given)
    bound = _editing(keys)
    session, page = hands.session, hands.page
    typing = has_focus(DEFAULT_BUFFER)
    ghost = typing & Condition(hands.ghost_shown)
    fits = typing & Condition(hands.ghost_fits)

    def bind(name: str, when: FilterOrBool, act: Callable[[], None]) -> None:
        for key in keys[name]:
            _bind(bound, key, when, act)

    def taking(part: Callable[[str], str]) -> Callable[[], None]:
        return lambda: page.take(part)

    # Bound first, so that bindings for a ghost or a command come before them.
    quoted = next(iter(keys.get("quoted_insert", ())), QUOTED_INSERT)
    for key in ("Tab", "Shift-Tab"):
        for does in (name for name in _TAKING if key in keys[name]):
            said = f"no ghost: {key} would {keymap.does(does)}; {quoted} and then Tab types a tab"
            _bind(bound, key, typing & insert_mode, partial(session.tell, said))
    bind("take", ghost, taking(whole))
    bind("take_word", ghost, taking(next_word))
    bind("take_line", ghost, taking(next_line))
    bind("take_character", ghost, taking(next_char))
    bind("next_alternative", fits, lambda: session.choose(1))
    bind("previous_alternative", fits, lambda: session.choose(-1))
    # vi's Esc leaves insert mode, and only there is a ghost shown.
    bind("dismiss", ghost & ~vi_mode, session.dismiss)
    bind("enter", typing, page.enter)
    bind("write_on", typing, page.write_on)
    bind("complete_command", typing & Condition(lambda: page.command_begun), hands.complete_command)
    bind("interrupt", typing, hands.interrupt)
    bound.add("<sigint>", filter=typing)(lambda event: hands.interrupt())
    bind("quit", typing & Condition(lambda: not page.line), hands.quit)
    bind("suspend", True, hands.suspend)

    def paste(event: KeyPressEvent) -> None:
        event.app.quoted_insert = False
        if event.app.layout.has_focus(DEFAULT_BUFFER):
            page.paste(event.data)
        else:  # the text to search for is one line
            event.current_buffer.insert_text("".join(event.data.splitlines()[:1]))

    bound.add(Keys.BracketedPaste, eager=True)(paste)
    # The binding that was added last is tried first.
    bind("stop_writing", Condition(lambda: page.writer.passage is not None), page.writer.stop)
    return bound


def _bind(bound: KeyBindings, key: str, when: FilterOrBool, act: Callable[[], None]) -> None:
    # The default `save_before` makes each use of such a key one undo step.
    bound.add(*keymap.sequence(key), filter=when)(lambda event: act())


def editing(brought: KeyBindingsBase) -> KeyBindings:
    """prompt_toolkit's bindings, without those that have no meaning here or lose the line."""
    kept = KeyBindings()
    for binding in brought.bindings:
        place = origin(binding)
        if place not in REMOVED:
            kept.bindings.append(_by_clusters(binding) if place in INSTEAD else binding)
    return kept


def _by_clusters(binding: Binding) -> Binding:
    """A binding with the same effect, but on grapheme clusters."""
    return Binding(
        binding.keys,
        INSTEAD[origin(binding)],
        filter=binding.filter,
        eager=binding.eager,
        is_global=binding.is_global,
        save_before=binding.save_before,
        record_in_macro=binding.record_in_macro,
    )


def origin(binding: Binding) -> tuple[str, str]:
    """The module and the function of a prompt_toolkit binding."""
    return binding.handler.__module__.rpartition(".")[2], binding.handler.__name__


def _editing(keys: Mapping[str, keymap.Keys]) -> KeyBindings:
    """The bindings of the line editor's own actions. The editor itself binds their usual keys.

    Usual keys that are bound to nothing any more do nothing.
    """
    bound = KeyBindings()
    typing = has_focus(DEFAULT_BUFFER)
    taken = {key for own in keys.values() for key in own}
    for action in keymap.ACTIONS:
        for key in action.keys if action.editor else ():
            if key not in taken:
                bound.add(*keymap.sequence(key), filter=typing)(lambda event: None)
    bound.add("escape", Keys.Any, filter=typing & emacs_mode)(_alt_without_meaning)
    if QUOTED_INSERT not in taken:
        _bind_editing(bound, keymap.sequence(QUOTED_INSERT), "quoted-insert", when=insert_mode)
    bound.add(Keys.Any, filter=in_quoted_insert, eager=True)(_insert_literally)
    for name, own in keys.items():
        usual, editor = keymap.editor(name)
        for key in own if editor else ():
            if key not in usual:
                _bind_editing(bound, keymap.sequence(key), editor)
    return bound


def _alt_without_meaning(event: KeyPressEvent) -> None:
    """Makes Alt and a character type nothing. Any other key, and a paste, counts as a key of its own."""
    press = event.key_sequence[-1]
    if len(press.key) > 1:
        event.key_processor.feed(press, first=True)


def _insert_literally(event: KeyPressEvent) -> None:
    """Inserts what follows quoted-insert: a character or a control, but never a sequence."""
    event.app.quoted_insert = False
    if len(event.data) == 1:
        event.current_buffer.insert_text(event.data)


def _bind_editing(
    bound: KeyBindings, sequence: tuple[str, ...], editor: str, *, when: FilterOrBool = True
) -> None:
    typing = has_focus(DEFAULT_BUFFER) & to_filter(when)
    if editor == "reverse-search-history":
        # The command with this name would leave the search line hidden.
        bound.add(*sequence, filter=typing)(search.start_reverse_incremental_search)
        bound.add(*sequence, filter=is_searching)(search.reverse_incremental_search)
    else:
        command = get_by_name(editor)
        bound.add(*sequence, filter=typing)(_by_clusters(command) if origin(command) in INSTEAD else command)
