"""Every key that prompt_toolkit binds is looked at: it has a meaning here, or it is not there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from prompt_toolkit.application.current import set_app
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.key_binding.defaults import load_key_bindings
from prompt_toolkit.key_binding.key_processor import _Flush
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import DummyOutput

from charrepl.editing.grapheme_keys import INSTEAD
from charrepl.repl.application import Repl
from charrepl.repl.key_bindings import REMOVED, editing, origin
from charrepl.settings.settings import effective
from charrepl.terminal.key_codes import data_of
from charrepl.writing.session import Session
from tests.charrepl.grapheme_samples import FAMILY, FLAG

# What is kept, by what it is for. A new version of prompt_toolkit may bring more.
KEPT = {
    "basic": """
        _ignore _newline _newline2 _go_up _go_down _cut""",
    "named_commands": """
        beginning_of_line end_of_line backward_char forward_char backward_word forward_word
        beginning_of_buffer end_of_buffer previous_history next_history beginning_of_history
        end_of_history clear_screen self_insert quoted_insert backward_delete_char delete_char
        kill_line unix_line_discard unix_word_rubout kill_word backward_kill_word
        delete_horizontal_space yank yank_pop yank_last_arg yank_nth_arg transpose_chars
        capitalize_word downcase_word uppercase_word undo start_kbd_macro end_kbd_macro
        call_last_kbd_macro""",
    "emacs": """
        _esc _next _prev _ _meta_dash _dash _goto_char _goto_char_backwards _start_of_word
        _start_next_word _toggle_start_end _prev_sentence _end_of_sentence _swap_characters
        _jump_next _jump_prev _start_selection _extend_selection _replace_selection _newline _delete
        _yank _cancel _cancel_selection _cut _copy""",
    "search": """
        start_reverse_incremental_search start_forward_incremental_search reverse_incremental_search
        forward_incremental_search accept_search abort_search""",
    "vi": """
        _back_to_navigation _insert_mode _navigation_mode _a _A _i _I _quick_normal_mode _open_above
        _open_below _up_in_selection _down_in_selection _up_in_navigation _go_up _go_down _go_down2
        _go_left _next_line _prev_line _start_of_next_line _to_nth_history_line _begin_of_sentence
        _end_of_sentence _move_in_navigation_mode _move_in_selection_mode _scroll_top _scroll_bottom
        _scroll_center _change_until_end_of_line _change_current_line _delete_until_end_of_line
        _delete_line _delete _delete_before_cursor _cut _substitute _replace _replace_mode
        _replace_single _insert_text _join _join_nospace _join_selection _join_selection_nospace
        _indent _unindent _reverse_case _lowercase_line _uppercase_line _swapcase_line _undo
        _yank_line _paste _paste_before _paste_register _paste_register_before
        _operator_in_navigation _operator_in_selection _apply_operator_to_text_object
        _unknown_text_object _visual _visual2 _visual_line _visual_line2 _visual_block
        _visual_block2 _visual_auto_word insert_in_block_selection _append_after_block
        _insert_text_multiple_cursors _delete_before_multiple_cursors _delete_after_multiple_cursors
        _left_multiple _right_multiple _updown_multiple _prev_occurrence _next_occurrence
        _search_next2 _search_previous2 _arg _0_arg _digraph _digraph1 _create_digraph _start_macro
        _stop_macro _execute_macro""",
}


def test_every_binding_that_is_brought_is_known_and_kept_or_left_out() -> None:
    brought = {origin(binding) for binding in load_key_bindings().bindings}
    kept = {(module, name) for module, names in KEPT.items() for name in names.split()}
    assert brought - kept == REMOVED
    assert kept <= brought
    bound = {origin(binding) for binding in editing(load_key_bindings()).bindings}
    assert {place for place in bound if place[0] != "grapheme_keys"} == kept - INSTEAD.keys()
    assert kept >= INSTEAD.keys()


LINE = "To be, or not to be"


@pytest.fixture(scope="module")
def repl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repl]:
    """A prompt whose keys are pressed here, and that draws nowhere."""
    place = tmp_path_factory.mktemp("keys")
    with pytest.MonkeyPatch.context() as patch, create_pipe_input() as pipe:
        for name in ("DATA", "CONFIG", "RUNTIME"):
            patch.setenv(f"CHARREPL_{name}_DIR", str(place / name))
        patch.setattr(Repl, "suspend", lambda self: None)
        session = Session(effective({}).settings)
        yield Repl(session, endpoint=None, last=None, keyboard=pipe, output=DummyOutput())


def pressed(repl: Repl, keys: tuple[Keys | str, ...]) -> None:
    for key in keys:
        repl.app.key_processor.feed(KeyPress(key, data_of(key, "")))
    repl.app.key_processor.feed(_Flush)
    repl.app.key_processor.process_keys()


def found_again(repl: Repl) -> bool:
    """Whether the line is there, in the text, or comes back by undo or from among the lines."""
    buffer = repl._buffer
    passage = repl.page.writer.passage
    if passage is not None:  # the model writes on after it
        repl.page.writer.stop()
        return passage.typed == LINE
    entered = iter(repl.session.draft.text)  # perhaps with a letter that was typed
    if all(char in entered for char in LINE) or LINE in [*buffer._working_lines]:
        return True
    for _ in range(5):
        buffer.undo()
        if buffer.text == LINE:
            return True
    return False


def sequences(*, vi: bool) -> set[tuple[Keys | str, ...]]:
    """All that is bound, with a letter for any key, and every single key."""
    bound = [*editing(load_key_bindings()).bindings]
    found = {tuple("x" if key == Keys.Any else key for key in binding.keys) for binding in bound}
    found |= {(key,) for key in Keys if not key.value.startswith("<")}
    found |= {tuple(map(chr, (code,))) for code in range(0x20, 0x7F)}
    alone = {keys for keys in found if len(keys) == 1}
    return found if vi else found | {(Keys.Escape, *keys) for keys in alone}


@pytest.mark.parametrize("mode", ["emacs", "vi", "vi insert", "search"])
def test_no_key_loses_the_line(repl: Repl, mode: str) -> None:
    lost = []

    async def press_all() -> None:
        repl.apply(effective({"editing_mode": "vi" if mode.startswith("vi") else "emacs"}).settings)
        with set_app(repl.app):
            for keys in sorted(sequences(vi=mode.startswith("vi")), key=repr):
                for place in (len(LINE), 5):
                    repl.app.reset()
                    repl.app.layout.focus(repl._buffer)
                    repl.app.exit_style = ""
                    repl.session.draft.pieces, repl.session.draft.text = [], ""
                    repl.page.clear()
                    repl._buffer.reset()
                    repl._buffer.insert_text(LINE)
                    repl._buffer.cursor_position = place
                    if mode == "vi":
                        repl.app.vi_state.input_mode = InputMode.NAVIGATION
                    elif mode == "search":
                        pressed(repl, (Keys.ControlR, "b"))
                    pressed(repl, keys)
                    if not found_again(repl):
                        lost.append((keys, place, repl.page.line))

    asyncio.run(press_all())
    assert lost == []


E, ALT = "e\u0301", Keys.Escape


@pytest.mark.parametrize(
    ("mode", "line", "keys", "left"),
    [
        ("emacs", f"a{E}{FAMILY}{FLAG}", (ALT, "3", Keys.Backspace), "a"),
        ("emacs", f"{E}{FAMILY}{FLAG}", (Keys.ControlA, ALT, "2", Keys.Delete), FLAG),
        ("emacs", f"st{E}ßa x", (Keys.ControlA, ALT, "u"), "STE\u0301SSA x"),
        ("emacs", f"{E}t{E} x", (Keys.ControlA, ALT, "c"), f"E\u0301t{E} x"),
        ("emacs", f"l'{E}té dure", (ALT, "b", ALT, "b", Keys.ControlK), "l'"),
        ("emacs", f"un {E}té", (ALT, Keys.Backspace), "un "),
        ("emacs", "это да", (Keys.ControlA, ALT, "d"), " да"),
        ("emacs", "हिन्दी है", (Keys.ControlA, ALT, "d"), " है"),
        ("vi", f"a{E}{FAMILY}b", tuple("02x"), f"{FAMILY}b"),
        ("vi", f"a{E}{FAMILY}b", tuple("$2X"), "ab"),
        ("vi", f"a{E}{FAMILY}b", tuple("0xp"), f"{E}a{FAMILY}b"),
        ("vi", f"a{E}{FAMILY}b", tuple("0lxp"), f"a{FAMILY}{E}b"),
        ("vi", f"a{E}{FAMILY}b", tuple("0lvld"), "ab"),
        ("vi", f"a{E}{FAMILY}b", tuple("03s"), "b"),
        ("vi", f"a{E}b", tuple("03~"), "AE\u0301B"),
        ("vi", "ßib", tuple("0~"), "SSib"),
        ("vi", f"a{E}{FAMILY} {FLAG}x y", tuple("0dwdw"), f"{FLAG}x y"),
    ],
)
def test_counts_cases_and_words_are_of_whole_clusters(
    repl: Repl, mode: str, line: str, keys: tuple[Keys | str, ...], left: str
) -> None:
    assert edited(repl, mode, line, keys) == left


BLOCK = Keys.ControlV


@pytest.mark.parametrize(
    ("text", "keys", "left"),
    [
        ("abcd\nabcd", ("g", "g", "l", BLOCK, "j", "l", "d"), "ad\nad"),
        ("abcd\nabcd", ("g", "g", "l", BLOCK, "j", "l", "x"), "ad\nad"),
        (
            f"{E}bc\nabc",
            ("g", "g", "l", BLOCK, "j", "d"),
            f"{E}c\nac",
        ),  # a letter of two characters before it
        (f"{FAMILY}b\nabc", ("g", "g", BLOCK, "j", "d"), "b\nc"),  # as wide as two letters
        (f"abc\n{FAMILY}c", ("g", "g", BLOCK, "j", "d"), "c\nc"),
        ("日本\nabcd\na", ("g", "g", "l", BLOCK, "j", "l", "l", "d"), "日\nab\na"),
        ("日本\nabcd\nabc", ("g", "g", "l", BLOCK, "j", "j", "$", "d"), "日\nab\nab"),
        (f"a{E}b\nxyz", ("g", "g", BLOCK, "j", "d", "p"), f"{E}ab\nyxz"),
        ("\tbc\nabcdefgh", ("g", "g", "l", BLOCK, "j", "l", "d"), "\t\nabcdgh"),
        ("日b\nxyz\nx", ("g", "g", BLOCK, "j", "j", "d", "P"), "日b\nxyz\nx"),
    ],
)
def test_a_block_is_of_the_columns_on_the_screen_and_takes_no_cluster_apart(
    repl: Repl, text: str, keys: tuple[Keys | str, ...], left: str
) -> None:
    assert edited(repl, "vi", text, keys) == left


@pytest.mark.parametrize(
    ("text", "keys", "left"),
    [
        ("日本語\nabcdef", ("g", "g", "$", "j", "x"), "日本語\nabcdf"),
        (f"{FAMILY}b\nabc", ("g", "g", "l", "j", "x"), f"{FAMILY}b\nab"),
        ("abcd\na\n日本", ("g", "g", "$", "j", "j", "x"), "abcd\na\n日"),  # the short line keeps the column
        ("日本\nabcd", ("G", "$", "k", "x"), "日\nabcd"),
    ],
)
def test_up_and_down_stay_in_the_column_on_the_screen(
    repl: Repl, text: str, keys: tuple[str, ...], left: str
) -> None:
    assert edited(repl, "vi", text, keys) == left


def edited(repl: Repl, mode: str, line: str, keys: tuple[Keys | str, ...]) -> str:
    """What becomes of a line."""

    async def press() -> None:
        repl.apply(effective({"editing_mode": mode}).settings)
        with set_app(repl.app):
            repl.app.reset()
            repl.app.layout.focus(repl._buffer)
            repl._buffer.reset()
            repl._buffer.insert_text(line)
            if mode == "vi":
                repl.app.vi_state.input_mode = InputMode.NAVIGATION
            pressed(repl, keys)

    asyncio.run(press())
    return repl.page.line
