"""Chats as who says what: without time stamps, media left out, and notices of who came and went.

It reads what WhatsApp, Telegram, Signal and Discord export or copy as text, and the logs of IRC programs.
Each message begins with its sender, `Anna: text`, however the export writes that.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from charrepl_train.cleaning import chat_json, lines

_DATE = r"\d{1,4}[./-](?:\d{1,2}|[^\W\d_]{3,4}\.?)[./-]\d{1,4}\.?"
_CLOCK = r"\d{1,2}[:.]\d\d(?:[:.]\d\d)?(?:[ \u202f\xa0]?[AaPp]\.?[ \xa0]?[Mm]\.?)?"
_DATED = rf"{_DATE},?[ T]{_CLOCK}"
_MARKS = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"  # of direction
# [12/03/24, 12:03:45] Anna: text       [12:03] <anna> text
_BRACKETED = re.compile(rf"[{_MARKS}]*\[(?:({_DATED})|{_CLOCK})\][ \t]*")
# 12/03/24, 12:03 - Anna: text
_DASHED = re.compile(rf"[{_MARKS}]*{_DATED} [-–] ")
# 12:03 <anna> text, 2024-03-12 12:03:45 <TAB> anna <TAB> text
_BARE = re.compile(rf"(?:{_DATE}[ T])?{_CLOCK}[ \t]+(?=<|-!-|\*|-->|<--|===|--\t|[^\s\t]{{1,30}}\t)")
# Anna, [12.03.24 12:03]
_COPIED = re.compile(rf"([^\n\[\]:]{{1,60}}), \[{_DATED}\]:?[ \t]*\n?$")
_NICK = re.compile(r"<[ @+%&~!]?([^<>\s]{1,40})>[ \t]?")
_TABBED = re.compile(r"[@+%&~!]?([^\s<>*]{1,30})\t")
_NAMED = re.compile(r"(?=\S)([^\n:]{1,60}):[ \t]")
_SENDER = re.compile(r"(?=[^\s*<-])([^\n:]{1,40})\n?$")  # on a line of its own
_DISCORD = re.compile(r"#\d{4}$| \(pinned\)$")  # what follows a name
_NOTICE = re.compile(r"(?:-!-|\*\*\*|===|-->|<--|---|--|<=|=>|[→←⇐⇒ℹ])\s")
_COMES = re.compile(
    r"(?:\* )?[^\s:<>]+ (?:\([^()]*\) |\[[^\[\]]*\] )?(?:has )?"
    r"(?:joined|left|quit|parted|entered|is now known as|was kicked|sets? mode|changed the topic)\b"
)
_LOG = re.compile(
    r"(?:---|===|\*{3,4}|-!-) .*\b(?:log |joined|left|quit|parted|known as|day changed|logging)",
    re.IGNORECASE,
)
_MEDIA = re.compile(
    r"<[^<>\n]{2,60}>|\S+ omitted|(?:contact card|video note|voice call) omitted|.{1,200}\(file attached\)"
    r"|(?:this message was|you) deleted(?: this message)?\.?|missed (?:voice|video|group) .{0,40}"
    r"|\[(?:photo|sticker|video|voice message|file|gif|audio file|animation|location|contact)[^\[\]]*\]",
    re.IGNORECASE,
)
_EDITED = re.compile(r" ?<this message was edited>$", re.IGNORECASE)
_ATTACHED = re.compile(r"\{(?:Attachments|Embed|Stickers|Reactions)\}\s*$")  # of Discord, to a blank line
_RULE = re.compile(r"={20,}\s*$")  # above and below what an export of Discord says of itself:
_UNDECODED = re.compile("[\udc80-\udcff]")
_ABOUT = re.compile(r"(?:Guild|Channel|Topic|After|Before|Partition|Exported)\b|\s*$")


def cleaned(pieces: Iterable[str], counts: Counter[str]) -> Iterator[str]:
    """As `kinds.cleaned`, of chats."""
    pieces = iter(pieces)
    start = ""
    while not start or (chat_json.may_begin(start) and len(start) < chat_json.HEAD):
        piece = next(pieces, None)
        if piece is None:
            break
        start += piece
    pieces = itertools.chain([start], pieces)
    if chat_json.begins(start):
        yield from chat_json.cleaned(pieces, counts)
    else:
        yield from lines.joined(_cleaned(map(_decoded, lines.split(pieces)), counts))


def _decoded(line: str) -> str:
    """A line as IRC programs read it: in UTF-8, its last letter perhaps cut in two, or in Windows-1252."""
    if not _UNDECODED.search(line):
        return line
    data = line.encode("utf-8", lines.UNDECODABLE)
    text = data.decode("utf-8", "ignore")
    return data.decode("cp1252", "replace") if text.isascii() else text


def _cleaned(text: Iterator[str], counts: Counter[str]) -> Iterator[str]:
    sender = ""  # of the message on the next line
    attached = False
    for line in _without_about(text, counts):
        message = _message(line)
        if message is not None:
            counts["time stamps"] += 1
            attached = False
            sender, words = message
            if sender and words is not None:
                yield from _said(sender, words, counts)
                sender = ""
            elif words is not None:
                yield words
            elif not sender:
                counts["notices"] += 1
        elif _LOG.match(line):
            counts["notices"] += 1
        elif _ATTACHED.match(line):
            counts["placeholders of media"] += 1
            attached, sender = True, ""
        elif attached and line.strip():
            pass
        elif sender and line.strip():
            yield from _said(sender, line, counts)
            sender = ""
        else:
            attached = False
            yield line


def _without_about(text: Iterator[str], counts: Counter[str]) -> Iterator[str]:
    """The lines, without what an export of Discord says of itself."""
    rule = ""  # one that may begin it
    within = False
    for line in text:
        if within and (_RULE.match(line) or _ABOUT.match(line)):
            within = not _RULE.match(line)
            continue
        within = bool(rule and _ABOUT.match(line) and line.strip())
        if within:
            counts["notices"] += 1
            rule = ""
            continue
        yield from filter(None, [rule])
        rule = line if _RULE.match(line) else ""
        if not rule:
            yield line
    yield from filter(None, [rule])


def _message(line: str) -> tuple[str, str | None] | None:
    """Who says what on a line with a time stamp; None for any other.

    The words are None if they are on the next line, or, with no sender, if it is a notice.
    """
    copied = _COPIED.match(line)
    if copied:
        return copied[1].strip(_MARKS), None
    bracketed, dashed, bare = _BRACKETED.match(line), _DASHED.match(line), _BARE.match(line)
    stamp = bracketed or dashed or bare
    if stamp is None:
        return None
    rest = line[stamp.end() :]
    if bare and rest.startswith("*"):
        rest = rest.replace("\t", " ")
    if _NOTICE.match(rest) or _COMES.match(rest):
        return "", None
    for pattern in (_NICK, _TABBED) if bare else (_NICK, _NAMED):
        named = pattern.match(rest)
        if named:
            return named[1].strip(_MARKS + " "), rest[named.end() :]
    if dashed:
        return "", None
    alone = _SENDER.match(rest) if bracketed and bracketed[1] else None
    return (_DISCORD.sub("", alone[1].strip()), None) if alone else ("", rest)


def _said(sender: str, words: str, counts: Counter[str]) -> Iterator[str]:
    """A message, unless it is only a sign of media that was left out, or the programme's own words."""
    text = words.rstrip("\n")
    if text.startswith(tuple(_MARKS)) or _MEDIA.fullmatch(text.strip(_MARKS + " ")):
        counts["placeholders of media"] += 1
        return
    text = _EDITED.sub("", text.strip(_MARKS)).rstrip(_MARKS)
    yield f"{sender}: {text}" + words[len(words.rstrip("\n")) :]
