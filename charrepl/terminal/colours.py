"""The style of each part, by how many colours the terminal has and what is behind them.

Without colours, and with a terminal's own sixteen, whose greys may be anything, the ghost is dim and
slanted. With more it is a grey that can be read, 4.5 to 1 or better, and that typed text is not.
Nothing is told by a colour alone. The terminal is judged by the environment, never asked: it would
be felt, and slow ones answer into the text.
"""

from __future__ import annotations

from collections.abc import Mapping

from prompt_toolkit.output.color_depth import ColorDepth
from prompt_toolkit.styles import Style

# How surprising a character was, from expected on.
HEAT = {
    "dark": ("", "underline ansicyan", "bold underline ansimagenta", "reverse ansired"),
    "light": ("", "underline ansiblue", "bold underline ansimagenta", "reverse ansired"),
}
RICH_HEAT = {
    "dark": ("", "underline #5fd7ff", "bold underline #ff87d7", "bold reverse #ff8787"),
    "light": ("", "underline #005faf", "bold underline #af005f", "bold reverse #af0000"),
}
# Both are in the cube of 256.
GREY = {"dark": "#8a8a8a", "light": "#6c6c6c"}


def depth(colors: str, environ: Mapping[str, str]) -> ColorDepth:
    """How many colours to use, by the setting, or for `auto` by what the environment says."""
    if colors == "auto":
        colors = by_environment(environ)
    return {
        "none": ColorDepth.DEPTH_1_BIT,
        "16": ColorDepth.DEPTH_4_BIT,
        "256": ColorDepth.DEPTH_8_BIT,
        "true": ColorDepth.DEPTH_24_BIT,
    }[colors]


def by_environment(environ: Mapping[str, str]) -> str:
    """What `auto` stands for: see no-color.org; COLORTERM is what terminals agreed to tell of true colour."""
    term = environ.get("TERM", "")
    if environ.get("NO_COLOR"):
        return "none"
    if environ.get("COLORTERM", "") in ("truecolor", "24bit") or term.endswith("-direct"):
        return "true"
    # GNU screen and the oldest of the others are known by their short names; nearly all else has 256.
    few = term in ("linux", "ansi", "vt100", "vt220", "xterm-color", "screen", "cygwin") or term.endswith(
        "-16color"
    )
    return "16" if few else "256"


def style(background: str, colors: ColorDepth, environ: Mapping[str, str]) -> Style:
    """The style, for prompt_toolkit."""
    # GNU screen draws italics in reverse video. tmux may call itself screen, and does not.
    italics_reversed = environ.get("TERM", "").startswith("screen") and "TMUX" not in environ
    rich = colors in (ColorDepth.DEPTH_8_BIT, ColorDepth.DEPTH_24_BIT)
    grey = GREY[background] if rich else "dim"
    heat = (grey, *(RICH_HEAT if rich else HEAT)[background])
    return Style.from_dict(
        {
            "prompt": "bold",
            "ghost": grey if italics_reversed else f"{grey} italic",
            "ghost.unsure": "noitalic",
            "ghost.place": "noitalic",
            "passage": "",
            **{f"heat.{level}": look for level, look in enumerate(heat)},
            "toolbar": grey,
            "toolbar.notice": "fg:default nodim bold",
            "control-character": grey,
        }
    )
