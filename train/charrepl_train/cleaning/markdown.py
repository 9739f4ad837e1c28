"""Markdown without what nobody reads in it: front matter, where links lead, and blocks of code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from charrepl_train.cleaning import lines

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_SETTING = re.compile(r"[\w\"'][\w .\"'-]*[:=]")
_DEFINITION = re.compile(r" {0,3}\[(?!\^)[^\]\n]+\]:\s+\S+")
_TARGET = r"\(\s*(?:<[^<>\n]*>|[^()\s]*(?:\([^()\s]*\)[^()\s]*)*)(?:\s+(?:\"[^\"\n]*\"|'[^'\n]*'))?\s*\)"
_LINK = re.compile(rf"!?\[([^\[\]\n]*)\](?:{_TARGET}|\[[^\[\]\n]*\])")
_FRONT_MATTER, _CODE = 200, 5_000  # lines at most: what has no end within them is none


def cleaned(pieces: Iterable[str], counts: Counter[str]) -> Iterator[str]:
    """As `kinds.cleaned`, of Markdown."""
    return lines.joined(_cleaned(lines.split(pieces), counts))


def _cleaned(text: Iterator[str], counts: Counter[str]) -> Iterator[str]:
    first = next(text, "")
    if first.rstrip() in ("---", "+++"):
        end = re.compile(rf"(?:{re.escape(first.rstrip())}|\.\.\.)\s*$")
        block, ended = _block(text, _FRONT_MATTER, end)
        if ended and block and _SETTING.match(block[0]):
            counts["front matter"] += 1
        else:
            yield first
            yield from _inline(iter(block), counts)
    else:
        text = _before(first, text)
    yield from _inline(text, counts)


def _inline(text: Iterator[str], counts: Counter[str]) -> Iterator[str]:
    for line in text:
        fence = _FENCE.match(line)
        if fence:
            marks = fence[1]
            block, ended = _block(text, _CODE, re.compile(rf" {{0,3}}{marks[0]}{{{len(marks)},}}\s*$"))
            if ended:
                counts["blocks of code"] += 1
            else:
                yield from (line, *block)
        elif _DEFINITION.match(line):
            counts["link targets"] += 1
        else:
            found = 1
            while found:  # an image may be a link's text
                line, found = _LINK.subn(r"\1", line)
                counts["link targets"] += found
            yield line


def _block(text: Iterator[str], most: int, end: re.Pattern[str]) -> tuple[list[str], bool]:
    """The lines up to one that ends them, and whether there was one among so many."""
    block: list[str] = []
    for line in text:
        block.append(line)
        if end.match(line):
            return block, True
        if len(block) >= most:
            break
    return block, False


def _before(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest
