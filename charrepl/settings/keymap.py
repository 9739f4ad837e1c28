"""The keys: every action of the prompt, its name in config.toml, and its keys.

Keys are written as people write them: `Ctrl-E`, `Alt-Right`, `Shift-Tab`. This module imports neither the
terminal nor the library that reads it. `sequence` gives a key's name in that library.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

# An action's keys, as `canonical` spells them.
Keys = tuple[str, ...]


class Action(NamedTuple):
    """An action: `when` it is possible, what it `does`, and what it does with --plain if that differs."""

    name: str
    keys: Keys
    when: str
    does: str
    plain: str = ""
    editor: str = ""  # the line editor's own name for it, if it has these keys there already


ACTIONS = (
    Action("take", ("Tab", "Right", "End", "Ctrl-E", "Ctrl-F"), "ghost", "take the ghost",
           "say the ghost; once it is said, take it"),
    Action("take_word", ("Alt-F", "Alt-Right", "Ctrl-Right"), "ghost", "take its next word",
           "say the ghost; take its next word"),
    Action("take_line", ("Shift-Tab",), "ghost", "take its next line", "say the ghost; take its next line"),
    Action("take_character", ("Shift-Right",), "ghost", "take one character of it",
           "say the ghost; take one character"),
    Action("next_alternative", ("Ctrl-Down", "Alt-]"), "line", "another ghost, marked (2/4)",
           "say another ghost"),
    Action("previous_alternative", ("Ctrl-Up",), "line", "the one before", "say the one before"),
    Action("dismiss", ("Esc",), "ghost", "hide it until something else is typed",
           "forget it, so that it is said again"),
    Action("enter", ("Enter",), "line", "add the line to the text, or run a command"),
    Action("write_on", ("Alt-Enter", "Ctrl-Alt-J"), "line",
           "let the model continue, to the end of the speech"),
    Action("stop_writing", ("Esc", "Ctrl-C"), "writing", "stop it"),
    Action("complete_command", ("Tab",), "command", "complete a command"),
    Action("undo", ("Ctrl-_",), "editing", "undo; a ghost you took is one step", editor="undo"),
    Action("search", ("Ctrl-R",), "editing", "search in earlier lines",
           "the last line that begins like this one, as Up does", editor="reverse-search-history"),
    Action("redraw", ("Ctrl-L",), "editing", "draw the screen again", "say the line", editor="clear-screen"),
    Action("interrupt", ("Ctrl-C",), "line", "clear the line"),
    Action("quit", ("Ctrl-D",), "line", "quit, on an empty line"),
    Action("suspend", ("Ctrl-Z",), "line", "go back to the shell, until you type fg"),
)  # fmt: skip

# The line editor's other actions, by readline's names. They have readline's keys, and you may add more.
EDITING = (
    *("backward_char", "backward_delete_char", "backward_kill_word", "backward_word", "beginning_of_history"),
    *("beginning_of_line", "capitalize_word", "delete_char", "delete_horizontal_space", "downcase_word"),
    *("end_of_history", "end_of_line", "forward_char", "forward_word", "kill_line", "kill_word"),
    *("next_history", "previous_history", "quoted_insert", "transpose_chars", "unix_line_discard"),
    *("unix_word_rubout", "uppercase_word", "yank", "yank_last_arg", "yank_nth_arg", "yank_pop"),
)

_BY_NAME = {action.name: action for action in ACTIONS}
# Kinds of actions that are possible at the same time without an order: they cannot share a key.
_CLASHES = ({"ghost", "line"}, {"line", "editing"}, {"command", "line"})

_MOVING = ("Up", "Down", "Left", "Right", "Home", "End", "PageUp", "PageDown", "Insert", "Delete")
_OTHERS = ("Tab", "Enter", "Esc", "Space", "Backspace", *(f"F{number}" for number in range(1, 25)))
_NAMED = {name.lower(): name for name in (*_MOVING, *_OTHERS)}
_NAMED |= {"escape": "Esc", "return": "Enter", "del": "Delete", "ins": "Insert"}
_MODIFIERS = {"ctrl": "Ctrl", "control": "Ctrl", "c": "Ctrl", "alt": "Alt", "meta": "Alt", "m": "Alt"}
_MODIFIERS |= {"shift": "Shift", "s": "Shift"}
_MODIFIER = re.compile(r"([a-z]+)-(?=.)", re.IGNORECASE)
# For these a terminal sends the same as for another key.
_SAME = {"Ctrl-I": "Tab", "Ctrl-M": "Enter", "Ctrl-[": "Esc", "Ctrl-H": "Backspace", "Ctrl-@": "Ctrl-Space"}


def canonical(key: str) -> str:
    """A key in our spelling. Raises ValueError, with the reason, if there is no such key."""
    rest, modifiers = key, set()
    while (found := _MODIFIER.match(rest)) and found[1].lower() in _MODIFIERS:
        modifiers.add(_MODIFIERS[found[1].lower()])
        rest = rest[found.end() :]
    name = _NAMED.get(rest.lower(), rest)
    if len(name) == 1 and name.isascii() and name.isprintable() and not name.isspace():
        return _character(name, modifiers)
    if name not in _NAMED.values():
        raise ValueError(_unknown(key))
    shift_tab = name == "Tab" and "Ctrl" not in modifiers
    allowed = {"Ctrl", "Alt", "Shift"} if name in _MOVING else {"Alt", "Shift"} if shift_tab else {"Alt"}
    if name.startswith("F") or name == "Space":
        allowed = {"Ctrl", "Alt"}
    if not modifiers <= allowed:
        raise ValueError(f"terminals do not tell that from {name}: choose another key")
    if name == "Space" and not modifiers:
        raise ValueError("that is typed as text: put Ctrl- or Alt- before it")
    return _spelt(modifiers, name)


def _character(char: str, modifiers: set[str]) -> str:
    if not modifiers & {"Ctrl", "Alt"}:
        raise ValueError("that is typed as text: put Ctrl- or Alt- before it")
    if "Ctrl" in modifiers:
        if "Shift" in modifiers:
            raise ValueError("terminals do not tell that from the same without Shift: leave Shift out")
        if not re.fullmatch(r"[A-Za-z@\[\\\]^_]", char):
            raise ValueError("terminals have no such key: Ctrl- goes with letters and @ [ \\ ] ^ _")
        spelt = _spelt({"Ctrl"}, char.upper())
        return _spelt(modifiers - {"Ctrl"}, _SAME.get(spelt, spelt))
    if char == "[" or (char in "oO" and "Shift" in modifiers):
        raise ValueError("that is how cursor keys begin: choose another key")
    return _spelt(modifiers if char.isalpha() else {"Alt"}, char.upper())


def _spelt(modifiers: set[str], name: str) -> str:
    if name.startswith("Ctrl-") and "Alt" in modifiers:
        name, modifiers = name.removeprefix("Ctrl-"), modifiers | {"Ctrl"}
    return "".join(f"{modifier}-" for modifier in ("Ctrl", "Alt", "Shift") if modifier in modifiers) + name


def _unknown(key: str) -> str:
    from charrepl.errors import did_you_mean

    simple = [f"{modifier}-{chr(code)}" for modifier in ("Ctrl", "Alt") for code in range(65, 91)]
    moving = [f"{modifier}-{name}" for modifier in ("Ctrl", "Alt", "Shift") for name in _MOVING]
    near = did_you_mean(key, [*_NAMED.values(), *simple, *moving, "Shift-Tab", "Alt-Enter"])
    return f"no such key: {near or 'write it as Ctrl-E, Alt-Right, Shift-Tab or F5'}"


def sequence(key: str) -> tuple[str, ...]:
    """A key's name in prompt_toolkit. Alt is Esc and then the key, as terminals send it."""
    *modifiers, name = re.split(r"(?<=.)-(?=.)", key)
    plain = {"Esc": "escape", "Backspace": "c-h", "Space": "space"}.get(name, name.lower())
    if "Ctrl" in modifiers:
        shifted = "c-s-" if "Shift" in modifiers else "c-"
        found = "c-@" if name == "Space" else shifted + plain
    elif "Shift" in modifiers:
        found = name if len(name) == 1 else f"s-{plain}"
    else:
        found = " " if name == "Space" else plain
    return ("escape", found) if "Alt" in modifiers else (found,)


