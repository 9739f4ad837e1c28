"""The style of each part. It depends on the number of colours and on the terminal's background.

The ghost is dim and italic without colours, and also with a terminal's own sixteen colours, whose greys may
look like anything. With more colours it is a grey with a contrast of 4.5 to 1 or better. Typed text is never
grey. Nothing is shown by colour alone. The environment says what the terminal can do. The terminal itself
is never asked: you would notice the delay, and a slow terminal's answer would arrive in your text.
"""

from __future__ import annotations

from collections.abc import Mapping

from prompt_toolkit.output.color_depth import ColorDepth
from prompt_toolkit.styles import Style

# How surprising a character was. The first is "expected".
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
    """How many colours to use. The setting decides; for `auto`, the environment does."""
    if colors == "auto":
        colors = by_environment(environ)
    return {
        "none": ColorDepth.DEPTH_1_BIT,
        "16": ColorDepth.DEPTH_4_BIT,
        "256": ColorDepth.DEPTH_8_BIT,
        "true": ColorDepth.DEPTH_24_BIT,
    }[colors]


def by_environment(environ: Mapping[str, str]) -> str:
    """What `auto` stands for. See no-color.org. Terminals with true colour say so in COLORTERM."""
    term = environ.get("TERM", "")
    if environ.get("NO_COLOR"):
        return "none"
    if environ.get("COLORTERM", "") in ("truecolor", "24bit") or term.endswith("-direct"):
        return "true"
    # GNU screen and the oldest terminals have short names in TERM. Nearly all others have 256 colours.
    few = term in ("linux", "ansi", "vt100", "vt220", "xterm-color", "screen", "cygwin") or term.endswith(
        "-16color"
    )
    return "16" if few else "256"


def style(background: str, colors: ColorDepth, environ: Mapping[str, str]) -> Style:
    """The style, for prompt_toolkit."""
    # GNU screen draws italics in reverse video. tmux may call itself screen, but draws italics.
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
