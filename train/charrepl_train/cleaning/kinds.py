"""The kinds of marks that can be left out of a text, by their names on the command line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from charrepl_train.cleaning import chat, html_pages, lines, mail, markdown

# In this order: mail may have HTML in it, and an exported page may be a chat.
_CLEANERS = {
    "mail": mail.cleaned,
    "html": html_pages.cleaned,
    "markdown": markdown.cleaned,
    "chat": chat.cleaned,
}
KINDS = tuple(_CLEANERS)
DECODING = {"mail", "chat"}  # which read bytes that are not UTF-8, as their programs do
UNDECODABLE = lines.UNDECODABLE


def cleaned(pieces: Iterable[str], kinds: Collection[str], counts: Counter[str]) -> Iterator[str]:
    """A file's text, in pieces, without the marks of some kinds. What is left out is added to `counts`."""
    for kind, cleaner in _CLEANERS.items():
        if kind in kinds:
            pieces = cleaner(pieces, counts)
    yield from pieces


def told(counts: Counter[str], kinds: Collection[str]) -> str:
    """What was left out, in one line."""
    named = ", ".join(f"{name} ({number:,})" for name, number in counts.most_common() if number)
    return f"Left out: {named}." if named else f"Nothing was found to clean as {' or '.join(kinds)}."
