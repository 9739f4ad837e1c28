"""Typographic quotes and dashes, and the characters of keyboards that are typed for them, one for one."""

from __future__ import annotations

# The fewer places apart, the more alike.
OF = {
    '"': "”“„‟»«″",
    "'": "’‘‚‛›‹′ʼ´`",
    "-": "‐‑",
    " ": "\u00a0\u2007\u202f\u2009\u2008\u2006\u2005\u2004\u2003\u2002\u2001\u2000\u200a\u205f\u3000",
}
_TYPED = str.maketrans({char: plain for plain, alike in OF.items() for char in alike})


def typed(text: str) -> str:
    """`text` as a keyboard without typeset characters has it."""
    return text if text.isascii() and "`" not in text else text.translate(_TYPED)
