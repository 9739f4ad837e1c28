"""The prompt within tmux or GNU screen, within a terminal."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from tests.charrepl.prompt import Bench
from tests.charrepl.screen import Screen

# Lines above the prompt. Made narrower, a multiplexer moves as many out of sight as others wrap to more.
ABOVE = 12


def inside(name: str, bench: Bench, *, columns: int = 80, rows: int = 24) -> Screen:
    """A prompt in the multiplexer `name`, without its status line, below some lines of a shell's."""
    shell = f"seq 1 {ABOVE}; exec {shlex.join(bench.command())}"
    if name == "tmux":
        (bench.place / "tmux.conf").write_text("set -g status off\n")
        command = [*_tmux(bench.place), "-f", str(bench.place / "tmux.conf"), "new-session", shell]
    else:
        (bench.place / "screenrc").write_text("startup_message off\n")
        (bench.place / "screens").mkdir(mode=0o700)
        bench.env["SCREENDIR"] = str(bench.place / "screens")
        command = ["screen", "-U", "-c", str(bench.place / "screenrc"), "sh", "-c", shell]
    return Screen(command, env=bench.env, columns=columns, rows=rows)


def tmux_history(place: Path) -> list[str]:
    """What tmux has kept above what is on its screen, and that."""
    shown = subprocess.run(
        [*_tmux(place), "capture-pane", "-p", "-S", "-"], capture_output=True, text=True, check=True
    )
    return [line.rstrip() for line in shown.stdout.rstrip("\n").split("\n")]


def _tmux(place: Path) -> list[str]:
    return ["tmux", "-S", str(place / "tmux.sock")]
