"""Key codes: which key an escape sequence stands for. Keys have prompt_toolkit's names.

It knows xterm's modifiers, its modifyOtherKeys, the kitty keyboard protocol, Windows' win32-input-mode,
and what rxvt, the Linux console and a keypad in application mode send. Any other sequence is not a key.
See invisible-island.net/xterm/modified-keys.html and sw.kovidgoyal.net/kitty/keyboard-protocol.
"""

from __future__ import annotations

import re

from prompt_toolkit.input.ansi_escape_sequences import ANSI_SEQUENCES
from prompt_toolkit.keys import Keys

# A key is its name or its character.
Key = Keys | str

_SHIFT, _ALT, _CTRL, _SUPER, _HYPER, _META = 1, 2, 4, 8, 16, 32
_RELEASED = "3"

_LETTERS = {"A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end"}
_LETTERS |= {"P": "f1", "Q": "f2", "R": "f3", "S": "f4", "Z": "s-tab"}
_NUMBERS = {1: "home", 2: "insert", 3: "delete", 4: "end", 5: "pageup", 6: "pagedown", 7: "home", 8: "end"}
_NUMBERS |= {code: f"f{number}" for number, code in enumerate((11, 12, 13, 14, 15, 17, 18, 19, 20, 21), 1)}
_NUMBERS |= {code: f"f{number}" for number, code in enumerate((23, 24, 25, 26, 28, 29, 31, 32, 33, 34), 11)}
_RXVT = {"^": _CTRL, "$": _SHIFT, "@": _CTRL | _SHIFT}
# The keypad and the function keys, in the part of Unicode that kitty uses.
_KITTY = {57417: "left", 57418: "right", 57419: "up", 57420: "down", 57421: "pageup", 57422: "pagedown"}
_KITTY |= {57423: "home", 57424: "end", 57425: "insert", 57426: "delete"}
_KITTY |= {57376 + number: f"f{13 + number}" for number in range(12)}
_KITTY_TEXT = {57399 + number: char for number, char in enumerate("0123456789./*-+\r=,")}
_PRIVATE = range(57344, 63744)
_CONTROLS: dict[Key, str] = {
    key: char for char, key in ANSI_SEQUENCES.items() if len(char) == 1 and isinstance(key, Keys)
}
# What terminals have always sent for Ctrl and a character that is not a letter.
_WITH_CTRL = dict.fromkeys(" 2@`", "\0") | dict.fromkeys("3[", "\x1b") | dict.fromkeys("4\\|", "\x1c")
_WITH_CTRL |= dict.fromkeys("5]", "\x1d") | dict.fromkeys("6^~", "\x1e") | dict.fromkeys("7_/-", "\x1f")
_WITH_CTRL |= dict.fromkeys("8?", "\x7f")

_MODIFIED = re.compile(r"\x1b(?:\[|O)(?:1;)?(\d*)(?::(\d+))?([A-HP-SZ])")
_NUMBERED = re.compile(r"\x1b\[(\d+)(?:;(\d*)(?::(\d+))?)?([~^$@])")
_OTHER = re.compile(r"\x1b\[27;(\d+);(\d+)~")
_UNICODE = re.compile(r"\x1b\[(\d+)(?::(\d*))?(?::(\d*))?(?:;(\d*)(?::(\d+))?)?(?:;([\d:]*))?u")
# win32-input-mode: virtual key, scan code, character, whether it was pressed, modifiers, repeat count.
_WIN32 = re.compile(r"\x1b\[(\d*)(?:;(\d*))?(?:;(\d*))?(?:;(\d*))?(?:;(\d*))?(?:;(\d*))?_")
_VIRTUAL = {
    33: "pageup",
    34: "pagedown",
    35: "end",
    36: "home",
    37: "left",
    38: "up",
    39: "right",
    40: "down",
}
_VIRTUAL |= {45: "insert", 46: "delete"} | {111 + number: f"f{number}" for number in range(1, 25)}
_WIN32_ALT, _WIN32_CTRL, _WIN32_SHIFT = 0x0003, 0x000C, 0x0010
_MOST_REPEATED = 100


def character(char: str) -> Key:
    """The key that types a character, or sends a control."""
    found = ANSI_SEQUENCES.get(char) if char < " " or char == "\x7f" else None
    return found if isinstance(found, Keys) else char


