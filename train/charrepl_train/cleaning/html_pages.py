"""HTML as the text that a reader of the page sees."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser

from charrepl_train.cleaning import lines

_BLOCK = re.compile(
    r"address|article|aside|blockquote|body|br|center|d[dlt]|details|div|fieldset|figcaption|figure|footer|form"
    r"|h[1-6]|head|header|hr|html|li|main|nav|ol|option|p|pre|section|select|summary|table|tbody|t[dhr]|tfoot"
    r"|thead|title|ul"
)
_INLINE = re.compile(
    r"a|abbr|acronym|b|base|bd[io]|big|button|cite|code|col|colgroup|data|del|dfn|em|font|i|iframe|img|input"
    r"|ins|kbd|label|legend|link|mark|meta|q|s|samp|small|source|span|strike|strong|su[bp]|textarea|time|tt|u"
    r"|var|video|wbr"
)
_HIDDEN = ("head", "math", "noscript", "script", "style", "svg", "template")
_ALWAYS_HIDDEN = ("script", "style")  # of the others, a text that is no page may lack the end
_TAG_CHARACTERS = 2_000  # in a text that is no page: what is longer is no tag
# In a text that is no page: where no end tag comes within so many, it speaks of the tag.
_HIDDEN_CHARACTERS = 100_000
_ENTITY = re.compile(r"&(?:#\d+|#[xX][0-9a-fA-F]+|[a-zA-Z][a-zA-Z0-9]+);")
_REFERENCE = 40  # characters at most
_SPACES = re.compile(r"[ \t\n\f\xa0]+")


def cleaned(pieces: Iterable[str], counts: Counter[str]) -> Iterator[str]:
    """As `kinds.cleaned`, of HTML.

    A text that begins with `<` is a page, whose line breaks are those of its elements. Another one may have
    tags in it, and keeps all else as it is.
    """
    start, pieces = lines.begun(pieces)
    parser = _Parser(counts, page=is_page(start))
    # Not as they were cut: Python's parser keeps a comment whose first two characters come alone.
    for piece in lines.joined(lines.split(pieces)):
        parser.feed(piece)
        yield from parser.taken()
    parser.close()
    parser.end()
    yield from parser.taken()


def is_page(start: str) -> bool:
    """Whether a text that begins so is a page."""
    return start.lstrip().startswith("<")


def _known(tag: str) -> bool:
    return bool(_BLOCK.fullmatch(tag) or _INLINE.fullmatch(tag)) or tag in _HIDDEN


class _Parser(HTMLParser):
    def __init__(self, counts: Counter[str], *, page: bool) -> None:
        super().__init__(convert_charrefs=True)
        self._counts = counts
        self._page = page
        self._hidden = ""  # the element whose text nobody sees, while within it
        self._opening = ""  # its tag
        self._withheld: list[str] = []  # what was in it so far, in a text that is no page
        self._preformatted = 0
        self._text: list[str] = []
        self._last = "\n"  # the character that was written last
        self._space = False  # whether one is to be written before the next word
        self._broken = False  # whether it ended a line where an element did
        self._end_tag = ""
        self._reference = ""  # the beginning of one, at the end of what was fed

    def feed(self, data: str) -> None:
        """Reads on."""
        begun = self._reference + data
        self._counts["HTML entities"] += len(_ENTITY.findall(begun))
        self._reference = begun[max(begun.rfind("&"), len(begun) - _REFERENCE) :] if "&" in begun else ""
        if ";" in self._reference:
            self._reference = ""
        super().feed(data)
        while self._withholds(_HIDDEN_CHARACTERS):
            self._give_back()

    def close(self) -> None:
        """Reads what is left."""
        while self._withholds(0):
            self._give_back()
        super().close()

    def taken(self) -> Iterator[str]:
        """What was read since the last time."""
        text = "".join(self._text)
        self._text.clear()
        if text:
            yield text

    def end(self) -> None:
        """Ends the last line of a page."""
        if self._page:
            self._break()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        written = self.get_starttag_text() or ""
        if not self._page and (not _known(tag) or len(written) > _TAG_CHARACTERS or "\n\n" in written):
            self._write(written)
            return
        self._counts["HTML tags"] += 1
        if tag in (_HIDDEN if self._page else _ALWAYS_HIDDEN) and not self._hidden:
            self._hidden, self._opening = tag, written
        elif tag == "body" and self._hidden == "head":  # which may lack its end
            self._hidden = ""
        if _BLOCK.fullmatch(tag):
            self._break()
        self._preformatted += tag == "pre"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag == self._hidden:
            self._hidden = ""
            self._withheld.clear()

    def handle_endtag(self, tag: str) -> None:
        if not self._page and not _known(tag):
            self._write(self._end_tag)
            return
        self._counts["HTML tags"] += 1
        if tag == self._hidden:
            self._counts["hidden elements (scripts, styles)"] += 1
            self._hidden = ""
            self._withheld.clear()
        if _BLOCK.fullmatch(tag):
            self._break()
        self._preformatted = max(0, self._preformatted - (tag == "pre"))

    def parse_endtag(self, i: int) -> int:
        """Keeps how it is written."""
        end = self.rawdata.find(">", i) + 1
        self._end_tag = self.rawdata[i:end]
        return super().parse_endtag(i)

    def handle_data(self, data: str) -> None:
        if not self._page or self._preformatted:
            self._write(data.removeprefix("\n") if self._broken else data)
            return
        data = _SPACES.sub(" ", data)
        words = data.strip(" ")
        spaced = self._space or data.startswith(" ")
        if words:
            self._write(f" {words}" if spaced and self._last != "\n" else words)
        self._space = data.endswith(" ") if words else spaced

    def handle_comment(self, data: str) -> None:
        self._counts["HTML comments"] += 1

    def handle_decl(self, decl: str) -> None:
        self._counts["HTML tags"] += 1

    def handle_pi(self, data: str) -> None:
        if not self._page:
            self._write(f"<?{data}>")

    def unknown_decl(self, data: str) -> None:
        if not self._page:
            self._write(f"<![{data}]>")

    def parse_bogus_comment(self, i: int, report: int = 1) -> int:
        """Such as `</3`, which is no comment."""
        self._write(self.rawdata[i : i + 2])
        return i + 2

    def _withholds(self, most: int) -> bool:
        """Whether a text that is no page has an element whose end did not come within `most` characters."""
        if self._page or not self._hidden:
            return False
        return len(self._opening) + sum(map(len, self._withheld)) + len(self.rawdata) > most

    def _give_back(self) -> None:
        """Reads anew, as any text, what was no hidden element, as in a sentence on tags."""
        text = "".join((*self._withheld, self.rawdata))
        self._hidden = self.rawdata = ""
        self._withheld.clear()
        self._counts["HTML tags"] -= 1
        self.clear_cdata_mode()
        self._write(self._opening)
        super().feed(text)

    def _write(self, text: str) -> None:
        if self._hidden:
            if not self._page:
                self._withheld.append(text)
        elif text:
            self._text.append(text)
            self._last = text[-1]
            self._broken = False

    def _break(self) -> None:
        self._space = False
        if self._last != "\n" and not self._hidden:
            self._write("\n")
            self._broken = True
