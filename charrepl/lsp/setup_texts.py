"""What to put into an editor's settings, so that it starts this server: `charrepl lsp --setup NAME`."""

from __future__ import annotations

import json
import shlex
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
    "vscode": """\
// In a shell, with npm (Node 20 or newer): makes the extension, and puts it into VS Code.
//   cp -r {quoted} charrepl-vscode && cd charrepl-vscode
//   npm install && npm run package && code --install-extension charrepl.vsix
// Then in settings.json. <Tab> takes the ghost, <Ctrl-Right> a word of it; <Esc> dismisses it.
"charrepl.command": [{command}],
""",
}
NAMES = tuple(_TEXTS)


def text(name: str) -> str:
    """What to paste for an editor in `NAMES`."""
    words = (json.dumps(word, ensure_ascii=False) for word in interpreter.command("charrepl", "lsp"))
    files = str(Path(__file__).parent / name)
    return _TEXTS[name].format(
        files=json.dumps(files, ensure_ascii=False), quoted=shlex.quote(files), command=", ".join(words)
    )