def keys_of(sequence: str) -> tuple[Key, ...]:
    """The keys that a sequence stands for. Alt is Esc and then the key. Empty if it is not a key."""
    if sequence == "\x1b\t":
        return (Keys.BackTab,)  # the Linux console
    if re.fullmatch(r"\x1b\[\[[A-E]", sequence):
        return _named(f"f{ord(sequence[-1]) - 0x40}", 0)
    if found := re.fullmatch(r"\x1bO([j-y]|[IMX ])", sequence):  # the keypad
        return (character({"X": "=", " ": " "}.get(found[1]) or chr(ord(found[1]) - 0x40)),)
    if found := re.fullmatch(r"\x1b([O\[])([a-d])", sequence):  # rxvt's arrows
        return _named(_LETTERS[found[2].upper()], _CTRL if found[1] == "O" else _SHIFT)
    if found := _OTHER.fullmatch(sequence):
        return _typed(int(found[2]), modifiers=_modifiers(found[1]))
    if found := _MODIFIED.fullmatch(sequence):
        modifier, event, letter = found.groups()
        report = letter == "R" and modifier  # a report of the cursor's position, not F3 and a modifier
        name = _LETTERS.get(letter)
        return () if event == _RELEASED or report or name is None else _named(name, _xterm(modifier))
    if found := _NUMBERED.fullmatch(sequence):
        number, modifier, event, final = found.groups()
        name = _NUMBERS.get(int(number)) if len(number) < 4 else None
        return (
            () if event == _RELEASED or name is None else _named(name, _xterm(modifier) | _RXVT.get(final, 0))
        )
    if found := _UNICODE.fullmatch(sequence):
        code, shifted, base, modifier, event, text = found.groups()
        if event == _RELEASED:
            return ()
        return _typed(int(code), shifted=shifted, base=base, modifiers=_modifiers(modifier), text=text)
    if found := _WIN32.fullmatch(sequence):
        return _win32(*(int(part or 0) for part in found.groups()))
    return ()


def data_of(key: Key, sequence: str) -> str:
    """What a key types when it is taken literally. It does not matter how the terminal sent it."""
    return key if len(key) == 1 else _CONTROLS.get(key, sequence)


def _modifiers(code: str | None) -> int:
    return max(0, int(code) - 1) if code else 0


def _char(code: int | str | None) -> str:
    """The character with a code. Empty if there is none, or for a control that is not a key."""
    number = int(code) if code else 0
    control = number < 0x20 and chr(number) not in "\t\r\x1b"
    return (
        ""
        if control or 0x80 <= number < 0xA0 or 0xD800 <= number < 0xE000 or number > 0x10FFFF
        else chr(number)
    )


def _xterm(code: str | None) -> int:
    """As `_modifiers`, for iTerm and xterm, whose fourth modifier is Alt."""
    found = _modifiers(code)
    return found & ~_SUPER | _ALT if found & _SUPER else found


def _named(name: str, modifiers: int) -> tuple[Key, ...]:
    """A key with a name and these modifiers, if there is such a key."""
    if modifiers & (_SUPER | _HYPER):
        return ()
    if name.startswith("f") and modifiers & _SHIFT:
        name, modifiers = f"f{int(name[1:]) + 12}", modifiers & ~_SHIFT  # as in terminfo
    elif name == "s-tab":
        modifiers &= ~_SHIFT
    prefix = "c-" * bool(modifiers & _CTRL) + "s-" * bool(modifiers & _SHIFT)
    try:
        key = Keys(prefix + name)
    except ValueError:
        return ()
    return (Keys.Escape, key) if modifiers & (_ALT | _META) else (key,)


def _win32(virtual: int, scan: int, code: int, down: int, states: int, count: int) -> tuple[Key, ...]:
    """A key as Windows sends it: with its character, to which Shift, Ctrl and AltGr are already applied.

    A character beyond 16 bits comes as two keys. They are ignored.
    """
    if not down:
        return ()
    alt, ctrl = bool(states & _WIN32_ALT), bool(states & _WIN32_CTRL)
    modifiers = _SHIFT * bool(states & _WIN32_SHIFT) | _ALT * alt | _CTRL * ctrl
    if not code and virtual in _VIRTUAL:
        keys = _named(_VIRTUAL[virtual], modifiers)
    elif virtual == 9 and modifiers & _SHIFT:
        keys = _named("s-tab", modifiers)
    elif code or (virtual in (32, 50) and ctrl):  # Ctrl-Space and Ctrl-2 are NUL
        typed = (character(chr(code)),) if code < 0xD800 or 0xE000 <= code <= 0xFFFF else ()
        # Both together are AltGr, which is not a modifier here.
        keys = (Keys.Escape, *typed) if typed and alt and not ctrl else typed
    else:
        keys = ()
    return keys * min(max(1, count), _MOST_REPEATED)


def _typed(
    code: int, *, modifiers: int, shifted: str | None = None, base: str | None = None, text: str | None = None
) -> tuple[Key, ...]:
    """A key by its character, in Unicode, with modifiers."""
    if modifiers & (_SUPER | _HYPER):
        return ()
    if code in _KITTY:
        return _named(_KITTY[code], modifiers)
    char = _KITTY_TEXT.get(code) or _char(code)
    shift, alt, ctrl = modifiers & _SHIFT, modifiers & (_ALT | _META), modifiers & _CTRL
    if text and not (alt or ctrl):
        return tuple(char for part in text.split(":") if (char := _char(part)) >= " ")
    if not char or (code in _PRIVATE and code not in _KITTY_TEXT):
        return ()  # a modifier alone, or a media key
    if char == "\t" and (shift or ctrl):
        return _named("s-tab", modifiers) if shift else ()
    if (ctrl or alt) and not char.isascii() and base:
        char = _char(base)  # the key in this place on an English keyboard
    if shift and char > " ":
        char = _char(shifted) or char.upper()
    if ctrl and " " <= char < "\x7f":
        char = chr(ord(char.upper()) - 0x40) if char.isalpha() else _WITH_CTRL.get(char, "")
    if not char:
        return ()
    return (Keys.Escape, character(char)) if alt else (character(char),)
