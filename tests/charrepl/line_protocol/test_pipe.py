"""`charrepl pipe` as a shell has it: a process, its input and its output."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.charrepl.prompt import CHARREPL, Bench
from tests.charrepl.scripted_daemon import continuing, hung


@contextmanager
def pipe(bench: Bench, *options: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [*CHARREPL, "pipe", "--endpoint", bench.daemon.endpoint, *options]
    with subprocess.Popen(
        command, env={**bench.env, **env}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ask(process: subprocess.Popen[bytes], text: str, encoding: str = "utf-8") -> str:
    assert process.stdin and process.stdout
    process.stdin.write(text.encode(encoding) + b"\0")
    process.stdin.flush()
    answer = b""
    while not answer.endswith(b"\0"):
        read = process.stdout.read(1)
        assert read, "it has ended"
        answer += read
    return answer[:-1].decode(encoding)


def test_it_answers_and_ends_with_its_input(live: Bench) -> None:
    with pipe(live, "--within", "30s") as process:
        assert ask(process, "ROMEO:\nIs the day") == " so young?"
        assert ask(process, "nothing that it knows") == ""
        assert process.stdin
        process.stdin.close()
        assert process.wait(30) == 0


def test_input_that_has_ended_is_answered(live: Bench) -> None:
    done = subprocess.run(
        [*CHARREPL, "pipe", "--endpoint", live.daemon.endpoint, "--within", "30s"],
        env=live.env,
        input=b"\x01host=bash\0Is the day\0" * 2,
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b" so young?\0" * 2, b"")


def test_the_ghost_that_a_key_wrote_counts_as_taken(live: Bench) -> None:
    with pipe(live, "--within", "30s", "--host", "bash") as process:
        assert ask(process, "\x01on_demand=yes\0Is the day") == " so young?"
        assert process.stdin
        process.stdin.close()
        assert process.wait(30) == 0
    shown = json.loads(
        subprocess.run(
            [*CHARREPL, "stats", "--json"], env=live.env, capture_output=True, check=True, timeout=60
        ).stdout
    )
    assert shown["hosts"]["bash"]["saved"] == len(" so young?") - 1


def test_it_answers_in_time_whatever_becomes_of_the_daemon(bench: Bench) -> None:
    with pipe(bench, "--within", "300ms") as process:
        assert ask(process, "Is the day") == ""  # there is none
        bench.daemon.script = hung
        with bench.daemon:
            assert ask(process, "Is the day") == ""  # it says nothing
            bench.daemon.script = continuing()
            while ask(process, "Is the day") != " so young?":
                pass
        assert ask(process, "Is the day") == ""  # it has gone


def test_it_speaks_the_terminals_encoding(live: Bench) -> None:
    live.daemon.script = continuing("Über älter")
    with pipe(live, "--within", "30s", PYTHONIOENCODING="latin-1") as process:
        assert ask(process, "Über ", "latin-1") == "älter"


@pytest.mark.parametrize("wrong", [["--within", "soon"], ["--lines", "0"], ["--host", "x"]])
def test_what_is_wrong_is_said_at_once(bench: Bench, wrong: list[str]) -> None:
    done = subprocess.run(
        [*CHARREPL, "pipe", *wrong], env=bench.env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert wrong[0] in done.stderr
