"""Histories as shells write them: all commands in their order, whatever the form, and however damaged."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from charrepl.errors import CharreplError
from charrepl.shell_history import history_files
from charrepl.shell_history.history_files import Command, parse

LOOP = "for f in *.txt; do\n  wc -l $f\ndone"
COMMANDS = ["ls", LOOP, "echo Ännchen 日本 ã 😀", r"echo a\\nb", "git status", "ls", "cat <<E\n  x \\\n\nE"]


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def texts(commands: list[Command]) -> list[str]:
    return [command.text for command in commands]


@pytest.mark.parametrize("options", ["extendedhistory", "noextendedhistory"])
def test_what_zsh_wrote_is_what_was_entered(tmp_path: Path, options: str) -> None:
    file = tmp_path / "history"
    script = (
        f"setopt {options} nohistignoredups; HISTSIZE=99 SAVEHIST=99 HISTFILE={file}; "
        'for line in "$@"; do print -rs -- "$line"; done; fc -W'
    )
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    subprocess.run(
        [shell("zsh"), "-fic", script, "zsh", *COMMANDS, "a \\"], env=environment, check=True, timeout=120
    )
    commands = history_files.read(file)
    assert texts(commands) == [*COMMANDS, "a \\"]
    assert all(command.when for command in commands) == (options == "extendedhistory")


def test_what_bash_wrote_with_timestamps_is_what_was_entered(tmp_path: Path) -> None:
    file = tmp_path / "history"
    script = (
        f"HISTFILE={file}; HISTTIMEFORMAT=%s; HISTCONTROL=; set -o history; history -c; "
        'for line in "$@"; do history -s "$line"; done; history -w'
    )
    subprocess.run([shell("bash"), "--norc", "-c", script, "bash", *COMMANDS], check=True, timeout=120)
    commands = history_files.read(file)
    assert texts(commands)[-len(COMMANDS) :] == COMMANDS
    assert all(command.when and command.when > 1e9 for command in commands)


def test_bash_without_timestamps_has_a_command_a_line() -> None:
    assert texts(parse(b"ls\nls\n\ncd /tmp\r\necho a \\\n  b\nmake\n")) == [
        "ls",
        "ls",
        "cd /tmp",
        "echo a \\\n  b",
        "make",
    ]


def test_lines_from_before_timestamps_were_switched_on_are_commands_of_their_own() -> None:
    lines = [f"echo {n}" for n in range(200)]
    data = "\n".join(["make", "#1700000000", "ls", "#1700000060", *lines]).encode()
    assert texts(parse(data)) == ["make", "ls", *lines]


def test_fish_writes_newlines_and_backslashes_as_escapes() -> None:
    data = (
        b"- cmd: ls\n  when: 1700000000\n- cmd: echo a\\nb\\\\nc\n  when: 1700000060\n  paths:\n    - a\n"
        b"- cmd: - cmd: odd\n"
    )
    assert parse(data) == [
        Command("ls", 1700000000.0),
        Command("echo a\nb\\nc", 1700000060.0),
        Command("- cmd: odd", None),
    ]


def ipython(file: Path, cells: int = 3) -> None:
    with sqlite3.connect(file) as database:
        database.executescript(
            "CREATE TABLE sessions (session integer primary key, start timestamp, end timestamp,"
            " num_cmds integer, remark text);"
            "CREATE TABLE history (session integer, line integer, source text, source_raw text,"
            " PRIMARY KEY (session, line));"
            "INSERT INTO sessions VALUES (1, '2024-01-02 03:04:05.678901', NULL, NULL, '');"
        )
        database.executemany(
            "INSERT INTO history VALUES (1, ?, '', ?)",
            [(n, f"def f{n}():\n    return {n}") for n in range(cells)],
        )
    database.close()


def test_cells_of_ipython_are_commands_with_the_time_of_their_session(tmp_path: Path) -> None:
    ipython(tmp_path / "history.sqlite")
    commands = history_files.read(tmp_path / "history.sqlite")
    assert texts(commands) == [f"def f{n}():\n    return {n}" for n in range(3)]
    assert commands[0].when and commands[0].when > 1e9


def test_a_damaged_database_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite"
    ipython(file, 20_000)
    data = bytearray(file.read_bytes())
    data[len(data) * 3 // 4 :] = os.urandom(len(data) - len(data) * 3 // 4)
    file.write_bytes(data)
    assert len(history_files.read(file)) > 1000


def test_other_databases_and_what_is_no_file_are_told_in_a_line(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other") as database:
        database.execute("CREATE TABLE moz_places (url text)")
    database.close()
    with pytest.raises(CharreplError, match="no history of IPython's"):
        history_files.read(tmp_path / "other")
    with pytest.raises(CharreplError, match="cannot read"):
        history_files.read(tmp_path / "none")
    with pytest.raises(CharreplError, match="cannot read"):
        history_files.read(tmp_path)


def test_holes_rubbish_and_a_missing_end_cost_no_more_than_themselves() -> None:
    good = b"".join(b": %d:0;make test%d\n" % (1_700_000_000 + n, n) for n in range(100))
    for damaged in (
        b"\0" * 4096 + good,
        good[:1000] + b"\0" * 512 + good[1000:],
        good + b": 17000",
        good + os.urandom(64).replace(b"\n", b""),
        good[:500] + b"\xff\xfe\x83\n" + good[500:],
        good.replace(b"1700000005", b"99999999999999999999"),
    ):
        assert len([text for text in texts(parse(damaged)) if text.startswith("make test")]) >= 98
    assert parse(b"") == []


def test_any_bytes_are_read_without_an_error_and_leave_no_control_characters() -> None:
    chance = random.Random(1)
    pieces = [
        b"\n",
        b"\\",
        b": 17:0;",
        b"#1700000000",
        b"- cmd: ",
        b"\x83",
        b"\xc3\xa4",
        b"\x1b[A",
        b"a ",
        b"\0",
    ]
    for _ in range(300):
        data = b"".join(chance.choices([*pieces, chance.randbytes(3)], k=60))
        assert not [text for text in texts(parse(data)) if set(text) & set("\0\x1b\r") or text.endswith("\n")]


def test_three_hundred_thousand_lines_are_all_read(tmp_path: Path) -> None:
    file = tmp_path / "history"
    file.write_bytes(b"".join(b": %d:0;make test%d\n" % (1_700_000_000 + n, n) for n in range(300_000)))
    commands = history_files.read(file)
    assert len(commands) == 300_000
    assert commands[-1] == Command("make test299999", 1_700_299_999.0)


def test_histories_are_found_in_their_usual_places_the_last_written_at_the_end(tmp_path: Path) -> None:
    fish = tmp_path / "data" / "fish" / "fish_history"
    fish.parent.mkdir(parents=True)
    written = [tmp_path / ".zsh_history", fish, tmp_path / "mine"]
    for age, file in enumerate(written):
        file.write_text("- cmd: ls\n")
        os.utime(file, (age, age))
    (tmp_path / ".bash_history").touch()  # empty
    environment = {"XDG_DATA_HOME": str(tmp_path / "data"), "HISTFILE": str(tmp_path / "mine")}
    assert history_files.usual_places(environment, tmp_path) == written
    assert history_files.usual_places({}, tmp_path / "nobody") == []
