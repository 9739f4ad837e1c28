"""Text encodings: guesses the encoding of bytes that are not UTF-8."""

from __future__ import annotations

import codecs
import contextlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from charrepl.errors import CharreplError, did_you_mean

# Byte order marks. UTF-32LE comes first, because its mark begins with that of UTF-16LE.
_MARKS = (
    (codecs.BOM_UTF8, "UTF-8"),
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
# Common encodings of text files, by names that both iconv and Python know. Python has about a hundred, but
# most of the others would only cause wrong guesses.
_COMMON = {
    "cp1252": "WINDOWS-1252",
    "gb18030": "GB18030",
    "big5": "BIG5",
    "cp932": "CP932",
    "euc_jp": "EUC-JP",
    "iso2022_jp": "ISO-2022-JP",
    "cp949": "CP949",
    "cp1250": "WINDOWS-1250",
    "cp1251": "WINDOWS-1251",
    "koi8_r": "KOI8-R",
    "cp866": "CP866",
    "iso8859_5": "ISO-8859-5",
    "mac_cyrillic": "MAC-CYRILLIC",
    "cp1253": "WINDOWS-1253",
    "cp1254": "WINDOWS-1254",
    "cp1255": "WINDOWS-1255",
    "cp1256": "WINDOWS-1256",
    "cp1257": "WINDOWS-1257",
    "cp1258": "WINDOWS-1258",
    "cp874": "CP874",
    "iso8859_2": "ISO-8859-2",
    "cp437": "CP437",
    "cp850": "CP850",
    "mac_roman": "MACINTOSH",
}
# Larger encodings, by the smaller encoding whose name people often use for them.
_LARGER = {
    "GB2312": "GB18030",
    "GBK": "GB18030",
    "SHIFT_JIS": "CP932",
    "EUC-KR": "CP949",
    "BIG5": "BIG5-HKSCS",
}
_SHIFTED = {b"\x1b$B": "ISO-2022-JP", b"\x1b$@": "ISO-2022-JP", b"\x1b$)C": "ISO-2022-KR"}
# Both are plain ASCII: what is between the shifts must be readable text.
_HZ = re.compile(rb"~\{(?:[!-w][!-~])+~\}")
_UTF7 = re.compile(rb"\+[A-Za-z0-9+/]{2,}-?")
_LEAST_SHIFTED = 3
_WESTERN_LETTERS = "àâäáãåæçéèêëíìîïñóòôöõøœúùûüÿßÀÂÄÁÃÅÆÇÉÈÊËÍÌÎÏÑÓÒÔÖÕØŒÚÙÛÜŸ"
_WESTERN_SIGNS = "«»“”„‹›…€£°§¿¡ºª·†‡•©®™½¼¾"
_IN_WORDS = "‘’‚–—\xa0\xad"
# Western letters and symbols in places where they make no sense.
_NOT_WESTERN = re.compile(
    rf"[{_WESTERN_LETTERS}]{{3}}|[^\W\d_][{_WESTERN_SIGNS}][^\W\d_]"
    # An opening quote at the end of a word, or a capital within one: DOS accents, Macintosh quotes.
    r"|[^\W\d_][‚„]|[a-zß-ÿ][À-Þ]"
)
_HUNGARIAN = ("õÕ", "ûÛ")  # Hungarian ő and ű read as Western: no language has both
_MOST_LETTERS = 0.25  # of all letters: if more are accented, they are not Latin letters
_WIDE_SAMPLE = 4096
_LIKELY = 0.05  # charset-normalizer's coherence: below this it has seen too little text


class EncodingGuess(NamedTuple):
    """Possible encodings, the likeliest first; whether the first is likely; and the text's language."""

    names: Sequence[str]
    likely: bool = True
    language: str = ""

    def __str__(self) -> str:
        of = f" ({self.language})" if self.language else ""
        return f"looks like {self.names[0]}{of}" if self.likely else f"may be {' or '.join(self.names[:2])}"


def codec(name: str) -> str:
    """Python's name of a text encoding. Raises CharreplError if there is no such encoding."""
    try:
        found = codecs.lookup(name)
        if found._is_text_encoding and found.incrementaldecoder is not None:
            return found.name
    except (LookupError, ValueError):
        pass
    known = [*_COMMON.values(), *_LARGER, *_LARGER.values(), "UTF-8", "UTF-16", "UTF-32", "ISO-8859-1"]
    raise CharreplError(
        f"{name!r} is not a text encoding: {did_you_mean(name.upper(), known) or 'iconv -l lists them'}"
    )


def larger(name: str) -> str:
    """The larger encoding that people often mean when they say `name`; empty for none."""
    return next((better for known, better in _LARGER.items() if codec(known) == codec(name)), "")


def marked(head: bytes) -> str:
    """The encoding whose byte order mark a file begins with; empty for none."""
    return next((name for mark, name in _MARKS if head.startswith(mark)), "")


def shifted(head: bytes) -> str:
    """The encoding that shift sequences in ASCII text show; empty for none."""
    for escape, name in _SHIFTED.items():
        if escape in head:
            return name
    if not head.isascii():
        return ""
    return "HZ" if _reads(_HZ, head, "hz") else "UTF-7" if _reads(_UTF7, head, "utf-7") else ""


def _reads(shift: re.Pattern[bytes], head: bytes, name: str) -> bool:
    """Whether ASCII text has shifted words, and nearly all of them are text in the encoding `name`."""
    words = set(shift.findall(head))
    good = 0
    for word in words:
        with contextlib.suppress(UnicodeDecodeError):
            text = word.decode(name)
            good += not text.isascii() and all(char.isprintable() or char.isspace() for char in text)
    return good >= _LEAST_SHIFTED and good >= 0.9 * len(words)


def wide(sample: bytes) -> str:
    """UTF-16 or UTF-32, if text with NUL bytes has that encoding without a mark; else empty."""
    sample = sample[:_WIDE_SAMPLE]
    for width, name in ((4, "UTF-32"), (2, "UTF-16")):
        whole = sample[: len(sample) // width * width]
        for end in ("LE", "BE"):
            try:
                text = whole.decode(f"{name}-{end}")
            except UnicodeDecodeError:
                continue
            spaces = sum(char in " \n\r\t" for char in text)
            if spaces and not any(char < "\t" or "\r" < char < " " for char in text):
                return name + end
    return ""


def guess(sample: bytes) -> EncodingGuess | None:
    """The possible encodings of text that is not UTF-8; None if none fits."""
    if western(sample):
        return EncodingGuess(["WINDOWS-1252"])
    import charset_normalizer  # slow to import, and rarely needed

    # A character that is cut in two at the end would exclude the right encoding.
    whole = sample[: max(map(sample.rfind, (b"\n", b"\r", b" "))) + 1] or sample
    for cut in range(4):
        found = charset_normalizer.from_bytes(whole[: len(whole) - cut], cp_isolation=list(_COMMON))
        matches = sorted(
            (match for match in found if match.encoding in _COMMON), key=lambda m: (m.chaos, -m.coherence)
        )
        if not matches:
            continue
        best = matches[0]
        close = [m for m in matches[1:] if m.chaos <= best.chaos and m.coherence > best.coherence - 0.1]
        # Few bytes, or bytes without a recognised language, are not enough.
        likely = best.coherence >= _LIKELY and not close
        language = best.language if best.language != "Unknown" else ""
        names = [_COMMON[m.encoding] for m in (best, *close)]
        return EncodingGuess(names, likely=likely, language=language)
    return None


def western(sample: bytes) -> bool:
    """Whether bytes read as a Western European language in Windows-1252, of which Latin-1 is a part.

    Nearly all bytes can be decoded in this way. So letters and symbols must be in places that make sense.
    """
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:
        return False
    beyond = [char for char in text if char > "\x7f"]
    if not beyond or not set(beyond) <= set(_WESTERN_LETTERS + _WESTERN_SIGNS + _IN_WORDS):
        return False
    if all(not found.isdisjoint(beyond) for found in map(frozenset, _HUNGARIAN)):
        return False
    letters = sum(char.isalpha() for char in text)
    accented = sum(char.isalpha() for char in beyond)
    return accented <= _MOST_LETTERS * letters and not _NOT_WESTERN.search(text)
