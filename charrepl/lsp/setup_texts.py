"""What to put into an editor's settings, so that it starts this server: `charrepl lsp --setup NAME`."""

from __future__ import annotations

import json
from pathlib import Path

from charrepl.system import interpreter

_TEXTS = {
    "neovim": """\
-- ~/.config/nvim/init.lua, for Neovim 0.11 and newer.
-- <Tab> takes the ghost, <M-f> a word of it, <M-l> a line; <C-]> dismisses it. For other keys:
-- setup({{ keys = {{ all = '<C-e>' }}, ... }}), where false is none.
vim.opt.runtimepath:append({files})
require('charrepl').setup({{ cmd = {{ {command} }} }})
""",
}
NAMES = tuple(_TEXTS)


def text(name: str) -> str:
    """What to paste for an editor in `NAMES`."""
    words = (json.dumps(word, ensure_ascii=False) for word in interpreter.command("charrepl", "lsp"))
    files = json.dumps(str(Path(__file__).parent / name), ensure_ascii=False)
    return _TEXTS[name].format(files=files, command=", ".join(words))
