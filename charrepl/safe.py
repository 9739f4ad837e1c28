"""Text that is safe to send to a terminal, whoever wrote it."""

from __future__ import annotations

# C0 and C1 controls, which terminals obey, and the marks that reorder or break a line of text.
_UNSAFE: dict[int, str] = {
    **{code: chr(0x2400 + code) for code in range(0x20)},
    **dict.fromkeys(
        (
            *range(0x80, 0xA0),  # C1 controls
            *(0x061C, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),
            *range(0xD800, 0xE000),  # bytes that were not UTF-8, as Python reads them
        ),
        "\ufffd",
    ),
    0x7F: "\u2421",
    ord("\t"): "    ",
}
_UNSAFE_BUT_LINES = {code: glyph for code, glyph in _UNSAFE.items() if code != ord("\n")}

_REORDERING = {code: glyph for code, glyph in _UNSAFE.items() if code > 0x9F}


def visible(text: str) -> str:
    """`text` safe to draw on one line: control characters as glyphs, a tab as spaces."""
    return text.translate(_UNSAFE)


def printable(text: str) -> str:
    """`text` safe to print: as `visible`, with its newlines left."""
    return text.translate(_UNSAFE_BUT_LINES)


def in_order(text: str) -> str:
    """`text` with what would reorder or break a line replaced, each by one character."""
    return text.translate(_REORDERING)
