"""Escape sequences: cuts what a terminal sends into text, escape sequences and pastes. Touches no terminal.

The grammar is that of ECMA-48: CSI with parameters, intermediates and a final byte, SS2 and SS3, and the
strings OSC, DCS, APC, PM and SOS. Each begins with ESC and a character, or with one C1 control. Some of
what terminals send is not in ECMA-48, but is read as well: the old mouse reports, the Linux console's
function keys, rxvt's `CSI 7 $`. The input may be fed in pieces that are cut anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

TEXT, ESCAPE, SEQUENCE, PASTE = "text", "escape", "sequence", "paste"

PASTE_BEGINS, PASTE_ENDS = "\x1b[200~", "\x1b[201~"

# ESC, and C1 controls: as characters, or as bytes that are not UTF-8, which Python reads as surrogates.
_SPECIAL = re.compile("[\x1b\x80-\x9f\udc80-\udc9f]")
_BAD_BYTES = re.compile("[\ud800-\udfff]")
_PARAMETERS = re.compile("[ -?]*")
_SS3_PARAMETERS = re.compile("[0-9;]*")
# Controls that no string contains: all but BS, TAB, LF, VT, FF, CR and DEL.
_STRING_BREAKS = re.compile("[\x00-\x07\x0e-\x1f\x9c\udc9c]")
_CANCELS = ("\x18", "\x1a")
_STRINGS = "]PX^_"
# How terminals' answers begin in an OSC, a DCS or an APC. Anything else that never ends was Alt and a key,
# followed by text.
_ANSWERS = {"]": re.compile(r"[\dlLI]"), "P": re.compile(r"[0-9;<=>?]*[ -/>|]"), "_": re.compile("G")}
# Characters of a sequence; nothing longer has a meaning.
_MOST_KEPT = 1000


class Token(NamedTuple):
    """`kind` is one of those above. The text of a sequence is its seven-bit form."""

    kind: str
    text: str


class EscapeSequences:
    """Reads what a terminal sends."""

    def __init__(self) -> None:
        self._tokens: list[Token] = []
        self._state: Callable[[str, int], int] = self._in_text
        self._kind = ""  # what has begun: `[`, `O`, `N`, or one of the strings
        self._body = ""  # what has come of it so far
        self._alt = False  # whether it began with ESC, so that it may be Alt and a key
        self._late = False  # whether a string was given up whose end may still come
        self._paste: list[str] = []
        self._held = ""  # the last characters, if they may be the beginning of the paste's end

    @property
    def unfinished(self) -> bool:
        """Whether something has begun whose end has not come."""
        return self._state != self._in_text

    @property
    def pasting(self) -> bool:
        """Whether a paste has begun and not ended."""
        return self._state == self._in_paste

    def feed(self, data: str) -> list[Token]:
        """Takes in `data` and returns what is complete."""
        at = 0
        while at < len(data):
            at = self._state(data, at)
        return self._taken()

    def flush(self) -> list[Token]:
        """Returns what is complete now that nothing followed immediately: a lone Esc is a key."""
        pressed = self._kind in (*_STRINGS, "O", "N") and self._alt and not self._body
        if self._state in (self._in_string, self._in_end_of_string, self._in_single) and pressed:
            again = self._state == self._in_end_of_string
            self._alt_key(self._kind)
            self._state = self._in_escape if again else self._in_text
        if self._state == self._in_escape:
            self._emit(ESCAPE, "\x1b")
            self._state = self._in_text
        elif self._state == self._in_control:
            self._rxvt_key()
        return self._taken()

    def give_up(self) -> list[Token]:
        """Returns what is complete now that the end of what has begun will not come."""
        if self.pasting:
            self._end_paste()
        elif self._state == self._in_escape:
            return self.flush()
        elif self.unfinished:
            self._late = self._kind in _STRINGS
            answer = _ANSWERS.get(self._kind)
            if self._late and self._alt and not (answer and answer.match(self._body)):
                self._alt_key(self._kind + self._body)
        self._state = self._in_text
        return self._taken()

    def _taken(self) -> list[Token]:
        tokens, self._tokens = self._tokens, []
        return tokens

    def _emit(self, kind: str, text: str) -> None:
        text = text if text.isascii() else _BAD_BYTES.sub("\ufffd", text)
        if kind == TEXT and self._tokens and self._tokens[-1].kind == TEXT:
            text = self._tokens.pop().text + text
        self._tokens.append(Token(kind, text))

    def _alt_key(self, text: str) -> None:
        self._emit(ESCAPE, "\x1b")
        self._emit(TEXT, text)
        self._state = self._in_text

    # States: each reads what it can from `at` on, and returns the place where the next one continues.

    def _in_text(self, data: str, at: int) -> int:
        found = _SPECIAL.search(data, at)
        end = found.start() if found else len(data)
        if end > at:
            self._emit(TEXT, data[at:end])
        if found:
            if found[0] == "\x1b":
                self._state = self._in_escape
            else:
                self._begin(chr((ord(found[0]) & 0xFF) - 0x40), alt=False)
        return end + 1

    def _in_escape(self, data: str, at: int) -> int:
        char = data[at]
        late, self._late = self._late, False
        if char == "\x1b":
            self._emit(ESCAPE, char)  # Alt and a key that is a sequence itself, as rxvt sends it
        elif char == "\t":
            self._sequence("\x1b\t")
        elif char == "\\" and late:
            self._state = self._in_text
        elif not self._begin(char, alt=True):
            self._emit(ESCAPE, "\x1b")
            return at  # Alt and a character, or Esc and then a character
        return at + 1

    def _begin(self, kind: str, *, alt: bool) -> bool:
        """Begins what `kind` introduces. False if `kind` introduces nothing."""
        self._state = self._in_text
        self._kind, self._body, self._alt = kind, "", alt
        if kind == "[":
            self._state = self._in_control
        elif kind in ("O", "N"):
            self._state = self._in_single
        elif kind in _STRINGS:
            self._state = self._in_string
        return self._state != self._in_text

    def _sequence(self, text: str) -> None:
        self._state = self._in_text
        if text == PASTE_BEGINS:
            self._state, self._paste = self._in_paste, []
        elif text != PASTE_ENDS:
            self._emit(SEQUENCE, text)

    def _in_control(self, data: str, at: int) -> int:
        parameters = _PARAMETERS.match(data, at)
        at = parameters.end() if parameters else at
        self._body = (self._body + (parameters[0] if parameters else ""))[:_MOST_KEPT]
        if at == len(data):
            return at
        char = data[at]
        if "@" <= char <= "~":
            if not self._body and char == "[":
                self._state = self._in_console_key
            elif not self._body and char == "M":
                self._state = self._in_mouse_report
            else:
                self._sequence(f"\x1b[{self._body}{char}")
            return at + 1
        self._rxvt_key()
        self._state = self._in_text
        return at + (char in _CANCELS)

    def _rxvt_key(self) -> None:
        if re.fullmatch(r"\d+\$", self._body):
            self._sequence(f"\x1b[{self._body}")

    def _in_console_key(self, data: str, at: int) -> int:
        self._state = self._in_text
        if data[at] not in "ABCDE":
            return at
        self._sequence(f"\x1b[[{data[at]}")
        return at + 1

    def _in_mouse_report(self, data: str, at: int) -> int:
        if data[at] < " " or data[at] == "\x7f":
            self._state = self._in_text
            return at
        self._body += data[at]
        if len(self._body) == 3:
            self._sequence(f"\x1b[M{self._body}")
        return at + 1

    def _in_single(self, data: str, at: int) -> int:
        if self._kind == "O":
            digits = _SS3_PARAMETERS.match(data, at)
            self._body += digits[0] if digits else ""
            at += len(digits[0]) if digits else 0
            if at == len(data):
                return at
        char = data[at]
        self._state = self._in_text
        if char < " " or (self._body and not char.isalpha()):
            return at
        self._sequence(f"\x1b{self._kind}{self._body}{char}")
        return at + 1

    def _in_string(self, data: str, at: int) -> int:
        found = _STRING_BREAKS.search(data, at)
        end = found.start() if found else len(data)
        self._body = (self._body + data[at : min(end, at + _MOST_KEPT)])[:_MOST_KEPT]
        if found is None:
            return end
        char = found[0]
        if char == "\x07" and self._kind != "]":
            return end + 1
        if char == "\x1b":
            self._state = self._in_end_of_string
            return end + 1
        self._state = self._in_text
        return end + (char in ("\x07", "\x9c", "\udc9c", *_CANCELS))  # any other control is a key

    def _in_end_of_string(self, data: str, at: int) -> int:
        if data[at] == "\\":
            self._state = self._in_text
            return at + 1
        if not self._body and self._alt:
            self._alt_key(self._kind)  # pressed again and again
        self._state = self._in_escape
        return at

    def _in_paste(self, data: str, at: int) -> int:
        text = self._held + data[at:]
        end = text.find(PASTE_ENDS)
        if end >= 0:
            at += end + len(PASTE_ENDS) - len(self._held)
            self._held = ""
            self._paste.append(text[:end])
            self._end_paste()
            return at
        # The end may be cut in two: what could be its first part waits.
        held = next((n for n in range(len(PASTE_ENDS) - 1, 0, -1) if text.endswith(PASTE_ENDS[:n])), 0)
        self._paste.append(text[: len(text) - held])
        self._held = text[len(text) - held :]
        return len(data)

    def _end_paste(self) -> None:
        text = "".join(self._paste)  # without an incomplete end
        self._paste, self._held, self._state = [], "", self._in_text
        # A paste that begins inside a paste: the end of the first was lost.
        self._emit(PASTE, text.replace(PASTE_BEGINS, ""))
