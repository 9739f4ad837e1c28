"""Typographic quotes and dashes, and the keyboard character that people type for each."""

from __future__ import annotations

# The closer together, the more similar.
OF = {
    '"': "”“„‟»«″",
    "'": "’‘‚‛›‹′ʼ´`",
    "-": "‐‑",
    " ": "\u00a0\u2007\u202f\u2009\u2008\u2006\u2005\u2004\u2003\u2002\u2001\u2000\u200a\u205f\u3000",
}
_TYPED = str.maketrans({char: plain for plain, alike in OF.items() for char in alike})


def typed(text: str) -> str:
    """`text` as one types it on a keyboard without typographic characters. The length stays the same."""
    return text if text.isascii() and "`" not in text else text.translate(_TYPED)
