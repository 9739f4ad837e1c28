"""Finds markup in a text: HTML, the headers and quotations of mail, the time stamps of chats.

A model learns it like anything else, and then its ghosts are full of it. You may want that, so we only say
it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_TAG = re.compile(
    rb"</?(?:a|abbr|article|aside|b|blockquote|body|br|button|center|cite|code|dd|div|dl|dt|em|figure|font"
    rb"|footer|form|h[1-6]|head|header|hr|html|i|img|input|label|li|link|main|meta|nav|ol|option|p|pre"
    rb"|script|section|select|small|span|strong|style|sub|sup|svg|table|tbody|td|th|thead|title|tr|u|ul)"
    rb"(?:\s[^<>]{0,500})?/?>",
    re.IGNORECASE,
)
_HEADER = re.compile(
    rb"\n(From|To|Cc|Date|Subject|Sender|Reply-To|In-Reply-To|References|Message-ID|Received|Return-Path"
    rb"|MIME-Version|Content-Type|Content-Transfer-Encoding|Delivered-To|Mailing-List|X-[\w-]+):[ \t]",
    re.IGNORECASE,
)
_QUOTED = re.compile(rb"\n> ?[^\n]")
_STAMP = re.compile(
    rb"\n(?:\[?\d{1,4}[./-][\w./-]{3,8},? )?\[?\d{1,2}:\d\d(?::\d\d)?[^\n]{0,6}?(?:\]| -) ?[^\n: ]"
)
_FEWEST = 20  # of a kind of markup, from which on it is mentioned
_LEAST_SHARE = 0.01  # of the text in tags, or of its lines
_KINDS = 3  # of headers: a play may have a speaker called From
_STAMPED_SHARE = 0.1  # of the lines
_QUOTED_SHARE = 0.1  # of the lines, if there are no headers: others begin a line so too


def remark(blocks: Iterable[bytes]) -> str:
    """What a person should know of a text in UTF-8, in one line; empty for nothing."""
    size = lines = tags = in_tags = headers = quoted = stamps = 0
    kinds: set[bytes] = set()
    for block in blocks:
        size += len(block)
        lines += block.count(b"\n")
        lengths = [len(tag) for tag in _TAG.findall(block)]
        tags, in_tags = tags + len(lengths), in_tags + sum(lengths)
        names = _HEADER.findall(block)
        headers += len(names)
        kinds.update(name.lower() for name in names)
        quoted += len(_QUOTED.findall(block))
        stamps += len(_STAMP.findall(block))
    found, fixes = [], []
    if tags >= _FEWEST and in_tags >= _LEAST_SHARE * size:
        found.append(f"{tags:,} HTML tags")
        fixes.append("--clean html")
    mail = headers >= _FEWEST and headers >= _LEAST_SHARE * lines and len(kinds) >= _KINDS
    if mail:
        found.append(f"{headers:,} lines of mail headers")
    if quoted >= _FEWEST and (mail or quoted >= _QUOTED_SHARE * lines):
        found.append(f"{quoted:,} quoted lines")
        mail = True
    if mail:
        fixes.append("--clean mail")
    if stamps >= _FEWEST and stamps >= _STAMPED_SHARE * lines:
        found.append(f"{stamps:,} time stamps")
        fixes.append("--clean chat")
    if not found:
        return ""
    said = " and ".join(filter(None, [", ".join(found[:-1]), found[-1]]))
    return f"The text has {said}, which ghosts will have too. Unless you want that, give {' '.join(fixes)}."
