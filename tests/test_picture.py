"""The picture in the README: whole in itself, small, and drawn as the terminal was."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pyte

from tests.film import CELL, Frame, row, svg
from tests.picture import MOST_BYTES, PICTURE

SVG = "{http://www.w3.org/2000/svg}"


def filmed(written: bytes) -> ElementTree.Element:
    """The film of one screen of 20 x 2, as an element."""
    screen = pyte.Screen(20, 2)
    pyte.ByteStream(screen).feed(written)
    rows = tuple(row([screen.buffer[y][x] for x in range(20)]) for y in range(2))
    blank = Frame(("", ""), (0, 0), "before", 1.0)
    frames = [blank, Frame(rows, (5, 1), 'a "caption" & more', 2.0)]
    return ElementTree.fromstring(svg(frames, columns=20, rows=2, title="a", says='"b"'))


def test_every_run_stands_in_its_cells_and_looks_as_it_did() -> None:
    drawn = filmed(b"a <b>  \x1b[3;38;2;138;138;138mgho st\x1b[0m\r\n\x1b[1;4;35mX\x1b[7;39mY\x1b[0m")
    texts = {text.text: text.attrib for text in drawn.iter(f"{SVG}text")}
    assert {"a <b>", "gho st", "X", "Y", 'a "caption" & more', "before", "a"} == set(texts)
    ghost = texts["gho st"]
    assert (ghost["class"], ghost["fill"]) == ("i", "#8a8a8a")
    assert float(ghost["x"]) == round(7 * CELL, 1)
    assert float(ghost["textLength"]) == round(6 * CELL, 1)
    assert texts["X"]["class"] == "b"
    assert texts["Y"]["fill"] == "#16181d"  # in reverse, on a block of its own
    assert len([rect for rect in drawn.iter(f"{SVG}rect") if rect.get("height") == "19"]) == 1


def test_the_last_frame_is_what_stands_still() -> None:
    drawn = filmed(b"x")
    width = int(drawn.attrib["width"])
    film = next(group for group in drawn.iter(f"{SVG}g") if group.get("class") == "f")
    assert film.attrib["transform"] == f"translate({-width})"
    style = drawn.findtext(f"{SVG}style") or ""
    assert f"33.333%{{transform:translateX({-width}px)}}" in style
    assert "prefers-reduced-motion" in style


def test_the_readme_shows_a_picture_that_needs_nothing_from_elsewhere() -> None:
    source = PICTURE.read_text(encoding="utf-8")
    assert (
        f"({PICTURE.relative_to(Path(__file__).parents[1])})"
        in (PICTURE.parents[1] / "README.md").read_text()
    )
    assert len(source.encode()) <= MOST_BYTES
    elements = {element.tag.removeprefix(SVG) for element in ElementTree.fromstring(source).iter()}
    assert elements == {"svg", "style", "defs", "g", "rect", "circle", "text", "path", "use"}
    links = re.findall(r'(?:href|src)="([^"]*)"|url\(([^)]*)\)|@import', source)
    assert all(link.startswith("#") for link, _ in links)
    assert source.count("://") == 1  # the name space
    for shown in ("takes the rest", "/heat", "6 or more", "ROMEO:"):
        assert shown in source
