"""The pictures of editors in the guide: `make editor-pictures LLAMA_VIM=DIRECTORY`.

Neovim with our module, Vim with llama.vim, which is in that directory, and VS Code's editor core. Each has
exactly the settings that `--setup` prints, and types one line by the bundled model's ghost.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from charrepl.client import Client
from tests.charrepl.http_site import HttpSite
from tests.charrepl.prompt import CHARREPL
from tests.charrepl.screen import Screen
from tests.charrepl_daemon.lsp.monaco_site import GHOST, monaco
from tests.film import svg
from tests.picture import Camera, best_opening

PICTURES = Path(__file__).parents[1] / "docs" / "editors"
COLUMNS, ROWS = 72, 5
TEXT = "ROMEO:\n"
SAYS = "A line is typed in {}; the rest of it stands behind the cursor and is taken with Tab"


def setup(*arguments: str) -> str:
    """What a server's `--setup` prints."""
    return subprocess.run([*CHARREPL, *arguments], capture_output=True, text=True, check=True).stdout


def film(name: str, title: str, command: list[str], place: Path, opening: str) -> None:
    """An editor, in which a line is begun and its ghost taken."""
    homes = {f"XDG_{home}_HOME": str(place / home.lower()) for home in ("CONFIG", "DATA", "STATE", "CACHE")}
    env = {**os.environ, **homes, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    (place / "romeo.txt").write_text(TEXT)
    with Screen([*command, str(place / "romeo.txt")], env=env, columns=COLUMNS, rows=ROWS) as screen:
        camera = Camera(screen, columns=COLUMNS, rows=ROWS)
        screen.wait_for(lambda s: TEXT.strip() in s.text or "Press ENTER" in s.text)
        screen.type("\ro" if "Press ENTER" in screen.text else "o")
        screen.wait_for("INSERT")
        camera.hold("you type", 0.5)
        camera.type(opening, "you type")
        screen.wait_for(lambda s: s.rows[s.cursor[1]][s.cursor[0] :].strip())
        camera.hold("behind the cursor is what charrepl would write: it is not typed yet", 2.5)
        camera.press("\t", "Tab takes it", 2.5)
        screen.type("\x1b:q!\r")
        screen.wait_for_exit()
    drawn = svg(camera.frames, columns=COLUMNS, rows=ROWS, title=title, says=SAYS.format(title))
    (PICTURES / f"{name}.svg").write_text(drawn, encoding="utf-8")


def neovim(place: Path, opening: str) -> None:
    """Neovim with our module."""
    look = "vim.opt.termguicolors = true\nvim.opt.laststatus = 0\nvim.opt.ruler = false\n"
    (place / "init.lua").write_text(look + setup("lsp", "--setup", "neovim"))
    program = str(Path(sys.executable).with_name("nvim"))
    film("neovim", "Neovim", [program, "-n", "-u", str(place / "init.lua")], place, opening)


def vim(place: Path, plugin: Path, opening: str) -> None:
    """Vim with llama.vim."""
    with HttpSite() as site:
        printed = setup("serve", "--setup", "vim", "--port", str(site.port))
        (place / "vimrc").write_text(
            f"set nocompatible noswapfile showmode\nset runtimepath+={plugin}\n{printed}filetype plugin on\n"
        )
        film("vim", "Vim with llama.vim", ["vim", "-n", "-u", str(place / "vimrc")], place, opening)


def core(opening: str) -> None:
    """VS Code's editor core."""
    with monaco(height=120) as (browser, _):
        browser.type(TEXT.replace("\n", "\r") + opening)
        browser.wait_for(GHOST)
        (PICTURES / "vscode.png").write_bytes(browser.picture())


def main() -> None:
    """Writes them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("llama_vim", type=Path)
    plugin = parser.parse_args().llama_vim.absolute()
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cr-") as directory:
        place = Path(directory)
        for name in ("DATA", "CONFIG", "RUNTIME"):
            os.environ[f"CHARREPL_{name}_DIR"] = f"{place}/{name.lower()}"
        daemon = [sys.executable, "-m", "charrepl_daemon"]
        subprocess.run([*daemon, "start"], check=True)
        try:
            with Client() as client:
                opening = best_opening(client, TEXT, but=set())
            neovim(place, opening)
            vim(place, plugin, opening)
            core(opening)
        finally:
            subprocess.run([*daemon, "stop"], check=True)
    for file in sorted(PICTURES.iterdir()):
        print(f"{file.name}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
