"""What is said and drawn on standard error while something works, and what if nobody reads it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import itertools
import os
import re
import select
import signal
import struct
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte
import pytest

from charrepl.evaluation import evaluation
from charrepl.system.ignored_signals import heeded
from charrepl.system.standard_error import StandardError
from charrepl.terminal import heartbeat as heartbeat_module
from charrepl.terminal.heartbeat import heartbeat
from charrepl.terminal.progress import Display, LogInterval, duration
from tests.waiting import DEADLINE_S

FORCED = {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1"}


class Terminal:
    """A pseudo-terminal, and the screen of who looks at it."""

    def __init__(self, columns: int = 40, rows: int = 12) -> None:
        self._master, slave = os.openpty()
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        self.sent = b""
        self._hung_up = False
        self._screen = pyte.Screen(columns, rows)
        self._emulator = pyte.ByteStream(self._screen)
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._screen.resize(rows, columns)

    def type(self, key: bytes) -> None:
        os.write(self._master, key)

    def lines(self, display: Display) -> list[str]:
        display.drain()
        # The system hands it on a moment later, and this after it.
        end = b"\x1b]7;all of it\x07"
        assert select.select([], [self.stream], [], DEADLINE_S)[1]
        os.write(self.stream.fileno(), end)
        data = b""
        while end not in data:  # another thread may write after it
            assert select.select([self._master], [], [], DEADLINE_S)[0]
            data += os.read(self._master, 65_536)
        data = data.replace(end, b"")
        self.sent += data
        self._emulator.feed(data)
        return [line.rstrip() for line in self._screen.display if line.strip()]

    def hang_up(self) -> None:
        if not self._hung_up:
            os.close(self._master)
        self._hung_up = True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "200")  # another terminal's
    terminal = Terminal()
    with terminal.stream:
        yield terminal
    terminal.hang_up()


def test_a_log_gets_lines_without_codes_whatever_is_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (*FORCED.items(), ("TERM", "xterm-256color"), ("COLUMNS", "20")):
        monkeypatch.setenv(name, value)
    out = io.StringIO()
    with Display(out) as display:
        display.draw("a bar")
        display.say("a message of more than twenty characters and a command")
    assert out.getvalue() == "a message of more than twenty characters and a command\n"


def test_what_is_drawn_is_drawn_over_and_messages_go_above_it(terminal: Terminal) -> None:
    with Display(terminal.stream) as display:
        display.draw("one\ntwo")
        display.drain()
        display.draw("three")
        assert terminal.lines(display) == ["three"]
        display.say("said")
        display.drain()
        display.draw("four\nfive")
        assert terminal.lines(display) == ["said", "four", "five"]
    assert terminal.lines(display) == ["said"]
    assert b"?25l" not in terminal.sent  # a cursor that is never hidden need not be given back


def test_messages_wrap_between_words_and_commands_not_at_all(terminal: Terminal) -> None:
    terminal.resize(20, 12)
    command = "charrepl-train 'a, b.txt' --resume"
    with Display(terminal.stream) as display:
        display.say("Saved. Go on now")
        display.say(f"Saved. Go on with this: {command}")
    assert terminal.lines(display)[:4] == [
        "Saved. Go on now",
        "Saved. Go on with",
        "this:",
        "charrepl-train 'a, b",
    ]
    assert command.encode() in terminal.sent


def test_a_terminal_that_does_not_know_its_size_has_that_of_columns(terminal: Terminal) -> None:
    fcntl.ioctl(terminal.stream.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
    assert Display(terminal.stream).room == (199, 23)


def test_a_narrower_terminal_keeps_what_was_said(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMUX", "1")  # which wraps what has become too long
    with Display(terminal.stream) as display:
        display.draw("x" * 30)
        terminal.lines(display)
        terminal.resize(20, 12)
        before = len(terminal.sent)
        display.draw("y")
        terminal.lines(display)
        assert b"\x1b[2A" in terminal.sent[before:]  # two rows, not one


def test_after_a_stop_it_is_drawn_once_more_below_what_the_shell_wrote(terminal: Terminal) -> None:
    with Display(terminal.stream) as display:
        display.draw("one\ntwo")
        terminal.lines(display)
        terminal.stream.write("[1]+ Stopped\n$ fg\n")
        terminal.stream.flush()
        os.kill(os.getpid(), signal.SIGCONT)
        display.draw("three")
        assert terminal.lines(display) == ["one", "two", "[1]+ Stopped", "$ fg", "three"]
    assert signal.getsignal(signal.SIGCONT) is signal.SIG_DFL


def test_a_terminal_that_is_halted_holds_nothing_up_and_then_gets_all_messages(terminal: Terminal) -> None:
    with Display(terminal.stream) as display:
        terminal.type(b"\x13")  # Ctrl-S
        for number in range(3):
            display.say(f"message {number}")
            for _ in range(2000):  # more than any buffer holds
                display.draw("drawn " * 100)
        assert not terminal.sent
        terminal.type(b"\x11")
        lines = terminal.lines(display)
    assert [line for line in lines if line.startswith("message")] == [f"message {n}" for n in range(3)]


def test_a_terminal_that_has_gone_is_no_error(terminal: Terminal) -> None:
    with Display(terminal.stream) as display:
        terminal.hang_up()
        display.draw("drawn")
        display.say("said")
        display.drain()


@pytest.fixture
def pipe() -> Iterator[tuple[int, StandardError]]:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="ascii", errors="backslashreplace") as stream:
        yield reading, StandardError(stream)
    with contextlib.suppress(OSError):
        os.close(reading)


def test_a_reader_that_leaves_is_no_error(pipe: tuple[int, StandardError]) -> None:
    reading, out = pipe
    os.close(reading)
    out.write("x" * 100_000)
    out.write("y")
    out.drain()
    assert not out.behind


def test_a_reader_that_stops_reading_is_not_waited_for_and_little_is_kept(
    pipe: tuple[int, StandardError],
) -> None:
    reading, out = pipe
    for _ in range(100):
        out.write("x" * 100_000)
    assert out.behind
    got = 0
    while out.behind or select.select([reading], [], [], 0)[0]:
        if select.select([reading], [], [], 0.1)[0]:
            got += len(os.read(reading, 1 << 20))
    assert 1 << 20 <= got < 2 << 20


def test_what_another_program_made_non_blocking_still_gets_all(pipe: tuple[int, StandardError]) -> None:
    reading, out = pipe
    os.set_blocking(out.descriptor or 0, False)
    text = "0123456789" * 50_000
    out.write(text)
    got = b""
    while len(got) < len(text):
        got += os.read(reading, 1 << 20)
    assert got.decode() == text


def test_what_cannot_be_encoded_is_written_as_the_stream_would(pipe: tuple[int, StandardError]) -> None:
    reading, out = pipe
    out.write("caf\xe9")
    out.drain()
    assert os.read(reading, 100) == rb"caf\xe9"


def test_a_full_disk_and_a_closed_stream_are_no_errors(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with Path("/dev/full").open("w") as full:
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            os.write(full.fileno(), b"x")
        out = StandardError(full)
        out.write("said")
        out.drain()
    StandardError(None).write("said")
    StandardError(full).write("said")  # closed by now


def test_signals_that_were_ignored_are_not_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert heeded([signal.SIGHUP, signal.SIGTERM]) == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_evaluation_whose_output_is_no_terminal_says_now_and_then_how_far_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    time = [0.0]
    with evaluation.progress(20_000, now=lambda: time[0]) as stage:
        for name in ("reading", "typing"):
            advance: Callable[[int], None] = stage(name)
            for _ in range(20_000):
                time[0] += 0.01
                advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"reading: 1,5\d\d of 20,000 characters, 3 min 0\d s left", lines[0])
    assert 10 < len(lines) < 25
    assert {line.split(":")[0] for line in lines} == {"reading", "typing"}


def test_a_log_is_told_something_every_five_minutes_however_long_it_takes() -> None:
    log = LogInterval(0)
    times = []
    for now in range(7 * 24 * 3600):
        if log.is_due(now):
            times.append(now)
            log.told(now)
    assert times[0] == 15
    assert times[-1] - times[-2] == 300


def test_durations_are_told_in_two_units_at_most() -> None:
    assert [duration(s) for s in (51.6, 200, 7500)] == ["52 s", "3 min 20 s", "2 h 05 min"]


def test_a_program_in_one_long_call_shows_what_it_is_at(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat_module, "_BEAT_S", 0.2)
    monkeypatch.setattr(heartbeat_module, "_SILENT_S", 0.01)
    with Display(terminal.stream) as display, heartbeat(display, now=lambda: 0.0) as begins:
        begins("Reading")
        while terminal.lines(display) != ["Reading, 0 s so far"]:
            pass
        display.draw("a bar")  # says more, and stays
        begins("Compiling")
        assert terminal.lines(display) == ["a bar"]
    assert terminal.lines(display) == []
    log, clock = io.StringIO(), itertools.count(step=4)
    with Display(log, now=lambda: next(clock)) as display, heartbeat(display, now=lambda: 0.0) as begins:
        begins("Reading")
        while not log.getvalue():
            pass
    assert set(log.getvalue().splitlines()) == {"Reading, 0 s so far"}
