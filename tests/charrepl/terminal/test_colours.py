"""Colours: what is not typed can be read, and told from what is, whatever the terminal."""

from __future__ import annotations

import pytest
from prompt_toolkit.styles import Attrs

from charrepl.terminal import colours
from charrepl.writing.surprise import LEVELS

# What people have behind their text: plain, and the commonest themes.
BACKGROUNDS = {
    "dark": ("#000000", "#1e1e1e", "#002b36", "#282c34"),
    "light": ("#ffffff", "#fdf6e3", "#fafafa"),
}


def luminance(colour: str) -> float:
    channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(part * share for part, share in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def contrast(one: str, other: str) -> float:
    """As WCAG 2 has it: 4.5 for text."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def attributes(name: str, background: str, colors: str, term: str = "xterm-256color") -> Attrs:
    environ = {"TERM": term}
    style = colours.style(background, colours.depth(colors, environ), environ)
    return style.get_attrs_for_style_str(f"class:{name}")


PARTS = [
    "ghost",
    "ghost.unsure",
    "ghost.place",
    "toolbar",
    *(f"heat.{level}" for level in range(len(LEVELS) + 1)),
]


@pytest.mark.parametrize("background", ["dark", "light"])
@pytest.mark.parametrize("part", PARTS)
def test_every_colour_can_be_read(part: str, background: str) -> None:
    colour = attributes(part, background, "true").color
    for behind in BACKGROUNDS[background]:
        if colour:
            # On Solarized's own backgrounds greys of 4.5 on plain ones come to a little less.
            assert contrast(f"#{colour}", behind) >= (4.5 if behind in ("#000000", "#ffffff") else 4.0)
        else:
            assert part == "heat.1"


@pytest.mark.parametrize("background", ["dark", "light"])
@pytest.mark.parametrize("colors", ["none", "16", "256", "true"])
@pytest.mark.parametrize("term", ["xterm-256color", "screen"])
def test_the_ghost_is_told_from_the_text_and_levels_of_heat_from_one_another(
    term: str, colors: str, background: str
) -> None:
    ghost, unsure = (attributes(part, background, colors, term) for part in ("ghost", "ghost.unsure"))
    plain = attributes("passage", background, colors, term)
    for drawn in (ghost, unsure):
        assert (drawn.dim, drawn.color) != (plain.dim, plain.color)
    assert ghost.italic == (term != "screen")
    assert not unsure.italic
    levels = [attributes(f"heat.{level}", background, colors, term) for level in range(len(LEVELS) + 1)]
    assert len({(look.dim, look.bold, look.underline, look.reverse) for look in levels[1:]}) == len(LEVELS)
    assert levels[0] != levels[1]
    if colors in ("none", "16"):  # a theme's own sixteen may be anything: not told by them alone
        assert len({look._replace(color="") for look in levels}) == len(levels)


@pytest.mark.parametrize(
    ("environ", "colors"),
    [
        ({"TERM": "xterm-256color"}, "256"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1", "COLORTERM": "truecolor"}, "none"),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, "256"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "true"),
        ({"TERM": "tmux-direct"}, "true"),
        ({"TERM": "linux"}, "16"),
        ({"TERM": "screen"}, "16"),
        ({"TERM": "rxvt-16color"}, "16"),
    ],
)
def test_colours_go_by_the_environment(environ: dict[str, str], colors: str) -> None:
    assert colours.by_environment(environ) == colors
    assert colours.depth("none", environ) != colours.depth("16", environ)
