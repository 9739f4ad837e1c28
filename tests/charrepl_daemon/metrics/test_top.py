"""`charrepl-daemon top` in a real terminal, and where there is none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from charrepl.client import Client
from charrepl.suggestions.keys_saved import KeysSaved
from charrepl_daemon.lifecycle import control
from charrepl_daemon.metrics.top import Rate
from tests.charrepl.screen import Screen

TOP = [sys.executable, "-m", "charrepl_daemon", "top", "--interval", "0.1"]


def screen(*, columns: int = 100) -> Screen:
    return Screen(TOP, env={**os.environ, "TERM": "xterm-256color"}, columns=columns)


def test_the_table_follows_the_daemon_through_its_death(daemon):
    with screen() as top:
        top.wait_for("kettle").wait_for("0 requests").wait_for("q quits")
        with Client(autostart=False) as client:
            client.complete("a most private sentence")
        top.wait_for("1 request,").wait_for("1 session at work")
        pid = control.running().pid
        os.kill(pid, signal.SIGKILL)
        top.wait_for("no daemon; waiting")
        assert daemon("start").returncode == 0
        top.wait_for("kettle").wait_for(f"pid {pid}, ended unexpectedly")
        top.resize(60, 24)
        top.wait_for(lambda s: "kettle" in s.text and max(map(len, s.lines)) <= 60)
        top.type("q")
        assert top.wait_for_exit() == 0
        assert "private" not in top.written.decode()


def test_keys_saved_are_said_by_program(daemon):
    counts = KeysSaved()
    counts.note("zsh", shown=3, taken=1, characters=1002, keys=2)
    counts.write()
    assert "\nkeys saved: 1,000 (zsh 1,000)\n" in daemon("status").stdout
    assert '"keys_saved": {\n    "zsh": 1000\n  }' in daemon("status", "--json").stdout
    with screen() as top:
        top.wait_for("keys saved: 1,000 (zsh 1,000)")


@pytest.mark.parametrize("key", ["q", "Q", "\x03", "\x04"])
def test_a_key_ends_it_and_leaves_the_terminal_as_it_was(home, key):
    shell = f"""trap : INT; stty -a > {home}/before
        "$@"; code=$?; stty -a > {home}/after; echo ended with $code; cat"""
    with Screen(["sh", "-c", shell, "sh", *TOP], env={**os.environ, "TERM": "xterm-256color"}) as top:
        top.wait_for("no daemon; waiting").wait_for("q quits")
        top.type("x")
        top.type(key)
        top.wait_for("ended with 0")
        assert "waiting" not in top.text  # the alternate screen is gone
    assert (home / "after").read_text() == (home / "before").read_text()


def test_without_a_terminal_it_prints_lines(home, daemon_command):
    with subprocess.Popen(TOP, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as top:
        assert top.stdout is not None
        assert top.stdout.readline() == "no daemon; waiting\n"
        with Client() as client:
            client.complete("a most private sentence")
        line = next(line for line in top.stdout if "0 waiting, 1 request," in line)
        assert "first piece ms: p50" in line
        assert "private" not in line
        top.send_signal(signal.SIGINT)
        assert top.wait(30) == 0


def test_a_rate_is_of_one_daemon():
    rate = Rate()
    assert rate({"pid": 1, "requests": 5}, 10.0) == 0
    assert rate({"pid": 1, "requests": 8}, 12.0) == 1.5
    assert rate({"pid": 2, "requests": 3}, 13.0) == 0
    assert rate({"pid": 2, "requests": 4}, 14.0) == 1
