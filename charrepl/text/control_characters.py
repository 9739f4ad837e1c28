"""Text that is safe to send to a terminal, whoever wrote it."""

from __future__ import annotations

# Invisible marks. Some of them reorder a line. Those that join letters (U+200C, U+200D) are not among them,
# because they change how letters are drawn.
_INVISIBLE = (
    *(0x00AD, 0x061C, 0x180E, 0x200B, 0x200E, 0x200F, 0xFEFF),
    *(*range(0x202A, 0x202F), *range(0x2060, 0x2070), *range(0xFFF9, 0xFFFC)),
)
_SHOWN: dict[int, str] = {
    **dict.fromkeys(_INVISIBLE, ""),
    # Ends of lines, and bytes that were not UTF-8, as Python reads them.
    **dict.fromkeys((0x2028, 0x2029, *range(0xD800, 0xE000)), "\ufffd"),
}
# C0 and C1 controls, which terminals obey.
_UNSAFE: dict[int, str] = {
    **{code: chr(0x2400 + code) for code in range(0x20)},
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    **_SHOWN,
    0x7F: "\u2421",
    ord("\t"): "    ",
}
_UNSAFE_BUT_LINES = {code: glyph for code, glyph in _UNSAFE.items() if code != ord("\n")}


def visible(text: str) -> str:
    """`text` safe to draw on one line: visible control characters, tabs as spaces, no invisible marks."""
    return text.translate(_UNSAFE)


def printable(text: str) -> str:
    """`text` made safe to print: as `visible`, but with its newlines."""
    return text.translate(_UNSAFE_BUT_LINES)


def shown(text: str) -> str:
    """`text` without invisible marks and line breaks. It still has controls, which the caller must handle."""
    return text.translate(_SHOWN)