def action_name(name: str) -> str | None:
    """The action with this name, in readline's spelling or ours; None if there is none."""
    spelt = name.replace("-", "_")
    return spelt if spelt in _BY_NAME or spelt in EDITING else None


def names() -> list[str]:
    """Every action."""
    return [*_BY_NAME, *EDITING]


def _when(name: str) -> str:
    return _BY_NAME[name].when if name in _BY_NAME else "editing"


def editor(name: str) -> tuple[Keys, str]:
    """The keys that the line editor itself binds to an action, and its name there. Empty if it has none."""
    if name in EDITING:
        return (), name.replace("_", "-")
    action = _BY_NAME[name]
    return (action.keys, action.editor) if action.editor else ((), "")


def picked(actions: Iterable[str], *, writing: bool, command: bool) -> str:
    """Which of a key's actions applies now; empty if none does."""
    for when, holds in (("writing", writing), ("command", command), ("ghost", not command)):
        found = next((name for name in actions if holds and _when(name) == when), None)
        if found:
            return found
    return next((name for name in actions if _when(name) in ("line", "editing")), "")


def clash(given: Mapping[str, Keys]) -> tuple[str, str, str] | None:
    """The first key that two actions cannot share, as (key, action, other action); None if there is none."""
    for other, theirs in given.items():
        for name, keys in given.items():
            if name == other:
                break
            both = _when(name) == _when(other) or {_when(name), _when(other)} in _CLASHES
            for key in keys:
                if both and key in theirs:
                    return key, name, other
    return None


def effective(given: Mapping[str, Keys]) -> dict[str, Keys]:
    """All actions with their keys: those given, else the usual ones that were not given to another action."""
    found = {}
    for action in ACTIONS:
        own = given.get(action.name)
        if own is None:
            own = tuple(key for key in action.keys if clash({**given, action.name: (key,)}) is None)
        found[action.name] = own
    return found | {name: keys for name, keys in given.items() if name not in found}


def usual(name: str) -> Keys:
    """An action's keys if the user chooses none. Empty for the line editor's actions."""
    return _BY_NAME[name].keys if name in _BY_NAME else ()


def does(name: str, *, plain: bool = False) -> str:
    """What an action does."""
    action = _BY_NAME.get(name)
    if action is None:
        return name.replace("_", " ")
    return action.plain if plain and action.plain else action.does


def table(keys: Mapping[str, Keys], *, plain: bool = False) -> list[str]:
    """Lines for the actions that have keys: the keys, and what they do."""
    rows = [(" ".join(own), does(name, plain=plain)) for name, own in keys.items() if own]
    width = max((len(own) for own, _ in rows), default=0)
    return [f"{own:{width}}  {what}" for own, what in rows]
