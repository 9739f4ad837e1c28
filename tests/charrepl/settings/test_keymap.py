"""The keys: names, what they are called elsewhere, and who gets which."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.bindings.named_commands import get_by_name

from charrepl.settings import keymap
from charrepl.settings.keymap import canonical, effective, sequence


@pytest.mark.parametrize(
    ("key", "spelt", "keys"),
    [
        ("ctrl-e", "Ctrl-E", ("c-e",)),
        ("C-e", "Ctrl-E", ("c-e",)),
        ("M-f", "Alt-F", ("escape", "f")),
        ("alt-shift-f", "Alt-Shift-F", ("escape", "F")),
        ("Alt-Ctrl-j", "Ctrl-Alt-J", ("escape", "c-j")),
        ("Ctrl-Shift-Left", "Ctrl-Shift-Left", ("c-s-left",)),
        ("meta-return", "Alt-Enter", ("escape", "enter")),
        ("Ctrl-M", "Enter", ("enter",)),
        ("Ctrl-[", "Esc", ("escape",)),
        ("Ctrl-Alt-h", "Alt-Backspace", ("escape", "c-h")),
        ("Alt--", "Alt--", ("escape", "-")),
        ("Ctrl-_", "Ctrl-_", ("c-_",)),
        ("Ctrl-\\", "Ctrl-\\", ("c-\\",)),
        ("ctrl-space", "Ctrl-Space", ("c-@",)),
        ("alt-space", "Alt-Space", ("escape", " ")),
        ("pageup", "PageUp", ("pageup",)),
        ("ctrl-f12", "Ctrl-F12", ("c-f12",)),
    ],
)
def test_a_key_has_one_spelling_and_a_name_in_the_library(
    key: str, spelt: str, keys: tuple[str, ...]
) -> None:
    assert canonical(key) == spelt
    assert sequence(spelt) == keys


def test_every_key_that_can_be_written_can_be_bound() -> None:
    names = [*keymap._NAMED.values(), *map(chr, range(0x20, 0x7F))]
    modifiers = [c for n in range(4) for c in itertools.combinations(("Ctrl-", "Alt-", "Shift-"), n)]
    found = set()
    for before, name in itertools.product(modifiers, names):
        try:
            found.add(canonical("".join(before) + name))
        except ValueError:
            continue
    assert {"Shift-Tab", "Ctrl-Alt-Right", "Alt-]", "F24", "Delete"} < found
    bound = KeyBindings()
    for key in found:
        bound.add(*sequence(key))(lambda event: None)


def test_the_usual_keys_are_spelt_as_they_are_read() -> None:
    keys = [key for action in keymap.ACTIONS for key in action.keys]
    assert [canonical(key) for key in keys] == keys
    assert keymap.clash(effective({})) is None


def test_the_line_editor_knows_every_action_of_its_own() -> None:
    for name in keymap.names():
        editor = keymap.editor(name)[1]
        if editor:
            assert get_by_name(editor)


def test_a_key_that_is_given_to_one_action_is_taken_from_the_others_of_the_same_time() -> None:
    given = {"take_word": ("Tab",), "quit": ("Ctrl-C",)}
    keys = effective(given)
    assert "Tab" not in keys["take"]
    assert keys["complete_command"] == ("Tab",)  # of a command, where there is no ghost
    assert keys["interrupt"] == ()
    assert keys["stop_writing"] == ("Esc", "Ctrl-C")


def test_the_guide_has_the_keys() -> None:
    guide = (Path(__file__).parents[3] / "docs/guide/prompt.md").read_text()
    rows = [f"| {', '.join(action.keys)} | {action.does} | `{action.name}` |\n" for action in keymap.ACTIONS]
    assert "".join(["| key | does | action |\n", "|---|---|---|\n", *rows]) in guide, "".join(rows)
