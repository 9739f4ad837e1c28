"""The kinds of marks that can be left out of a text, by their names on the command line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from charrepl_train.cleaning import chat, html_pages, lines, mail, markdown

_CLEANERS = {
    "mail": mail.cleaned,
    "chat": chat.cleaned,
    "markdown": markdown.cleaned,
    "html": html_pages.cleaned,
}
# Mail may have HTML in it, and a page may show mails.
_ORDER = ("mail", "html", "markdown", "chat")
_PAGE_ORDER = ("html", "mail", "markdown", "chat")
KINDS = tuple(_CLEANERS)
DECODING = {"mail", "chat"}  # which read bytes that are not UTF-8, as their programs do
UNDECODABLE = lines.UNDECODABLE


def cleaned(pieces: Iterable[str], kinds: Collection[str], counts: Counter[str]) -> Iterator[str]:
    """A file's text, in pieces, without the marks of some kinds. What is left out is added to `counts`."""
    start, pieces = lines.begun(pieces)
    for kind in _PAGE_ORDER if html_pages.is_page(start) else _ORDER:
        if kind in kinds:
            pieces = _CLEANERS[kind](pieces, counts)
    yield from pieces


def told(counts: Counter[str], kinds: Collection[str]) -> str:
    """What was left out, in one line."""
    named = ", ".join(f"{name} ({number:,})" for name, number in counts.most_common() if number)
    return f"Cleaned away: {named}." if named else f"Nothing was found to clean as {' or '.join(kinds)}."
