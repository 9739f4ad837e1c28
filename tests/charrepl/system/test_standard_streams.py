"""What is printed where the locale lacks some of it: all of it, as near as may be, and said so."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from charrepl.system import interpreter
from charrepl.system.standard_streams import LenientStream
from tests.charrepl.scripted_daemon import ScriptedDaemon, continuing

SAID = "« Le cœur de Noël… » — 中\n"
PLAIN = {
    "LC_ALL": "C",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONUTF8": "0",
    "PYTHONIOENCODING": "",
}


def written(text: str, encoding: str, *, to_terminal: bool = False) -> tuple[bytes, str]:
    """The bytes that a stream writes, and what is said of them."""
    lenient = LenientStream(encoding, to_terminal=to_terminal)
    codecs.register_error("charrepl.test", lenient)
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="charrepl.test")
    stream.write(text)
    stream.flush()
    return raw.getvalue(), lenient.note()


@pytest.mark.parametrize(
    ("encoding", "text", "nearest"),
    [
        ("utf-8", "é — 中 🙂", "é — 中 🙂"),
        ("latin-1", "é ‘a’ – b…", "é 'a' - b..."),
        ("ascii", "Noël, “naïve” façade—№ ½", 'Noel, "naive" facade-No 12'),
        ("ascii", "中 🙂", "? ?"),
        ("cp1252", "’ ł", "’ ?"),
        ("iso8859-15", "€ ’", "€ '"),
        ("euc_jp", "中 é", "中 é"),
    ],
)
def test_what_an_encoding_lacks_is_written_as_the_nearest_that_it_has(
    encoding: str, text: str, nearest: str
) -> None:
    data, note = written(text, encoding)
    assert data.decode(encoding) == nearest
    assert (note == "") == (text == nearest)
    assert note.isascii()


def test_characters_that_were_not_written_are_told() -> None:
    _, note = written("é…é", "ascii")
    assert "is ascii, which lacks \\xe9 \\u2026: the nearest was written" in note
    assert "PYTHONIOENCODING=utf-8" in note


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_a_name_is_written_as_its_bytes_but_never_to_a_terminal(encoding: str) -> None:
    name = os.fsdecode(b"caf\xe9\x9b.txt")
    if encoding == "latin-1":
        name = b"caf\xe9\x9b.txt".decode("ascii", "surrogateescape")
    assert written(name, encoding) == (b"caf\xe9\x9b.txt", "")
    assert written(name, encoding, to_terminal=True) == (b"caf??.txt", "")


def test_where_a_character_has_several_bytes_a_name_is_not_in_pieces() -> None:
    assert written("a\udce9b", "utf-16-le") == ("a?b".encode("utf-16-le"), "")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedDaemon]:
    with ScriptedDaemon(tmp_path_factory.mktemp("d") / "d.sock", continuing(f"ROMEO:\n{SAID}")) as daemon:
        yield daemon


def charrepl(
    *arguments: str | bytes, cwd: Path | None = None, **environment: str
) -> tuple[int, bytes, bytes]:
    done = subprocess.run(
        [*interpreter.command("charrepl"), *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        cwd=cwd,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("environment", "encoding"),
    [
        (PLAIN, "ascii"),
        ({"PYTHONIOENCODING": "latin-1"}, "latin-1"),
        ({"PYTHONIOENCODING": "utf-8"}, "utf-8"),
    ],
    ids=["ascii", "latin-1", "utf-8"],
)
def test_a_command_writes_all_of_its_output_in_any_locale(
    daemon: ScriptedDaemon, environment: dict[str, str], encoding: str
) -> None:
    words = ("complete", "ROMEO:\n", "--beam", "1", "--endpoint", daemon.endpoint)
    code, out, err = charrepl(*words, **environment)
    said = out.decode(encoding)
    assert code == 0
    assert said.endswith("\n")
    assert len(said.split()) == len(SAID.split())
    assert (said == f"{SAID}\n") == (encoding == "utf-8") == (err == b"")
    code, out, err = charrepl(*words, "--json", **environment)
    assert (code, err) == (0, b"")
    assert json.loads(out)["text"] == SAID  # nothing is lost, whatever the locale


@pytest.mark.parametrize("environment", [{}, PLAIN], ids=["utf-8", "ascii"])
def test_a_file_whose_name_is_no_text_is_read_like_any_other_and_named_in_one_line(
    daemon: ScriptedDaemon, tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("Noël")
    code, out, err = charrepl(
        "score", b"caf\xe9.txt", "--endpoint", daemon.endpoint, cwd=tmp_path, **environment
    )
    assert (code, err) == (0, b"")
    assert b", 4 characters" in out
    for command in (("score", b"no-caf\xe9.txt"), ("complete", "x", "--model", b"./caf\xe9")):
        code, out, err = charrepl(*command, cwd=tmp_path, **environment)
        assert (code, out, err.count(b"\n")) == (1, b"", 1)
        assert b"caf\xe9" in err or b"caf?" in err


def test_a_text_given_in_bytes_that_are_none_is_completed(daemon: ScriptedDaemon) -> None:
    code, out, err = charrepl("complete", b"ROM\xe9", "--beam", "1", "--json", "--endpoint", daemon.endpoint)
    assert (code, err, json.loads(out)["text"]) == (0, b"", "")
    assert daemon.requests[-1].text == "ROM\ufffd"


HOSTILE = "\x1b]0;pwned\x07\x1b[2J\x9b2J"


def on_a_terminal(*command: str, **environment: str) -> bytes:
    """What a command writes where all its streams are a terminal."""
    reading, writing = pty.openpty()
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdin=writing, stdout=writing, stderr=writing
    )
    os.close(writing)
    said = b""
    with contextlib.suppress(OSError):  # the terminal's other end has gone
        while data := os.read(reading, 65_536):
            said += data
    os.close(reading)
    process.wait(60)
    return said


@pytest.mark.parametrize(
    "command",
    [
        ("charrepl", "score", f"./{HOSTILE}"),
        ("charrepl", "complete", "x", HOSTILE),
        ("charrepl_train", f"./{HOSTILE}"),
        ("charrepl_daemon", "start", HOSTILE),
    ],
    ids=["error", "usage", "train", "daemon"],
)
def test_no_name_in_a_message_is_obeyed_by_a_terminal(command: tuple[str, ...]) -> None:
    said = on_a_terminal(*interpreter.command(*command)).decode()
    assert "Error: " in said
    assert "2J" in said
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", said)


def test_json_on_a_terminal_is_whole_and_nothing_in_it_is_obeyed() -> None:
    code = f"from charrepl.cli.options import print_json; print_json({{'x': {HOSTILE!r}}})"
    said = on_a_terminal(sys.executable, "-c", code).decode()
    assert "\x9b" not in said
    assert json.loads(said) == {"x": HOSTILE}


def test_a_command_line_is_refused_in_the_locales_encoding() -> None:
    code, out, err = charrepl("complete", "x", "Noël…", **PLAIN)
    assert (code, out) == (2, b"")
    assert b"extra argument (Noel...)" in err


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_give_their_numbers_to_nothing_else(closed: str) -> None:
    code = "from charrepl.system import standard_streams as s; s.prepare(); import os; "
    code += "f = os.open('/dev/null', 0); print('x'); import sys; print('y', file=sys.stderr); "
    code += "os._exit(0 if f > 2 else 9)"
    done = subprocess.run(["sh", "-c", f'"$0" -c "$1" {closed}', sys.executable, code], check=False)
    assert done.returncode == 0
