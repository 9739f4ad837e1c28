"""The keys: every action of the prompt, what it is called in config.toml, and the keys it has.

Keys are written as people write them, `Ctrl-E`, `Alt-Right`, `Shift-Tab`. No terminal is known here,
nor the library that reads one: `sequence` says how that calls a key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

# A key, as `canonical` spells it, for each way to press it.
Keys = tuple[str, ...]


class Action(NamedTuple):
    """What a key can do: `when` it may, what it `does`, and how that is with --plain where it differs."""

    name: str
    keys: Keys
    when: str
    does: str
    plain: str = ""
    editor: str = ""  # the line editor's own name for it, with these keys already


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
           "forget it, so that it is said anew"),
    Action("enter", ("Enter",), "line", "add the line to the text, or carry out a command"),
    Action("write_on", ("Alt-Enter", "Ctrl-Alt-J"), "line",
           "let the model write on, to the end of the speech"),
    Action("stop_writing", ("Esc", "Ctrl-C"), "writing", "stop it"),
    Action("complete_command", ("Tab",), "command", "complete a command"),
    Action("undo", ("Ctrl-_",), "editing", "undo; what was taken is one step", editor="undo"),
    Action("search", ("Ctrl-R",), "editing", "search in earlier lines",
           "the last line that begins as this one, as Up does", editor="reverse-search-history"),
    Action("redraw", ("Ctrl-L",), "editing", "draw the screen anew", "say the line", editor="clear-screen"),
    Action("interrupt", ("Ctrl-C",), "line", "clear the line"),
    Action("quit", ("Ctrl-D",), "line", "quit, on an empty line"),
    Action("suspend", ("Ctrl-Z",), "line", "go back to the shell, until its fg"),
)  # fmt: skip

# What else the line editor can do, by readline's names; these have readline's keys and may get more.
EDITING = (
    *("backward_char", "backward_delete_char", "backward_kill_word", "backward_word", "beginning_of_history"),
    *("beginning_of_line", "capitalize_word", "delete_char", "delete_horizontal_space", "downcase_word"),
    *("end_of_history", "end_of_line", "forward_char", "forward_word", "kill_line", "kill_word"),
    *("next_history", "previous_history", "quoted_insert", "transpose_chars", "unix_line_discard"),
    *("unix_word_rubout", "uppercase_word", "yank", "yank_last_arg", "yank_nth_arg", "yank_pop"),
)

_BY_NAME = {action.name: action for action in ACTIONS}
# Of two actions on one key, which are in force at the same time, and neither before the other.
_CLASHES = ({"ghost", "line"}, {"line", "editing"}, {"command", "line"})

_MOVING = ("Up", "Down", "Left", "Right", "Home", "End", "PageUp", "PageDown", "Insert", "Delete")
_OTHERS = ("Tab", "Enter", "Esc", "Space", "Backspace", *(f"F{number}" for number in range(1, 25)))
_NAMED = {name.lower(): name for name in (*_MOVING, *_OTHERS)}
_NAMED |= {"escape": "Esc", "return": "Enter", "del": "Delete", "ins": "Insert"}
_MODIFIERS = {"ctrl": "Ctrl", "control": "Ctrl", "c": "Ctrl", "alt": "Alt", "meta": "Alt", "m": "Alt"}
_MODIFIERS |= {"shift": "Shift", "s": "Shift"}
_MODIFIER = re.compile(r"([a-z]+)-(?=.)", re.IGNORECASE)
# What a terminal sends for them is what it sends for another key.
_SAME = {"Ctrl-I": "Tab", "Ctrl-M": "Enter", "Ctrl-[": "Esc", "Ctrl-H": "Backspace", "Ctrl-@": "Ctrl-Space"}


def canonical(key: str) -> str:
    """A key in the one spelling that is used here. Raises ValueError, with the reason, if there is none."""
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
    """A key as prompt_toolkit calls it: Alt is Esc and then the key, as terminals send it."""
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
    """The action that is called so, as readline spells it or as we do; None if there is none."""
    spelt = name.replace("-", "_")
    return spelt if spelt in _BY_NAME or spelt in EDITING else None


def names() -> list[str]:
    """Every action."""
    return [*_BY_NAME, *EDITING]


def _when(name: str) -> str:
    return _BY_NAME[name].when if name in _BY_NAME else "editing"


def editor(name: str) -> tuple[Keys, str]:
    """The keys that the line editor has for an action by itself, and its name there; empty if it has none."""
    if name in EDITING:
        return (), name.replace("_", "-")
    action = _BY_NAME[name]
    return (action.keys, action.editor) if action.editor else ((), "")


def picked(actions: Iterable[str], *, writing: bool, command: bool) -> str:
    """The one of a key's actions that is meant now; empty if none is."""
    for when, holds in (("writing", writing), ("command", command), ("ghost", not command)):
        found = next((name for name in actions if holds and _when(name) == when), None)
        if found:
            return found
    return next((name for name in actions if _when(name) in ("line", "editing")), "")


def clash(given: Mapping[str, Keys]) -> tuple[str, str, str] | None:
    """The first key that two of the actions have, as (key, action, the other action); None if none has."""
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
    """All actions with the keys they have: those given, else the usual ones that no other was given."""
    found = {}
    for action in ACTIONS:
        own = given.get(action.name)
        if own is None:
            own = tuple(key for key in action.keys if clash({**given, action.name: (key,)}) is None)
        found[action.name] = own
    return found | {name: keys for name, keys in given.items() if name not in found}


def usual(name: str) -> Keys:
    """The keys that an action has where nobody says anything; none for those of the line editor."""
    return _BY_NAME[name].keys if name in _BY_NAME else ()


def does(name: str, *, plain: bool = False) -> str:
    """What an action does."""
    action = _BY_NAME.get(name)
    if action is None:
        return name.replace("_", " ")
    return action.plain if plain and action.plain else action.does


def table(keys: Mapping[str, Keys], *, plain: bool = False) -> list[str]:
    """The actions that have keys: those, and what they do, as lines."""
    rows = [(" ".join(own), does(name, plain=plain)) for name, own in keys.items() if own]
    width = max((len(own) for own, _ in rows), default=0)
    return [f"{own:{width}}  {what}" for own, what in rows]
