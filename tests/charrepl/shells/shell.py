"""A shell in a terminal, with what `charrepl shell` prints in its start-up file."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.charrepl.prompt import CHARREPL, TERMINALS_OWN
from tests.charrepl.screen import Screen

PROMPT = "% "
LINE = "echo every cup is warm"
PASTE = "\x1b[200~{}\x1b[201~"
END, RIGHT, ALT_F, ALT_SEMICOLON, CTRL_U, CTRL_C = "\x05", "\x1b[C", "\x1bf", "\x1b;", "\x15", "\x03"
_GREY = "fg=245"  # which the emulator takes for a ghost's
_CONFIGURATION = {"zsh": ".zshrc", "bash": ".bashrc", "fish": ".config/fish/config.fish"}
_PROMPTS = {
    "zsh": f"unsetopt prompt_cr prompt_sp; PS1='%% '; HISTSIZE=100; CHARREPL_HIGHLIGHT_STYLE={_GREY}\n",
    "bash": "PS1='% '; HISTFILE=~/history\n",
    "fish": "function fish_prompt; echo -n '% '; end; function fish_greeting; end\n",
}


def start(
    shell: str, home: Path, env: Mapping[str, str], *options: str, before: str = "", after: str = ""
) -> Screen:
    """An interactive shell with ghosts; `before` and `after` stand around them in its start-up file."""
    env = {
        **{name: value for name, value in env.items() if name not in TERMINALS_OWN},
        **dict.fromkeys(("HOME", "ZDOTDIR"), str(home)),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local"),
        "USER": "ada",
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
    }
    said = subprocess.run(
        [*CHARREPL, "shell", shell, *options], env=env, capture_output=True, text=True, check=True
    )
    configuration = home / _CONFIGURATION[shell]
    configuration.parent.mkdir(parents=True, exist_ok=True)
    configuration.write_text(f"{_PROMPTS[shell]}\n{before}\n{said.stdout}\n{after}\n")
    return Screen([shell, "-i"], env=env).wait_for(at_prompt)


def at_prompt(screen: Screen) -> bool:
    """Whether nothing is typed at a prompt."""
    x, y = screen.cursor
    return screen.rows[y].rstrip() == PROMPT.rstrip() and x == len(PROMPT)


def shows(line: str, ghost: str) -> Callable[[Screen], bool]:
    """Whether a line is typed at the prompt, and a ghost stands behind it."""
    return lambda screen: screen.before_cursor == line and screen.ghost.rstrip() == ghost
