"""A film of a terminal as one SVG: no scripts, no fonts, nothing from elsewhere.

Each different row is drawn once. The frames stand side by side on a strip, and a style sheet moves the
one that is due behind a window. What draws no animations, or is asked for less motion, shows the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

import pyte

CELL, LINE, SIZE = 8.4, 19, 14  # pixels: a column, a row, the letters
PAD, BAR, CAPTION = 16, 30, 34
PAPER, INK, EDGE, QUIET = "#16181d", "#d8d8d4", "#3a3d45", "#8a8a8a"
NAMED = {"black": "#000000", "red": "#ff8787", "green": "#87d787", "brown": "#d7af5f", "blue": "#87afff"}
NAMED |= {"magenta": "#ff87d7", "cyan": "#5fd7ff", "white": "#d8d8d4"}
FONTS = "ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace"


class Frame(NamedTuple):
    """What stands on the screen for a time, and what is said under it."""

    rows: tuple[str, ...]  # drawn, as `row` does
    cursor: tuple[int, int]
    caption: str
    seconds: float


def row(cells: Sequence[pyte.screens.Char]) -> str:
    """A row of a screen, from its top left corner."""
    drawn, column = "", 0
    while column < len(cells):
        end = column
        while end < len(cells) and _look(cells[end]) == _look(cells[column]):
            end += 1
        drawn += _run("".join(cell.data for cell in cells[column:end]), cells[column], column)
        column = end
    return drawn


def _look(cell: pyte.screens.Char) -> tuple[object, ...]:
    return cell.fg, cell.bg, cell.bold, cell.italics, cell.underscore, cell.reverse


def _run(text: str, look: pyte.screens.Char, column: int) -> str:
    """Characters that look the same. Each has its place, whatever font is there."""
    ink, paper = _colour(look.fg, INK), _colour(look.bg, PAPER)
    drawn = ""
    if look.reverse:
        ink, paper = paper, ink
        drawn = f'<rect x="{_x(column)}" width="{_x(len(text))}" height="{LINE}" fill="{paper}"/>'
    if look.underscore:
        drawn += f'<rect x="{_x(column)}" y="16" width="{_x(len(text))}" height="1" fill="{ink}"/>'
    letters = text.strip(" ")
    if letters:
        start = column + len(text) - len(text.lstrip(" "))
        classes = "".join(name for name, on in (("b", look.bold), ("i", look.italics)) if on)
        drawn += (
            f'<text x="{_x(start)}" y="14" textLength="{_x(len(letters))}" lengthAdjust="spacingAndGlyphs"'
            + (f' class="{classes}"' if classes else "")
            + (f' fill="{ink}"' if ink != INK else "")
            + f">{escape(letters)}</text>"
        )
    return drawn


def _colour(name: str, default: str) -> str:
    return default if name == "default" else NAMED.get(name, f"#{name}")


def _x(columns: int) -> str:
    return f"{columns * CELL:.1f}".removesuffix(".0")


def svg(frames: Sequence[Frame], *, columns: int, rows: int, title: str, says: str) -> str:
    """The film, over and over. `says` is what it shows, for who cannot see it."""
    width = round(columns * CELL) + 2 * PAD
    edge = BAR + rows * LINE + PAD // 2  # between the screen and what is said under it
    height = edge + CAPTION
    known = _different_rows(frames)
    strip, last = [], f"{(1 - len(frames)) * width}"
    for number, frame in enumerate(frames):
        x, y = frame.cursor
        parts = [
            *(
                f'<use href="#{known[drawn]}" y="{at * LINE}"/>'
                for at, drawn in enumerate(frame.rows)
                if drawn
            ),
            f'<rect x="{_x(x)}" y="{y * LINE + 1}" width="2" height="{LINE - 2}"/>',
            f'<text class="q" y="{edge - BAR + 22}">{escape(frame.caption)}</text>',
        ]
        strip.append(f'<g transform="translate({number * width})">{"".join(parts)}</g>')
    dots = (f'<circle cx="{PAD + 6 + 18 * n}" cy="{BAR // 2 + 2}" r="5.5" fill="{EDGE}"/>' for n in range(3))
    alternative = escape(says, {'"': "&quot;"})
    return "".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"',
            f' height="{height}" fill="{INK}" role="img" aria-label="{alternative}">',
            f"<style>{_style(frames, width, last)}</style><defs>",
            *(f'<g id="{name}">{drawn}</g>' for drawn, name in known.items()),
            f'</defs><rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="9" fill="{PAPER}"',
            f' stroke="{EDGE}"/>',
            *dots,
            f'<text class="q" x="{width // 2}" y="21" text-anchor="middle">{escape(title)}</text>',
            f'<path d="M1 {edge}H{width - 1}" stroke="{EDGE}"/>',
            f'<svg x="{PAD}" y="{BAR}" width="{width - 2 * PAD}" height="{height - BAR}">',
            f'<g class="f" transform="translate({last})">{"".join(strip)}</g></svg></svg>\n',
        )
    )


def _different_rows(frames: Sequence[Frame]) -> dict[str, str]:
    """A name for each row that is drawn."""
    known: dict[str, str] = {}
    for frame in frames:
        for drawn in frame.rows:
            if drawn:
                known.setdefault(drawn, f"r{len(known)}")
    return known


def _style(frames: Sequence[Frame], width: int, last: str) -> str:
    total, passed, times = sum(frame.seconds for frame in frames), 0.0, []
    for number, frame in enumerate(frames):
        times.append(f"{100 * passed / total:.3f}%{{transform:translateX({-number * width}px)}}")
        passed += frame.seconds
    times.append(f"100%{{transform:translateX({last}px)}}")
    return (
        f"text{{font:{SIZE}px {FONTS};white-space:pre}}text.b{{font-weight:bold}}text.i{{font-style:italic}}"
        f"text.bi{{font-weight:bold;font-style:italic}}text.q{{fill:{QUIET};font-size:13px}}"
        f".f{{animation:f {total:.2f}s step-end infinite}}@keyframes f{{{''.join(times)}}}"
        f"@media (prefers-reduced-motion:reduce){{.f{{animation:none}}}}"
    )
