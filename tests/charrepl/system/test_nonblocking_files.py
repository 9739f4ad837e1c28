"""Standard streams that another program made non-blocking, that are full or that nobody reads."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import subprocess
import sys
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

LINE, LINES = "ROMEO: \u00e9\n", 20_000
# A program of ours that says a lot, in each way that they have to say something.
PROGRAM = f"""if True:
    import sys
    import click
    from charrepl.cli.exit_codes import Command, exit_codes
    from charrepl.cli.options import print_json
    text = {LINE!r} * {LINES}

    @click.command(cls=Command)
    @click.argument("how")
    @exit_codes
    def main(how):
        if how == "json":
            print_json(text)
        elif how == "echo":
            click.echo(text, nl=False)
        elif how == "bytes":
            click.echo(text.encode(), nl=False)
        elif how == "error":
            click.echo(text, nl=False, err=True)
        else:
            for at in range(0, len(text), 999):
                sys.stdout.write(text[at:at + 999])
                if how == "flushed":
                    sys.stdout.flush()
    main(prog_name="program")
"""
Streams = tuple[int, int]


@pytest.fixture(params=["pipe", "terminal"])
def streams(request: pytest.FixtureRequest) -> Iterator[Streams]:
    """Where a program writes, non-blocking, and where that is read."""
    if request.param == "pipe":
        reading, writing = os.pipe()
    else:
        reading, writing = pty.openpty()
        tty.setraw(writing)
    fcntl.fcntl(writing, fcntl.F_SETFL, fcntl.fcntl(writing, fcntl.F_GETFL) | os.O_NONBLOCK)
    yield reading, writing
    os.close(reading)


def read_all(reading: int, take: Callable[[bytes], None]) -> None:
    try:
        while data := os.read(reading, 3000):
            take(data)
    except OSError:
        pass  # a terminal's other end has gone


@pytest.mark.parametrize("how", ["json", "echo", "bytes", "flushed", "buffered", "error"])
@pytest.mark.parametrize("options", [[], ["-u"]], ids=["", "unbuffered"])
def test_nothing_is_lost_where_a_write_would_block(streams: Streams, how: str, options: list[str]) -> None:
    reading, writing = streams
    wanted = ("stderr", "stdout") if how == "error" else ("stdout", "stderr")
    process = subprocess.Popen(
        [sys.executable, *options, "-c", PROGRAM, how],
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        **dict(zip(wanted, (writing, subprocess.PIPE), strict=True)),
    )
    os.close(writing)
    pieces: list[bytes] = []
    reader = threading.Thread(target=read_all, args=(reading, pieces.append))
    reader.start()
    other = process.stderr if how != "error" else process.stdout
    assert other is not None
    with process, other:
        assert other.read() == b""
        assert process.wait(60) == 0
    reader.join(60)
    read = b"".join(pieces).decode()
    assert (json.loads(read) if how == "json" else read) == LINE * LINES


def run(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = ["bash", "-c", f'exec "$0" "$@" {command}', *arguments]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("module", ["charrepl", "charrepl_daemon", "charrepl_train"])
def test_a_full_disk_at_standard_output_is_one_line(module: str) -> None:
    done = run(">/dev/full", sys.executable, "-m", module, "--help")
    assert (done.returncode, done.stderr) == (
        1,
        "Error: cannot write to standard output: No space left on device\n",
    )
    assert run(">&-", sys.executable, "-m", module, "--help").stderr == ""
    assert run("2>/dev/full >/dev/null", sys.executable, "-m", module, "--nonsense").returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("how", ["json", "echo", "bytes", "flushed", "buffered"])
def test_a_command_that_meets_a_full_disk_or_no_reader_ends_in_order(how: str) -> None:
    done = run(">/dev/full", sys.executable, "-c", PROGRAM, how)
    assert (done.returncode, done.stderr) == (
        1,
        "Error: cannot write to standard output: No space left on device\n",
    )
    command = '"$0" "$@" | head -c 1; exit ${PIPESTATUS[0]}'
    words = ["bash", "-c", command, sys.executable, "-c", PROGRAM, how]
    left = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (left.returncode, left.stderr) == (1, "")
